"""Running a fitted net on rows, in their order, and leaving no trace in it."""

from collections.abc import Mapping
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import get_len
from skorch.helper import SliceDict

from sklinfluence._nets._nested import map_tensors
from sklinfluence._nets._refusals import (
    named_misfit,
    refuse_frame,
    refuse_no_rows,
)
from sklinfluence._nets._stand_in import stand_in


def module_dtype(net):
    """The floating type of the module's parameters; torch's default before them."""
    module = getattr(net, "module_", net.module)
    if isinstance(module, torch.nn.Module):
        for parameter in module.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
    return torch.get_default_dtype()


def cast(data, dtype):
    """Floating arrays and tensors in the given torch type; anything else as it is.

    Lists of rows become arrays, and sparse rows the one kind that skorch takes apart;
    what a Dataset yields is its own business.
    """
    # A sparse matrix of dictionary keys is a mapping too.
    if isinstance(data, Mapping) and not sparse.issparse(data):
        same = {key: cast(value, dtype) for key, value in data.items()}
        return SliceDict(**same) if isinstance(data, SliceDict) else same
    if isinstance(data, torch.Tensor):
        return data.to(dtype) if data.is_floating_point() else data
    if isinstance(data, list) and data and not hasattr(data[0], "shape"):
        data = np.asarray(data)
    if hasattr(data, "__array__") and not hasattr(data, "__len__"):
        data = np.asarray(data)
    if sparse.issparse(data):
        data = sparse.csr_matrix(data)
    if isinstance(data, np.ndarray) or sparse.issparse(data):
        if data.dtype.kind == "f":
            return _cast_array(data, dtype)
    return data


def _cast_array(array, dtype):
    if dtype == torch.bfloat16:  # which numpy does not have
        array = array.astype(np.float32, copy=False)
        return array if sparse.issparse(array) else torch.as_tensor(array).to(dtype)
    # torch names its other types as numpy does.
    return array.astype(str(dtype).removeprefix("torch."), copy=False)


def iterate(net, X, y=None, *, batch_size=None, dtype=None):
    """Batches of rows in their order: the net's own loader, minus what reorders it.

    Parameters
    ----------
    net : NeuralNet
    X, y : rows and targets, in any form that the net takes
    batch_size : int, default=None
        None: the net's own for predictions.
    dtype : torch.dtype, default=None
        What floating inputs are cast to; None for the module's own.
    """
    refuse_frame(net, X)
    dataset = net.get_dataset(cast(X, dtype or module_dtype(net)), y)
    refuse_no_rows(net, dataset)
    kwargs = net.get_params_for("iterator_valid")
    for name in ("sampler", "batch_sampler"):
        kwargs.pop(name, None)
    kwargs["shuffle"] = kwargs["drop_last"] = False
    kwargs["batch_size"] = batch_size or kwargs.get("batch_size", net.batch_size)
    if kwargs["batch_size"] == -1:
        kwargs["batch_size"] = max(1, get_len(dataset))
    return net.iterator_valid(dataset, **kwargs)


def outputs(net, X):
    """The net's first output for each batch of rows, in eval mode.

    Parameters
    ----------
    net : NeuralNet
        A `stand_in`, or a net in training, whose modes change.
    X : rows, in any form that the net takes
    """
    with named_misfit(net, X):
        batches = iter(iterate(net, X))
    while True:
        with named_misfit(net, X):
            batch = next(batches, None)
            if batch is None:
                return
            output = net.evaluation_step(batch, training=False)
        yield output[0] if isinstance(output, tuple) else output


def speaking(net):
    """A `stand_in` whose predictions become arrays: NumPy has no bfloat16."""
    if module_dtype(net) != torch.bfloat16:
        return net
    step = net.evaluation_step

    def evaluation_step(batch, training=False):
        return map_tensors(torch.Tensor.float, step(batch, training=training))

    vars(net)["evaluation_step"] = evaluation_step
    return net


@contextmanager
def explained(net, X):
    """Name X as what the module cannot take, where that is why something failed."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError, TypeError):
        for _ in outputs(net, X):
            pass
        raise


@contextmanager
def listening(layers):
    """Collect (input, output) of each call of layers, a dict of names to modules.

    The layers are those of a net's double, lest another thread hear, or be heard.
    """
    heard = {name: [] for name in layers}

    def listener(name):
        def listen(module, args, kwargs, output):
            received = _first_tensor((*args, *kwargs.values()))
            if received is not None:
                received = received.detach().clone()
            heard[name].append((received, output))
            # What comes after may work in place (nn.ReLU(inplace=True)): on a copy.
            return output.clone() if isinstance(output, torch.Tensor) else None

        return listen

    handles = [
        layer.register_forward_hook(listener(name), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def layer_inputs(net, X, layer, *, take="input"):
    """What a layer receives (or gives) for each row, and the net's output.

    Parameters
    ----------
    net : NeuralNet
        Initialised.
    X : rows, in any form that the net takes
    layer : str
        Name of a module in ``net.module_.named_modules()``.
    take : {"input", "output"}

    Yields
    ------
    taken, output : Tensor
        One batch of each.
    """
    with ExitStack() as stack:
        own = stack.enter_context(stand_in(net))
        heard = stack.enter_context(
            listening({layer: own.module_.get_submodule(layer)})
        )
        for output in outputs(own, X):
            calls = heard[layer]
            if len(calls) != 1:
                raise ValueError(
                    f"Layer {layer!r} was called {len(calls)} times for one batch: an "
                    "embedding needs a layer that sees every row once."
                )
            received, given = calls.pop()
            taken = _first_tensor([received if take == "input" else given])
            if taken is None or len(taken) != len(output):
                held = "no tensor" if taken is None else f"shape {tuple(taken.shape)}"
                raise ValueError(
                    f"The {take} of layer {layer!r} holds {held}: an embedding needs "
                    f"one whose first axis is the {len(output)} rows of the batch. "
                    "(Layers that take time first have batch_first=True.)"
                )
            yield taken, output


def _first_tensor(parts):
    """The first tensor of nested containers; recurrent layers return such."""
    for part in parts:
        if isinstance(part, Mapping):
            part = list(part.values())
        if isinstance(part, list | tuple):
            part = _first_tensor(part)
        if isinstance(part, torch.Tensor):
            return part
    return None


def to_array(tensor):
    """A tensor of rows as a two-dimensional array, in its own floating type."""
    array = tensor.detach().cpu()
    if array.dtype in (torch.bfloat16, torch.float16):
        array = array.float()
    return array.numpy().reshape(len(array), -1)
