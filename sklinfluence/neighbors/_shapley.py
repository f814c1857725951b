"""KNNShapleyRanker: exact Shapley values of a nearest-neighbours model."""

from collections.abc import Callable
from numbers import Real
from typing import Any, Literal

import numpy as np

from sklinfluence._sklearn_compat import Interval
from sklinfluence.neighbors._ranker import PARAMETERS, NeighborsRanker
from sklinfluence.neighbors._values import (
    hard_shapley,
    radius_shapley,
    regression_shapley,
    soft_shapley,
)


class KNNShapleyRanker(NeighborsRanker):
    r"""Shapley values of training rows to a vote of nearest neighbours, exact.

    The Shapley value of a row is its mean gain over all subsets of the other rows.
    For a nearest-neighbours model it has a closed form in the order of the rows'
    distances, so that all values cost one sort a query. With an embedding in front it
    values rows for other models too.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that vote, K.
    utility : {"soft", "hard", "threshold"}, default="soft"
        What a set of rows is worth to a query, by the share of its label in the vote.
        "soft": the mean match of the nearest K of the set, 1 / n_classes for no row;
        "hard": their sum over K, 0 for no row; "threshold": the mean match of all
        rows within ``radius``. Real targets have one utility, minus the squared error
        of the sum over K.
    radius : float, default=None
        Of ``utility="threshold"``.
    metric : str or callable, default="euclidean"
        Any that :func:`sklearn.metrics.pairwise_distances` knows.
    metric_params : dict, default=None
        Further arguments of the metric.
    tol : float, default=0.0
        Values may be off by this much: only as many nearest rows are looked at as the
        bound of the utility needs, max(K, 1 / tol) for "hard", and farther ones are
        worth 0. The values then sum no longer to the utility of all rows. Real
        targets: relative to the largest squared target. Not for "threshold".
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
        Mean value of each row to the validation rows, in the utility's units (shares
        of a vote; squared target units): higher for a row that is better to have.
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
    KNNLeaveOneOutRanker : What a row is worth to all the others.

    Notes
    -----
    ``influence(X, y)[j, i]`` is row i's Shapley value to query j, positive for a row
    that helps it, in the utility's units and not the loss's. Without targets it is the
    row's share in the prediction itself (regression), or its value to the label
    predicted. Equally distant rows are taken in their order.

    A Pipeline puts an embedding in front; validation rows pass through it with
    ``Pipeline(steps, transform_input=["X_val"])`` and metadata routing.

    References
    ----------
    .. [1] Jia, R. et al. (2019). Efficient task-specific data valuation for nearest
       neighbor algorithms. Theorems 1 and 6.
    .. [2] Wang, J. T. and Jia, R. (2023). A note on "Efficient task-specific data
       valuation for nearest neighbor algorithms".
    .. [3] Wang, J. T., Zhu, Y., Wang, Y.-X., Jia, R. and Mittal, P. (2023).
       Threshold KNN-Shapley.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.datasets import flip_labels
    >>> from sklinfluence.neighbors import KNNShapleyRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> y_noisy, is_flipped = flip_labels(y, 0.1, random_state=0)
    >>> ranker = KNNShapleyRanker().fit(X, y_noisy, X_val=X, y_val=y)
    >>> bool(is_flipped[ranker.ranking_ <= 10].all())
    True
    """

    _parameter_constraints: dict = {
        **PARAMETERS,
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        utility: Literal["soft", "hard", "threshold"] = "soft",
        radius: float | None = None,
        metric: str | Callable = "euclidean",
        metric_params: dict | None = None,
        tol: float = 0.0,
        cv: Any = None,
        n_influences: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.utility = utility
        self.radius = radius
        self.metric = metric
        self.metric_params = metric_params
        self.tol = tol
        self.cv = cv
        self.n_influences = n_influences
        self.n_jobs = n_jobs

    def _check_options(self, classes, weights):
        super()._check_options(classes, weights)
        if self.utility == "threshold" and self.tol:
            raise ValueError(
                f"tol={self.tol!r} cuts a sorted list short, and utility='threshold' "
                "sorts nothing: leave tol=0."
            )

    def _n_nearest(self, n_rows):
        K, tol = self.n_neighbors, self.tol
        if not tol or self.utility == "threshold":
            return n_rows
        if not hasattr(self, "classes_"):
            # |s_i| <= 8 Y^2 / i, and 2 Y^2 / t for the pairs with rows left out.
            return max(K, int(np.ceil(10 / tol)))
        if self.utility == "hard":
            return max(K, int(np.ceil(1 / tol)))
        # Of means, the value of one row has a part that no cut removes.
        harmonic = np.sum(1.0 / np.arange(1, K + 1))
        left = tol - (2 * harmonic - 1) / max(n_rows - 1, 1)
        return max(K, int(np.ceil(1 / left))) if left > 0 else n_rows

    def _worth(self, game, brings, asked, inside):
        n, K = game.n_players, self.n_neighbors
        if inside is not None:
            return radius_shapley(brings, inside, game.empty)
        if not game.is_classification and asked is not None:
            return regression_shapley(brings, asked, n, K)
        if game.is_classification and self.utility == "soft":
            return soft_shapley(brings, n, K, game.empty)
        return hard_shapley(brings, n, K)
