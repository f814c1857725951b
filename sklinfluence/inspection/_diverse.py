"""DIVINE: training rows that are influential and unlike one another."""

import heapq
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import check_count
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    validate_params,
)
from sklinfluence._typing import Rows

KINDS = ("sum_redundancy", "facility_location", "mmd")


@validate_params(
    {
        "ranker": [HasMethods("fit")],
        # An int from 1 to the number of training rows: checked against them.
        "n": "no_validation",
        "kind": [StrOptions(set(KINDS))],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "importance": ["array-like", None],
        "X": ["array-like", "sparse matrix", None],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), None],
    },
    prefer_skip_nested_validation=True,
)
def select_diverse(
    ranker: Any,
    n: int,
    *,
    kind: Literal["sum_redundancy", "facility_location", "mmd"] = "sum_redundancy",
    gamma: float = 1.0,
    importance: ArrayLike | None = None,
    X: Rows | None = None,
    bandwidth: float | None = None,
) -> NDArray:
    """Choose training rows that are influential and unlike one another.

    Grows a set S greedily towards the largest I(S) + gamma R(S), I(S) being the sum of
    the rows' importance and R(S) a measure of diversity in a radial basis function
    kernel phi:

    - "sum_redundancy": minus the sum of phi over all pairs of S, plus that over all
      pairs of training rows;
    - "facility_location": the sum over training rows of their largest phi with a row
      of S;
    - "mmd": 2 / (n_train m) sum of phi between training rows and S, minus 1 / m^2 sum
      of phi over all pairs of S, m being the size of S.

    Read more in the :ref:`User Guide <groups_and_bounds>`.

    Parameters
    ----------
    ranker : ranker
        Fitted.
    n : int
        Rows to choose.
    kind : {"sum_redundancy", "facility_location", "mmd"}, default="sum_redundancy"
        R(S).
    gamma : float, default=1.0
        Weight of diversity, in the unit of importance: R of "sum_redundancy" grows
        with the square of n, of "facility_location" with the training rows, and "mmd"
        is at most 2. At 0 the n most important rows are chosen.
    importance : array-like of shape (n_train,), default=None
        What each row adds to I(S): for instance ``ranker.mean_influence(X, y)``.
        None: ``ranker.self_influence_``. NaN counts as the largest.
    X : {array-like, sparse matrix} of shape (n_train, n_features), default=None
        Rows that the kernel compares. None: the ranker's embedding of the training
        rows.
    bandwidth : float, default=None
        phi(u, v) is exp(-d^2 / (2 bandwidth^2)), d being the distance of u and v. None:
        such that 2 bandwidth^2 is the number of columns times the variance of X,
        scikit-learn's "scale".

    Returns
    -------
    index : ndarray of shape (n,)
        Training rows, in the order chosen.

    Notes
    -----
    "facility_location" is submodular, so the gains of rows only shrink: it is
    maximised by lazy greedy, which recomputes the gain of a row only once it leads. No
    more than a block of the kernel is ever in memory.

    References
    ----------
    .. [1] Bhatt, U., Chien, I., Zafar, M. B. and Weller, A. (2021). DIVINE: diverse
       influential training points for data visualization and model refinement.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.inspection import select_diverse
    >>> X, y = load_digits(return_X_y=True)
    >>> ranker = InfluenceRanker().fit(X[:500] / 16, y[:500])
    >>> top = select_diverse(ranker, 5, gamma=0)
    >>> bool((ranker.ranking_[top] == [1, 2, 3, 4, 5]).all())
    True
    >>> select_diverse(ranker, 5, kind="facility_location", gamma=0.1).shape
    (5,)
    """
    check_is_fitted(ranker)
    importance = _importance(ranker, importance)
    n_train = len(importance)
    check_count(n, "n", n_train)
    if gamma == 0:
        return np.argsort(-importance, kind="stable")[:n]
    kernel = Kernel(_rows(ranker, X, n_train), bandwidth)
    if kind == "facility_location":
        return lazy_greedy(importance, kernel, n, gamma)
    return plain_greedy(importance, kernel, n, gamma, kind)


def _importance(ranker, importance):
    if importance is None:
        importance = ranker.self_influence_
    if isinstance(importance, dict):
        raise ValueError("importance must hold one number a training row, not a dict.")
    importance = check_array(
        importance,
        ensure_2d=False,
        dtype=float,
        ensure_all_finite=False,
        ensure_min_samples=0,
        input_name="importance",
    )
    # A ranker may be unable to say its self-influence: that is what importance is for.
    n_train = ranker.n_train_
    if importance.shape != (n_train,):
        raise ValueError(
            f"importance must hold one value for each of the {n_train} training rows, "
            f"got {importance.shape}."
        )
    # Rows of leverage 1 come first, yet may not turn every sum into inf.
    known = importance[np.isfinite(importance)]
    top = 1.0 + np.max(np.abs(known), initial=1.0)
    return np.nan_to_num(importance, nan=2 * top, posinf=2 * top, neginf=-2 * top)


def _rows(ranker, X, n_train):
    if X is None and not hasattr(ranker, "reading_"):
        raise ValueError(
            f"{type(ranker).__name__} has no embedding of its training rows: pass X."
        )
    if X is None:
        return ranker.reading_.fitted.objective.design.X
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
    if X.shape[0] != n_train:
        raise ValueError(f"X has {X.shape[0]} rows; there are {n_train} training rows.")
    return X


class Kernel:
    """A radial basis function kernel between training rows, a column or block at once.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_rows, n_features)
    bandwidth : float or None
    """

    def __init__(self, X, bandwidth):
        self.X = X
        self.n_rows = X.shape[0]
        self.width = 2 * bandwidth**2 if bandwidth else X.shape[1] * _variance(X)

    def columns(self, index):
        """phi between all rows and the chosen ones, (n_rows, n_chosen)."""
        distance = euclidean_distances(self.X, self.X[index], squared=True)
        return np.exp(-np.asarray(distance, dtype=float) / (self.width or 1.0))

    def totals(self):
        """Sum of each row of phi, (n_rows,)."""
        total = np.empty(self.n_rows)
        for block in block_slices(self.n_rows, 3 * self.n_rows):
            total[block] = self.columns(block).sum(axis=0)
        return total


def _variance(X):
    if not sparse.issparse(X):
        return float(np.var(X))
    return float(X.multiply(X).mean() - X.mean() ** 2)


def plain_greedy(importance, kernel, n, gamma, kind):
    """Greedy for R whose gains follow from the sums of phi with S."""
    with_all = kernel.totals() if kind == "mmd" else None
    with_chosen, pairs = np.zeros(len(importance)), 0.0
    chosen = []
    free = np.ones(len(importance), dtype=bool)
    for size in range(1, n + 1):
        # Pairs (u, v) in S are counted both ways, (u, u) once; phi(u, u) is 1.
        grown = pairs + 2 * with_chosen + 1.0
        if kind == "mmd":
            attraction = with_all[chosen].sum() + with_all
            value = 2 * attraction / (len(importance) * size) - grown / size**2
        else:
            value = -grown
        best = int(np.argmax(np.where(free, importance + gamma * value, -np.inf)))
        chosen.append(best)
        free[best] = False
        pairs = grown[best]
        with_chosen += kernel.columns([best])[:, 0]
    return np.array(chosen)


def lazy_greedy(importance, kernel, n, gamma):
    """Greedy for facility location, gains recomputed only where they may lead."""
    covered = np.zeros(len(importance))
    # With nothing covered a row's gain is its sum of phi; later gains are smaller.
    gains = importance + gamma * kernel.totals()
    heap = [(-gain, row, 0) for row, gain in enumerate(gains)]
    heapq.heapify(heap)
    chosen = []
    while len(chosen) < n:
        _, row, computed_at = heapq.heappop(heap)
        column = kernel.columns([row])[:, 0]
        if computed_at == len(chosen):
            chosen.append(row)
            covered = np.maximum(covered, column)
        else:
            gain = np.maximum(column - covered, 0.0).sum()
            entry = (-(importance[row] + gamma * gain), row, len(chosen))
            heapq.heappush(heap, entry)
    return np.array(chosen)
