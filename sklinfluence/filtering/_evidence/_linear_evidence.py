"""Leave-one-out answers of plain linear heads, where they are honest and cheap."""

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)

from sklinfluence._estimators import fit_weighted
from sklinfluence.filtering._evidence._label_models import MAX_MEAN_LEVERAGE
from sklinfluence.filtering._evidence._steps import see_targets, split_steps
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.heads import linear_head

# All that was learnt from y is the head. A search over penalties has chosen one by the
# labels, a network its last hidden layer; an l1 penalty chooses columns.
_PLAIN = (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
# Of the head: the time to factor its Hessian grows with the cube. Above, some folds
# take less.
MAX_PARAMETERS = 3000


def leave_one_out_ranker(estimator, rows):
    """The ranker whose leave-one-out answers are an estimator's evidence.

    Parameters
    ----------
    estimator : estimator
    rows : TrainingRows

    Returns
    -------
    ranker : InfluenceRanker or None
        Unfitted, around a fitted classifier or an unfitted regressor. None: not all
        that the estimator learns from y is a linear head, or its classes' head is so
        free that a step of leaving a row out says little.
    """
    model = _with_plain_head(estimator, rows)
    if model is None or not is_classifier(estimator):
        return None if model is None else InfluenceRanker(estimator)
    ranker = InfluenceRanker(FrozenEstimator(model))
    fitted = clone(ranker).fit(rows.X, rows.y, rows.sample_weight)
    leverage, copies = fitted.leverage_, rows.copies
    leverage = leverage if copies is None else copies.total(leverage)
    is_free = np.nanmean(leverage) > MAX_MEAN_LEVERAGE
    return None if is_free else ranker


def _with_plain_head(estimator, rows):
    """A fitted clone, where all that it learns from y is a linear head; else None."""
    X, y, weight = rows.X, rows.y, rows.sample_weight
    steps, last = split_steps(estimator)
    if type(last) not in _PLAIN or see_targets(steps, X, y):
        return None
    model = fit_weighted(clone(estimator), X, y, weight)
    try:
        head = linear_head(model, y, weight)
    except (TypeError, ValueError):  # another loss or penalty than heads know
        return None
    is_large = head.penalty.size > MAX_PARAMETERS
    return None if head.l1 is not None or is_large else model
