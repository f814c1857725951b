"""KNNLeaveOneOutRanker: a nearest-neighbours model without each of its rows."""

from collections.abc import Callable
from typing import Any, Literal

from sklinfluence.neighbors._ranker import PARAMETERS, NeighborsRanker
from sklinfluence.neighbors._values import (
    leave_one_out,
    radius_leave_one_out,
    regression_leave_one_out,
)


class KNNLeaveOneOutRanker(NeighborsRanker):
    """What leaving a row out takes from a vote of nearest neighbours, exact.

    Only the nearest K rows of a query are worth anything to it: without one of them
    the next one votes in its place.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that vote, K.
    utility : {"soft", "hard", "threshold"}, default="soft"
        What a set of rows is worth to a query: as in :class:`KNNShapleyRanker`. "soft"
        and "hard" differ where there are no more than K rows.
    radius : float, default=None
        Of ``utility="threshold"``.
    metric : str or callable, default="euclidean"
        Any that :func:`sklearn.metrics.pairwise_distances` knows.
    metric_params : dict, default=None
        Further arguments of the metric.
    cv : int, cross-validation generator or iterable, default=None
        Folds where ``fit`` is given no validation set: each row is valued by the rows
        held out of the folds that train on it. None: 5 folds, stratified for classes
        in order of the rows.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    n_jobs : int, default=None
        Threads that share the queries. None means 1 unless in a
        :func:`joblib.parallel_config` context.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Mean value of each row to the validation rows, in the utility's units: higher
        for a row that is better to have.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the lowest value.
    estimator_ : estimator
        The nearest-neighbours model of all rows.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    n_train_ : int
        Number of training rows.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    KNNShapleyRanker : The mean gain over all subsets of the other rows.

    Notes
    -----
    Most rows are nearest to no query and worth 0: with few validation rows, or large
    K, the Shapley value tells more of them apart.

    References
    ----------
    .. [1] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", equation 8.
    .. [2] Jia, R. et al. (2019). Efficient task-specific data valuation for nearest
       neighbor algorithms.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.neighbors import KNNLeaveOneOutRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = KNNLeaveOneOutRanker(n_neighbors=3).fit(X[::2], y[::2])
    >>> influence = ranker.influence(X[1::2], y[1::2])
    >>> int((influence != 0).sum(axis=1).max()) <= 3
    True
    """

    _parameter_constraints: dict = {**PARAMETERS}

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        utility: Literal["soft", "hard", "threshold"] = "soft",
        radius: float | None = None,
        metric: str | Callable = "euclidean",
        metric_params: dict | None = None,
        cv: Any = None,
        n_influences: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.utility = utility
        self.radius = radius
        self.metric = metric
        self.metric_params = metric_params
        self.cv = cv
        self.n_influences = n_influences
        self.n_jobs = n_jobs

    def _n_nearest(self, n_rows):
        return n_rows if self.utility == "threshold" else self.n_neighbors + 1

    def _worth(self, game, brings, asked, inside):
        n, K = game.n_players, self.n_neighbors
        if inside is not None:
            return radius_leave_one_out(brings, inside, game.empty)
        if not game.is_classification and asked is not None:
            return regression_leave_one_out(brings, asked, n, K)
        is_mean = game.is_classification and self.utility == "soft"
        return leave_one_out(brings, n, K, is_mean=is_mean, empty=game.empty)
