"""Consistency: how surely models of subsets predict a row that they did not see."""

from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils import Bunch, check_consistent_length, check_random_state

from sklinfluence._estimators import (
    default_estimator,
    encode_values,
    takeable,
    takes_classes,
)
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    _safe_indexing,
    validate_params,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.retraining._retraining_valuer import fix_random_states
from sklinfluence.retraining._units import generator
from sklinfluence.retraining._utility import Utility, one_thread


@validate_params(
    {
        "estimator": [HasMethods("fit"), None],
        "shares": ["array-like"],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,
)
def consistency_score(
    estimator: Any,
    X: Rows,
    y: ArrayLike,
    *,
    shares: ArrayLike = (0.1, 0.3, 0.5, 0.7, 0.9),
    n_repeats: int = 50,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> Any:
    r"""How often models trained without a row predict its label, by training size.

    For every size, models are trained on random subsets and asked about the rows that
    they did not see. The mean over sizes is the consistency score (C-score): low for
    rows that only memorization can get right.

    Parameters
    ----------
    estimator : estimator or None
        Any classifier or regressor; it is cloned. None: ``LogisticRegression()`` for
        class targets, ``Ridge()`` for real ones.
    X : array-like of shape (n_rows, n_features)
        Rows, in any form that the estimator takes.
    y : array-like of shape (n_rows,)
        Class labels or real targets.
    shares : array-like of shape (n_shares,), default=(0.1, 0.3, 0.5, 0.7, 0.9)
        Sizes of the subsets, as shares of the rows.
    n_repeats : int, default=50
        Subsets of each size.
    n_jobs : int, default=None
        Processes that share the fits. The result does not depend on it. None means 1
        unless in a :func:`joblib.parallel_config` context.
    random_state : int, RandomState instance or None, default=None
        Seeds the subsets and the estimator's own ``random_state``.

    Returns
    -------
    result : Bunch
        ``score`` of shape (n_rows,), the mean of ``profile`` of shape (n_shares,
        n_rows): share of right predictions, or minus the mean squared error for real
        targets; NaN where a row was in every subset. ``shares``.

    Raises
    ------
    ValueError
        If a share leaves no row in, or none out, or y is out of range.

    References
    ----------
    .. [1] Jiang, Z., Zhang, C., Talwar, K. and Mozer, M. C. (2021). Characterizing
       structural regularities of labeled data in overparameterized models.
    .. [2] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", equations 15 and 16.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import consistency_score
    >>> X, y = load_iris(return_X_y=True)
    >>> result = consistency_score(None, X, y, n_repeats=5, random_state=0)
    >>> result.profile.shape
    (5, 150)
    """
    check_consistent_length(X, y)
    X, y = takeable(X), np.asarray(y)
    estimator = default_estimator(y) if estimator is None else clone(estimator)
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    fix_random_states(estimator, seed)
    classes = np.unique(y) if takes_classes(estimator, y) else None
    y = encode_values(y, 1)[:, 0] if classes is None else y
    sizes = [_size(share, len(y)) for share in shares]
    players = tuple(np.arange(len(y))[:, None])
    utility = Utility.of_training(estimator, X, y, None, players, classes)
    sizes_of_each = np.repeat(sizes, n_repeats)
    orders = (generator(seed, k).permutation(len(y)) for k in range(len(sizes_of_each)))
    out_of_sample = partial(_out_of_sample, utility)
    found = map_fits(out_of_sample, orders, sizes_of_each, n_jobs=n_jobs)
    profile = np.zeros((len(sizes), len(y)))
    count = np.zeros((len(sizes), len(y)), dtype=int)
    for k, (rows, scores) in enumerate(found):
        profile[k // n_repeats, rows] += scores
        count[k // n_repeats, rows] += 1
    nan = np.full(profile.shape, np.nan)
    profile = np.divide(profile, count, out=nan, where=count > 0)
    return Bunch(score=profile.mean(axis=0), profile=profile, shares=np.array(shares))


def _size(share, n_rows):
    size = round(share * n_rows) if isinstance(share, Real) else 0
    if not 1 <= size < n_rows:
        raise ValueError(
            f"shares: {share!r} of {n_rows} rows leaves no row in the subset, or none "
            "out of it. Use numbers between 0 and 1."
        )
    return size


def _fitted(utility, rows):
    try:
        return utility.fitted(rows)
    except Exception as error:
        raise ValueError(
            f"{type(utility.estimator).__name__} cannot be fitted on {len(rows)} of "
            f"the rows of X: {error}"
        ) from error


def _out_of_sample(utility, order, size):
    """(rows that a model did not see, its scores of them)."""
    out = np.sort(order[size:])
    with one_thread(), config_context(assume_finite=True):
        said = _fitted(utility, order[:size]).predict(_safe_indexing(utility.X, out))
    if utility.classes is not None:
        return out, (said == utility.y[out]).astype(float)
    return out, -((np.asarray(said, dtype=float) - utility.y[out]) ** 2)
