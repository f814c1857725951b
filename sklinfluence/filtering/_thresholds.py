"""Which rows to flag: pure functions of scores, predictions and given labels.

A *flag rule* says which rows look mislabelled; *bounds* then say how many of them may
go. Bounds count rows of the same given label ("stratum"); a regression target has one
stratum, all rows.
"""

import numpy as np

from sklinfluence._warn import warn_user

# The log odds above which another label is worth believing. Well below even odds: a
# model trained on noisy labels underestimates how noisy they are (flagging at even odds
# had F1 .45 over 23 sets where this has .75).
MIN_LOG_ODDS = np.log(0.1)

# A share such as 0.7 of 10 rows must mean 7 rows, not 6.999...
_SLACK = 1e-9

# Flagged share above which the rule is likelier misled than the labels that noisy.
LARGE_SHARE = 0.25


def log_odds_against(quality):
    """Log odds that a label is wrong which is right with probability `quality`."""
    # Means of probabilities may exceed 1 by rounding: NaN, which speaks for the label.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log1p(-quality) - np.log(quality)


def flag_disagreement(given, predicted, log_odds):
    """Flag rows predicted as another class, with enough odds against their label.

    Parameters
    ----------
    given, predicted : ndarray of shape (n_samples,)
        Codes of the given and of the predicted class.

    log_odds : ndarray of shape (n_samples,)
        Log odds that the given label is wrong; NaN flags nothing.

    Returns
    -------
    flags : ndarray of shape (n_samples,), dtype=bool
    """
    return (given != predicted) & (log_odds > MIN_LOG_ODDS)


def flag_expected(right, fdr, sample_weight=None):
    """Flag rows while the mean probability that their labels are right stays low.

    Parameters
    ----------
    right : ndarray of shape (n_samples,)
        Posterior probability that a row's given label is right.

    fdr : float
        What the mean over the flagged rows stays below: the share of right labels
        that is expected among them. Rows of one probability are flagged together.

    sample_weight : ndarray of shape (n_samples,), default=None
        A weight of 2 is a row twice.

    Returns
    -------
    flags : ndarray of shape (n_samples,), dtype=bool
    """
    values, codes = np.unique(right, return_inverse=True)
    n_rows = np.bincount(codes.ravel(), weights=sample_weight)
    mean = np.cumsum(values * n_rows) / np.cumsum(n_rows)
    n_low = np.count_nonzero(mean < fdr)
    return right <= values[n_low - 1] if n_low else np.zeros(len(right), dtype=bool)


def flag_gross(right, fdr, sample_weight=None):
    """The same of real targets, and none that is likelier honest than not."""
    return flag_expected(right, fdr, sample_weight) & (right < 0.5)


def expected_wrong_share(verdict, flags, sample_weight):
    """Share of wrong labels to expect among flagged ones.

    Parameters
    ----------
    verdict : Verdict
    flags : ndarray of shape (n_samples,), dtype=bool
    sample_weight : ndarray of shape (n_samples,)

    Returns
    -------
    share : float
        Classes: the mean posterior probability that a flagged label is wrong. Real
        targets: that a flagged one is a gross error, by the law of residuals. NaN where
        nothing is flagged or the evidence gives neither.
    """
    if not flags.any() or verdict.right is None:
        return np.nan
    return float(1.0 - np.average(verdict.right[flags], weights=sample_weight[flags]))


def flag_share(scores, share, allowed, sample_weight=None):
    """Flag the worst rows among the allowed ones, as many as `share` of all rows."""
    rows = worst_first(scores, np.flatnonzero(allowed))
    sample_weight = np.ones(len(scores)) if sample_weight is None else sample_weight
    # Half of a row too many or too few, as rounding does.
    most = share * sample_weight.sum() + 0.5 * sample_weight[rows]
    flags = np.zeros(len(scores), dtype=bool)
    flags[rows[np.cumsum(sample_weight[rows]) <= most * (1 + _SLACK)]] = True
    return flags


def bound_flags(flags, scores, strata, min_per_class, max_share, sample_weight=None):
    """Keep only as many flags in each stratum as the bounds allow, the worst first.

    Parameters
    ----------
    flags : ndarray of shape (n_samples,), dtype=bool

    scores : ndarray of shape (n_samples,)
        Higher is worse.

    strata : ndarray of shape (n_samples,)
        The given label of each row, or one value for all of them.

    min_per_class : int
        Rows of each stratum that stay unflagged.

    max_share : float
        Largest share of a stratum's rows that may be flagged.

    sample_weight : ndarray of shape (n_samples,), default=None
        A weight of 2 is a row twice.

    Returns
    -------
    bounded : ndarray of shape (n_samples,), dtype=bool
        A subset of `flags`.
    """
    bounded = np.zeros_like(flags)
    sample_weight = np.ones(len(flags)) if sample_weight is None else sample_weight
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        n_rows = sample_weight[members].sum()
        most = min(max_share * n_rows, n_rows - min_per_class)
        worst = worst_first(scores, members[flags[members]])
        fits = np.cumsum(sample_weight[worst]) <= most * (1 + _SLACK)
        bounded[worst[fits]] = True
    return bounded


def worst_first(scores, rows):
    """`rows` by falling score; ties stay in the order of the rows."""
    return rows[np.argsort(-scores[rows], kind="stable")]


def warn_about_share(share):
    """Many flags may be honest rows of classes that overlap."""
    if share >= LARGE_SHARE:
        warn_user(
            f"{share:.0%} of the rows are flagged. If the labels are not that noisy, "
            "the classes overlap or the columns say little about them, and the flagged "
            "rows are honest: dropping them would bias the model. Look at report() "
            "first; contamination or a numeric threshold flags fewer.",
        )
