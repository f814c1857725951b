"""Ridge regression on rows that lie on a cluster, diagonalised on the client.

What :class:`~sklinfluence.filtering._votes._ridge_smoother.RidgeSmoother` is in memory:
the sums are taken where the rows are, and the rotated columns are made anew in each
pass instead of being kept.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from sklinfluence._source import Output, sums
from sklinfluence.filtering._clustered._parts import (
    InParts,
    concatenated,
    kept,
    weights_of,
)
from sklinfluence.filtering._votes import MIN_SLACK


@dataclass(frozen=True)
class Axes:
    """Where the smoother's columns are: (features - mean) @ vectors."""

    mean: np.ndarray
    vectors: np.ndarray
    total: float

    def rotated(self, view, block):
        return (view(block) - self.mean) @ self.vectors


class ClusterSmoother:
    """Weighted ridge regression with a free intercept, for many penalties.

    Parameters
    ----------
    rows : ClusterRows
    view : View
        Of the features.
    """

    def __init__(self, rows, view):
        self.rows, self.view = rows, view
        source, total = rows.source(), rows.total
        width = self.width = view.width(rows.X.shape[1])
        size = {"n_bytes": 8 * width**2}
        of_mean = InParts(_feature_sum, sums, width)
        self.mean = source.reduce(of_mean, sums, view) / total
        of_gram = InParts(_centred_gram, sums, width)
        gram = source.reduce(of_gram, sums, view, self.mean, **size)
        eigenvalues, self.vectors = eigh(gram, overwrite_a=True, check_finite=False)
        self.eigenvalues = np.maximum(eigenvalues, 0.0)
        self.axes = Axes(self.mean, self.vectors, total)

    def project(self, targets):
        """Mean of the targets, and what of them the rotated columns see."""
        alone = self.rows.weighed(targets, None)
        mean = alone.reduce(_target_sum, sums) / self.rows.total
        function = InParts(_projected, sums, self.width)
        parts = self.view, self.axes, mean
        return mean, self.rows.source(targets).reduce(function, sums, *parts)

    def inverses(self, penalties):
        return 1.0 / (self.eigenvalues[:, None] + np.asarray(penalties))

    def loo_path(self, targets, penalties):
        """Leave-one-out predictions at each penalty, kept on the cluster in turn."""
        known = self.project(targets)
        for inverse in self.inverses(penalties).T:
            yield self._loo(targets, inverse, *known)

    def loo_errors(self, targets, penalties):
        """Weighted mean leave-one-out squared error at each penalty: one pass."""
        known = *self.project(targets), self.inverses(penalties)
        parts = self.view, self.axes, self.rows.copied, *known
        function = InParts(_errors, sums, self.width)
        return (
            self.rows.source(targets).reduce(function, sums, *parts) / self.rows.total
        )

    def set_penalty(self, penalty):
        """Fix the penalty that the methods below use."""
        self.inverse = 1.0 / (self.eigenvalues + penalty)

    def loo_predictions(self, targets):
        """Prediction of every row by the fit without it, kept on the cluster."""
        return self._loo(targets, self.inverse, *self.project(targets))

    def coefficients(self, targets):
        """Coefficients (m, K) on the features, and the intercept (K,)."""
        mean, projected = self.project(targets)
        coef = self.vectors @ (self.inverse[:, None] * projected)
        return coef, mean - self.mean @ coef

    def _loo(self, targets, inverse, mean, projected):
        parts = self.view, self.axes, self.rows.copied, mean, projected, inverse
        outputs = (Output(float, after=(targets.shape[1],)),)
        function = InParts(_left_out, concatenated, self.width)
        found = self.rows.source(targets).map(function, *parts, outputs=outputs)
        return kept(found)[0]


def _feature_sum(block, view):
    return weights_of(block) @ view(block)


def _centred_gram(block, view, mean):
    scaled = (view(block) - mean) * np.sqrt(weights_of(block))[:, None]
    return scaled.T @ scaled


def _target_sum(block):
    return weights_of(block) @ block.X


def _projected(block, view, axes, mean):
    return axes.rotated(view, block).T @ (weights_of(block)[:, None] * (block.y - mean))


def _residuals(block, view, axes, copied, mean, projected, inverses):
    """Leave-one-out residuals at each column of inverses, one (n, K) at a time."""
    rotated = axes.rotated(view, block)
    leverage = np.square(rotated) @ inverses + 1.0 / axes.total
    leverage *= copied.own_weights(block)[:, None]
    slack = np.maximum(1.0 - leverage, MIN_SLACK)
    for j, inverse in enumerate(inverses.T):
        fitted = rotated @ (inverse[:, None] * projected)
        yield (block.y - mean - fitted) / slack[:, [j]]


def _left_out(block, view, axes, copied, mean, projected, inverse):
    parts = block, view, axes, copied, mean, projected, inverse[:, None]
    return (block.y - next(_residuals(*parts)),)


def _errors(block, view, axes, copied, mean, projected, inverses):
    parts = block, view, axes, copied, mean, projected, inverses
    weight = weights_of(block)
    return np.array([weight @ np.square(r).sum(axis=1) for r in _residuals(*parts)])
