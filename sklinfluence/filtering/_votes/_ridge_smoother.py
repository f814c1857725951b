"""Ridge regression of class indicators, diagonalised: leave-one-out for free.

With A the centred features, rows weighted by s, A' diag(s) A = V diag(e) V' and
U = A V, the fit at ridge penalty lam is

    fitted values   mean + U diag(1 / (e + lam)) U' diag(s) (Y - mean)
    leverage        h_i = s_i (1 / sum(s) + sum_j U_ij^2 / (e_j + lam))
    without row i   y_i - (y_i - fitted_i) / (1 - h_i)        (exact)

so one eigendecomposition serves every penalty, every class and every later set of
targets. Rows G that leave together take their block of the smoother with them,

    without rows G      y_G - (I - H_GG)^-1 (y_G - fitted_G)       (exact)
"""

from functools import partial

import numpy as np
from scipy.linalg import eigh

from sklinfluence._blocks import block_slices
from sklinfluence._removal import move_of_group

# A leave-one-out residual divides by 1 - leverage; this bounds it where a row
# determines its own fit.
MIN_SLACK = 1e-6


class RidgeSmoother:
    """Weighted ridge regression with a free intercept, for many penalties.

    Parameters
    ----------
    features : ndarray of shape (n, m)
        Overwritten by the rotated columns.
    sample_weight : ndarray of shape (n,)
    groups : list of ndarray, default=()
        Rows that leave together, of every group of more than one.
    """

    def __init__(self, features, sample_weight, groups=()):
        self.sample_weight, self.groups = sample_weight, groups
        self.share = sample_weight / sample_weight.sum()
        self.mean = self.share @ features
        features -= self.mean
        gram = np.zeros((features.shape[1], features.shape[1]))
        blocks = block_slices(*features.shape)
        for at in blocks:
            scaled = features[at] * np.sqrt(sample_weight[at])[:, None]
            gram += scaled.T @ scaled
        eigenvalues, self.vectors = eigh(gram, overwrite_a=True, check_finite=False)
        self.eigenvalues = np.maximum(eigenvalues, 0.0)
        # In place, a block at a time: this array rules the memory.
        for at in blocks:
            features[at] = features[at] @ self.vectors
        self.rotated = features

    def loo_path(self, targets, penalties):
        """Leave-one-out predictions at each penalty, one (n, K) array at a time."""
        mean = self.share @ targets
        centred = targets - mean
        projected = self._project(centred)
        inverses = 1.0 / (self.eigenvalues[:, None] + np.asarray(penalties))
        slack = np.maximum(1.0 - self._leverage(inverses), MIN_SLACK)
        for j in range(len(penalties)):
            residual = centred - self.rotated @ (inverses[:, [j]] * projected)
            loo = targets - residual / slack[:, [j]]
            yield self._without_groups(loo, targets, residual, inverses[:, j])

    def loo_errors(self, targets, penalties):
        """Weighted mean leave-one-out squared error at each penalty."""
        return np.array(
            [
                self.share @ np.square(targets - loo).sum(axis=1)
                for loo in self.loo_path(targets, penalties)
            ]
        )

    def set_penalty(self, penalty):
        """Fix the penalty that the methods below use."""
        self.inverse = 1.0 / (self.eigenvalues + penalty)
        self.leverage = self._leverage(self.inverse[:, None])[:, 0]

    def loo_predictions(self, targets):
        """Prediction of every row by the fit without it, (n, K)."""
        centred = targets - self.share @ targets
        residual = centred - self.rotated @ (
            self.inverse[:, None] * self._project(centred)
        )
        slack = np.maximum(1.0 - self.leverage, MIN_SLACK)
        loo = targets - residual / slack[:, None]
        return self._without_groups(loo, targets, residual, self.inverse)

    def coefficients(self, targets):
        """Coefficients (m, K) on the features, and the intercept (K,)."""
        mean = self.share @ targets
        projected = self._project(targets - mean)
        coef = self.vectors @ (self.inverse[:, None] * projected)
        return coef, mean - self.mean @ coef

    def _without_groups(self, loo, targets, residual, inverse):
        """Leave-one-out predictions, those of groups by the fit without the group."""
        inverse = np.append(inverse, 1.0 / self.sample_weight.sum())
        hessian, solve = partial(np.diag, 1.0 / inverse), partial(_scaled, inverse)
        mean = self.share @ targets
        for rows in self.groups:
            design = np.column_stack([self.rotated[rows], np.ones(len(rows))])
            weight = self.sample_weight[rows]
            pull = -weight[:, None] * residual[rows]
            move = move_of_group(design, weight, pull, hessian, solve)
            fitted = targets[rows] - residual[rows]
            # Without all rows in use nothing is left to predict from.
            loo[rows] = np.where(np.isnan(move), mean, fitted + move)
        return loo

    def _project(self, centred):
        return self.rotated.T @ (self.sample_weight[:, None] * centred)

    def _leverage(self, inverses):
        quadratic = np.empty((len(self.rotated), inverses.shape[1]))
        for at in block_slices(*self.rotated.shape):
            quadratic[at] = np.square(self.rotated[at]) @ inverses
        quadratic += 1.0 / self.sample_weight.sum()
        return self.sample_weight[:, None] * quadratic


def _scaled(scale, rows):
    return scale[:, None] * rows
