"""Intervals in which true leave-one-out losses lie.

For the objective F without row i, at any point theta_N, let H_N be its Hessian there,
lambda the length of its gradient in H_N^-1, and R the largest length in H_N^-1 of a
training row's logit difference (e_a - e_b) (x) x_j. Logistic and softmax losses
satisfy |D^3 l[u, v, v]| <= range(u) D^2 l[v, v] (Bach 2010), range being the spread of
the row's logits along u, so |D^3 F[u, v, v]| <= R |u| D^2 F[v, v]; a penalty only
adds to the right, and a free intercept needs none. Integrating from theta_N towards
the minimiser theta* gives 1 - exp(-R |theta* - theta_N|) <= R lambda. Hence, where
R lambda < 1, the minimiser exists within rho = -log(1 - R lambda) / R of theta_N, and
no logit difference of a query moves by more than rho times its own length in H_N^-1.

Outputs that do not interact are bounded one by one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sklinfluence._blocks import block_slices
from sklinfluence.curvature import (
    Cholesky,
    SingularHessianError,
    init_state,
    solutions,
)


@dataclass
class Certificate:
    """What is known of the optimum without one row.

    Attributes
    ----------
    theta : ndarray of shape (n_outputs, n_columns)
        theta_N.
    rho : ndarray of shape (n_outputs,) or (1,)
        Radius in H_N, of each output or of all; inf where nothing is certified.
    state : object
        H_N, factored.
    """

    theta: np.ndarray
    rho: np.ndarray
    state: object


def certify_removal(objective, theta):
    """How far the minimiser of an objective can be from ``theta``.

    Parameters
    ----------
    objective : Objective
        Without the row, undamped.
    theta : ndarray of shape (n_outputs, n_columns)

    Returns
    -------
    certificate : Certificate
    """
    K = len(theta)
    n_parts = K if objective.loss.separable else 1
    nowhere = Certificate(theta, np.full(n_parts, np.inf), None)
    if not np.all(np.isfinite(theta)):
        return nowhere
    raw = objective.raw(theta)
    solver = Cholesky()
    try:
        state = init_state(solver, objective.hessian(raw))
    except SingularHessianError:
        return nowhere
    gradient = objective.gradient(theta, raw).reshape(-1, 1)
    solved, _ = solutions(solver, state, gradient)
    length = np.sqrt(np.maximum((gradient * solved).reshape(n_parts, -1).sum(1), 0.0))
    reach = np.sqrt(_largest_spread(objective, state))
    return Certificate(theta, _radius(length, reach), state)


def _radius(length, reach):
    """-log(1 - R lambda) / R, which is lambda where R is 0; inf from R lambda = 1."""
    product = np.minimum(reach * length, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = -np.log1p(-product) / reach
    return np.where(reach > 0, radius, length)


def _largest_spread(objective, state):
    """R squared, over the rows that are in the objective: (n_parts,)."""
    there = np.flatnonzero(objective.weights > 0)
    K, q = objective.shape
    largest = 0.0
    for block in block_slices(len(there), 2 * K * q + 2 * K * K):
        B = state.row_blocks(objective.design.rows(there[block]))
        largest = np.maximum(largest, spreads(B).max(axis=0))
    return np.ravel(largest)


def spreads(B):
    """Squared lengths that R is the largest of: (n, K), or (n, 1) for a softmax."""
    if B.ndim == 2:
        return np.maximum(B, 0.0)
    return np.max(pair_lengths(B), axis=2).max(axis=1)[:, None]


def pair_lengths(B):
    """Squared length in H^-1 of every (e_a - e_b) (x) x: (n, K, K)."""
    diagonal = np.einsum("ikk->ik", B)
    return np.maximum(diagonal[:, :, None] + diagonal[:, None, :] - 2 * B, 0.0)


def loss_interval(certificate, queries):
    """Lowest and highest loss that each query can have at the minimiser.

    A cross-entropy is log(1 + sum_b exp(d_b)) in the differences d_b between another
    output's logit and the label's; each is moved by its own bound.

    Returns
    -------
    low, high : ndarray of shape (n_queries,)
    """
    if not np.all(np.isfinite(certificate.rho)):
        n_queries = len(queries.raw)
        return np.full(n_queries, -np.inf), np.full(n_queries, np.inf)
    raw = queries.design.dot(certificate.theta.T)
    B = certificate.state.row_blocks(queries.design.rows(slice(None)))
    if B.ndim == 2:
        return _logistic_interval(
            queries.targets, raw, certificate.rho * np.sqrt(np.maximum(B, 0.0))
        )
    return _softmax_interval(
        queries.targets, raw, certificate.rho[0] * np.sqrt(pair_lengths(B))
    )


def _logistic_interval(targets, raw, delta):
    """Each problem is a mixture of its two labels' losses, log(1 + e^-+f)."""
    low = targets * np.logaddexp(0.0, -raw - delta)
    low += (1.0 - targets) * np.logaddexp(0.0, raw - delta)
    high = targets * np.logaddexp(0.0, -raw + delta)
    high += (1.0 - targets) * np.logaddexp(0.0, raw + delta)
    return low.sum(axis=1), high.sum(axis=1)


def _softmax_interval(targets, raw, delta):
    # differences[j, a, b] = f_b - f_a, of which b = a is 0 and cannot move.
    differences = raw[:, None, :] - raw[:, :, None]
    low = logsumexp(differences - delta, axis=2)
    high = logsumexp(differences + delta, axis=2)
    return np.sum(targets * low, axis=1), np.sum(targets * high, axis=1)
