"""The smooth objective that an l1 penalty leaves on its active coefficients.

Where the signs of the non-zero coefficients hold, sum_kj l1_kj |theta_kj| is linear in
them, and coefficients at zero stay there as long as their subgradient has room. On that
set the objective is smooth, with the same curvature as without the l1 part; directions
off the set are treated as the Hessian's kernel, so that every solution H^+ b keeps the
zeros at zero.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._hessian import Hessian
from sklinfluence.curvature._objective import Objective

# Relative room for rounding: a subgradient this close to its bound is inside it.
_ROOM = 1e-8


@dataclass(frozen=True)
class WholeDesign:
    """The rows before the columns that no output uses were dropped.

    Attributes
    ----------
    design : Design
    columns : ndarray of shape (n_kept,)
        Those that were kept.
    l1 : ndarray of shape (n_outputs, n_columns)
        l1 strength of every parameter, the intercept's last.
    """

    design: Design
    columns: np.ndarray
    l1: np.ndarray

    def spread(self, values):
        """An array over the kept parameters as one over all, zeros elsewhere."""
        out = np.zeros(self.l1.shape, dtype=values.dtype)
        kept = self.columns
        if self.design.fit_intercept:
            kept = np.append(kept, out.shape[1] - 1)
        out[:, kept] = values
        return out


@dataclass(frozen=True)
class ActiveSetObjective(Objective):
    """Objective restricted to the active coefficients.

    Attributes
    ----------
    linear : ndarray of shape (n_outputs, n_columns)
        l1 strength times sign, 0 off the set.
    active : ndarray of shape (n_outputs, n_columns)
        Boolean.
    whole : WholeDesign
        For asking whether the set holds.
    """

    linear: np.ndarray | None = None
    active: np.ndarray | None = None
    whole: WholeDesign | None = None

    def value(self, theta, raw=None):
        """J(theta), the l1 part continued linearly."""
        return super().value(theta, raw) + np.sum(self.linear * theta)

    def penalty_gradient(self, theta):
        gradient = super().penalty_gradient(theta)
        return gradient + self.linear.reshape(*self.shape, *[1] * (theta.ndim - 2))

    def gradient(self, theta, raw=None):
        """Derivative of J on the set, 0 off it."""
        return np.where(self.active, super().gradient(theta, raw), 0.0)

    def hessian(self, raw):
        return ActiveSetHessian(self, raw)

    def null_space(self):
        """Directions that nothing on the set sees, and all directions off it."""
        whole = self.active if self.loss.separable else self.active.all(axis=0)
        seen = np.where(whole, self.penalty, 1.0)
        # `replace` would keep this class, and ask itself.
        plain = Objective(self.design, self.loss, self.targets, self.weights, seen)
        plain = replace(plain, proximal=self.proximal)
        off = np.flatnonzero(~self.active.ravel())
        return np.hstack([plain.null_space(), np.eye(self.active.size)[:, off]])

    def breaks(self, theta, raw, changes, index=None):
        """Whether moved parameters are no optimum of the l1 objective.

        Parameters
        ----------
        theta : ndarray of shape (n_outputs, n_columns)
        raw : ndarray of shape (n_rows, n_outputs)
            Raw predictions at ``theta``.
        changes : ndarray of shape (n_changes, n_outputs, n_columns)
            What is added to ``theta``.
        index : ndarray of shape (n_changes,), default=None
            The row that each change leaves out. None: none leaves.

        Returns
        -------
        breaks : ndarray of shape (n_changes,)
            True where a sign has changed, or a coefficient at zero would leave it.
        """
        b, K, q = changes.shape
        shift = self.design.dot(changes.transpose(2, 0, 1).reshape(q, b * K))
        moved = (raw[:, None, :] + shift.reshape(-1, b, K)).reshape(-1, K)
        targets = np.repeat(self.targets, b, axis=0)
        residual = self.loss.gradient(targets, moved).reshape(-1, b, K)
        residual *= self.weights[:, None, None]
        if index is not None:
            residual[index, np.arange(b)] = 0.0
        whole = self.whole
        slope = whole.design.transpose_dot(residual.reshape(-1, b * K))
        slope = np.abs(slope).reshape(-1, b, K).transpose(1, 2, 0)
        at_zero = ~whole.spread(self.active) & (whole.l1 > 0)
        entered = np.any(at_zero & (slope > whole.l1 * (1 + _ROOM)), axis=(1, 2))
        return entered | np.any(self.linear * (theta + changes) < 0, axis=(1, 2))


class ActiveSetHessian(Hessian):
    """The Hessian with zero rows and columns off the active set."""

    @property
    def has_equal_blocks(self):
        active = self.objective.active
        return super().has_equal_blocks and bool(np.all(active == active[0]))

    @property
    def diagonal_terms(self):
        return self.objective.active * super().diagonal_terms

    def trace(self):
        objective = self.objective
        curvature = objective.loss.curvature_diagonal(objective.targets, self.raw)
        curvature = objective.weights[:, None] * curvature
        squares = np.zeros(objective.shape)
        for block in block_slices(objective.design.n_rows, 2 * self.n_columns):
            squares += curvature[block].T @ objective.design.rows(block) ** 2
        return float(np.sum(objective.active * (squares + self.diagonal_terms)))

    def matvec(self, V):
        active = self.objective.active.reshape(-1, 1)
        return active * super().matvec(active * V)

    def diagonal_blocks(self):
        blocks = super().diagonal_blocks()
        active = self.objective.active[: len(blocks)]
        return blocks * (active[:, :, None] & active[:, None, :])

    def dense(self):
        active = self.objective.active.ravel()
        H = super().dense()
        H[~active] = 0.0
        H[:, ~active] = 0.0
        return H
