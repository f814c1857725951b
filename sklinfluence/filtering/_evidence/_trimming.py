"""Real targets: gross errors are taken out of the fit that judges the rest.

A gross error inflates the noise estimate and bends the fit, and so hides the others.
Rows that are discovered get weight zero and the fit is repeated, until nothing
changes; a row of weight zero is judged as the new row it is to that fit. Targets so
far from the others that they would drown the noise estimate start out with none.
"""

from contextlib import nullcontext

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklinfluence._estimators import _last_step, takes_weights
from sklinfluence.filtering._columns import value_range
from sklinfluence.filtering._evidence._label_evidence import training_evidence
from sklinfluence.filtering._evidence._residuals import first_gross_errors, gross_errors

# Two sets of suspects may give way to each other for ever.
_MAX_ROUNDS = 10
# More rows than this are no gross errors but another population.
_MAX_TRIMMED = 0.5
# Ranges of the others that such a target is away: its square has six digits more than
# theirs, and the fit is polished to seven.
_DROWNING = 1e3


def fit_trimmed(ranker, X, y, sample_weight, fdr, copies=None):
    """Fit a ranker of real targets on the rows that are no gross errors.

    Parameters
    ----------
    ranker : ranker
        Fitted on all rows.
    X, y, sample_weight : object
        Training rows.
    fdr : float or None
        False-discovery rate at which a row is trimmed. None: those rows only whose
        targets would drown the noise estimate, and with it all scores.
    copies : Copies, default=None
        Rows that leave together.

    Returns
    -------
    ranker : ranker
        Fitted anew where rows were trimmed, else the one that came; it comes too
        when its estimator takes no weights.
    """
    if not _takes_weights(ranker.estimator):
        return ranker
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
    fitted = [ranker]

    def residuals_without(trimmed):
        if trimmed.any() or len(fitted) > 1:
            kept, is_routed = np.where(trimmed, 0.0, weight), sample_weight is not None
            fitted.append(_fit_by(kept, ranker, X, y, is_routed))
        found = training_evidence(fitted[-1], "studentized", X, copies)
        targets = np.asarray(y, dtype=np.float64).ravel()
        return np.copysign(found.residuals, targets - found.prediction)

    trim(residuals_without, drowning(y, weight), weight, fdr)
    return fitted[-1]


def trim(residuals_without, trimmed, sample_weight, fdr):
    """Take gross errors out of a fit until the ones found are the ones taken out.

    Parameters
    ----------
    residuals_without : callable
        ``residuals_without(trimmed)`` fits to the rows that are not trimmed, and gives
        the residuals of all.
    trimmed : ndarray of shape (n,), dtype=bool
        Rows to start without.
    sample_weight : ndarray of shape (n,)
    fdr : float or None
        None fits once.

    Returns
    -------
    residuals : ndarray of shape (n,)
        Of the last fit.
    """
    residuals = residuals_without(trimmed)
    for number in range(0 if fdr is None else _MAX_ROUNDS):
        find = first_gross_errors if number == 0 else gross_errors
        found = find(residuals, sample_weight, fdr)
        if np.array_equal(found, trimmed) or np.mean(found) > _MAX_TRIMMED:
            break
        trimmed = found
        residuals = residuals_without(trimmed)
    return residuals


def _fit_by(weight, ranker, X, y, is_routed):
    # Weights that are the trimming's own go to the head, whoever requests weights.
    context = (
        nullcontext() if is_routed else config_context(enable_metadata_routing=False)
    )
    with context:
        return clone(ranker).fit(X, y, sample_weight=weight)


def drowning(y, weight):
    """Targets beside whose squares those of the others are lost in rounding."""
    targets = np.asarray(y, dtype=np.float64).reshape(-1, 1)
    used = weight > 0
    lowest, highest = value_range(targets[used], weight[used])
    # Halves, whose differences are numbers whatever the targets.
    away = np.maximum(0.5 * lowest - 0.5 * targets, 0.5 * targets - 0.5 * highest)
    spread = 0.5 * highest - 0.5 * lowest
    return used & np.any(away / _DROWNING > spread, axis=1)


def _takes_weights(estimator):
    last = None if estimator is None else _last_step(estimator)
    # What is frozen is not fitted: its ranker weighs the rows.
    is_free = last is None or isinstance(last, FrozenEstimator)
    return is_free or takes_weights(last)
