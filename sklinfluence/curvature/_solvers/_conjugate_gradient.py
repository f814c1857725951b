"""The inverse Hessian by preconditioned conjugate gradients, matrix-free."""

from numbers import Integral, Real

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator

from sklinfluence._sklearn_compat import Interval, StrOptions
from sklinfluence.curvature._solvers._base import (
    extreme_eigenvalue,
    project,
    relative_residuals,
)
from sklinfluence.curvature._solvers._preconditioner import BlockCholesky

# Conjugate gradients carry about this many arrays of the right-hand sides' size.
_WORK_ARRAYS = 8


class ConjugateGradient(BaseEstimator):
    """Inverse Hessian-vector products by preconditioned conjugate gradients.

    Many right-hand sides advance together, each with its own step lengths and its
    own stopping, so that the rows are read once an iteration for all of them. The
    residual reported is that of the solution itself, not the recursion's.

    Parameters
    ----------
    tol : float, default=1e-8
        Relative residual ||H x - b|| / ||b|| at which a right-hand side is done.
    max_iter : int, default=None
        Iterations at most. None: ten times the number of parameters, at most 5000.
    preconditioner : {"block"} or None, default="block"
        "block": Cholesky factors of the Hessian's diagonal blocks, one an output.
        None: plain conjugate gradients.

    See Also
    --------
    Cholesky : Exact, where the Hessian can be factored.

    References
    ----------
    .. [1] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", section 5.1.1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.curvature import ConjugateGradient
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = InfluenceRanker(solver=ConjugateGradient(tol=1e-10)).fit(X, y)
    >>> bool(ranker.solver_info_["residual"].max() < 1e-9)
    True
    """

    _parameter_constraints: dict = {
        "tol": [Interval(Real, 0, 1, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "preconditioner": [StrOptions({"block"}), None],
    }

    def __init__(self, *, tol=1e-8, max_iter=None, preconditioner="block"):
        self.tol = tol
        self.max_iter = max_iter
        self.preconditioner = preconditioner

    def init(self, operator):
        """Prepare the preconditioner.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.
        """
        self._validate_params()
        preconditioner = None
        if self.preconditioner == "block":
            preconditioner = BlockCholesky(operator)
        return ConjugateGradientState(operator, preconditioner)

    def solve(self, state, B):
        """Solve H X = B on the range of H.

        Parameters
        ----------
        state : object
            From `init`.
        B : ndarray of shape (p, m)
            Any number of right-hand sides, more than p of them too.

        Returns
        -------
        X : ndarray of shape (p, m)
        info : dict
            ``residual``: relative residual of every right-hand side, (m,);
            ``n_iter``: iterations each took, (m,).
        """
        B = np.asarray(B, dtype=float)
        X = np.empty_like(B)
        residual, n_iter = np.zeros(B.shape[1]), np.zeros(B.shape[1], dtype=int)
        budget = get_config()["working_memory"] * 2**20
        width = max(1, int(budget // (8 * _WORK_ARRAYS * len(B))))
        for start in range(0, B.shape[1], width):
            at = slice(start, start + width)
            X[:, at], residual[at], n_iter[at] = self._solve_columns(state, B[:, at])
        return X, {"residual": residual, "n_iter": n_iter}

    def _solve_columns(self, state, B):
        right = project(state.basis, B)
        max_iter = self.max_iter or min(10 * len(B), 5000)
        X, n_iter = np.zeros_like(right), np.zeros(B.shape[1], dtype=int)
        residual = relative_residuals(0.0, right)
        # The recursion's residual drifts from the true one: start it again from the
        # solution until the true residual agrees or no longer falls.
        while True:
            open_ = np.flatnonzero((residual > self.tol) & (n_iter < max_iter))
            if open_.size == 0:
                break
            before = residual[open_]
            correction, steps = self._descend(
                state,
                right[:, open_] - state.operator.matvec(X[:, open_]),
                self.tol * np.linalg.norm(right[:, open_], axis=0),
                max_iter - n_iter[open_],
            )
            X[:, open_] += correction
            n_iter[open_] += steps
            product = state.operator.matvec(X[:, open_])
            residual[open_] = relative_residuals(product, right[:, open_])
            if np.all(residual[open_] > 0.5 * before):
                break
        return project(state.basis, X), residual, n_iter

    def _descend(self, state, R, target, allowed):
        """One run of the recursion from zero; columns leave as they reach target."""
        X, steps = np.zeros_like(R), np.zeros(R.shape[1], dtype=int)
        active = np.arange(R.shape[1])
        R = R.copy()
        Z = state.precondition(R)
        # A copy: without a preconditioner Z is R itself, which is updated in place.
        P, rho = Z.copy(), np.einsum("ij,ij->j", R, Z)
        x = np.zeros_like(R)
        while True:
            live = (np.linalg.norm(R, axis=0) > target[active]) & (rho > 0)
            live &= steps[active] < allowed[active]
            if not live.all():
                X[:, active] = x
                active = active[live]
                R, P, x, rho = R[:, live], P[:, live], x[:, live], rho[live]
                if active.size == 0:
                    return X, steps
            HP = state.operator.matvec(P)
            alpha = rho / np.einsum("ij,ij->j", P, HP)
            x += alpha * P
            R -= alpha * HP
            steps[active] += 1
            Z = state.precondition(R)
            rho, previous = np.einsum("ij,ij->j", R, Z), rho
            P = Z + (rho / previous) * P


class ConjugateGradientState:
    """The operator, its kernel and its preconditioner."""

    def __init__(self, operator, preconditioner):
        self.operator = operator
        self.preconditioner = preconditioner
        self.basis = operator.null_space()

    def precondition(self, R):
        if self.preconditioner is not None:
            R = self.preconditioner.solve(R)
        return project(self.basis, R)

    def eigenvalue_range(self):
        """Rough estimates of the smallest and largest eigenvalue of H on its range."""

        def product(v):
            return project(self.basis, self.operator.matvec(project(self.basis, v)))

        size = self.operator.shape[0]
        high = extreme_eigenvalue(product, size, max_iter=20)
        rough = ConjugateGradient(tol=0.05, max_iter=100)
        inverse_low = extreme_eigenvalue(
            lambda v: rough.solve(self, v)[0], size, max_iter=4
        )
        return 1.0 / inverse_low, high
