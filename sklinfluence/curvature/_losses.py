"""Losses, residuals and curvatures at raw predictions.

Conventions, shared by every loss
---------------------------------
Targets are coded: ``targets`` is a float array of shape (n_rows, n_outputs), one-hot
or {0, 1} for classes, the values themselves for real targets. Soft targets (rows
that are distributions over the classes) are allowed everywhere.

``raw`` is the raw prediction, (n_rows, n_outputs). A *residual* is the derivative of
a row's loss with respect to its raw prediction, (n_rows, n_outputs): prediction minus
target. A *curvature* is the second derivative: (n_rows, n_outputs) when the outputs
do not interact (``separable``), else (n_rows, n_outputs, n_outputs). All are those of
an unweighted row; units are nats (half squared target units for the squared loss).
"""

import numpy as np
from scipy.special import expit, log_softmax, softmax


class SquaredLoss:
    """Half squared error, summed over outputs."""

    separable = True
    is_quadratic = True

    def loss(self, targets, raw):
        return 0.5 * np.sum((raw - targets) ** 2, axis=1)

    def gradient(self, targets, raw):
        return raw - targets

    def curvature(self, targets, raw):
        return np.ones_like(raw)

    def unweighted(self):
        return self


class LogisticLoss:
    """Independent logistic problems, one an output; a binary problem is one output.

    Parameters
    ----------
    positive_weight : ndarray of shape (n_outputs,), default=None
        What each problem's positive term is multiplied with: how ``SGDClassifier``
        applies class weights to its one-vs-rest problems.
    """

    separable = True
    is_quadratic = False

    def __init__(self, positive_weight=None):
        self.positive_weight = positive_weight

    def _term_weight(self, targets):
        if self.positive_weight is None:
            return 1.0
        return 1.0 + (self.positive_weight - 1.0) * targets

    def loss(self, targets, raw):
        # log(1 + e^f) - y f, in the form that neither overflows nor cancels.
        terms = np.logaddexp(0.0, raw) - targets * raw
        return np.sum(self._term_weight(targets) * terms, axis=1)

    def gradient(self, targets, raw):
        return self._term_weight(targets) * (expit(raw) - targets)

    def curvature(self, targets, raw):
        # expit(f) expit(-f), not p (1 - p): exact in the far tail too.
        return self._term_weight(targets) * (expit(raw) * expit(-raw))

    def unweighted(self):
        return self if self.positive_weight is None else LogisticLoss()


class SoftmaxLoss:
    """Multinomial cross-entropy over the outputs."""

    separable = False
    is_quadratic = False

    def loss(self, targets, raw):
        return -np.sum(targets * log_softmax(raw, axis=1), axis=1)

    def gradient(self, targets, raw):
        return softmax(raw, axis=1) - targets

    def curvature(self, targets, raw):
        proba = softmax(raw, axis=1)
        curvature = -proba[:, :, None] * proba[:, None, :]
        diagonal = np.arange(proba.shape[1])
        curvature[:, diagonal, diagonal] += proba
        return curvature

    def unweighted(self):
        return self


class PredictionDrop:
    """The raw prediction with its sign turned, as if it were a loss.

    Its rise when a row is left out is the amount by which that row pushes the
    prediction up: what ``influence(X)`` without targets means for regression.
    """

    separable = True

    def loss(self, targets, raw):
        return -np.sum(raw, axis=1)

    def gradient(self, targets, raw):
        return -np.ones_like(raw)

    def curvature(self, targets, raw):
        return np.zeros_like(raw)
