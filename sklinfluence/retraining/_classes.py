"""Models of few rows, made to answer for every class."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if

from sklinfluence._sklearn_compat import _estimator_has


class OfAllClasses(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose probabilities have a column for every class.

    Parameters
    ----------
    estimator : fitted classifier
        It may have seen some of the classes only.
    classes : ndarray of shape (n_classes,)
        All of them, sorted.
    """

    def __init__(self, estimator, classes):
        self.estimator = estimator
        self.classes = classes

    def __sklearn_is_fitted__(self):
        return True

    @property
    def classes_(self):
        return self.classes

    def predict(self, X):
        return self.estimator.predict(X)

    @available_if(_estimator_has("predict_proba", delegates=("estimator",)))
    def predict_proba(self, X):
        proba = self.estimator.predict_proba(X)
        out = np.zeros((len(proba), len(self.classes)), dtype=proba.dtype)
        out[:, np.searchsorted(self.classes, self.estimator.classes_)] = proba
        return out
