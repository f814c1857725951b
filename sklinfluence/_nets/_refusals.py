"""What of a net's rows and outputs is refused, by its name."""

import inspect
from collections.abc import Mapping
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from skorch import (
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.dataset import Dataset
from torch import nn
from torch.nn.parameter import is_lazy

from sklinfluence._nets._criterion import overridden, refuse_improbable

# A net whose class has one of these of its own may make of X what it likes.
_READERS_OF_ROWS = ("fit", "partial_fit", "get_dataset", "infer")


def refuse_non_finite(net, X, *tensors):
    """Name NaN or infinity where a net met, or made, it."""
    if all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        return
    if not _is_finite(X):
        raise ValueError(
            f"X contains NaN or infinity, which the module of {type(net).__name__} "
            "hands on to its outputs. Leave such rows out, or impute them before."
        )
    raise ValueError(
        f"The outputs of the module of {type(net).__name__} are not finite, and X is: "
        "its training diverged. Lower lr, or scale the columns of X."
    )


def _is_finite(X):
    if isinstance(X, Mapping):
        return all(_is_finite(value) for value in X.values())
    if isinstance(X, torch.Tensor):
        return bool(torch.isfinite(X).all())
    values = getattr(X, "data", None) if hasattr(X, "tocsr") else X
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return bool(np.isfinite(values).all())
    return True


@contextmanager
def named_misfit(net, X):
    """What torch says where rows do not fit a module, with the names of both."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError, TypeError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise ValueError(
            f"The module of {type(net).__name__} cannot take X ({_described(X)}): "
            f"{said} Pass rows of the width and type that its forward takes: "
            "X.astype('float32') for real numbers."
        ) from error


def _described(X):
    if isinstance(X, Mapping) and not hasattr(X, "tocsr"):
        parts = [f"{key!r}: {_described(value)}" for key, value in X.items()]
        return f"{type(X).__name__} of {', '.join(parts)}"
    shape, dtype = getattr(X, "shape", None), getattr(X, "dtype", None)
    if shape is None or dtype is None:
        return type(X).__name__
    return f"shape {tuple(shape)}, {str(dtype).removeprefix('torch.')}"


def refuse_frame(net, X):
    """Name a data frame whose columns the module's ``forward`` does not take.

    skorch hands the columns of a frame to ``forward`` as keywords.
    """
    if not hasattr(X, "iloc") or not hasattr(X, "columns"):
        return
    reads = any(
        name in vars(kind)
        for kind in type(net).__mro__
        for name in _READERS_OF_ROWS
        if not kind.__module__.startswith("skorch")
    )
    module = getattr(net, "module_", net.module)
    if reads or net.dataset is not Dataset or not hasattr(module, "forward"):
        return
    taken = inspect.signature(module.forward).parameters
    if any(part.kind is part.VAR_KEYWORD for part in taken.values()):
        return
    unknown = [str(name) for name in X.columns if str(name) not in taken]
    if unknown:
        raise ValueError(
            f"X is a {type(X).__name__}, whose columns skorch hands to forward as "
            f"keywords, and forward of the module of {type(net).__name__} takes no "
            f"{', '.join(map(repr, unknown[:5]))}. Pass "
            "X.to_numpy(dtype='float32'), or put a step that returns an array before "
            "the net."
        )


_OF_PROBABILITIES = (
    "NLLLoss in a NeuralNetClassifier is of probabilities, and skorch takes the "
    "logarithm itself. End the module with Softmax (not LogSoftmax), or use "
    "CrossEntropyLoss on what comes before."
)


def check_initialized(net):
    """Refuse what no gradient of a row's loss can be had of."""
    module, criterion = net.module_, net.criterion_
    tensors = chain(module.named_parameters(), module.named_buffers())
    lazy = [name for name, tensor in tensors if is_lazy(tensor)]
    if lazy:
        raise ValueError(
            f"The module of {type(net).__name__} has lazy layers whose sizes are not "
            f"known before the first batch: {', '.join(lazy)}. Give them sizes "
            "(nn.Linear instead of nn.LazyLinear), or pass an instance of the module "
            "that was called on a row once."
        )
    smoothing = getattr(criterion, "label_smoothing", 0.0)
    if isinstance(criterion, nn.CrossEntropyLoss) and smoothing:
        if criterion.weight is not None:
            raise ValueError(
                "CrossEntropyLoss with both weight and label_smoothing is not "
                "supported: torch weighs the classes of one row's soft label apart, "
                "which is no row weight. Set one of them to its default."
            )


def check_shapes(net, output, y):
    """Refuse a loss that compares every row with every other."""
    output = output[0] if isinstance(output, tuple) else output
    if not isinstance(net, NeuralNetRegressor) or not torch.is_tensor(output):
        return
    if not torch.is_tensor(y):
        return
    if {output.ndim, y.ndim} == {1, 2}:
        given = "y.reshape(-1, 1)" if y.ndim == 1 else "y.ravel()"
        raise ValueError(
            f"The module of {type(net).__name__} returns shape "
            f"{_shape(output)}, and y has shape {_shape(y)}: "
            f"{type(net.criterion_).__name__} then compares every row with every "
            f"other. Pass {given}, or a module that returns what y has."
        )


def _shape(tensor):
    return "(n_rows,)" if tensor.ndim == 1 else f"(n_rows, {tensor.shape[1]})"


def _takes_probabilities(net):
    """Whether skorch takes the logarithm of the module's output itself."""
    return (
        isinstance(net, NeuralNetClassifier)
        and isinstance(net.criterion_, nn.NLLLoss)
        and type(net).get_loss is NeuralNetClassifier.get_loss
    )


def check_probabilities(net, output):
    """Refuse outputs that skorch would take the logarithm of, and cannot."""
    output = output[0] if isinstance(output, tuple) else output
    if overridden(net, ["get_loss"]) or not torch.is_tensor(output):
        return  # a loss of the user's own takes what it likes
    if bool(torch.isfinite(output).all()):
        refuse_improbable(net, output)


def not_finite(net, X, when):
    """The error for a loss that is NaN or infinite."""
    tensors = X.values() if isinstance(X, dict) else X
    tensors = tensors if isinstance(X, dict | list | tuple) else [X]
    parts = [t for t in tensors if torch.is_tensor(t) and t.is_floating_point()]
    if not all(bool(torch.isfinite(part).all()) for part in parts):
        return ValueError(
            "X holds NaN or infinity, so the net's loss is not finite. Impute or "
            "remove those rows."
        )
    what = f"The loss of {type(net).__name__} is not finite {when}: "
    if _takes_probabilities(net):
        return ValueError(what + _OF_PROBABILITIES)
    return ValueError(
        f"{what}the training diverged, or {type(net.criterion_).__name__} is not "
        "defined at what the module returns or at the targets. Lower lr, or look at "
        "the criterion."
    )
