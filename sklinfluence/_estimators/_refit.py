"""Refits on some of the training rows, and the losses of queries under them."""

from functools import partial

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import check_array, column_or_1d

from sklinfluence._estimators._ask import interruptible
from sklinfluence._messages import shown
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import (
    _safe_indexing,
)


def _refit_losses(ranker, X, y, kept, X_test, y_test, n_jobs):
    """Query losses of the estimator refitted on each set of rows."""
    loss = partial(_loss_after, ranker.estimator_, X, y, X_test, y_test)
    return np.array(map_fits(loss, kept, n_jobs=n_jobs))


def _loss_after(estimator, X, y, X_test, y_test, rows):
    model = clone(estimator)
    with interruptible(model):
        model = model.fit(_safe_indexing(X, rows), _safe_indexing(y, rows))
    return query_losses(model, X_test, np.asarray(y_test))


def query_losses(model, X, y):
    """Minus log-likelihood of labels, or half squared error of targets."""
    if is_classifier(model) and hasattr(model, "predict_log_proba"):
        log_proba = model.predict_log_proba(X)
        y = column_or_1d(y)
        place = {label: k for k, label in enumerate(model.classes_.tolist())}
        missing = sorted(set(y.tolist()) - set(place))
        if missing:
            raise ValueError(
                f"A refit has not seen the class(es) {shown(missing)} of the queries: "
                "leave fewer rows out."
            )
        columns = [place[label] for label in y.tolist()]
        return -log_proba[np.arange(len(columns)), columns]
    if is_regressor(model):
        y = check_array(y, ensure_2d=False, dtype=float, input_name="y_test")
        error = np.asarray(model.predict(X), dtype=float) - y
        return 0.5 * np.sum(error.reshape(len(error), -1) ** 2, axis=1)
    raise TypeError(
        f"{type(model).__name__} gives neither class probabilities nor real "
        "predictions: there is no loss to compare influences with."
    )
