"""The training objective of a linear head, in scikit-learn's own terms, in sum form.

J(theta) = sum_i s_i l(y_i, theta x_i) + 1/2 sum_kj penalty_kj theta_kj^2
           [ + 1/2 proximal ||theta - center||^2 ]

``theta`` has shape (n_outputs, n_columns), the intercept's column last; flattened in
C order it is the parameter vector of the Hessian, of length p = n_outputs n_columns.
The proximal term is how damping enters once the optimum ``center`` is known: it
leaves the optimum where it is and adds ``proximal`` to every diagonal entry.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklinfluence.curvature._design import Design
from sklinfluence.curvature._hessian import Hessian


@dataclass(frozen=True)
class Objective:
    """Penalised, weighted training objective.

    Attributes
    ----------
    design : Design
    loss : loss object of `sklinfluence.curvature._losses`
    targets : ndarray of shape (n_rows, n_outputs)
    weights : ndarray of shape (n_rows,)
    penalty : ndarray of shape (n_outputs, n_columns)
    proximal : float, default=0.0
    center : ndarray of shape (n_outputs, n_columns), default=None
    """

    design: Design
    loss: object
    targets: np.ndarray
    weights: np.ndarray
    penalty: np.ndarray
    proximal: float = 0.0
    center: np.ndarray | None = None

    # Of an l1 penalty's active set; without one all parameters are in use.
    active = whole = None

    @property
    def shape(self):
        """Shape of theta."""
        return self.penalty.shape

    def raw(self, theta):
        """Raw predictions of the training rows, (n_rows, n_outputs)."""
        return self.design.dot(theta.T)

    def in_force(self, values):
        """What belongs to the rows that have a weight; the others are not there."""
        there = self.weights > 0
        return values if there.all() else values[there]

    def residual(self, raw):
        """Unweighted derivative of each row's loss at ``raw``."""
        return self.loss.gradient(self.targets, raw)

    def value(self, theta, raw=None):
        """J(theta)."""
        raw = self.raw(theta) if raw is None else raw
        value = self.weights @ self.loss.loss(self.targets, raw)
        value += 0.5 * np.sum(self.penalty * theta**2)
        if self.proximal:
            value += 0.5 * self.proximal * np.sum((theta - self.center) ** 2)
        return value

    def gradient(self, theta, raw=None):
        """Derivative of J, of theta's shape."""
        raw = self.raw(theta) if raw is None else raw
        weighted = self.weights[:, None] * self.residual(raw)
        return self.design.transpose_dot(weighted).T + self.penalty_gradient(theta)

    def penalty_gradient(self, theta):
        """Derivative of what J adds to the losses; theta may have a third axis."""
        axes = [1] * (theta.ndim - 2)
        gradient = self.penalty.reshape(*self.shape, *axes) * theta
        if self.proximal:
            center = self.center.reshape(*self.shape, *axes)
            gradient += self.proximal * (theta - center)
        return gradient

    def hessian(self, raw):
        """Second derivative of J where the raw predictions are ``raw``."""
        return Hessian(self, raw)

    def damped(self, damping, center):
        """The objective with Koh and Liang's damping of its *mean* Hessian."""
        if damping == 0:
            return self
        proximal = damping * self.weights.sum()
        return replace(self, proximal=proximal, center=center)

    def reweighted(self, weights):
        """The objective with other row weights; the proximal term stays as it is."""
        return replace(self, weights=weights)

    def n_seen(self):
        """How many directions of theta the rows or the penalty see.

        Returns
        -------
        n_seen : ndarray of shape (n_outputs,), or (1,) where outputs interact
            The rank of each block of the Hessian.
        """
        n_outputs, n_columns = self.shape
        basis = self.null_space()
        if not self.loss.separable:
            return np.array([n_outputs * n_columns - basis.shape[1]])
        blocks = basis.reshape(n_outputs, n_columns, -1)
        return n_columns - np.sum(np.any(blocks != 0, axis=1), axis=1)

    def null_space(self):
        """Orthonormal basis of the directions that no row and no penalty sees.

        A softmax is blind to a shift common to all its outputs, so each unpenalised
        column gives one direction (the intercept, when C is finite). Unpenalised
        columns that are linearly dependent give the rest.

        Returns
        -------
        basis : ndarray of shape (p, n_directions)
        """
        n_outputs, n_columns = self.shape
        if self.proximal:
            return np.zeros((n_outputs * n_columns, 0))
        if self.loss.separable:
            each = range(n_outputs)
            unit = np.eye(n_outputs)[:, :, None]
            blind = [np.kron(unit[k], self._blind_columns(k)) for k in each]
            return np.hstack(blind)
        shifts, blind = self.loss.blind(n_outputs), self._blind_columns(0)
        if not (shifts.size or blind.size):
            return np.zeros((n_outputs * n_columns, 0))
        seen = np.linalg.qr(np.hstack([shifts, np.eye(n_outputs)]))[0]
        free = np.eye(n_columns)[:, self.penalty[0] == 0]
        beside = np.kron(seen[:, shifts.shape[1] :], blind)
        return np.hstack([beside, np.kron(shifts, free)])

    def _blind_columns(self, output):
        """Basis of the unpenalised column combinations that are zero on all rows."""
        n_columns = self.shape[1]
        free = np.flatnonzero(self.penalty[output] == 0)
        only_intercept = len(free) == 1 and self.design.fit_intercept
        if len(free) == 0 or (only_intercept and free[0] == n_columns - 1):
            return np.zeros((n_columns, 0))
        gram = self.design.gram(self.weights, free)
        scale = np.sqrt(np.diag(gram))
        scale[scale == 0] = 1.0
        values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
        # The Gram matrix carries the square of the columns' condition number: what
        # lies below its rounding error cannot be told from an exact dependency.
        blind = vectors[:, values < len(free) * 1e-14 * self.design.n_rows**0.5]
        basis = np.zeros((n_columns, blind.shape[1]))
        basis[free] = np.linalg.qr(blind / scale[:, None])[0]
        return basis
