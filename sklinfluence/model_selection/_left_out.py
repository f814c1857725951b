"""Leave-one-out predictions of one candidate, in the form that scorers ask for.

Scorers call ``predict`` and its like on rows. Here the rows are their numbers, and the
answers are what the model without each row said about it.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from sklinfluence.gradient import class_probabilities


def left_out(fitted, removal, classes):
    """What a scorer may ask about the rows, each answered by the model without it.

    Parameters
    ----------
    fitted : FittedHead
    removal : Removal
        Its ``raw`` holds the leave-one-out raw predictions.
    classes : ndarray of shape (n_classes,) or None
        None for regression.

    Returns
    -------
    answers : LeftOutClassifier or LeftOutRegressor
    """
    if classes is None:
        return LeftOutRegressor(removal.raw)
    return LeftOutClassifier(removal.raw, fitted.objective.loss, classes)


def _has_probabilities(answers):
    if answers.loss.is_quadratic:
        raise AttributeError("A head fitted by least squares has no probabilities.")
    return True


class _LeftOut(BaseEstimator):
    def __sklearn_is_fitted__(self):
        return True

    def _at(self, rows):
        raw = self.raw[rows]
        return raw[:, 0] if raw.shape[1] == 1 else raw


class LeftOutRegressor(RegressorMixin, _LeftOut):
    """Leave-one-out predictions of real targets."""

    def __init__(self, raw):
        self.raw = raw

    def predict(self, rows):
        return self._at(rows)


class LeftOutClassifier(ClassifierMixin, _LeftOut):
    """Leave-one-out labels, probabilities and raw predictions."""

    def __init__(self, raw, loss, classes):
        self.raw = raw
        self.loss = loss
        self.classes = classes

    @property
    def classes_(self):
        return self.classes

    def predict(self, rows):
        raw = self.raw[rows]
        if raw.shape[1] == 1:
            return self.classes[(raw[:, 0] > 0).astype(int)]
        return self.classes[np.argmax(raw, axis=1)]

    def decision_function(self, rows):
        return self._at(rows)

    @available_if(_has_probabilities)
    def predict_proba(self, rows):
        return class_probabilities(self.loss, self.raw[rows])
