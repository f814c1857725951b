"""A classifier that saw some of the classes, asked about all of them."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone

from sklinfluence._estimators import ask, ends_in_net, fit_weighted
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.filtering._noise import LOG_TINY


@dataclass(frozen=True)
class ClassColumns:
    """A fitted classifier whose log-probabilities have a column for every class.

    Attributes
    ----------
    model : classifier or None
        None: its rows were of one class.
    columns : ndarray of shape (n_columns,), int
        The class that each of its columns is about; -1 for none.
    missing : ndarray of shape (n_missing,), int
        Classes that it never heard of.
    n_classes : int
    n_rows : int
        That it was fitted on.
    scale : float or None
        Of its decision values, where it has no probabilities: their root mean square
        on the rows that it was fitted on.
    """

    model: object
    columns: np.ndarray
    missing: np.ndarray
    n_classes: int
    n_rows: int
    scale: float | None = None

    def predict_log_proba(self, X):
        """Log-probabilities of the classes, (n, K).

        Decision values without probabilities are taken for them up to a temperature,
        which is for the held-out likelihood to find. A class that the model never
        heard of is as likely as the rule of succession has it.
        """
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        inside = np.full((n_rows, self.n_classes), -np.inf)
        if self.model is None:
            inside[:, self.columns] = 0.0
        else:
            known = self.columns >= 0
            said = self._log_proba(X)[:, known]
            inside[:, self.columns[known]] = log_softmax(said, axis=1)
        unheard = len(self.missing) / (self.n_rows + self.n_classes)
        inside += np.log1p(-unheard)
        inside[:, self.missing] = -np.log(self.n_rows + self.n_classes)
        return np.maximum(inside, LOG_TINY)

    def _log_proba(self, X):
        if self.scale is None:
            proba = np.asarray(ask(self.model, "predict_proba", X), dtype=np.float64)
            return np.log(np.maximum(proba, np.exp(LOG_TINY)))
        return _decision(self.model, X) / self.scale


def fit_classes(estimator, X, codes, classes, sample_weight=None):
    """A clone of a classifier fitted to labels, and asked about all classes.

    It is given the labels as the user has them: class weights and scorers may name
    them. One that refuses them for not being 0 to K - 1, as boosters of other
    libraries do, is given numbers.

    Parameters
    ----------
    estimator : classifier
    X : rows
    codes : ndarray of shape (n,), int
    classes : ndarray of shape (K,)
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    fitted : ClassColumns
    """
    seen = np.unique(codes)
    missing = np.setdiff1d(np.arange(len(classes)), seen)
    sizes = {"n_classes": len(classes), "n_rows": len(codes)}
    if len(seen) < 2:
        return ClassColumns(None, seen, missing, **sizes)
    fit = partial(_fitted, estimator, X, sample_weight=sample_weight)
    code_of = {label: code for code, label in enumerate(classes.tolist())}
    try:
        model = fit(classes[codes])
    except (ValueError, TypeError) as error:
        # A net has an output for every class, heard of or not.
        heard = np.arange(len(classes)) if ends_in_net(estimator) else seen
        model = _fitted_to_numbers(fit, classes[codes], np.searchsorted(heard, codes))
        if model is None:
            raise error
        code_of = dict(enumerate(heard.tolist()))
    columns, scale = _columns(model, X, code_of)
    columns[np.isin(columns, missing)] = -1
    return ClassColumns(model, columns, missing, scale=scale, **sizes)


def _fitted(estimator, X, y, sample_weight):
    return fit_weighted(clone(estimator), X, y, sample_weight)


def _fitted_to_numbers(fit, labels, numbers):
    """The classifier fitted to numbers in place of labels; None if that fails too."""
    if np.array_equal(labels, numbers):
        return None
    try:
        return fit(numbers)
    except (ValueError, TypeError):  # what it said of the labels is of more use
        return None


def _columns(model, X, code_of):
    """The class of each column that a fitted classifier gives, and their scale."""
    few = _safe_indexing(X, [0])
    if hasattr(model, "predict_proba"):
        n_columns, scale = np.shape(ask(model, "predict_proba", few))[1], None
    else:
        decision = _decision(model, X)
        n_columns = decision.shape[1]
        scale = np.sqrt(np.mean(np.square(decision))) or 1.0
    labels = np.asarray(model.classes_).tolist()
    if len(labels) != n_columns:  # a net of more outputs than classes: by number
        labels = range(n_columns)
    return np.array([code_of.get(label, -1) for label in labels]), scale


def _decision(model, X):
    """Decision values, a column a class; two classes share one, f and -f."""
    if not hasattr(model, "decision_function"):
        name = type(model).__name__
        raise TypeError(
            f"ranker={name}(...) has neither predict_proba nor decision_function: its "
            "predictions say nothing of how sure they are. Pass a classifier that has "
            f"one of them, such as BaggingClassifier({name}(...), n_estimators=50), "
            "or probabilities of your own with ranker='precomputed'."
        )
    if model.get_params().get("decision_function_shape") == "ovo":
        raise ValueError(
            f"ranker={type(model).__name__}(decision_function_shape='ovo') has a "
            "column for every pair of classes. Set decision_function_shape='ovr'."
        )
    decision = np.asarray(ask(model, "decision_function", X), dtype=np.float64)
    return np.column_stack([-decision, decision]) if decision.ndim == 1 else decision
