"""The inverse Hessian as a Neumann series, the recursion of LiSSA."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sklinfluence._sklearn_compat import Interval
from sklinfluence._typing import RandomState
from sklinfluence.curvature._solvers._conjugate_gradient import ConjugateGradientState
from sklinfluence.curvature._solvers._krylov import lanczos
from sklinfluence.curvature._solvers._range import project, relative_residuals
from sklinfluence.curvature._solvers._solver import Solver, SolverState

# Lanczos steps: scale and depth need the ends of the spectrum to a few per cent.
_SPECTRUM_STEPS = 40
# What asks for more has a condition for conjugate gradients.
_MAX_DEPTH = 5000
# A residual that has grown by this much will not come back.
_DIVERGED = 1e3


class DivergenceError(ArithmeticError, ValueError):
    """An iteration left its solution behind: a parameter of it is wrong."""


class LiSSA(Solver):
    """Inverse Hessian-vector products by LiSSA's recursion.

    x <- x + (b - H x) / scale, the partial sums of a Neumann series. H has the
    damping in it, so that what the recursion tends to solves (H + damping) x = b,
    whatever the scale. All rows make each step unless ``batch_size`` is given.

    It needs as many products with H as H's condition number, where
    `ConjugateGradient` needs its square root: it is here for comparison with the
    literature.

    Parameters
    ----------
    scale : float, default=None
        What H is divided by; more than half its largest eigenvalue, or the series
        diverges. None: from the spectrum, 0.55 times the largest eigenvalue, and
        with batches also what keeps their noise bounded.
    depth : int, default=None
        Steps at most. None: what the condition number asks for to meet ``tol``, at
        most 5000.
    tol : float, default=1e-4
        Relative residual at which a right-hand side is done; measured with all rows.
    batch_size : int, default=None
        Rows that make one step, drawn anew for each. The solution is then the mean
        of the last half of the steps, which averages the noise away, slowly. None:
        all rows, and no noise.
    random_state : int, RandomState instance or None, default=0
        Seeds the batches, and the direction that the spectrum is estimated from.

    See Also
    --------
    ConjugateGradient : The same in far fewer steps.

    References
    ----------
    .. [1] Agarwal, N., Bullins, B. and Hazan, E. (2017). Second-order stochastic
       optimization for machine learning in linear time.
    .. [2] Koh, P. W. and Liang, P. (2017). Understanding black-box predictions via
       influence functions.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from sklinfluence.curvature import LiSSA
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> ranker = InfluenceRanker(solver=LiSSA(tol=1e-4)).fit(scale(X), y)
    >>> bool(ranker.solver_info_["residual"].max() < 1e-4)
    True
    """

    _parameter_constraints: dict = {
        "scale": [Interval(Real, 0, None, closed="neither"), None],
        "depth": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, 1, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    remedy = (
        "The recursion stopped short: it needs about as many steps as the condition "
        "number. Use solver='cg', which needs its square root, or raise depth."
    )

    keeps_outputs = True

    def __init__(
        self,
        *,
        scale: float | None = None,
        depth: int | None = None,
        tol: float = 1e-4,
        batch_size: int | None = None,
        random_state: RandomState = 0,
    ) -> None:
        self.scale = scale
        self.depth = depth
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state

    def init(self, operator: Any) -> Any:
        """Estimate the spectrum; settle scale and depth.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.
        """
        self._validate_params()
        state = LiSSAState(operator, self.random_state)
        low, high = state.low, state.high
        noise = 0.0 if self.batch_size is None else _batch_noise(operator, self)
        state.scale = self.scale or 0.55 * high + noise
        # The slowest of the directions shrinks by this factor a step.
        rate = max(abs(1.0 - low / state.scale), abs(1.0 - high / state.scale))
        state.depth = self.depth or _steps_to(self.tol, rate)
        return state

    def solve(self, state: Any, B: NDArray) -> tuple[NDArray, dict]:
        """Solve H X = B on the range of H.

        Parameters
        ----------
        state : object
            From `init`.
        B : ndarray of shape (p, m)

        Returns
        -------
        X : ndarray of shape (p, m)
        info : dict
            ``residual``: relative residual of every right-hand side, (m,);
            ``n_iter``: steps taken; ``scale`` and ``depth`` in force.

        Raises
        ------
        DivergenceError
            If the recursion diverges: the scale is too small.
        """
        right = project(state.basis, np.asarray(B, dtype=float))
        run = self._by_all_rows if self.batch_size is None else self._by_batches
        X, n_iter = run(state, right)
        residual = relative_residuals(state.operator.matvec(X), right)
        self._refuse_divergence(state, residual)
        info = {"residual": residual, "n_iter": n_iter}
        return project(state.basis, X), {
            **info,
            "scale": state.scale,
            "depth": state.depth,
        }

    def _by_all_rows(self, state, right):
        X, lengths = np.zeros_like(right), np.linalg.norm(right, axis=0)
        n_iter = np.zeros(right.shape[1], dtype=int)
        live = np.flatnonzero(lengths > 0)
        for _ in range(state.depth):
            missing = right[:, live] - state.operator.matvec(X[:, live])
            residual = np.linalg.norm(missing, axis=0) / lengths[live]
            self._refuse_divergence(state, residual)
            open_ = residual > self.tol
            live, missing = live[open_], missing[:, open_]
            if live.size == 0:
                break
            X[:, live] += missing / state.scale
            n_iter[live] += 1
        return X, n_iter

    def _by_batches(self, state, right):
        rng = check_random_state(self.random_state)
        X, total = np.zeros_like(right), np.zeros_like(right)
        burn_in = state.depth // 2
        for step in range(state.depth):
            batch = state.operator.sampled(self._draw(state.operator, rng))
            missing = right - project(state.basis, batch.matvec(X))
            X += missing / state.scale
            if step % 50 == 0:
                lengths = np.linalg.norm(right, axis=0)
                size = np.linalg.norm(missing, axis=0)
                self._refuse_divergence(state, size / np.where(lengths > 0, lengths, 1))
            if step >= burn_in:
                total += X
        n_iter = np.full(right.shape[1], state.depth)
        return total / (state.depth - burn_in), n_iter

    def _draw(self, operator, rng):
        size = min(self.batch_size, operator.n_rows)
        return rng.choice(operator.n_rows, size, replace=False)

    def _refuse_divergence(self, state, residual):
        if np.all(residual < _DIVERGED):
            return
        raise DivergenceError(
            f"LiSSA diverged: scale={state.scale:.3g} is too small for this Hessian, "
            f"whose largest eigenvalue is about {state.high:.3g}. The series needs a "
            "scale above half of that, with batches well above it. Leave scale=None "
            "to have it set, or use solver='cg', which needs none."
        )


class LiSSAState(SolverState):
    """The operator with the scale and depth of the recursion on it."""

    def __init__(self, operator, random_state):
        self.operator = operator
        self.basis = operator.null_space()
        self.scale = self.depth = None
        rng = check_random_state(random_state)
        values, _ = lanczos(
            operator.matvec, operator.shape[0], _SPECTRUM_STEPS, self.basis, rng
        )
        if values.size == 0:  # all is kernel: any scale serves
            values = np.ones(1)
        # Ritz values: the largest is close from below, the smallest from above.
        self.low, self.high = max(values[0], 0.0), values[-1]

    def eigenvalue_range(self):
        """Rough estimates of the smallest and largest eigenvalue of H on its range."""
        return ConjugateGradientState(self.operator, None).eigenvalue_range()


def _steps_to(tol, rate):
    """Steps after which what shrinks by the rate is below tol, half as many on top."""
    if rate >= 1.0:
        return _MAX_DEPTH
    # A rate of 0 is done at once.
    wanted = np.log(tol) / np.log(rate) if rate > 0 else 0.0
    return int(np.clip(np.ceil(1.5 * wanted), 10, _MAX_DEPTH))


def _batch_noise(operator, solver):
    """What batches add to the scale that keeps the steps' second moment bounded."""
    batch = min(solver.batch_size, operator.n_rows)
    largest = 2.0 * np.max(operator.row_bounds(), initial=0.0)
    return (operator.n_rows - batch) / batch * largest
