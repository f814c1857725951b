"""Real targets: what out-of-sample predictions say of the targets given.

Predictions of every kind end here: out-of-bag, cross-fitted, precomputed. What
follows from residuals is said in this one place; what they say of honest rows is for
the law of residuals.
"""

import numpy as np
from scipy.stats import norm

from sklinfluence.filtering._evidence._label_evidence import LabelEvidence
from sklinfluence.filtering._noise import FIRST_EDGE, fit_error_law
from sklinfluence.filtering._thresholds import flag_gross
from sklinfluence.filtering._votes import relative_weights

# Standard deviations of a normal error in its median magnitude.
_NORMAL = 1.0 / norm.ppf(0.75)


def residual_evidence(targets, prediction, scale):
    """Evidence on given targets, from predictions by models that never saw them.

    Parameters
    ----------
    targets, prediction : ndarray of shape (n,)
        A prediction is NaN where there is none.
    scale : float
        Of a right target's residual: its standard deviation, were it normal.

    Returns
    -------
    evidence : LabelEvidence
        Scores are absolute residuals in units of the scale.
    """
    scores = studentized(targets, prediction, scale)
    return LabelEvidence(scores, prediction, residuals=scores)


def studentized(targets, prediction, scale):
    """Absolute residuals in units of their scale."""
    return np.abs(targets - prediction) / scale


def gross_errors(residuals, sample_weight, fdr):
    """Rows that a fit does without: gross errors among those of positive weight.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
    sample_weight : ndarray of shape (n,)
    fdr : float
        Level below which the mean probability that a flagged row is honest stays.

    Returns
    -------
    flags : ndarray of shape (n,), dtype=bool
    """
    used = sample_weight > 0
    weight = relative_weights(sample_weight, len(residuals))
    right = fit_error_law(residuals, weight).local_fdr(residuals)
    flags = np.zeros(len(residuals), dtype=bool)
    flags[used] = flag_gross(right[used], fdr, weight[used])
    return flags


def first_gross_errors(residuals, sample_weight, fdr):
    """The same of a first fit to all rows, in which they may hide one another.

    Where it shows none, all that may be some are left out, for the next fit to judge.
    """
    found = gross_errors(residuals, sample_weight, fdr)
    return found if found.any() else _suspects(residuals, sample_weight)


def _suspects(residuals, sample_weight):
    """Rows where gross errors may begin."""
    used = ~np.isnan(residuals) & (sample_weight > 0)
    scale = residual_scale(np.where(used, residuals, np.nan), sample_weight)
    return used & (np.abs(residuals) * _NORMAL > FIRST_EDGE * scale)


def residual_scale(residuals, sample_weight):
    """Robust scale of residuals: of few of them the gross ones matter.

    Parameters
    ----------
    residuals : ndarray of shape (n,)
        NaN where there is none.
    sample_weight : ndarray of shape (n,)

    Returns
    -------
    scale : float
        1.48 times the median magnitude; the mean one where half of them are zero, and
        1 where all are.
    """
    known = ~np.isnan(residuals)
    size, weight = np.abs(residuals[known]), sample_weight[known]
    if not weight.sum() > 0:
        return 1.0
    order = np.argsort(size, kind="stable")
    reached = np.cumsum(weight[order])
    median = size[order][np.searchsorted(reached, 0.5 * reached[-1])]
    return float(_NORMAL * median or np.average(size, weights=weight) or 1.0)


def one_a_row(prediction):
    """Predicted targets without a second axis: some regressors predict a column."""
    return np.asarray(prediction, dtype=np.float64).reshape(len(prediction))
