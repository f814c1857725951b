"""The weights in a criterion: they belong to training rows, never to queries.

A class weight, or ``pos_weight``, says how much a row counts in training. It is no part
of a row's loss, so that a query's loss is the unweighted one whatever its label. Label
smoothing is: it says what the loss of a label is, of training rows and queries alike.
"""

import torch
from skorch import NeuralNetBinaryClassifier
from torch import nn

from sklinfluence._nets import first_of


def weighs_classes(net):
    """Whether the criterion weighs rows by their class, and means by those weights."""
    criterion = net.criterion_
    return (
        isinstance(criterion, nn.NLLLoss | nn.CrossEntropyLoss)
        and criterion.weight is not None
        # Together they weigh the parts of one row's smoothed label apart, which is no
        # weight of the row: it stays in the loss, as torch has it for a row alone.
        and not getattr(criterion, "label_smoothing", 0.0)
    )


def _binary_weights(net):
    """Those of a binary criterion, by name, where each is one number."""
    criterion = net.criterion_
    if not isinstance(net, NeuralNetBinaryClassifier) or not isinstance(
        criterion, nn.BCELoss | nn.BCEWithLogitsLoss
    ):
        return {}
    found = {name: getattr(criterion, name, None) for name in ("weight", "pos_weight")}
    return {n: w for n, w in found.items() if w is not None and w.numel() == 1}


def unweighted(net):
    """Criterion weights of all ones, by name: with them a row's loss is unweighted.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.

    Returns
    -------
    ones : dict of str to Tensor
    """
    found = _binary_weights(net)
    if weighs_classes(net):
        found = {"weight": net.criterion_.weight}
    return {name: torch.ones_like(weight) for name, weight in found.items()}


def criterion_weights(net, y):
    """What the criterion multiplies each training row's loss with, (n_rows,).

    Parameters
    ----------
    net : skorch.NeuralNet
    y : Tensor of shape (n_rows, ...), or nested Tensors
        Of several targets a loss of the user's own is told: which of them the
        criterion weighs is not known here.
    """
    if not torch.is_tensor(y):
        _refuse_weights(net)
        return torch.ones(len(first_of(y)), device=first_of(y).device)
    if weighs_classes(net):
        return net.criterion_.weight.detach()[y]
    weights = torch.ones(len(y), device=y.device)
    for name, weight in _binary_weights(net).items():
        weight = weight.detach().reshape(()).to(weights)
        if name == "pos_weight":
            weight = torch.where(y.reshape(len(y)) > 0.5, weight, 1.0)
        weights = weights * weight
    return weights


def _refuse_weights(net):
    if unweighted(net):
        raise ValueError(
            f"{type(net.criterion_).__name__} of {type(net).__name__} weighs classes, "
            "and its targets are several a row: which of them has the weights is not "
            "known. Take the criterion's weight away."
        )
