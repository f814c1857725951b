"""What a net's training would stumble over, or do in silence, named beforehand."""

import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import unpack_data
from torch import nn

from sklinfluence._nets._forward import iterate
from sklinfluence._nets._generators import given_back, preserved
from sklinfluence._nets._own_methods import overridden
from sklinfluence._nets._refusals import (
    named_misfit,
    refuse_broadcasting,
    refuse_improbable,
    refuse_unreduced,
)
from sklinfluence._nets._stand_in import stand_in

# A net whose class has one of these makes of rows, targets and itself what it likes.
_OWN_START = (
    "fit",
    "partial_fit",
    "fit_loop",
    "initialize",
    "get_dataset",
    "get_params_for",
    "get_split_datasets",
)
# Enough for a batch to have a variance, few enough to cost nothing.
_N_ROWS = 8


def check_before_training(net, X, y):
    """Run some rows through an untrained copy of the net: see that it has a loss.

    Parameters
    ----------
    net : NeuralNet
        To be trained; never changed.
    X, y : rows and targets, as its ``fit`` is given them

    Raises
    ------
    ValueError
        If the module does not take the rows, or the criterion not the targets.
    """
    if overridden(net, _OWN_START):
        return  # nothing is known before its own start
    copy = clone(net)
    # Callbacks may write files or hold a connection, and compiling takes long.
    copy.callbacks, copy.verbose, copy.compile = "disable", 0, False
    with preserved(copy.device):
        copy.initialize()
        check_loss(copy, X, y)


def check_loss(net, X, y):
    """Refuse rows and targets that an initialised net has no loss of.

    Parameters
    ----------
    net : NeuralNet
        Initialised.
    X, y : rows and targets, as its ``fit`` is given them
    """
    refuse_unreduced(net)
    if overridden(net, _OWN_START):
        return
    with stand_in(net) as net, given_back(net.device), torch.no_grad():
        with named_misfit(net, X):
            batch = next(iter(iterate(net, X, y, batch_size=_N_ROWS)), None)
            if batch is None:
                return
            output = net.evaluation_step(batch, training=False)
        if y is None:
            return
        if overridden(net, ["get_loss"]):
            _refuse_many_losses(net, output, batch)
            return
        raw = output[0] if isinstance(output, tuple) else output
        refuse_improbable(net, raw)
        _refuse_targets(net, raw, y)
        _refuse_uncompared(net, output, batch)


def _refuse_targets(net, output, y):
    if isinstance(y, dict):
        return
    if isinstance(net, NeuralNetRegressor):
        refuse_broadcasting(net, output, y.ndim)
        if y.ndim == 2 == output.ndim and y.shape[1] != output.shape[1]:
            raise ValueError(
                f"y has {y.shape[1]} column(s), and the module of {type(net).__name__} "
                f"returns {output.shape[1]}: {type(net.criterion_).__name__} would "
                "compare each with every other. Give the module as many outputs as y "
                "has columns."
            )
    of_classes = isinstance(net.criterion_, nn.CrossEntropyLoss | nn.NLLLoss)
    if not isinstance(net, NeuralNetClassifier) or not of_classes or output.ndim != 2:
        return
    if len(y) and y.max() >= output.shape[1]:
        raise ValueError(
            f"y holds the label {y.max()}, and the module of {type(net).__name__} has "
            f"{output.shape[1]} output(s), for the labels 0 to {output.shape[1] - 1}. "
            "Give it one output for each class, or encode y with LabelEncoder."
        )


def _refuse_uncompared(net, output, batch):
    X, y = unpack_data(batch)
    try:
        net.get_loss(output, y, X=X, training=True)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raw = output[0] if isinstance(output, tuple) else output
        raise ValueError(
            f"{type(net.criterion_).__name__} of {type(net).__name__} cannot compare "
            f"what the module returns ({_shown(raw)}) with y ({_shown(y)}): "
            f"{(str(error).splitlines() or [''])[0]}"
        ) from error


def _refuse_many_losses(net, output, batch):
    X, y = unpack_data(batch)
    try:
        loss = net.get_loss(output, y, X=X, training=True)
    except Exception:
        return  # training raises it, from where the user wrote it
    if torch.is_tensor(loss) and loss.ndim:
        raise ValueError(
            f"get_loss of {type(net).__name__} returns shape {tuple(loss.shape)}, and "
            "training needs one number: there is no training objective to read. "
            "Return the mean of the losses of rows."
        )


def _shown(tensor):
    if not torch.is_tensor(tensor):
        return type(tensor).__name__
    shape = ", ".join(["n_rows", *map(str, tensor.shape[1:])])
    return f"shape ({shape}), {str(tensor.dtype).removeprefix('torch.')}"
