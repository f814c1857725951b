"""The inverse Hessian as a Kronecker product with corrected eigenvalues."""

from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils import check_random_state

from sklinfluence._sklearn_compat import Interval
from sklinfluence._typing import RandomState
from sklinfluence.curvature._row_blocks import KroneckerBlocks
from sklinfluence.curvature._solvers._approximate import ApproximateSolver
from sklinfluence.curvature._solvers._krylov import lanczos
from sklinfluence.curvature._solvers._low_rank import inverse_range
from sklinfluence.curvature._solvers._range import project
from sklinfluence.curvature._solvers._solver import SolverState


class EKFAC(ApproximateSolver):
    r"""Inverse Hessian in the eigenbasis of a Kronecker product.

    H of a linear head is close to diagonal in the basis of the eigenvectors of the
    mean curvature of the outputs, times those of the second moment of the rows and
    the penalty; what its diagonal holds there is computed exactly, the rest left out.
    Needs three passes over the rows, n_outputs^2 + n_columns^2 numbers and, for the
    leave-one-out quantities, n_outputs numbers a row: for heads too wide to factor, a
    thousand classes with two thousand features. A network's curvature is taken so
    layer by layer.

    With E this approximation of H, the eigenvalues of :math:`E^{-1/2} H E^{-1/2}`
    would all be 1 if it were exact. Where ``n_directions`` are asked for, Lanczos'
    iteration finds those that are furthest from it (in a network, where the layers
    interact and units are switched on together), and puts them right. The rest share
    the trace that is left.

    Parameters
    ----------
    n_directions : int, default=0
        Lanczos' steps: as many products with H, one after the other, and as many
        vectors of all parameters in memory, no more of them than fit scikit-learn's
        ``working_memory``. 0: EK-FAC as published. ``solver="ekfac"`` of
        :class:`~sklinfluence.deep.DeepInfluenceRanker` asks for 200.
    random_state : int, RandomState instance or None, default=0
        Seeds the direction that the iteration starts from.

    See Also
    --------
    ConjugateGradient : Solves to a tolerance, and comes closer with
        ``rows="preconditioner"`` where blocks of single outputs fit in memory.

    Notes
    -----
    Self-influence and leave-one-out predictions come close to the exact ones.
    Influence on single queries does so less: prefer `ConjugateGradient` for it.
    In the second moment a row counts by the root of its curvature's trace: those that
    the model is sure of are hardly in H.

    References
    ----------
    .. [1] George, T., Laurent, C., Bouthillier, X., Ballas, N. and Vincent, P.
       (2018). Fast approximate natural gradient descent in a Kronecker-factored
       eigenbasis.
    .. [2] Grosse, R. et al. (2023). Studying large language model generalization with
       influence functions.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_digits(return_X_y=True)
    >>> ranker = InfluenceRanker(solver="ekfac").fit(X[:500] / 16, y[:500])
    >>> ranker.self_influence_.shape
    (500,)
    """

    _parameter_constraints: dict = {
        "n_directions": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    # It is for heads whose blocks do not fit, which conjugate gradients' own choice
    # of a preconditioner would factor.
    preconditions = True

    def __init__(self, *, n_directions: int = 0, random_state: RandomState = 0) -> None:
        self.n_directions = n_directions
        self.random_state = random_state

    def init(self, operator: Any) -> Any:
        """Find the basis, the eigenvalues and the directions.

        Parameters
        ----------
        operator : Operator
            Of a linear head or a network.

        Returns
        -------
        state : EKFACState
            What `solve` takes.

        Raises
        ------
        ValueError
            For heads with an l1 penalty, whose active set is no Kronecker product.
        """
        self._validate_params()
        factors = operator.kronecker_factors()
        fitting = int(get_config()["working_memory"] * 2**20 // (8 * operator.shape[0]))
        n_steps = min(self.n_directions, max(fitting, 1))
        if n_steps == 0:
            return EKFACState(operator, factors)
        rng = check_random_state(self.random_state)
        return CorrectedState(operator, factors, n_steps, rng)


class EKFACState(SolverState):
    """The factors, and what is read off them."""

    rows_from = "ekfac"
    serves_threads = True

    def __init__(self, operator, factors):
        self.operator = operator
        self.factors = factors
        self.basis = operator.null_space()
        # Least squares is a Kronecker product, where one penalty serves all outputs.
        self.has_exact_rows = operator.has_equal_blocks
        # What a row takes while its block is worked on.
        self.values_per_row = 2 * operator.n_columns + 16 * operator.n_outputs

    def apply_inverse(self, B):
        """The approximate inverse applied to B, (p, m)."""
        return project(self.basis, self.factors.solve(project(self.basis, B)))

    def row_blocks(self, rows):
        """(I (x) x_i)^T H^-1 (I (x) x_i) of each row, diagonal in one basis for all.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : KroneckerBlocks, or ndarray of shape (n_chosen, K) if outputs do not \
                interact
        """
        values = self.factors.row_values(rows)
        if self.factors.outputs is None:
            return values
        return KroneckerBlocks(self.factors.outputs, values)

    def eigenvalue_range(self):
        """Estimates of the smallest and largest eigenvalue of H on its range."""
        return inverse_range(self.apply_inverse, self.operator, self.basis)


class CorrectedState(EKFACState):
    """R (Q values^-1 Q^T + (I - Q Q^T) / tail) R^T, where E^-1 = R R^T.

    Attributes
    ----------
    directions : ndarray of shape (n_inner, n_found)
        Q.
    values : ndarray of shape (n_found,)
        Eigenvalues of R^T H R along them; those of all others have the mean ``tail``.
    """

    def __init__(self, operator, factors, n_steps, rng):
        super().__init__(operator, factors)
        kernel = factors.root_kernel()
        size, n_kernel = kernel.shape
        values, vectors = lanczos(
            lambda v: factors.root_transpose(operator.matvec(factors.root(v))),
            size,
            min(n_steps, size),
            kernel,
            rng,
        )
        # What Lanczos has not resolved at the low end it may put at, or below, zero.
        sound = values > 1e-6 * values.max(initial=0.0)
        self.values, self.directions = values[sound], vectors[:, sound]
        n_left = size - n_kernel - len(self.values)
        # E has H's diagonal in its own basis: all eigenvalues sum to their number.
        left = size - n_kernel - self.values.sum()
        self.tail = left / n_left if n_left and left > 0 else 1.0
        self.has_exact_rows = self.has_exact_rows or n_left == 0
        K = operator.n_outputs
        # The directions of every row beside its block, which they make a whole one.
        self.values_per_row += K * len(self.values) + 3 * K * K

    @property
    def _scale(self):
        return 1.0 / self.values - 1.0 / self.tail

    @cached_property
    def _by_output(self):
        """R Q, (n_outputs, n_columns, n_found); no network asks for it."""
        shape = (self.operator.n_outputs, self.operator.n_columns, -1)
        return self.factors.root(self.directions).reshape(shape)

    def apply_inverse(self, B):
        """The approximate inverse applied to B, (p, m)."""
        right = self.factors.root_transpose(project(self.basis, B))
        inside = self._scale[:, None] * (self.directions.T @ right)
        solved = self.factors.root(right / self.tail + self.directions @ inside)
        return project(self.basis, solved)

    def row_blocks(self, rows):
        """(I (x) x_i)^T H^-1 (I (x) x_i) of each row.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : ndarray of shape (n_chosen, K, K), or (n_chosen, K) if outputs do \
                not interact
        """
        seen = np.stack([rows @ turned for turned in self._by_output], axis=1)
        plain = super().row_blocks(rows)
        if self.factors.outputs is None:
            return plain / self.tail + seen**2 @ self._scale
        return plain.dense() / self.tail + (seen * self._scale) @ seen.transpose(
            0, 2, 1
        )
