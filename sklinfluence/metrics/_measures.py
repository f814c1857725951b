"""Metrics of predictions with their derivatives, greater where better.

Each takes ``said``, class probabilities (n_queries, n_classes) or predicted values
(n_queries, n_targets), and ``targets`` of that shape, one-hot or real, and gives its
value and the derivative by ``said``.
"""

import numpy as np
from scipy.special import expit

# What scikit-learn's log_loss takes a probability of 0 for.
_LEAST = np.finfo(np.float64).eps
# Pairs of two classes compared at once.
_MOST_PAIRS = 2**22


def _log_likelihood(said, targets):
    """Log-probability of each label, and its derivative."""
    given = np.sum(said * targets, axis=1)
    likelihood = np.log(np.clip(given, _LEAST, 1.0))
    is_free = (given > _LEAST)[:, None]
    slope = targets / np.maximum(given, _LEAST)[:, None] * is_free
    return likelihood, slope


def _square(said, targets):
    """Minus half the squared error of each row, and its derivative."""
    away = said - targets
    return -0.5 * np.sum(away**2, axis=1), -away


def neg_log_loss(said, targets):
    value, slope = _log_likelihood(said, targets)
    return value.mean(), slope / len(said)


def neg_brier_score(said, targets):
    # Of two classes half of it, as scikit-learn has it.
    scale = 0.5 if said.shape[1] == 2 else 1.0
    away = said - targets
    value = -scale * np.mean(np.sum(away**2, axis=1))
    return value, -2.0 * scale * away / len(said)


def neg_mean_squared_error(said, targets):
    away = said - targets
    return -np.mean(away**2), -2.0 * away / away.size


def r2(said, targets):
    total = np.sum((targets - targets.mean(axis=0)) ** 2, axis=0)
    away = said - targets
    value = np.mean(1.0 - np.sum(away**2, axis=0) / total)
    return value, -2.0 * away / total / len(total)


def neg_calibration_error(said, targets, n_bins):
    """Minus the expected calibration error; bins held in the derivative."""
    column = np.ones(len(said), dtype=int)
    if said.shape[1] > 2:
        column = said.argmax(axis=1)
    rows = np.arange(len(said))
    chance, is_true = said[rows, column], targets[rows, column]
    at = np.clip((chance * n_bins).astype(int), 0, n_bins - 1)
    gap = np.bincount(at, chance - is_true, n_bins)
    slope = np.zeros_like(said)
    slope[rows, column] = -np.sign(gap[at]) / len(said)
    return -np.abs(gap).sum() / len(said), slope


def group_measure(kind, said, targets, groups, is_classification):
    """The worst group's mean score, or minus the gap to the best one's."""
    score = _log_likelihood if is_classification else _square
    value, slope = score(said, targets)
    sizes = np.bincount(groups)
    means = np.bincount(groups, value) / sizes
    worst, best = means.argmin(), means.argmax()
    share = (groups == worst) / sizes[worst]
    if kind == "worst_group":
        return means[worst], slope * share[:, None]
    share = share - (groups == best) / sizes[best]
    return means[worst] - means[best], slope * share[:, None]


def smooth_roc_auc(margin, is_positive, temperature):
    """Mean over pairs of a sigmoid of the difference of margins.

    Parameters
    ----------
    margin : ndarray of shape (n_queries,)
    is_positive : ndarray of shape (n_queries,)
    temperature : float

    Returns
    -------
    value : float
    slope : ndarray of shape (n_queries,)
        By the margins.
    """
    positive, negative = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    total, slope = 0.0, np.zeros(len(margin))
    size = max(1, _MOST_PAIRS // len(negative))
    for first in range(0, len(positive), size):
        chosen = positive[first : first + size]
        apart = (margin[chosen, None] - margin[negative]) / temperature
        p = expit(apart)
        total += p.sum()
        steep = p * expit(-apart) / temperature
        slope[chosen] += steep.sum(axis=1)
        slope[negative] -= steep.sum(axis=0)
    n_pairs = len(positive) * len(negative)
    return total / n_pairs, slope / n_pairs
