"""Pool several probability estimates of the same rows into one.

The pooled estimate is a log-linear one,

    log P = log_softmax(sum_m a_m log P_m),   0 <= a_m <= 10,

and the weights a minimise the (soft) cross-entropy of the leave-one-out
estimates. The problem is convex in a, and an estimate that is of no use gets weight
zero: no threshold decides which estimate is trusted.
"""

import numpy as np
from scipy.special import log_softmax

# Where an estimate separates the labels, its weight would grow without end; honest ones
# are near 1.
MAX_WEIGHT = 10.0


def pool_log_proba(log_probas, weights):
    """Combine log-probabilities with given pool weights.

    Parameters
    ----------
    log_probas : sequence of ndarray of shape (n, K)
    weights : array-like of shape (len(log_probas),)

    Returns
    -------
    log_proba : ndarray of shape (n, K)
    """
    pairs = zip(weights, log_probas, strict=True)
    return log_softmax(sum(a * log_proba for a, log_proba in pairs), axis=1)


def fit_pool(log_probas, targets, sample_weight, start=None, max_iter=50, tol=1e-9):
    """Pool weights of least cross-entropy, by projected Newton steps.

    Parameters
    ----------
    log_probas : sequence of ndarray of shape (n, K)
        Leave-one-out log-probabilities, one array per estimate.
    targets : ndarray of shape (n, K)
        One-hot or soft labels, rows summing to one.
    sample_weight : ndarray of shape (n,)
    start : array-like of shape (len(log_probas),), default=None
        Equal weights that sum to one when None.
    max_iter : int, default=50
    tol : float, default=1e-9
        Stop when a step lowers the mean cross-entropy by less than this: far below
        what a ranking of rows can feel.

    Returns
    -------
    weights : ndarray of shape (len(log_probas),)
    """
    n_estimates = len(log_probas)
    stack = np.stack(log_probas)
    share = sample_weight / sample_weight.sum()
    weights = (
        np.full(n_estimates, 1.0 / n_estimates)
        if start is None
        else np.array(start, dtype=float)
    )
    value, proba = _cross_entropy(stack, targets, share, weights)
    for _ in range(max_iter):
        gradient, hessian = _derivatives(stack, targets, share, proba)
        step = newton_step(weights, gradient, hessian)
        weights, new_value, proba = _line_search(
            stack, targets, share, weights, step, value, gradient
        )
        if value - new_value <= tol:
            break
        value = new_value
    return weights


def _cross_entropy(stack, targets, share, weights):
    log_proba = pool_log_proba(stack, weights)
    value = -share @ np.einsum("ik,ik->i", targets, log_proba)
    return value, np.exp(log_proba)


def _derivatives(stack, targets, share, proba):
    gradient = np.einsum("mik,ik,i->m", stack, proba - targets, share)
    centred = stack - np.einsum("mik,ik->mi", stack, proba)[:, :, None]
    weighted = (centred * (proba * share[:, None])).reshape(len(stack), -1)
    return gradient, weighted @ centred.reshape(len(stack), -1).T


def newton_step(weights, gradient, hessian):
    """Newton step on the weights that are not held at their bound."""
    free = (weights > 0) | (gradient < 0)
    free &= (weights < MAX_WEIGHT) | (gradient > 0)
    step = np.zeros_like(weights)
    if free.any():
        block = hessian[np.ix_(free, free)]
        # The ridge is for estimates that coincide: any split between them is optimal.
        block = block + 1e-9 * (np.trace(block) + 1e-12) * np.eye(len(block))
        step[free] = np.linalg.solve(block, -gradient[free])
    return step


def _line_search(stack, targets, share, weights, step, value, gradient):
    for _ in range(30):
        moved = np.clip(weights + step, 0.0, MAX_WEIGHT)
        new_value, proba = _cross_entropy(stack, targets, share, moved)
        if new_value <= value + 1e-4 * min(gradient @ (moved - weights), 0.0):
            return moved, new_value, proba
        step = 0.5 * step
    value, proba = _cross_entropy(stack, targets, share, weights)
    return weights, value, proba
