"""Scores of outputs on the validation rows, without the model that gave them."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class Voted(ClassifierMixin, BaseEstimator):
    """A classifier in the eyes of a scorer: it says of any rows what it was given."""

    def __init__(self, classes, proba):
        self.classes, self.proba = classes, proba

    @property
    def classes_(self):
        return self.classes

    def predict_proba(self, X):
        return self.proba

    def predict(self, X):
        return self.classes[np.argmax(self.proba, axis=1)]


class Averaged(RegressorMixin, BaseEstimator):
    """The same of real targets."""

    def __init__(self, means):
        self.means = means

    def predict(self, X):
        return self.means


def score_outputs(utility, outputs):
    """The score of probabilities (n_val, n_classes) or of predictions (n_val, 1)."""
    if utility.classes is None:
        model = Averaged(outputs[:, 0])
    else:
        model = Voted(utility.classes, outputs)
    return utility.score(model)


def coded_targets(utility):
    """What a training row votes for: a unit vector of its class, or its target.

    Returns
    -------
    votes : ndarray of shape (n_rows, n_classes) or (n_rows, 1)
    """
    if utility.classes is None:
        return np.asarray(utility.y, dtype=np.float64)[:, None]
    code = np.searchsorted(utility.classes, utility.y)
    return np.eye(len(utility.classes))[code]
