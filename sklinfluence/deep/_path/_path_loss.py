"""Whether the loss that a net is trained on says something of its rows."""

import torch

from sklinfluence._nets import (
    given_back,
    overridden,
    refuse_broadcasting,
    refuse_improbable,
    refuse_non_finite,
)

# Rows whose loss is looked at.
_N_ROWS = 8
# Rows whose loss is looked at together.
_ROWS_AT_ONCE = 1024


def check_output(net, output, y):
    """Refuse outputs of the module that its criterion is no loss of, row by row.

    Parameters
    ----------
    net : NeuralNet
    output : Tensor, or a tuple of them
    y : Tensor, or what else a loader made of the targets
    """
    output = output[0] if isinstance(output, tuple) else output
    if not torch.is_tensor(output):
        return
    refuse_broadcasting(net, output, y.ndim if torch.is_tensor(y) else None)
    if not overridden(net, ["get_loss"]):  # which takes of the module what it likes
        refuse_improbable(net, output)


def check_rows(function, rows):
    """Refuse a trained net whose loss on its training rows says nothing."""
    net, state = function.net, function.state()
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows.take(slice(start, start + _ROWS_AT_ONCE))
        check_output(net, function.raw(state, some), some.y)
        losses = function.losses(state, some)
        refuse_non_finite(net, some.X, losses, when="on the training rows")


def check_own_loss(function, rows):
    """Refuse a ``get_loss`` whose training is not of the losses of rows that it states.

    Gradients of rows are of ``get_loss(..., training=False)``. Where training has
    another loss, or a penalty on parameters that is no row's, those gradients are not
    what a row did to the net.

    Parameters
    ----------
    function : FunctionalNet
    rows : Rows
        Of training.
    """
    net = function.net
    if not overridden(net, ["get_loss"]):
        return
    some = rows.take(slice(0, _N_ROWS))
    output = function.raw(function.state(), some)
    with function.evaluating():
        evaluated, trained = (_loss(net, output, some, flag) for flag in (False, True))
    if not torch.allclose(evaluated, trained, rtol=1e-3, atol=0.0, equal_nan=True):
        raise ValueError(
            f"get_loss of {type(net).__name__} is {float(trained):.6g} with "
            f"training=True and {float(evaluated):.6g} with training=False on the same "
            "rows: what a row did in training is not the gradient of its loss. Let it "
            "state one loss for both."
        )
    if _penalizes(net, trained):
        raise ValueError(
            f"get_loss of {type(net).__name__} is of the module's parameters beside "
            "its outputs: a penalty, which no row brings along or takes away, and "
            "which gradients of rows would each count in full. State an l2 penalty as "
            "optimizer__weight_decay, and leave others out of get_loss."
        )


def _loss(net, output, rows, training):
    """The loss of fixed outputs; what it draws, it draws alike each time."""
    with given_back(net.device), torch.enable_grad():
        return net.get_loss(output, rows.y, X=rows.X, training=training)


def _penalizes(net, loss):
    parameters = [part for part in net.module_.parameters() if part.requires_grad]
    if not loss.requires_grad or not parameters:
        return False
    slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
    return any(part is not None and bool(part.any()) for part in slopes)
