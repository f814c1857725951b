"""Losses of boosted ensembles: what a stage takes of them, and how that changes.

Targets are *coded*, float64 of shape (n_rows, n_outputs): one-hot for several classes,
0 or 1 in one column for two, the values in one column for real targets. Raw predictions
have that shape too. g and h are the first and the (diagonal) second derivative of a
row's loss by its raw predictions, as scikit-learn's ensembles take them. Units are
nats, half squared target units and half deviances, all of an unweighted row.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax, xlogy

from sklinfluence.curvature import (
    LogisticLoss,
    PredictionDrop,
    SoftmaxLoss,
    SquaredLoss,
)

_EPS = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Derivatives:
    """g and h of rows, and how they change with the one raw prediction there is.

    Attributes
    ----------
    g, h : ndarray of shape (n_rows, 1) or (n_rows, 1, m)
        h is dg/dF too.
    bend : ndarray of the same shape
        dh/dF.
    """

    g: np.ndarray
    h: np.ndarray
    bend: np.ndarray

    def push(self, change):
        """Changes of g and of h with those of the raw predictions."""
        return self.h * change, self.bend * change

    def pull(self, of_g, of_h):
        """What derivatives by g and by h say of those by the raw predictions.

        Parameters
        ----------
        of_g, of_h : ndarray of shape (n_rows, n_outputs, m)
            Derivatives of m quantities by each g and each h.

        Returns
        -------
        of_raw : ndarray of shape (n_rows, n_outputs, m)
        """
        return self.h[:, :, None] * of_g + self.bend[:, :, None] * of_h


class SoftmaxDerivatives:
    """As `Derivatives`, where all raw predictions of a row move every g and h."""

    def __init__(self, targets, raw):
        self.p = np.exp(raw - raw.max(axis=1, keepdims=True))
        self.p /= self.p.sum(axis=1, keepdims=True)
        # p (1 - p) as the ensembles compute it, rounding and all.
        self.g, self.h = self.p - targets, self.p * (1.0 - self.p)

    def push(self, change):
        p = self.p
        moved = p * (change - np.sum(p * change, axis=1, keepdims=True))
        return moved, (1.0 - 2.0 * p) * moved

    def pull(self, of_g, of_h):
        p = self.p[:, :, None]
        total = of_g + (1.0 - 2.0 * p) * of_h
        return p * (total - np.sum(p * total, axis=1, keepdims=True))


class _OneOutput:
    """Losses of one output."""

    is_classification = False

    def code(self, targets, n_outputs):
        """Labels' places among the classes, or real targets, as coded targets."""
        return np.asarray(targets, dtype=np.float64)[:, None]

    def best_constant(self, mean):
        """The raw prediction that serves rows with this mean target best.

        Parameters
        ----------
        mean : ndarray of shape (m, n_outputs)
            Weighted means of coded targets.

        Returns
        -------
        constant : ndarray of shape (m, n_outputs)
        """
        return self._link(mean)

    def constant_slope(self, mean, targets):
        """By how much the best constant moves per share of weight that rows gain.

        Parameters
        ----------
        mean : ndarray of shape (n_outputs,)
            Weighted mean of coded targets.
        targets : ndarray of shape (n_rows, n_outputs)

        Returns
        -------
        slope : ndarray of shape (n_rows, n_outputs)
            Over the sum of weights, the derivative by each row's weight.
        """
        return (targets - mean) * self._link_slope(mean)


class SquaredError(_OneOutput, SquaredLoss):
    """Half squared error."""

    link = "identity"
    drop = PredictionDrop()

    def at(self, targets, raw):
        """`Derivatives` of rows at raw predictions, of the same shape."""
        return Derivatives(raw - targets, np.ones_like(raw), np.zeros_like(raw))

    def predict(self, raw):
        return raw[:, 0]

    def _link(self, mean):
        return mean

    def _link_slope(self, mean):
        return np.ones_like(mean)


class BinaryLogLoss(_OneOutput, LogisticLoss):
    """Log loss of two classes, by one raw prediction."""

    link = "sigmoid"
    is_classification = True

    def at(self, targets, raw):
        # Both tails exact: neither probability is 1 less the other.
        tail = np.exp(-np.abs(raw))
        large = 1.0 / (1.0 + tail)
        small = tail * large
        p = np.where(raw >= 0, large, small)
        rest = np.where(raw >= 0, small, large)
        h = small * large
        return Derivatives((1.0 - targets) * p - targets * rest, h, h * (rest - p))

    def predict(self, raw):
        """Class probabilities, (n_rows, n_classes)."""
        return np.hstack([expit(-raw), expit(raw)])

    def _link(self, mean):
        mean = np.clip(mean, 10 * _EPS, 1 - 10 * _EPS)
        return np.log(mean) - np.log1p(-mean)

    def _link_slope(self, mean):
        # Where the mean is clipped the constant stays as it is.
        inside = (mean > 10 * _EPS) & (mean < 1 - 10 * _EPS)
        return np.divide(
            1.0, mean * (1.0 - mean), out=np.zeros_like(mean), where=inside
        )


class SoftmaxLogLoss(SoftmaxLoss):
    """Log loss of several classes, one raw prediction each."""

    link = "softmax"
    is_classification = True

    def code(self, targets, n_outputs):
        """Labels' places among the classes as coded targets."""
        return np.eye(n_outputs)[np.asarray(targets, dtype=int)]

    def at(self, targets, raw):
        return SoftmaxDerivatives(targets, raw)

    def predict(self, raw):
        """Class probabilities, (n_rows, n_classes)."""
        return softmax(raw, axis=1)

    def best_constant(self, mean):
        """As of one output, with the mean over outputs at 0."""
        constant = np.log(np.clip(mean, _EPS, 1.0 - _EPS))
        return constant - constant.mean(axis=1, keepdims=True)

    def constant_slope(self, mean, targets):
        """As of one output."""
        moved = targets - mean
        slope = np.divide(moved, mean, out=np.zeros_like(moved), where=mean > _EPS)
        return slope - slope.mean(axis=1, keepdims=True)


class ExponentialDrop(PredictionDrop):
    """As `PredictionDrop`, of a prediction that is the exponential of the raw one."""

    def loss(self, targets, raw):
        return -np.sum(np.exp(raw), axis=1)

    def gradient(self, targets, raw):
        return -np.exp(raw)

    def rise(self, targets, raw, shift):
        return -np.sum(np.exp(raw)[:, None, :] * np.expm1(shift), axis=2)


class _LogLink(_OneOutput):
    """A loss of one output whose prediction is the exponential of the raw one."""

    link = "exp"
    drop = ExponentialDrop()

    def gradient(self, targets, raw):
        return self.at(targets, raw).g

    def predict(self, raw):
        return np.exp(raw[:, 0])

    def _link(self, mean):
        return np.log(np.maximum(mean, 10 * _EPS))

    def _link_slope(self, mean):
        return 1.0 / mean


class PoissonDeviance(_LogLink):
    """Half Poisson deviance."""

    def loss(self, targets, raw):
        excess = np.exp(raw) - targets - targets * raw
        return np.sum(excess + xlogy(targets, targets), axis=1)

    def rise(self, targets, raw, shift):
        """Rise in each row's loss for each of its shifts: (m, b) for (m, b, K)."""
        grown = np.exp(raw)[:, None, :] * np.expm1(shift)
        return np.sum(grown - targets[:, None, :] * shift, axis=2)

    def at(self, targets, raw):
        mean = np.exp(raw)
        return Derivatives(mean - targets, mean, mean)


class GammaDeviance(_LogLink):
    """Half gamma deviance."""

    def loss(self, targets, raw):
        ratio = targets * np.exp(-raw)
        return np.sum(ratio - np.log(ratio) - 1.0, axis=1)

    def rise(self, targets, raw, shift):
        """Rise in each row's loss for each of its shifts: (m, b) for (m, b, K)."""
        ratio = (targets * np.exp(-raw))[:, None, :]
        return np.sum(shift + ratio * np.expm1(-shift), axis=2)

    def at(self, targets, raw):
        ratio = targets * np.exp(-raw)
        return Derivatives(1.0 - ratio, ratio, -ratio)


class WeightedRaw(PredictionDrop):
    """A sum of raw predictions, as if it were a loss; its weights are the targets."""

    def loss(self, targets, raw):
        return np.sum(targets * raw, axis=1)

    def gradient(self, targets, raw):
        return targets

    def rise(self, targets, raw, shift):
        return np.sum(targets[:, None, :] * shift, axis=2)


# By the names that readers of fitted models give them.
LOSSES = {
    "squared": SquaredError(),
    "binary": BinaryLogLoss(),
    "softmax": SoftmaxLogLoss(),
    "poisson": PoissonDeviance(),
    "gamma": GammaDeviance(),
}
