"""Out-of-sample probabilities, or predictions of real targets, in the place of rows."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array

from sklinfluence._estimators import label_index
from sklinfluence._messages import shown
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import CallbackSupportMixin, with_callbacks
from sklinfluence.filtering._evidence._given_ranker import PRECOMPUTED
from sklinfluence.filtering._evidence._noisy_labels import NoisyLabelsMixin
from sklinfluence.filtering._evidence._residuals import (
    residual_evidence,
    residual_scale,
    studentized,
)
from sklinfluence.filtering._noise import (
    LOG_TINY,
    FixedProbabilities,
    as_spoken,
    fit_em,
    noise_in_force,
)

# How far from one a row of probabilities may sum: they may have been written to a file
# with three decimals.
_SUM_TOLERANCE = 5e-3


def is_one_column(P):
    """Whether X is one number a row: predictions of real targets."""
    shape = np.shape(P)
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def refuse_one_column(y):
    """One column of probabilities is no prediction of real targets."""
    values = np.unique(y)
    named = shown(values)
    if len(values) == 2 and (values.dtype.kind != "f" or not np.any(values % 1)):
        raise ValueError(
            f"X is one column and y has two classes, {named}: ranker='precomputed' "
            "takes a column of probabilities for each class. For the probabilities p "
            f"of {shown(values[1:])[1:-1]} pass np.c_[1 - p, p]. (One column is for "
            "out-of-sample predictions of real targets.)"
        )
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"X is one column and y has the classes {named}: ranker='precomputed' "
            "takes a column of probabilities for each class. (One column is for "
            "out-of-sample predictions of real targets.)"
        )


def class_order(P, classes, y):
    """The labels that columns of probabilities are about, as they stand.

    Parameters
    ----------
    P : array-like of shape (n, n_columns)
    classes : array-like of shape (n_columns,) or None
        None: the names of the columns, where these are the labels of y; else the
        sorted labels.
    y : ndarray of shape (n,)

    Returns
    -------
    labels : ndarray of shape (n_columns,)
    """
    labels, n_columns = np.unique(y), np.shape(P)[1]
    if classes is None:
        return _named_columns(P, labels, n_columns)
    given = np.asarray(classes)
    given = given.astype(object) if given.dtype.kind not in "biufUO" else given
    if given.ndim != 1 or len(np.unique(given)) != len(given):
        raise ValueError(
            f"classes={shown(given)} must name each class once, in the order of the "
            "columns of X."
        )
    if len(given) != n_columns:
        raise ValueError(
            f"X has {n_columns} columns of probabilities, and classes names "
            f"{len(given)}: {shown(given)}. One is needed for each column."
        )
    known = set(given.tolist())
    unknown = [label for label in labels.tolist() if label not in known]
    if unknown:
        raise ValueError(
            f"y holds {shown(unknown)}, of which classes={shown(given)} says nothing: "
            "it names the columns of X, a class each."
        )
    return given


def _named_columns(P, labels, n_columns):
    if n_columns != len(labels):
        raise ValueError(
            f"X has {n_columns} columns of probabilities, and y has {len(labels)} "
            f"classes, {shown(labels)}. Pass a column for each class, in sorted order, "
            "or say by classes= which class each column is about."
        )
    names = list(getattr(P, "columns", []))
    if set(names) == set(labels.tolist()):
        return np.asarray(names, dtype=labels.dtype)
    return labels


def check_probabilities(P):
    """Probabilities of classes as an array, their rows summing to one exactly.

    Raises
    ------
    ValueError
        If they are none: NaN, negative numbers, rows that sum to something else.
    """
    P = check_array(P, dtype=np.float64, input_name="X")
    if P.min() < 0:
        raise ValueError(
            f"X holds {P.min():.3g}, and ranker='precomputed' takes probabilities: no "
            "decision values, no logarithms."
        )
    total = P.sum(axis=1)
    far = np.flatnonzero(np.abs(total - 1.0) > _SUM_TOLERANCE)
    if len(far):
        raise ValueError(
            f"{len(far)} of {len(P)} rows of X do not sum to one (row {far[0]} sums to "
            f"{total[far[0]]:.6g}), and ranker='precomputed' takes the probabilities "
            "of all classes, a column each."
        )
    return P / total[:, np.newaxis]


class PrecomputedLabelModel(NoisyLabelsMixin, CallbackSupportMixin, BaseEstimator):
    """Out-of-sample probabilities under a label-noise model, if labels speak for one.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None, default=None
    noise : {"class", "uniform"} or None, default="class"
    n_rounds : int, default=3
    """

    evidence_ = PRECOMPUTED

    def __init__(self, classes=None, *, noise="class", n_rounds=3):
        self.classes = classes
        self.noise = noise
        self.n_rounds = n_rounds

    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        tracker = FitTracker(self, X, y)
        in_use = np.ones(len(y), dtype=bool)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        labels = class_order(X, self.classes, y)
        self._begin(y[weight > 0], sample_weight is not None)
        self._order = np.argsort(labels)
        self.classes_ = self.present_ = labels[self._order]
        rows, codes = self._rows(X), label_index(y, self.classes_)
        noise = noise_in_force(rows, codes, weight, self.noise, self.n_rounds)
        if noise is None:
            self._result = as_spoken(rows, codes)
        else:
            surrogates, size = [FixedProbabilities(rows)], len(labels)
            self._result = fit_em(
                surrogates, codes, size, weight, noise, self.n_rounds, tracker.each
            )
        self._speak(rows, y, in_use, ~in_use)
        tracker.done()
        return self

    def _rows(self, X):
        n_columns = len(self._order)
        if np.ndim(X) != 2 or np.shape(X)[1] != n_columns:
            raise ValueError(
                f"X has shape {np.shape(X)}, and the probabilities that were fitted "
                f"had {n_columns} columns."
            )
        P = check_probabilities(X)[:, self._order]
        return np.maximum(np.log(np.maximum(P, np.exp(LOG_TINY))), LOG_TINY)


class PrecomputedTargetModel(BaseEstimator):
    """Out-of-sample predictions of real targets."""

    evidence_ = PRECOMPUTED
    label_score_names_ = ("studentized",)

    def fit(self, X, y, sample_weight=None):
        prediction, given = self.predict(X), np.asarray(y, dtype=np.float64)
        weight = np.ones(len(given)) if sample_weight is None else sample_weight
        self.scale_ = residual_scale(given - prediction, weight)
        self.loo_prediction_ = prediction
        self.target_evidence_ = residual_evidence(given, prediction, self.scale_)
        return self

    def label_scores(self, score, X=None, y=None):
        """Absolute residuals in units of their scale, whatever ``score`` says."""
        if X is None:
            return self.target_evidence_.scores
        given = np.asarray(y, dtype=np.float64)
        return studentized(given, self.predict(X), self.scale_)

    def predict(self, X):
        """The predictions that came, as an array."""
        if not is_one_column(X):
            raise ValueError(
                f"X has shape {np.shape(X)}, and one prediction of the target a row "
                "was fitted."
            )
        column = check_array(X, ensure_2d=False, dtype=np.float64, input_name="X")
        return column.ravel()
