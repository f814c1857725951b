"""The cheapest evidence that is honest, for an estimator without a plain head."""

from sklinfluence.filtering._evidence._cross_fitted_estimators import (
    CrossFittedClasses,
    CrossFittedTargets,
)
from sklinfluence.filtering._evidence._neighbor_votes import neighbor_votes
from sklinfluence.filtering._evidence._out_of_bag import out_of_bag


def class_evidence(estimator, sample, classes):
    """Evidence on class labels.

    Parameters
    ----------
    estimator : classifier
    sample : Sample
    classes : ndarray of shape (K,)
        Each with a row at least.

    Returns
    -------
    evidence : object with ``refit(targets)``
        And `unheard`, the rows of which it says nothing; `takes_soft`, whether it
        follows soft labels; `evidence`, its kind.
    """
    if not sample.needs_folds:
        found = neighbor_votes(estimator, sample)
        found = found or out_of_bag(estimator, sample, classes)
        if found is not None:
            return found
    return CrossFittedClasses(estimator, sample, classes)


def target_evidence(estimator, sample):
    """Evidence on real targets.

    Parameters
    ----------
    estimator : regressor
    sample : Sample

    Returns
    -------
    evidence : object with ``refit(kept)``
    """
    if not sample.needs_folds:
        found = neighbor_votes(estimator, sample) or out_of_bag(estimator, sample)
        if found is not None:
            return found
    return CrossFittedTargets(estimator, sample)
