"""What training rows do to a metric of the model, not to its loss."""

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import encode_values, label_index, sliceable
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    validate_params,
)
from sklinfluence._typing import Rows
from sklinfluence.metrics._links import LINKS
from sklinfluence.metrics._measures import (
    group_measure,
    neg_brier_score,
    neg_calibration_error,
    neg_log_loss,
    neg_mean_squared_error,
    r2,
    smooth_roc_auc,
)

OF_CLASSES = ("neg_log_loss", "neg_brier_score", "roc_auc", "neg_calibration_error")
OF_VALUES = ("neg_mean_squared_error", "r2")
OF_GROUPS = ("neg_group_gap", "worst_group")


@validate_params(
    {
        "ranker": [HasMethods("raw_change")],
        "metric": [StrOptions({*OF_CLASSES, *OF_VALUES, *OF_GROUPS}), callable],
        "X": ["array-like", "sparse matrix", list],
        "y": ["array-like"],
        "groups": ["array-like", None],
        "order": [StrOptions({"first", "newton"})],
        "derivative": [StrOptions({"finite", "torch"})],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def metric_influence(
    ranker: Any,
    metric: str | Callable,
    X: Rows,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    order: Literal["first", "newton"] = "first",
    derivative: Literal["finite", "torch"] = "finite",
    temperature: float = 1.0,
    n_bins: int = 10,
) -> NDArray:
    """Influence of training rows on a metric of the model.

    The metric with the row less the metric without it: a row without which a metric
    of which more is better would fall has a positive influence, and helps.

    Parameters
    ----------
    ranker : ranker
        Fitted, with ``raw_change``: InfluenceRanker, LeafInfluenceRanker,
        LeafRefitRanker or ForestRanker.
    metric : str or callable
        Greater is better in all that have names. Of classes "neg_log_loss" (the mean
        log-probability of labels), "neg_brier_score", "roc_auc" (of two classes: the
        mean over pairs of a sigmoid of the difference of margins) and
        "neg_calibration_error" (minus the expected one, of the second of two classes,
        or of the class that is predicted); of real targets "neg_mean_squared_error"
        and "r2"; of either "worst_group" (the mean log-probability, or minus half the
        squared error, in the group where it is least) and "neg_group_gap" (that less
        the best group's). A callable takes ``y`` and raw predictions, (n_queries,) or
        (n_queries, n_outputs), and is taken as written: of a loss, a positive
        influence is a row that raises it.
    X : {array-like, sparse matrix} of shape (n_queries, n_features)
        The rows on which the metric is measured.
    y : array-like of shape (n_queries,)
        Their labels or targets.
    groups : array-like of shape (n_queries,), default=None
        The group of each query, for the metrics of groups.
    order : {"first", "newton"}, default="first"
        "first": the derivative of the metric by raw predictions, through the
        ranker's derivative of these by the weight of each row; one solve, or one pass,
        for all rows. "newton": the metric measured anew at the raw predictions
        without each row: one Newton step for a linear head, exact changes for
        LeafRefitRanker and ForestRanker, those of its ``method`` for
        LeafInfluenceRanker. It measures the metric once a training row.
    derivative : {"finite", "torch"}, default="finite"
        How a callable is differentiated: by central differences, two calls for each
        raw prediction, or by torch, where it computes with tensors.
    temperature : float, default=1.0
        What differences of margins are divided by in "roc_auc": towards 0 it becomes
        the usual one, and its derivative nothing.
    n_bins : int, default=10
        Bins of equal width in "neg_calibration_error". To first order they are held.

    Returns
    -------
    influence : ndarray of shape (n_train,)
        In the metric's units. NaN for rows that cannot leave.

    Raises
    ------
    ValueError
        If the metric is not one of the ranker's kind of targets, if groups are missing
        or of no use, or if a label in ``y`` was not seen in training.

    See Also
    --------
    sklinfluence.base.RawChange : What a ranker of one's own has to say.

    References
    ----------
    .. [1] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 6, on fairness.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.metrics import metric_influence
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> ranker = InfluenceRanker(model).fit(X[:400], y[:400])
    >>> metric_influence(ranker, "neg_brier_score", X[400:], y[400:]).shape
    (400,)
    """
    check_is_fitted(ranker)
    X = sliceable(X)
    check_consistent_length(X, y, groups)
    _check_groups(metric, groups)
    change = ranker.raw_change(X)
    measure = _measure(
        ranker, metric, y, change, groups, derivative, temperature, n_bins
    )
    if order == "first":
        _, slope = measure(change.raw, slope=True)
        return -change.along(slope)
    return _without_each(measure, change)


def _check_groups(metric, groups):
    if (metric in OF_GROUPS) == (groups is not None):
        return
    if groups is None:
        raise ValueError(f"metric={metric!r} needs groups=, the group of each query.")
    raise ValueError(
        f"groups= has no part in metric={metric!r}: it is for "
        f"{' and '.join(map(repr, OF_GROUPS))}."
    )


def _without_each(measure, change):
    with_all, _ = measure(change.raw, slope=False)
    found = []
    for _, shift in change.without():
        for moved in shift.transpose(1, 0, 2):
            is_known = np.isfinite(moved).all()
            after = measure(change.raw + moved, slope=False)[0] if is_known else np.nan
            found.append(with_all - after)
    return np.array(found)


def _measure(ranker, metric, y, change, groups, derivative, temperature, n_bins):
    """A function of raw predictions: the metric, and its slope where it is asked."""
    if callable(metric):
        n_outputs = change.raw.shape[1]
        return partial(_as_written, metric, y, n_outputs, derivative)
    classes = getattr(ranker, "classes_", None)
    _check_kind(metric, classes)
    if classes is None:
        targets = encode_values(y, change.raw.shape[1])
    else:
        targets = np.eye(len(classes))[label_index(y, classes)]
    if metric == "roc_auc":
        return partial(_auc, _check_two(targets, classes), temperature)
    if change.link is None:
        raise ValueError(
            f"metric={metric!r} is of probabilities, and the estimator has none. Use "
            "'roc_auc', a callable, or a logistic head."
        )
    if metric in OF_GROUPS:
        codes = np.unique(column_or_1d(groups), return_inverse=True)[1]
        is_classification = classes is not None
        score = partial(
            group_measure, metric, groups=codes, is_classification=is_classification
        )
    else:
        score = _SCORES[metric]
        if metric == "neg_calibration_error":
            score = partial(score, n_bins=n_bins)
    return partial(_of_said, score, change.link, targets)


_SCORES = {
    "neg_log_loss": neg_log_loss,
    "neg_brier_score": neg_brier_score,
    "neg_calibration_error": neg_calibration_error,
    "neg_mean_squared_error": neg_mean_squared_error,
    "r2": r2,
}


def _check_kind(metric, classes):
    if metric in (OF_CLASSES if classes is None else OF_VALUES):
        kinds = ("classes", "real targets")
        given, needed = kinds[classes is None], kinds[classes is not None]
        there = (OF_VALUES if classes is None else OF_CLASSES) + OF_GROUPS
        raise ValueError(
            f"metric={metric!r} is of {needed}, and the ranker was fitted on {given}. "
            f"Use one of {', '.join(map(repr, there))}, or a callable."
        )


def _check_two(targets, classes):
    if len(classes) != 2:
        raise ValueError(
            f"metric='roc_auc' is of two classes, and the ranker knows {len(classes)}. "
            "Use 'neg_log_loss' or 'neg_brier_score', or a callable."
        )
    is_positive = targets[:, 1] == 1
    if is_positive.all() or not is_positive.any():
        raise ValueError("metric='roc_auc' compares two classes, and y holds one.")
    return is_positive


def _auc(is_positive, temperature, raw, *, slope):
    # Of two outputs what counts is how far they are apart.
    margin = raw[:, -1] if raw.shape[1] == 1 else raw[:, 1] - raw[:, 0]
    value, of_margin = smooth_roc_auc(margin, is_positive, temperature)
    signs = [1.0] if raw.shape[1] == 1 else [-1.0, 1.0]
    return value, of_margin[:, None] * signs


def _of_said(score, link, targets, raw, *, slope):
    predicts, back = LINKS[link]
    said = predicts(raw)
    value, of_said = score(said=said, targets=targets)
    return value, back(raw, said, of_said) if slope else None


def _as_written(metric, y, n_outputs, derivative, raw, *, slope):
    def measured(raw):
        return metric(y, raw[:, 0] if n_outputs == 1 else raw)

    if slope and derivative == "torch":
        from sklinfluence._nets import slope as by_torch

        return None, by_torch(measured, raw)
    return float(measured(raw)), _differences(measured, raw) if slope else None


def _differences(function, raw):
    """Central differences by each entry of an array."""
    # Where the error of the formula and that of rounding are about alike.
    steps = np.cbrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(raw))
    slope = np.empty_like(raw, dtype=float)
    for at in np.ndindex(raw.shape):
        ends = []
        for sign in (1.0, -1.0):
            moved = raw.astype(float)
            moved[at] += sign * steps[at]
            ends.append(float(function(moved)))
        slope[at] = (ends[0] - ends[1]) / (2.0 * steps[at])
    return slope
