"""Which linear layer is a net's last, and whether it truly is."""

import numpy as np
import torch
from torch import nn

from sklinfluence._nets._forward import listening, outputs
from sklinfluence._nets._refusals import refuse_non_finite
from sklinfluence._nets._stand_in import stand_in

# Outputs are compared in the net's own type, where sums over a wide layer round.
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}
# What a module may do to its last layer's output and still have it for its head.
ENDS = {
    "nothing": lambda raw: raw,
    "softmax": lambda raw: torch.softmax(raw, dim=-1),
    "log_softmax": lambda raw: torch.log_softmax(raw, dim=-1),
    "sigmoid": torch.sigmoid,
}


def guess_last_linear(net, n_outputs):
    """The name of the layer that the net's raw predictions should come from.

    Without rows there is nothing to run: the last registered linear layer with as
    many outputs as there are classes or targets. `check_last` proves it on rows.

    Parameters
    ----------
    net : NeuralNet
        Initialised. A class attribute ``head_layer`` names the layer outright.
    n_outputs : int
        Fewest outputs that the layer must have; exactly as many are preferred.
    """
    linear = {
        name: layer
        for name, layer in net.module_.named_modules()
        if isinstance(layer, nn.Linear)
    }
    named = getattr(net, "head_layer", None)
    if named is not None:
        if named not in linear:
            raise ValueError(
                f"head_layer={named!r} of {type(net).__name__} is no linear layer of "
                f"its module. Those are {_listed(linear)}."
            )
        return named
    exact = [name for name, layer in linear.items() if layer.out_features == n_outputs]
    wider = [name for name, layer in linear.items() if layer.out_features > n_outputs]
    if not exact and not wider:
        raise ValueError(
            f"{type(net.module_).__name__} has no linear layer with {n_outputs} "
            f"output(s), so {type(net).__name__} has no linear head. Its linear "
            f"layers are {_listed(linear)}. Put SkorchEmbedding(net, layer=...) and a "
            "linear estimator in a Pipeline instead."
        )
    return (exact or wider)[-1]


def check_last(net, layer, embedding, output, ends):
    """Raise unless the module's output is the layer's, after one of ``ends``."""
    linear = net.module_.get_submodule(layer)
    raw = None
    if embedding.ndim == 2:
        # Not by a call of the layer, which others listen to.
        with torch.no_grad():
            raw = nn.functional.linear(embedding, linear.weight, linear.bias)
    if raw is not None and _agree(raw, output, ends):
        return
    raise ValueError(
        f"Layer {layer!r} of {type(net.module_).__name__} is not the last: the "
        f"module's output is not its output, followed by {' or '.join(ends)}. If "
        "another linear layer is, name it in a subclass of your net, class Net("
        f"{type(net).__name__}): head_layer = 'name'. If none is, put "
        "SkorchEmbedding(net, layer=...) and a linear estimator in a Pipeline."
    )


def find_last_linear(net, X):
    """The linear layer whose output is the module's output, found by running rows.

    Parameters
    ----------
    net : NeuralNet
        Initialised.
    X : rows, a batch of them or more
        In any form that the net takes.

    Returns
    -------
    layer : str or None
        The last one called, if several agree; None if none does.
    """
    with stand_in(net) as own:
        layers = {
            name: layer
            for name, layer in own.module_.named_modules()
            if isinstance(layer, nn.Linear)
        }
        with listening(layers) as heard:
            output = next(iter(outputs(own, X)))
    refuse_non_finite(net, X, output)
    found = None
    for name, calls in heard.items():
        if len(calls) == 1 and _agree(calls[0][1], output, ENDS):
            found = name
    return found


def _agree(raw, output, ends):
    """Whether one of ``ends`` makes the layer's output the module's."""
    if raw.numel() != output.numel():
        return False
    raw, output = (part.detach().reshape(len(part), -1) for part in (raw, output))
    tolerance = _TOLERANCE.get(output.dtype, 1e-2)
    gaps = [float((ENDS[end](raw) - output).abs().max()) for end in ends]
    return min(gaps) <= tolerance * max(1.0, float(output.abs().max()))


def _listed(names):
    return ", ".join(map(repr, names)) or "none"


def layer_parameters(linear):
    """Weights (n_outputs, d) and intercepts (n_outputs,) in float64, copied."""
    coef = linear.weight.detach().cpu().double().numpy().copy()
    if linear.bias is None:
        return coef, np.zeros(len(coef))
    return coef, linear.bias.detach().cpu().double().numpy().copy()
