"""The loss that a net's criterion stands for, in the terms of a LinearHead.

A criterion that takes the mean over a batch leads to the minimum of the *mean* loss
plus weight_decay / 2 times the squared parameters, one that takes the sum to the same
with the sum over a batch. Multiplied so that the loss is a plain sum over rows, the
penalty is ``decay_factor`` times the weight decay.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from skorch import (
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from torch import nn

from sklinfluence._estimators import encode_labels, encode_values
from sklinfluence._nets._refusals import refuse_smoothed_weights, refuse_unreduced
from sklinfluence.curvature import LogisticLoss, SoftmaxLoss, SquaredLoss

_SUPPORTED = (
    "CrossEntropyLoss and NLLLoss of a NeuralNetClassifier, BCEWithLogitsLoss and "
    "BCELoss of a NeuralNetBinaryClassifier, MSELoss of a NeuralNetRegressor"
)


@dataclass(frozen=True)
class NetLoss:
    """What a criterion says about rows, given as many raw predictions as outputs.

    Attributes
    ----------
    loss : loss object of ``sklinfluence.curvature``
    classes : ndarray or None
    encode : callable
        ``encode(y)`` gives coded targets, (n_rows, n_outputs).
    class_weight : ndarray of shape (n_classes,) or None
    normalized : bool
        Whether the mean is over the rows' class weights (CrossEntropyLoss) or over
        the rows (BCEWithLogitsLoss).
    scale : float
        What the criterion counts this loss with: 2 for a sum of squares.
    ends : tuple of str
        What the module may do to its last layer's output, of ``_layer.ENDS``.
    raw_from_output : callable
        From the module's output to raw predictions, up to a shift common to all
        outputs of a softmax.
    """

    loss: object
    classes: np.ndarray | None
    encode: object
    class_weight: np.ndarray | None = None
    normalized: bool = True
    scale: float = 1.0
    ends: tuple = ("nothing",)
    raw_from_output: object = None

    def row_weights(self, targets):
        """The class weight of every row."""
        if self.class_weight is None:
            return np.ones(len(targets))
        if targets.shape[1] == 1:
            return self.class_weight[(targets[:, 0] > 0.5).astype(int)]
        return self.class_weight[np.argmax(targets, axis=1)]


def net_loss(net, n_outputs):
    """Read a net's criterion.

    Parameters
    ----------
    net : NeuralNet
        Initialised.
    n_outputs : int
        Raw predictions a row.

    Raises
    ------
    ValueError
        If the criterion, or one of its settings, is not supported; names it.
    """
    criterion = net.criterion_
    for kind, net_kind, read in _READERS:
        # A subclass with a forward of its own is another loss.
        same = isinstance(criterion, kind) and type(criterion).forward is kind.forward
        if same and isinstance(net, net_kind):
            refuse_unreduced(net)
            return read(net, n_outputs)
    raise ValueError(
        f"The criterion {type(criterion).__name__} of a {type(net).__name__} is not "
        f"supported. Supported are {_SUPPORTED}."
    )


def _cross_entropy(net, n_outputs):
    criterion = net.criterion_
    smoothing = criterion.label_smoothing
    refuse_smoothed_weights(net)
    # A log-softmax is its own: torch takes another one of it, which changes nothing.
    ends = ("nothing", "log_softmax")
    return _softmax(net, n_outputs, smoothing, ends, _as_it_is)


def _negative_log_likelihood(net, n_outputs):
    ends = ("softmax", "log_softmax")
    return _softmax(net, n_outputs, 0.0, ends, _log_probabilities)


def _softmax(net, n_outputs, smoothing, ends, raw_from_output):
    criterion = net.criterion_
    if 0 <= criterion.ignore_index < n_outputs:
        raise ValueError(
            f"{type(criterion).__name__} with ignore_index={criterion.ignore_index} "
            "leaves a class out of the objective. Leave its rows out of X and y."
        )
    classes = np.arange(n_outputs)
    codes = (1.0 - smoothing) * np.eye(n_outputs) + smoothing / n_outputs
    return NetLoss(
        loss=SoftmaxLoss(),
        classes=classes,
        encode=partial(encode_labels, classes=classes, codes=codes),
        class_weight=_array(criterion.weight),
        ends=ends,
        raw_from_output=raw_from_output,
    )


def _logits(net, n_outputs):
    criterion = net.criterion_
    if criterion.weight is not None and criterion.weight.numel() > 1:
        raise ValueError(
            f"{type(criterion).__name__} with a weight of {criterion.weight.numel()} "
            "values is not supported: they belong to places in a batch, not to rows. "
            "Use pos_weight, or a net whose fit takes sample_weight."
        )
    class_weight = np.ones(2)
    if criterion.weight is not None:
        class_weight *= criterion.weight.item()
    positive = getattr(criterion, "pos_weight", None)
    if positive is not None:
        class_weight[1] *= positive.item()
    classes = np.array([0, 1])
    has_logits = isinstance(criterion, nn.BCEWithLogitsLoss)
    return NetLoss(
        loss=LogisticLoss(),
        classes=classes,
        encode=partial(encode_labels, classes=classes, codes=np.array([[0.0], [1.0]])),
        class_weight=None if np.all(class_weight == 1.0) else class_weight,
        normalized=False,
        ends=("nothing",) if has_logits else ("sigmoid",),
        raw_from_output=_as_it_is if has_logits else torch.logit,
    )


def _squares(net, n_outputs):
    # MSELoss is the mean over all entries of (f - y)^2; ours is half the sum over
    # the outputs of a row.
    per_entry = n_outputs if net.criterion_.reduction != "sum" else 1
    return NetLoss(
        loss=SquaredLoss(),
        classes=None,
        encode=partial(encode_values, n_outputs=n_outputs),
        scale=2.0 / per_entry,
        raw_from_output=_as_it_is,
    )


def _as_it_is(output):
    return output


def _log_probabilities(output):
    """Of a log-softmax, itself; of a softmax, as skorch has it, the logarithm."""
    # Row by row and without a branch, so that it can be vectorised and differentiated.
    # skorch adds the same epsilon before its own logarithm.
    logarithm = torch.log(output.clamp_min(0.0) + torch.finfo(output.dtype).eps)
    return torch.where(output.amax(dim=-1, keepdim=True) <= 0, output, logarithm)


def _array(tensor):
    return None if tensor is None else tensor.detach().cpu().double().numpy()


_READERS = [
    (nn.CrossEntropyLoss, NeuralNetClassifier, _cross_entropy),
    (nn.NLLLoss, NeuralNetClassifier, _negative_log_likelihood),
    (nn.BCEWithLogitsLoss, NeuralNetBinaryClassifier, _logits),
    (nn.BCELoss, NeuralNetBinaryClassifier, _logits),
    (nn.MSELoss, NeuralNetRegressor, _squares),
]
