"""Which rows to flag: pure functions of scores, predictions and given labels.

A *flag rule* says which rows look mislabelled; *bounds* then say how many of them may
go. Bounds count rows of the same given label ("stratum"); a regression target has one
stratum, all rows.
"""

import numpy as np
from scipy.stats import false_discovery_control

from sklinfluence.filtering._warn import warn_user

# The log odds above which another label is worth believing. Well below even odds: a
# model trained on noisy labels underestimates how noisy they are (flagging at even odds
# had F1 .45 over 23 sets where this has .75).
MIN_LOG_ODDS = np.log(0.1)

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


def flag_discoveries(p_values, fdr):
    """Flag the rows whose p-value survives Benjamini and Hochberg's step-up rule.

    `fdr` is the share of falsely flagged rows among those flagged that is allowed. A
    NaN (nothing known against the row) counts as a p-value of 1.
    """
    p_values = np.where(np.isnan(p_values), 1.0, p_values)
    return false_discovery_control(p_values) <= fdr


def flag_expected(right, fdr):
    """Flag rows while the mean probability that their labels are right stays low.

    Parameters
    ----------
    right : ndarray of shape (n_samples,)
        Posterior probability that a row's given label is right.

    fdr : float
        What the mean over the flagged rows stays below: the share of right labels
        that is expected among them. Rows of one probability are flagged together.

    Returns
    -------
    flags : ndarray of shape (n_samples,), dtype=bool
    """
    values, n_rows = np.unique(right, return_counts=True)
    mean = np.cumsum(values * n_rows) / np.cumsum(n_rows)
    n_low = np.count_nonzero(mean < fdr)
    return right <= values[n_low - 1] if n_low else np.zeros(len(right), dtype=bool)


def expected_wrong_share(verdict, flags):
    """Share of wrong labels to expect among flagged ones.

    Parameters
    ----------
    verdict : Verdict
    flags : ndarray of shape (n_samples,), dtype=bool

    Returns
    -------
    share : float
        Classes: the mean posterior probability that a flagged label is wrong. Real
        targets: one less Benjamini and Hochberg's estimate, all targets of a p-value
        as low as the highest flagged one counting as right. NaN where nothing is
        flagged or the evidence gives neither.
    """
    if not flags.any():
        return np.nan
    if verdict.right is not None:
        return float(1.0 - verdict.right[flags].mean())
    if verdict.classes is not None:
        return np.nan
    p_values = verdict.quality
    n_right = np.count_nonzero(~np.isnan(p_values)) * np.max(p_values[flags])
    return float(max(1.0 - n_right / flags.sum(), 0.0))


def flag_share(scores, share, allowed):
    """Flag the worst rows among the allowed ones, as many as `share` of all rows."""
    n_flagged = int(share * len(scores) + 0.5)
    flags = np.zeros(len(scores), dtype=bool)
    flags[worst_first(scores, np.flatnonzero(allowed))[:n_flagged]] = True
    return flags


def bound_flags(flags, scores, strata, min_per_class, max_share):
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

    Returns
    -------
    bounded : ndarray of shape (n_samples,), dtype=bool
        A subset of `flags`.
    """
    bounded = np.zeros_like(flags)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        # 1e-9: a share such as 0.7 of 10 rows must mean 7 rows, not 6.999...
        most = int(max_share * len(members) + 1e-9)
        most = max(min(most, len(members) - min_per_class), 0)
        bounded[worst_first(scores, members[flags[members]])[:most]] = True
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
