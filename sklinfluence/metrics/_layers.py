"""From a fitted model to the ranker or filter inside it."""

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline


def layers(estimator):
    """An estimator and what it holds, from the outside in, the detector last.

    Parameters
    ----------
    estimator : estimator
        Fitted: a ranker or filter, a FilteredClassifier or a search that holds one, or
        a Pipeline that ends in any of these, frozen or not.

    Returns
    -------
    layers : list of estimators
    """
    found = []
    while estimator is not None:
        found.append(estimator)
        estimator = _held(estimator)
    return found


def _held(estimator):
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    for name in ("filter_", "best_estimator_"):
        if hasattr(estimator, name):
            return getattr(estimator, name)
    return None
