"""Pool weights by Newton steps whose sums are taken where the estimates lie."""

import numpy as np

from sklinfluence._source import sums
from sklinfluence.filtering._clustered._parts import weights_of
from sklinfluence.filtering._noise import (
    MAX_WEIGHT,
    newton_step,
    pool_log_proba,
)


def apart(block, n_estimates):
    """The estimates side by side in a block, as a list of (n_block, K)."""
    return np.split(block.X, n_estimates, axis=1)


def fit_pool_apart(source, n_estimates, start=None, max_iter=50, tol=1e-9):
    """As :func:`~sklinfluence.filtering._noise.fit_pool`, of a source.

    Parameters
    ----------
    source : row source
        X holds the log-probabilities of the estimates side by side, y the targets.
    n_estimates : int
    start : array-like of shape (n_estimates,), default=None
    max_iter, tol : int, float

    Returns
    -------
    weights : ndarray of shape (n_estimates,)
    """
    weights = np.full(n_estimates, 1.0 / n_estimates)
    weights = weights if start is None else np.array(start, dtype=float)
    value, gradient, hessian = _at(source, weights)
    for _ in range(max_iter):
        step = newton_step(weights, gradient, hessian)
        weights, found = _line_search(source, weights, step, value, gradient)
        new_value, gradient, hessian = found
        if value - new_value <= tol:
            break
        value = new_value
    return weights


def _at(source, weights):
    """Mean cross-entropy, its gradient and Hessian: one pass."""
    *parts, total = source.reduce(_moments, sums, weights)
    return [part / total for part in parts]


def _moments(block, weights):
    stack, targets = np.stack(apart(block, len(weights))), block.y
    weight = weights_of(block)
    log_proba = pool_log_proba(stack, weights)
    proba = np.exp(log_proba)
    value = -weight @ np.einsum("ik,ik->i", targets, log_proba)
    gradient = np.einsum("mik,ik,i->m", stack, proba - targets, weight)
    centred = stack - np.einsum("mik,ik->mi", stack, proba)[:, :, None]
    weighted = (centred * (proba * weight[:, None])).reshape(len(stack), -1)
    hessian = weighted @ centred.reshape(len(stack), -1).T
    return value, gradient, hessian, weight.sum()


def _line_search(source, weights, step, value, gradient):
    for _ in range(30):
        moved = np.clip(weights + step, 0.0, MAX_WEIGHT)
        found = _at(source, moved)
        if found[0] <= value + 1e-4 * min(gradient @ (moved - weights), 0.0):
            return moved, found
        step = 0.5 * step
    return weights, _at(source, weights)
