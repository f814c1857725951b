"""Which linear layer is a net's last, and whether it truly is."""

import numpy as np
import torch
from torch import nn

from sklinfluence.heads._skorch._forward import listening, outputs

# Outputs are compared in the net's own type, where sums over a wide layer round.
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}


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


def check_last(net, layer, embedding, output, raw_from_output):
    """Raise unless the module's output is the layer's, perhaps through a softmax."""
    linear = net.module_.get_submodule(layer)
    raw = None
    if embedding.ndim == 2:
        # Not by a call of the layer, which others listen to.
        with torch.no_grad():
            raw = nn.functional.linear(embedding, linear.weight, linear.bias)
    if raw is not None and _same_raw(raw, output, raw_from_output):
        return
    raise ValueError(
        f"Layer {layer!r} of {type(net.module_).__name__} is not the last: the "
        "module's output is not its output, a (log-)softmax or a sigmoid of it. If "
        "another linear layer is, name it in a subclass of your net, class Net("
        f"{type(net).__name__}): head_layer = 'name'. If none is, put "
        "SkorchEmbedding(net, layer=...) and a linear estimator in a Pipeline."
    )


def find_last_linear(net, X, raw_from_output=lambda output: output):
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
    layers = {
        name: layer
        for name, layer in net.module_.named_modules()
        if isinstance(layer, nn.Linear)
    }
    with listening(layers) as heard:
        output = next(iter(outputs(net, X)))
    found = None
    for name, calls in heard.items():
        if len(calls) == 1 and any(
            _same_raw(calls[0][1], output, convert)
            for convert in (raw_from_output, _log, torch.logit)
        ):
            found = name
    return found


def _log(output):
    return torch.log(output)


def _same_raw(raw, output, raw_from_output):
    """Whether two predictions agree, for a softmax up to a shift of all outputs."""
    if raw.numel() != output.numel():
        return False
    raw, expected = (
        _centred(tensor.detach().reshape(len(raw), -1).double())
        for tensor in (raw, raw_from_output(output))
    )
    # Where a probability has run out of digits its logarithm says nothing.
    sound = torch.isfinite(expected) & (expected > expected.amax(1, keepdim=True) - 10)
    tolerance = _TOLERANCE.get(output.dtype, 1e-2)
    scale = max(1.0, float(raw.abs().max()))
    gap = torch.where(sound, (raw - expected).abs(), torch.zeros_like(raw))
    return bool(gap.max() <= tolerance * scale)


def _centred(raw):
    # By the largest: the mean would carry a saturated output's error into the others.
    return raw if raw.shape[1] == 1 else raw - raw.amax(1, keepdim=True)


def _listed(names):
    return ", ".join(map(repr, names)) or "none"


def layer_parameters(linear):
    """Weights (n_outputs, d) and intercepts (n_outputs,) in float64, copied."""
    coef = linear.weight.detach().cpu().double().numpy().copy()
    if linear.bias is None:
        return coef, np.zeros(len(coef))
    return coef, linear.bias.detach().cpu().double().numpy().copy()
