"""The inverse Hessian by preconditioned block conjugate gradients, matrix-free."""

import warnings
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import lobpcg
from sklearn import get_config

from sklinfluence._parts import PartsMixin
from sklinfluence._sklearn_compat import HasMethods, Interval, StrOptions
from sklinfluence.curvature._preconditioners._preconditioner import make_preconditioner
from sklinfluence.curvature._solvers._range import (
    extreme_eigenvalue,
    project,
    relative_residuals,
)
from sklinfluence.curvature._solvers._solver import Solver, SolverState

# Conjugate gradients carry about this many arrays of the right-hand sides' size.
_WORK_ARRAYS = 8
# Beyond this many at once, the products between right-hand sides cost more than the
# iterations that they save.
_MAX_WIDTH = 128
# Of the block in which the smallest eigenvalue is looked for, and its residual over
# the largest eigenvalue.
_EIGENVECTORS = 4
# The smallest eigenvalue is reported and not computed with: four digits serve.
_EIGENVALUE_TOL = 1e-4
# Directions that differ from the others by less than this, squared, are none.
_DEPENDENT = 1e-13


class ConjugateGradient(PartsMixin, Solver):
    """Inverse Hessian-vector products by preconditioned block conjugate gradients.

    Up to 128 right-hand sides advance together and each draws on the search
    directions of all, so that they take fewer iterations than each would by itself,
    and the rows are read once an iteration. Directions that come to depend on one
    another leave; any number of right-hand sides, more than there are parameters too,
    is solved. The residual reported is that of the solution itself, not the
    recursion's.

    Parameters
    ----------
    tol : float, default=1e-8
        Relative residual ||H x - b|| / ||b|| at which a right-hand side is done.
    max_iter : int, default=None
        Iterations at most. None: ten times the number of parameters, at most 5000.
    preconditioner : {"auto", "block", "block_nystrom", "ekfac", "nystrom"}, \
            solver object or None, default="auto"
        "block": Cholesky factors of the Hessian's diagonal blocks, one an output.
        "block_nystrom": Nyström approximations of these blocks, of the rank that fits
        scikit-learn's ``working_memory`` (32 to 256). "ekfac": the Kronecker
        approximation of :class:`EKFAC`; under a weak penalty it can cost more
        iterations than it saves. "auto": "block" where its n_outputs x n_columns^2
        numbers fit ``working_memory``, "block_nystrom" beyond. "nystrom", or an object
        such as ``Nystrom(rank=500)``: any solver whose state is an inverse, your own
        among them (:class:`Solver`).
        None: plain conjugate gradients.
    rows : {"exact", "preconditioner", "ekfac"}, default="exact"
        What the leave-one-out quantities of all rows come from, self-influence among
        them. "exact": as many solves as there are rows times outputs, when they are
        asked for. "preconditioner": the approximate inverse that the preconditioner
        is; for "block", with n_outputs numbers a row. "ekfac": the Kronecker
        approximation of :class:`EKFAC`, cheaper and further off.

    See Also
    --------
    Cholesky : Exact, where the Hessian can be factored.
    EKFAC : The approximation by itself.

    References
    ----------
    .. [1] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", section 5.1.1.
    .. [2] Ji, H. and Li, Y. (2017). A breakdown-free block conjugate gradient method.
    .. [3] Frangella, Z., Tropp, J. A. and Udell, M. (2023). Randomized Nyström
       preconditioning.

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
        "preconditioner": [
            StrOptions({"auto", "block", "block_nystrom", "ekfac", "nystrom"}),
            HasMethods(["init", "solve"]),
            None,
        ],
        "rows": [StrOptions({"exact", "preconditioner", "ekfac"})],
    }

    exact = True
    _written_out = {"preconditioner": "Nystrom()"}

    def __init__(
        self,
        *,
        tol: float = 1e-8,
        max_iter: int | None = None,
        preconditioner: Any = "auto",
        rows: Literal["exact", "preconditioner", "ekfac"] = "exact",
    ) -> None:
        self.tol = tol
        self.max_iter = max_iter
        self.preconditioner = preconditioner
        self.rows = rows

    def init(self, operator: Any) -> Any:
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
        preconditioner = make_preconditioner(self.preconditioner, operator)
        if self.rows == "exact":
            return ConjugateGradientState(operator, preconditioner)
        source = preconditioner
        if self.rows == "ekfac" and (source is None or source.rows_from != "ekfac"):
            source = make_preconditioner("ekfac", operator)
        if source is None or source.row_blocks is None:
            raise ValueError(
                "rows='preconditioner' takes the rows' blocks from it, and "
                f"preconditioner={self.preconditioner!r} has none. Use 'auto'."
            )
        return RowsByPreconditioner(operator, preconditioner, source)

    def solve(self, state: Any, B: NDArray) -> tuple[NDArray, dict]:
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
        width = int(budget // (8 * _WORK_ARRAYS * len(B)))
        width = max(1, min(width, _MAX_WIDTH))
        for start in range(0, B.shape[1], width):
            at = slice(start, start + width)
            X[:, at], residual[at], n_iter[at] = self._solve_columns(state, B[:, at])
        return X, {"residual": residual, "n_iter": n_iter}

    def _solve_columns(self, state, B):
        right = project(state.basis, B)
        max_iter = self.max_iter or min(10 * len(B), 5000)
        X, n_iter = np.zeros_like(right), np.zeros(B.shape[1], dtype=int)
        residual = relative_residuals(0.0, right)
        missing, left = right, max_iter
        # The recursion's residual drifts from the true one: start it again from the
        # solution until the true residual agrees or no longer falls.
        while True:
            open_ = np.flatnonzero(residual > self.tol)
            if open_.size == 0 or left == 0:
                break
            before = residual[open_]
            target = self.tol * np.linalg.norm(right[:, open_], axis=0)
            correction, steps = _descend(state, missing[:, open_], target, left)
            X[:, open_] += correction
            n_iter[open_] += steps
            left -= steps.max()
            product = state.operator.matvec(X)
            missing, residual = right - product, relative_residuals(product, right)
            if np.all(residual[open_] > 0.5 * before):
                break
        return project(state.basis, X), residual, n_iter


def _descend(state, R, target, max_iter):
    """One run of the recursion from zero.

    Returns
    -------
    X : ndarray of shape (p, m)
    steps : ndarray of shape (m,)
        Iterations until each column met its target.
    """
    X, R = np.zeros_like(R), R.copy()
    steps = np.zeros(R.shape[1], dtype=int)
    live = np.linalg.norm(R, axis=0) > target
    P = _independent(state.precondition(R[:, live]))
    for step in range(1, max_iter + 1):
        if P.shape[1] == 0:
            break
        HP = state.operator.matvec(P)
        # Conjugate directions: the small matrix is diagonal up to rounding only
        # within its own eigenbasis, and none of its eigenvalues is lost to it.
        values, inner = np.linalg.eigh(P.T @ HP)
        kept = values > _DEPENDENT * values[-1]
        inner = inner[:, kept] / np.sqrt(values[kept])
        P, HP = P @ inner, HP @ inner
        along = P.T @ R
        X += P @ along
        R -= HP @ along
        steps[live] = step
        live = np.linalg.norm(R, axis=0) > target
        if not live.any():
            break
        Z = state.precondition(R[:, live])
        P = _independent(Z - P @ (HP.T @ Z))
    return X, steps


def _independent(Z):
    """Orthonormal basis of Z's columns, but for what rounding alone tells apart."""
    lengths = np.linalg.norm(Z, axis=0)
    Z = Z[:, lengths > 0] / lengths[lengths > 0]
    if Z.shape[1] == 0:
        return Z
    values, vectors = np.linalg.eigh(Z.T @ Z)
    kept = values > _DEPENDENT * values[-1]
    return Z @ (vectors[:, kept] / np.sqrt(values[kept]))


class ConjugateGradientState(SolverState):
    """The operator, its kernel and its preconditioner."""

    def __init__(self, operator, preconditioner):
        self.operator = operator
        self.preconditioner = preconditioner
        self.basis = operator.null_space()

    def precondition(self, R):
        if self.preconditioner is not None:
            R = self.preconditioner.apply_inverse(R)
        return project(self.basis, R)

    def eigenvalue_range(self):
        """Estimates of the smallest and largest eigenvalue of H on its range."""

        def product(v):
            return project(self.basis, self.operator.matvec(project(self.basis, v)))

        size, n_kernel = self.basis.shape
        if size == n_kernel:
            return np.inf, 0.0  # a range of nothing but kernel has no eigenvalue
        if size - n_kernel < 10 * _EIGENVECTORS:  # too few for a search among them
            values = np.linalg.eigvalsh(product(np.eye(size)))
            return max(values[n_kernel], 0.0), values[-1]
        high = extreme_eigenvalue(product, size, max_iter=20)
        start = np.random.default_rng(0).standard_normal((size, _EIGENVECTORS))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an estimate, it need not converge
            values, _ = lobpcg(
                self.operator.matvec,
                project(self.basis, start),
                M=self.precondition,
                Y=self.basis if n_kernel else None,
                tol=_EIGENVALUE_TOL * high,
                maxiter=40,
                largest=False,
            )
        return min(values.min(), high), high


class RowsByPreconditioner(ConjugateGradientState):
    """The same, with the rows' blocks from an approximation of H."""

    def __init__(self, operator, preconditioner, source):
        super().__init__(operator, preconditioner)
        self.source = source
        named = source.rows_from
        self.rows_from = "preconditioner" if named == "solver" else named
        self.has_exact_rows = source.has_exact_rows
        self.values_per_row = source.values_per_row
        # Its own inverse is one of iterations: no `apply_inverse` is asked for.
        self.serves_threads = source.serves_threads

    def row_blocks(self, rows):
        return self.source.row_blocks(rows)
