"""Density models, retrained as if they predicted their own log density."""

import numpy as np
from sklearn.base import (
    BaseEstimator,
    RegressorMixin,
    clone,
    is_classifier,
    is_outlier_detector,
    is_regressor,
)

from sklinfluence._estimators import fit_weighted


def is_density(estimator):
    """Whether an estimator gives log densities of rows and predicts no target."""
    if not (hasattr(estimator, "score_samples") and hasattr(estimator, "fit")):
        return False
    predicts = is_classifier(estimator) or is_regressor(estimator)
    return not predicts and not is_outlier_detector(estimator)


class LogDensity(RegressorMixin, BaseEstimator):
    """A density model whose prediction is the log density, in nats.

    Parameters
    ----------
    estimator : estimator
        It has ``score_samples``, in nats.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y=None, sample_weight=None):
        self.estimator_ = fit_weighted(clone(self.estimator), X, None, sample_weight)
        return self

    def predict(self, X):
        return self.estimator_.score_samples(X)

    def score(self, X, y=None, sample_weight=None):
        """Mean log density."""
        return np.average(self.predict(X), weights=sample_weight)
