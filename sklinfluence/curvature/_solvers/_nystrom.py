"""The inverse Hessian from a randomised sketch of it."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from sklinfluence._sklearn_compat import Interval, StrOptions
from sklinfluence._typing import RandomState
from sklinfluence.curvature._solvers._approximate import ApproximateSolver
from sklinfluence.curvature._solvers._low_rank import LowRankInverse


class Nystrom(ApproximateSolver):
    """Inverse Hessian from a Nyström sketch of the rows' part and the exact penalty.

    The rows' part of H is replaced by its Nyström approximation on random directions,
    all of them in one pass over the rows; the penalty and the damping stay as they
    are. Unpenalised intercepts are among the directions, so that they are exact.

    Parameters
    ----------
    rank : int, default=200
        Random directions; no more than there are parameters.
    tail : {"identity"} or None, default="identity"
        What the rows' part is taken for beside the sketch: a multiple of the identity
        with the trace that is left, or (None) nothing at all. Without a penalty,
        damping or tail the directions beside the sketch are left out.
    random_state : int, RandomState instance or None, default=0
        Seeds the directions.

    See Also
    --------
    Arnoldi : Dominant eigenpairs, one pass each, and closer.
    ConjugateGradient : Solves to a tolerance; ``preconditioner="nystrom"``.

    References
    ----------
    .. [1] Frangella, Z., Tropp, J. A. and Udell, M. (2023). Randomized Nyström
       preconditioning.
    .. [2] Hataya, R. and Yamada, M. (2023). Nyström method for accurate and scalable
       implicit differentiation.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.curvature import Nystrom
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_digits(return_X_y=True)
    >>> ranker = InfluenceRanker(solver=Nystrom(rank=100)).fit(X[:500] / 16, y[:500])
    >>> ranker.solver_info_["residual"].shape
    (64,)
    """

    _parameter_constraints: dict = {
        "rank": [Interval(Integral, 1, None, closed="left")],
        "tail": [StrOptions({"identity"}), None],
        "random_state": ["random_state"],
    }

    remedy = (
        "Raise its rank, penalise the estimator more, set damping above 0 or use "
        "solver='cg'."
    )

    def __init__(
        self,
        *,
        rank: int = 200,
        tail: Literal["identity"] | None = "identity",
        random_state: RandomState = 0,
    ) -> None:
        self.rank = rank
        self.tail = tail
        self.random_state = random_state

    def init(self, operator: Any) -> Any:
        """Sketch the Hessian.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.
        """
        self._validate_params()
        size = operator.shape[0]
        terms = operator.diagonal_terms.ravel()
        free = _free_intercepts(operator, terms)
        directions = _directions(
            size, min(self.rank, size), free, check_random_state(self.random_state)
        )
        sketch = _sketch(operator, terms, directions)
        exact = terms.copy()
        if self.tail == "identity" and directions.shape[1] < size:
            left = operator.trace() - terms.sum() - np.sum(sketch**2)
            exact += max(left, 0.0) / size
        state = _invert(operator, exact, sketch, free)
        state.has_exact_rows = directions.shape[1] == size
        return state


def _free_intercepts(operator, terms):
    """Positions of intercepts without a penalty, unless most parameters are such."""
    K, q = operator.n_outputs, operator.n_columns
    design = operator.design
    if design is None or not design.fit_intercept or q == 1:
        return np.zeros(0, dtype=int)
    last = np.arange(1, K + 1) * q - 1
    return last[terms[last] == 0]


def _directions(size, rank, free, rng):
    """Orthonormal random directions and the unit vectors at ``free``."""
    directions = rng.standard_normal((size, max(rank - len(free), 0)))
    directions[free] = 0.0
    directions = np.linalg.qr(directions)[0]
    units = np.zeros((size, len(free)))
    units[free, np.arange(len(free))] = 1.0
    return np.hstack([directions, units])


def _sketch(operator, terms, directions):
    """F with F F^T the Nyström approximation of the rows' part of H."""
    image = operator.matvec(directions) - terms[:, None] * directions
    core = directions.T @ image
    values, vectors = np.linalg.eigh(0.5 * (core + core.T))
    kept = values > len(values) * 1e-13 * values[-1]
    return (image @ vectors[:, kept]) / np.sqrt(values[kept])


def _invert(operator, exact, sketch, free):
    """Pseudo-inverse of F F^T + diag(exact), 0 instead of exact at free intercepts."""
    if not exact.any():
        # What is small beside the largest was left out of the sketch.
        vectors, scale, _ = np.linalg.svd(sketch, full_matrices=False)
        return LowRankInverse(operator, np.zeros(len(exact)), vectors, scale**-2.0)
    # A free intercept is lent its own curvature as a scale, and gives it back below.
    lent = np.sum(sketch[free] ** 2, axis=1)
    exact = exact.copy()
    exact[free] = np.where(lent > 0, lent, 1.0)
    exact[exact <= 0] = exact[exact > 0].min()
    units = np.zeros((len(exact), len(free)))
    units[free, np.arange(len(free))] = 1.0
    root = np.sqrt(exact)[:, None]
    beside = np.hstack([sketch / root, units])
    signs = np.concatenate([np.ones(sketch.shape[1]), -np.ones(len(free))])
    Q, R = np.linalg.qr(beside)
    values, inner = np.linalg.eigh((R * signs) @ R.T)
    # I + Q values Q^T: zero, but for rounding, where the kernel is.
    total = 1.0 + values
    kernel = total < 1e-10
    inverse = np.where(kernel, 0.0, 1.0 / np.where(kernel, 1.0, total))
    return LowRankInverse(operator, 1.0 / exact, (Q @ inner) / root, inverse - 1.0)
