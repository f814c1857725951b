"""The inverse Hessian on its dominant eigenvectors, by Arnoldi's iteration."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from sklinfluence._sklearn_compat import Interval, StrOptions
from sklinfluence._typing import RandomState
from sklinfluence.curvature._solvers._approximate import ApproximateSolver
from sklinfluence.curvature._solvers._krylov import lanczos
from sklinfluence.curvature._solvers._low_rank import LowRankInverse
from sklinfluence.curvature._solvers._range import (
    SINGULAR_MESSAGE,
    SingularHessianError,
)


class Arnoldi(ApproximateSolver):
    """Inverse Hessian from its dominant eigenpairs.

    Arnoldi's iteration (Lanczos' form of it, the Hessian being symmetric) finds the
    dominant eigenpairs; on them the inverse is exact. The published method drops all
    other directions, which are those where the inverse is largest. By default they
    are kept, as if H were one multiple of the identity there.

    Parameters
    ----------
    rank : int, default=200
        Eigenpairs to keep; no more than there are parameters. With all of them the
        inverse is exact.
    n_iter : int, default=None
        Steps of the iteration, one product with H each; at least ``rank``. None:
        twice the rank.
    tail : {"identity"} or None, default="identity"
        What H is taken for beside the kept eigenvectors: a multiple of the identity
        with the trace that is left, or (None) nothing at all, as published.
    random_state : int, RandomState instance or None, default=0
        Seeds the direction that the iteration starts from.

    See Also
    --------
    ConjugateGradient : Solves to a tolerance at a similar cost.
    Nystrom : Finds dominant directions from a sketch in one pass.

    References
    ----------
    .. [1] Schioppa, A., Zablotskaia, P., Vilar, D. and Sokolov, A. (2022). Scaling up
       influence functions.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 5.1.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.curvature import Arnoldi
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_digits(return_X_y=True)
    >>> ranker = InfluenceRanker(solver=Arnoldi(rank=50)).fit(X[:500] / 16, y[:500])
    >>> ranker.influence(X[500:503] / 16, y[500:503]).shape
    (3, 500)
    """

    _parameter_constraints: dict = {
        "rank": [Interval(Integral, 1, None, closed="left")],
        "n_iter": [Interval(Integral, 1, None, closed="left"), None],
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
        n_iter: int | None = None,
        tail: Literal["identity"] | None = "identity",
        random_state: RandomState = 0,
    ) -> None:
        self.rank = rank
        self.n_iter = n_iter
        self.tail = tail
        self.random_state = random_state

    def init(self, operator: Any) -> Any:
        """Find the dominant eigenpairs.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.
        """
        self._validate_params()
        n_iter = 2 * self.rank if self.n_iter is None else self.n_iter
        if n_iter < self.rank:
            raise ValueError(
                f"n_iter={n_iter} steps find at most {n_iter} eigenpairs; rank="
                f"{self.rank} were asked for. Raise n_iter or lower rank."
            )
        size, basis = operator.shape[0], operator.null_space()
        values, vectors = lanczos(
            operator.matvec, size, n_iter, basis, check_random_state(self.random_state)
        )
        values, vectors = values[-self.rank :], vectors[:, -self.rank :]
        floor = size * np.finfo(float).eps * values.max(initial=0.0)
        sound = values > floor
        values, vectors = values[sound], vectors[:, sound]
        tail = 0.0
        n_left = size - basis.shape[1] - len(values)
        if self.tail == "identity" and n_left > 0:
            # Eigenvalues beside the kept ones are smaller than each of them.
            if values.size == 0:
                detail = " (no eigenvalue is above 0)"
                raise SingularHessianError(SINGULAR_MESSAGE.format(detail=detail))
            mean = (operator.trace() - values.sum()) / n_left
            tail = 1.0 / np.clip(mean, floor, values[0])
        state = LowRankInverse(
            operator, np.full(size, tail), vectors, 1.0 / values - tail
        )
        state.has_exact_rows = n_left == 0
        return state
