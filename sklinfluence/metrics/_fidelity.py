"""How far influences agree with what retraining does."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._estimators import _refit_losses, sliceable
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    validate_params,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.metrics._stability import correlation

_SHARED = {
    "ranker": [HasMethods("influence")],
    "X": ["array-like", "sparse matrix", list],
    "y": ["array-like"],
    "X_test": ["array-like", "sparse matrix", list],
    "y_test": ["array-like"],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
}


@validate_params(
    {**_SHARED, "n_rows": [Interval(Integral, 3, None, closed="left"), None]},
    # The refits validate the estimator's parameters.
    prefer_skip_nested_validation=False,
)
def loo_correlation(
    ranker: Any,
    X: Rows,
    y: ArrayLike,
    X_test: Rows,
    y_test: ArrayLike,
    *,
    n_rows: int | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> NDArray:
    """Correlate influences with what leaving rows out does to each query's loss.

    The ranker's estimator is refitted without each row, and the rise in each query's
    loss (minus log-likelihood, or half squared error) is correlated with the
    influence that the ranker gives the row.

    Leaving one row out changes little: fit to a tight tolerance (``tol=1e-10``), or the
    refits' own noise is what is correlated.

    Parameters
    ----------
    ranker : ranker
        Fitted on X and y, with its model in ``estimator_``.
    X : {array-like, sparse matrix} of shape (n_train, n_features)
        The rows that it was fitted on.
    y : array-like of shape (n_train,)
        Their labels or targets.
    X_test : {array-like, sparse matrix} of shape (n_queries, n_features)
        Queries.
    y_test : array-like of shape (n_queries,)
        Their labels or targets.
    n_rows : int, default=None
        Rows to leave out, drawn at random: as many refits. None: every row.
    random_state : int, RandomState instance or None, default=None
        Draws the rows.
    n_jobs : int, default=None
        Processes that share the refits.

    Returns
    -------
    correlation : ndarray of shape (n_queries,)
        Pearson's; NaN where one side is constant, or a refit's loss is infinite.

    See Also
    --------
    lds : The same with half of the rows at a time.

    References
    ----------
    .. [1] Koh, P. W. and Liang, P. (2017). Understanding black-box predictions via
       influence functions; figure 2.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.metrics import loo_correlation
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ranker = InfluenceRanker(Ridge(), method="newton").fit(X[:60], y[:60])
    >>> loo_correlation(ranker, X[:60], y[:60], X[60:63], y[60:63]).round(2)
    array([1., 1., 1.])
    """
    X, n_train = _check_train(ranker, X)
    rows = np.arange(n_train)
    if n_rows is not None and n_rows < n_train:
        rows = check_random_state(random_state).choice(n_train, n_rows, replace=False)
    influence = np.asarray(ranker.influence(X_test, y_test))[:, rows]
    kept = [np.flatnonzero(np.arange(n_train) != row) for row in rows]
    losses = _refit_losses(ranker, X, y, kept, X_test, y_test, n_jobs)
    return correlation(influence, losses.T)


@validate_params(
    {
        **_SHARED,
        "n_subsets": [Interval(Integral, 3, None, closed="left")],
        "share": [Interval(Real, 0, 1, closed="neither")],
    },
    # The refits validate the estimator's parameters.
    prefer_skip_nested_validation=False,
)
def lds(
    ranker: Any,
    X: Rows,
    y: ArrayLike,
    X_test: Rows,
    y_test: ArrayLike,
    *,
    n_subsets: int = 50,
    share: float = 0.5,
    random_state: RandomState = None,
    n_jobs: int | None = None,
) -> NDArray:
    """Linear datamodeling score: whether influences add up to what subsets do.

    The ranker's estimator is refitted on random subsets of the training rows. For each
    query, its loss after training on a subset is correlated, by ranks, with the sum
    of the influences of the rows left out.

    Parameters
    ----------
    ranker : ranker
        Fitted on X and y, with its model in ``estimator_``.
    X : {array-like, sparse matrix} of shape (n_train, n_features)
        The rows that it was fitted on.
    y : array-like of shape (n_train,)
        Their labels or targets.
    X_test : {array-like, sparse matrix} of shape (n_queries, n_features)
        Queries.
    y_test : array-like of shape (n_queries,)
        Their labels or targets.
    n_subsets : int, default=50
        As many refits.
    share : float in (0, 1), default=0.5
        Share of the rows in each subset.
    random_state : int, RandomState instance or None, default=None
        Draws the subsets.
    n_jobs : int, default=None
        Processes that share the refits.

    Returns
    -------
    score : ndarray of shape (n_queries,)
        Spearman's correlation over subsets. Its mean is what papers report.

    See Also
    --------
    loo_correlation : The same, one row at a time.

    References
    ----------
    .. [1] Park, S. M. et al. (2023). TRAK: attributing model behavior at scale.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.metrics import lds
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ranker = InfluenceRanker(Ridge()).fit(X[:300], y[:300])
    >>> score = lds(ranker, X[:300], y[:300], X[300:], y[300:], random_state=0)
    >>> bool(score.mean() > 0.8)
    True
    """
    X, n_train = _check_train(ranker, X)
    rng = check_random_state(random_state)
    size = max(1, round(share * n_train))
    kept = [np.sort(rng.choice(n_train, size, replace=False)) for _ in range(n_subsets)]
    is_left_out = np.ones((n_subsets, n_train))
    for row, rows in zip(is_left_out, kept, strict=True):
        row[rows] = 0.0
    predicted = np.asarray(ranker.influence(X_test, y_test)) @ is_left_out.T
    losses = _refit_losses(ranker, X, y, kept, X_test, y_test, n_jobs)
    return correlation(rankdata(predicted, axis=1), rankdata(losses.T, axis=1))


def _check_train(ranker, X):
    check_is_fitted(ranker, "estimator_")
    X = sliceable(X)
    n_train, n_fitted = _num_samples(X), len(ranker.self_influence_)
    if n_train != n_fitted:
        raise ValueError(
            f"X has {n_train} rows, the ranker was fitted on {n_fitted}: pass the rows "
            "that it was fitted on."
        )
    return X, n_train
