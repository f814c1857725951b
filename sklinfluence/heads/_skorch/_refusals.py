"""What of a net's rows and outputs is refused, by its name."""

import inspect
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np
import torch
from skorch.dataset import Dataset

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


def refuse_no_rows(net, dataset):
    """Name X without rows: a module that is given none has no outputs to ask about."""
    if hasattr(dataset, "__len__") and not len(dataset):
        raise ValueError(
            f"X has no rows (0 samples), and {type(net).__name__} needs at least one."
        )


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
