"""What of a net's rows and outputs is refused, by its name."""

import inspect
from collections.abc import Mapping
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import Dataset
from torch import nn
from torch.nn.parameter import is_lazy

from sklinfluence._nets._own_methods import is_weighted_by_hand

# A net whose class has one of these of its own may make of X what it likes.
_READERS_OF_ROWS = ("fit", "partial_fit", "get_dataset", "infer")


def refuse_non_finite(net, X, *tensors, when=None):
    """Name NaN or infinity where a net met, or made, it.

    Parameters
    ----------
    net : NeuralNet
    X : rows, in any form, or what a loader made of them
    *tensors : Tensor
        Of the module's making; with ``when``, losses.
    when : str, default=None
        Where losses were met, such as "in training".
    """
    if all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        return
    name = type(net).__name__
    if not _is_finite(X):
        raise ValueError(
            f"X contains NaN or infinity, which the module of {name} hands on to its "
            "outputs. Leave such rows out, or impute them before."
        )
    if when is None:
        raise ValueError(
            f"The outputs of the module of {name} are not finite, and X is: its "
            "training diverged. Lower lr, or scale the columns of X."
        )
    raise ValueError(
        f"The loss of {name} is not finite {when}, and X is: its training diverged, or "
        f"{type(net.criterion_).__name__} is not defined at what the module returns or "
        "at y. Lower lr, scale the columns of X, or look at the criterion."
    )


def _is_finite(X):
    if isinstance(X, Mapping) and not hasattr(X, "tocsr"):
        return all(_is_finite(value) for value in X.values())
    if isinstance(X, list | tuple):
        return all(map(_is_finite, X))
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


def check_initialized(net):
    """Refuse what no gradient of a row's loss can be had of."""
    module = net.module_
    tensors = chain(module.named_parameters(), module.named_buffers())
    lazy = [name for name, tensor in tensors if is_lazy(tensor)]
    if lazy:
        raise ValueError(
            f"The module of {type(net).__name__} has lazy layers whose sizes are not "
            f"known before the first batch: {', '.join(lazy)}. Give them sizes "
            "(nn.Linear instead of nn.LazyLinear), or pass an instance of the module "
            "that was called on a row once."
        )
    refuse_smoothed_weights(net)


def refuse_smoothed_weights(net):
    """Raise where class weights are no weights of rows."""
    criterion = net.criterion_
    if not isinstance(criterion, nn.CrossEntropyLoss) or criterion.weight is None:
        return
    if criterion.label_smoothing:
        raise ValueError(
            "CrossEntropyLoss with both weight and label_smoothing is not supported: "
            "torch weighs the classes of one row's soft label apart, which is no row "
            "weight. Set one of them to its default."
        )


def refuse_broadcasting(net, output, y_ndim):
    """Raise where a regressor's outputs and targets differ by an axis.

    Parameters
    ----------
    net : NeuralNet
        Initialised.
    output : Tensor
        The module's output on a batch of rows.
    y_ndim : int or None
        Axes of the training targets; None if they are not known.
    """
    if not isinstance(net, NeuralNetRegressor) or y_ndim == output.ndim:
        return
    if y_ndim == 1 and output.ndim == 2:
        shapes = "(n_rows, 1), and y has shape (n_rows,)"
        remedy = "y.reshape(-1, 1), or a module that returns shape (n_rows,)"
    elif y_ndim == 2 and output.ndim == 1 and not is_weighted_by_hand(net):
        shapes = "(n_rows,), and y has two axes"
        remedy = "y[:, 0], or a module that returns shape (n_rows, 1)"
    else:
        return
    raise ValueError(
        f"The module of {type(net).__name__} returns shape {shapes}: "
        f"{type(net.criterion_).__name__} then compares every row with every other. "
        f"Pass {remedy}."
    )


def refuse_improbable(net, output):
    """Raise where NLLLoss is given something else than it is made for.

    skorch's classifier takes the logarithm of what the module returns; a get_loss of
    one's own may take log-probabilities as they are.
    """
    criterion = getattr(net, "criterion_", None)
    if not isinstance(net, NeuralNetClassifier) or not isinstance(
        criterion, nn.NLLLoss
    ):
        return
    output = output.detach().double()
    if not torch.isfinite(output).all():
        return  # named for what it is by refuse_non_finite
    found = f"from {float(output.min()):.3g} to {float(output.max()):.3g}"
    ones = torch.ones(output.shape[:1], dtype=output.dtype, device=output.device)
    if bool((output >= 0).all()) and torch.allclose(output.sum(1), ones, atol=1e-3):
        return
    if is_weighted_by_hand(net) and torch.allclose(
        output.exp().sum(1), ones, atol=1e-3
    ):
        return
    raise ValueError(
        f"The module of {type(net).__name__} returns values {found} that are no "
        "probabilities, of which NLLLoss in a NeuralNetClassifier takes the logarithm. "
        "End the module in Softmax (LogSoftmax needs a get_loss of your own), or use "
        "CrossEntropyLoss on what comes before."
    )


def refuse_unreduced(net):
    """Raise where the criterion gives a loss a row, and nothing reduces them."""
    reduction = getattr(net.criterion_, "reduction", None)
    if reduction == "none" and not is_weighted_by_hand(net):
        raise ValueError(
            f"The criterion {type(net.criterion_).__name__} has reduction='none' and "
            f"{type(net).__name__} does not reduce it in a get_loss of its own: there "
            "is no training objective to read. Set criterion__reduction='mean'."
        )
