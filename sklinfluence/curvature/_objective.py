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

from sklinfluence.curvature._design import Design, ReducedDesign
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
    # Whether rows can be asked for one by one, and whether there are none.
    rows_at_hand = True
    is_rowless = False

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

    def largest(self, *raws):
        """Largest magnitude in each of some raw predictions, of rows in force."""
        return [float(np.max(np.abs(self.in_force(raw)), initial=0.0)) for raw in raws]

    def relative_move(self, raw, shift):
        """How far raw predictions move, relative to the largest of them (to 1)."""
        moved, size = self.largest(shift, raw)
        return moved / max(1.0, size)

    def ranges(self, raw):
        """Largest less smallest raw prediction, and target, of rows in force."""
        there = (self.in_force(raw), self.in_force(self.targets))
        return [np.ptp(values) if values.size else 0.0 for values in there]

    def turned(self, raw, change):
        """Raw predictions, what runs over the outputs changed: (K, ...) to (L, ...)."""
        return change(raw.T).T

    def reduced(self, function, combine, *args):
        """What a function of the objective of some rows gives, put together.

        Here all rows are at hand, and it is what the function gives.

        Parameters
        ----------
        function : callable
            Of an `Objective` and ``args``.
        combine : callable
            Of a list of what it gives.
        """
        return function(self, *args)

    def summed(self, function, operator, *args):
        """What a function of the Hessian of some rows gives, summed over all rows.

        Here all rows are at hand, and it is what the function gives.
        """
        return function(operator, *args)

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
        proximal = damping * self.weight_sum()
        return replace(self, proximal=proximal, center=center)

    def weight_sum(self):
        """The sum of the row weights."""
        return self.weights.sum()

    def target_sums(self):
        """The sum of weight times target of each output, (n_outputs,)."""
        return self.weights @ self.targets

    def some_weighted(self, n):
        """The objective of n rows of weight, evenly spread."""
        weighted = np.flatnonzero(self.weights)
        n = min(n, len(weighted))
        index = weighted[np.linspace(0, len(weighted) - 1, n).astype(int)]
        return self.taken(index)

    def taken(self, index):
        """The objective of some of the rows."""
        design, targets = self.design.take(index), self.targets[index]
        return replace(
            self, design=design, targets=targets, weights=self.weights[index]
        )

    def without_rows(self):
        """The same loss and penalty, of no rows."""
        design = ReducedDesign(0, self.shape[1], self.design.fit_intercept)
        parts = (design, self.loss, None, None, self.penalty)
        return RowlessObjective(*parts, self.proximal, self.center)

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

    def sees_less_than(self, other):
        """Whether rows that left it alone saw a direction: any value there is optimal.

        Parameters
        ----------
        other : Objective
            The same, those rows in it.
        """
        return bool(np.any(self.n_seen() < other.n_seen()))

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

    def gram(self, columns):
        """Sum of weight times row row^T over some columns."""
        return self.design.gram(self.weights, columns)

    def _blind_columns(self, output):
        """Basis of the unpenalised column combinations that are zero on all rows."""
        n_columns = self.shape[1]
        free = np.flatnonzero(self.penalty[output] == 0)
        only_intercept = len(free) == 1 and self.design.fit_intercept
        if len(free) == 0 or (only_intercept and free[0] == n_columns - 1):
            return np.zeros((n_columns, 0))
        gram = self.gram(free)
        scale = np.sqrt(np.diag(gram))
        scale[scale == 0] = 1.0
        values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
        # The Gram matrix carries the square of the columns' condition number: what
        # lies below its rounding error cannot be told from an exact dependency.
        blind = vectors[:, values < len(free) * 1e-14 * self.design.n_rows**0.5]
        basis = np.zeros((n_columns, blind.shape[1]))
        basis[free] = np.linalg.qr(blind / scale[:, None])[0]
        return basis


@dataclass(frozen=True)
class RowlessObjective(Objective):
    """An objective on its way to where rows are: what asks for rows is refused."""

    rows_at_hand = False
    is_rowless = True

    def hessian(self, raw=None):
        return Hessian(self, np.zeros((0, len(self.penalty))))

    def summed(self, function, operator, *args):
        raise ValueError(
            "A solver that passes over the training rows was asked for a solution "
            "where there are none of them. Use solver='cholesky' or solver='ekfac'."
        )
