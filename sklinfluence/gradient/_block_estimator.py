"""Estimators whose training rows are on a cluster: fitted ones, and those fitted here.

dask-glm and dask-ml are dormant. What is convex and smooth, Newton's method on the
distributed objective fits, which a ranker needs in any case.
"""

from copy import copy

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import (
    are_classes,
    refuse_missing_labels,
    refuse_unlike_labels,
)
from sklinfluence._source import row_source

_READ = (
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
    LinearRegression,
    RidgeClassifier,
    RidgeClassifierCV,
)
_FITTED = (LogisticRegression, Ridge, LinearRegression, RidgeClassifier)
_CLASSIFIERS = (
    LogisticRegression,
    LogisticRegressionCV,
    RidgeClassifier,
    RidgeClassifierCV,
)
_SEARCHES = (GridSearchCV, RandomizedSearchCV)


def is_fresh(estimator):
    """Whether the parameter ``estimator`` is yet to be fitted."""
    return not isinstance(estimator, FrozenEstimator)


def block_estimator(ranker, source):
    """The estimator of a ranker: a fitted one, or one with its parameters at zero.

    Raises
    ------
    TypeError
        If it is none that is read, or fitted, on a dask array.
    """
    given = ranker.estimator
    if given is None:
        given = _default(source)
    if not is_fresh(given):
        last = last_of(given)
        _refuse_unless(type(last) in _READ, last, "read", _READ)
        check_is_fitted(last, ["coef_", "intercept_"])
        return clone(given)
    fitted = "fitted (and frozen: FrozenEstimator(model)), or, unfitted,"
    _refuse_unless(type(given) in _FITTED, given, fitted, _FITTED)
    estimator = clone(given)
    estimator._validate_params()
    return _at_zero(estimator, source)


def _refuse_unless(is_known, estimator, what, known):
    if is_known:
        return
    names = ", ".join(kind.__name__ for kind in known)
    raise TypeError(
        f"{type(estimator).__name__} is no estimator that is taken with a dask array. "
        f"What is taken is {what} {names}. Fit it on rows in memory, and pass "
        "FrozenEstimator(Pipeline) for one of these after fitted steps."
    )


def _default(source):
    labels, _ = labels_of(source)
    if source.y.dtype.kind not in "OUSb" and len(labels) > max(20, source.n_rows / 10):
        return Ridge()
    return LogisticRegression() if are_classes(labels) else Ridge()


def _at_zero(estimator, source):
    """The estimator as if fitted, all coefficients 0."""
    n_columns, y = source.n_columns, source.y
    n_outputs = 1 if y.ndim == 1 else y.shape[1]
    is_flat = y.ndim == 1
    if isinstance(estimator, _CLASSIFIERS):
        classes = labels_of(source)[0]
        check_classification_targets(classes)
        if len(classes) < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the "
                f"data contains only one class: {classes[0]!r}"
            )
        n_outputs, is_flat = (1 if len(classes) == 2 else len(classes)), False
        _put_classes(estimator, classes)
    shape = (n_columns,) if is_flat else (n_outputs, n_columns)
    estimator.coef_ = np.zeros(shape)
    estimator.intercept_ = 0.0 if is_flat else np.zeros(n_outputs)
    estimator.n_features_in_ = n_columns
    return estimator


def _put_classes(estimator, classes):
    if isinstance(estimator, RidgeClassifier):
        coder = LabelBinarizer(pos_label=1, neg_label=-1)
        estimator._label_binarizer = coder.fit(classes)
    # A property of RidgeClassifier until scikit-learn 1.9.
    if not hasattr(estimator, "classes_"):
        estimator.classes_ = classes


def put_parameters(estimator, theta):
    """Write parameters of the optimum into the estimator."""
    inner = theta[:, :-1] if estimator.fit_intercept else theta
    estimator.coef_ = inner.reshape(np.shape(estimator.coef_)).copy()
    if estimator.fit_intercept:
        shape = np.shape(estimator.intercept_)
        estimator.intercept_ = theta[:, -1].reshape(shape).copy()[()]


def last_of(estimator):
    """What a frozen estimator, a fitted search or a Pipeline ends in."""
    if isinstance(estimator, FrozenEstimator):
        return last_of(estimator.estimator)
    if isinstance(estimator, _SEARCHES):
        check_is_fitted(estimator, "best_estimator_")
        return last_of(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return last_of(estimator.steps[-1][1])
    return estimator


def with_class_weight(estimator, class_weight):
    """A copy whose class weights are one number a class; itself for None."""
    if class_weight is None:
        return estimator
    if isinstance(estimator, FrozenEstimator):
        return with_class_weight(estimator.estimator, class_weight)
    if isinstance(estimator, _SEARCHES):
        return with_class_weight(estimator.best_estimator_, class_weight)
    copied = copy(estimator)
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        last = with_class_weight(last, class_weight)
        copied.steps = [*estimator.steps[:-1], (name, last)]
    else:
        copied.class_weight = class_weight
    return copied


def balanced_weights(estimator, source):
    """The weight of each class where they are to balance the classes; else None."""
    last = last_of(estimator)
    balance = getattr(last, "class_weight", None)
    if not isinstance(balance, str):
        return None
    labels, counts = labels_of(source)
    # RidgeClassifier counts rows, whatever their sample weights.
    is_weighted = isinstance(last, LogisticRegression | LogisticRegressionCV)
    by_weight = dict(zip(labels.tolist(), counts[int(is_weighted)], strict=True))
    classes = last.classes_
    unseen = [label for label in classes.tolist() if label not in by_weight]
    if unseen:
        raise ValueError(
            f"class_weight='balanced' needs rows of every class, and y has none of "
            f"{unseen}."
        )
    weights = compute_class_weight(
        balance,
        classes=classes,
        y=classes,
        sample_weight=[by_weight[label] for label in classes.tolist()],
    )
    return dict(zip(classes.tolist(), weights, strict=True))


def labels_of(source):
    """The distinct labels, their rows and the sum of their sample weights.

    y alone is read.

    Returns
    -------
    labels : ndarray of shape (n_labels,)
    counts : ndarray of shape (2, n_labels)
    """
    y = source.y
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(
            f"y has shape {y.shape}: a classifier takes one label a row. Fit one "
            "ranker for each output, y[:, k]."
        )
    alone = row_source(y[:, None], None, source.sample_weight)
    return alone.reduce(_count_labels, _join_counts)


def _count_labels(block):
    y = np.asarray(block.X)[:, 0]
    try:
        refuse_missing_labels(y)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            rows = np.flatnonzero(~np.isfinite(y))
            raise ValueError(f"Input y contains NaN or infinity in row(s) {rows[:10]}.")
        refuse_unlike_labels(y)
    except ValueError as error:
        raise ValueError(
            f"Chunk {block.number} (from row {block.start} on): {error}"
        ) from error
    labels, code = np.unique(y, return_inverse=True)
    weights = np.ones(len(y)) if block.weights is None else block.weights
    n = len(labels)
    counts = np.bincount(code, minlength=n)
    return labels, np.stack([counts, np.bincount(code, weights, minlength=n)])


def _join_counts(parts):
    labels, code = np.unique(
        np.concatenate([part[0] for part in parts]), return_inverse=True
    )
    counts = np.concatenate([part[1] for part in parts], axis=1)
    n = len(labels)
    return labels, np.stack([np.bincount(code, each, minlength=n) for each in counts])


def few_rows_of(source):
    """A row or two of a source, to see what an estimator makes of them."""
    return source.take(np.arange(min(2, source.n_rows)))
