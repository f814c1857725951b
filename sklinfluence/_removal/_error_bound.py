"""How far the one-step Newton point can be from the optimum without the row.

Logistic and softmax losses satisfy |D^3 l[u, v, v]| <= range(u) D^2 l[v, v]
(Bach 2010, self-concordant analysis for logistic regression), range being taken over
the logits. With H_N the Hessian of the objective without row i at the Newton point,
lambda the length of the gradient there in H_N^-1 and R the largest length, in H_N^-1,
of a logit difference of a training row: if R lambda < 1 the optimum exists and no
logit difference of a training row is further than -log(1 - R lambda) from where the
Newton point puts it. H_N is not formed: H_N >= e^-d H_-i, where d is the largest move
of a training row's logit differences. lambda is taken in H_-i^-1 by the Woodbury
identity; R in H^-1, and H_-i >= (1 - h_i) H by the row's leverage.
"""

from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal._certificate import spreads
from sklinfluence._removal._fitted_head import gradient_rows
from sklinfluence._removal._one_row import (
    apply_block,
    leverage_by_output,
    residual_without,
)
from sklinfluence.curvature import KroneckerBlocks, RowCurvature, row_curvature


def newton_error_bound(fitted, removal, n_jobs=None):
    """Bound on what the Newton step leaves of each row's leave-one-out logits.

    Parameters
    ----------
    fitted : FittedHead
    removal : Removal

    Returns
    -------
    bound : ndarray of shape (n_train,)
        In nats: no logit difference of a training row, so no training row's loss,
        moves by more between the Newton point and the optimum without row i. inf
        where the condition fails, 0 for least squares (inf for a head read away from
        its optimum, from which the step is not exact), NaN at leverage 1.
    """
    n_rows, K = removal.raw.shape
    stationary = _is_stationary(fitted)
    if fitted.objective.loss.is_quadratic:
        bound = 0.0 if stationary else np.inf
        return np.where(removal.is_defined, bound, np.nan)
    values = 6 * n_rows * K + 3 * fitted.theta.size
    of_block = partial(_bound_block, fitted, removal)
    parts = fitted.over_rows(of_block, block_slices(n_rows, values), n_jobs)
    move, length, spread, leverage = map(np.concatenate, zip(*parts, strict=True))
    widest = fitted.objective.in_force(spread).max(initial=0.0)
    bound = _radius(move, length, widest, leverage)
    bound[~removal.is_defined] = np.nan
    if stationary:  # what has no weight takes nothing with it
        bound[fitted.objective.weights == 0] = 0.0
    return bound


def _is_stationary(fitted):
    """Whether a Newton step moves no training prediction by more than rounding."""
    gradient = fitted.objective.gradient(fitted.theta, fitted.raw).reshape(-1, 1)
    step = fitted.solve(gradient).reshape(fitted.theta.shape)
    objective = fitted.objective
    move = np.max(np.abs(objective.in_force(objective.raw(step))), initial=0.0)
    largest = np.max(np.abs(objective.in_force(fitted.raw)), initial=0.0)
    return move <= 1e-6 * max(1.0, largest)


def _radius(move, length, widest, leverage):
    """Both lengths stretched by what bounds H_N from below; R's is taken in H^-1."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        spread = widest / (1.0 - leverage)
        spread = np.where(spread >= 0, spread, np.inf)
        reach = np.exp(move) * np.sqrt(length * spread)
        return np.where(reach < 1.0, -np.log1p(-np.minimum(reach, 1.0)), np.inf)


def _bound_block(fitted, removal, block):
    objective = fitted.objective
    index = np.arange(objective.design.n_rows)[block]
    b, (K, q) = len(index), fitted.theta.shape
    weighted = objective.weights[block, None] * removal.residual[block]
    weighted = np.nan_to_num(weighted)
    rows = objective.design.rows(block)
    change = fitted.solve(gradient_rows(weighted, rows).T).reshape(K, q, b)
    shift = objective.design.dot(change.transpose(1, 2, 0).reshape(q, b * K))
    shift = shift.reshape(-1, b, K)
    shift[index, np.arange(b)] = 0.0  # the row that left is no longer in the objective
    move = objective.in_force(_logit_range(shift, objective.loss))
    move = move.max(axis=0, initial=0.0)

    gradient = _gradients_without(objective, fitted, index, change, shift)
    B = fitted.row_blocks(rows)
    of_rows = (objective.targets, fitted.raw, objective.weights)
    S = row_curvature(objective.loss, *(each[block] for each in of_rows), B)
    length = _length_without(fitted, gradient, rows, S, B)
    return move, length, _spread(B), _largest_leverage(S, B)


def _largest_leverage(curvature, B):
    """Upper bound of the largest eigenvalue of s_i S_i^1/2 B_i S_i^1/2: (b,)."""
    largest = np.max(leverage_by_output(curvature, B), axis=1)
    if isinstance(B, KroneckerBlocks) or B.ndim == 2:
        return largest
    # The trace bounds it from above, closely enough where it is well below 1.
    high = np.flatnonzero(largest > 0.9)
    eigenvalues = np.linalg.eigvals(curvature[high] @ B[high])
    largest[high] = np.max(eigenvalues.real, axis=1, initial=0.0)
    return largest


def _spread(B):
    """Largest squared length, in H^+, of a difference of two outputs at each row.

    Of one output where they do not interact.
    """
    if isinstance(B, KroneckerBlocks):
        # A difference of two outputs has squared length 2.
        return 2.0 * np.max(B.values, axis=1)
    return spreads(B).max(axis=1)


def _length_without(fitted, gradient, rows, curvature, B):
    """Squared length of each gradient in H_-i^-1, by the Woodbury identity."""
    K, q = fitted.theta.shape
    solved = fitted.solve(gradient)
    length = np.einsum("ij,ij->j", gradient, solved)
    along = np.einsum("kqj,jq->jk", solved.reshape(K, q, -1), rows)
    if isinstance(curvature, RowCurvature):
        bent = curvature.apply(along)
    else:
        bent = apply_block(curvature, along)
    left = residual_without(fitted, curvature, B, bent)
    return length + np.einsum("jk,jk->j", along, left)


def _gradients_without(objective, fitted, index, change, shift):
    """Gradient, at each Newton point, of the objective without that row: (p, b)."""
    n_rows, b, K = shift.shape
    raw = (fitted.raw[:, None, :] + shift).reshape(n_rows * b, K)
    targets = np.repeat(objective.targets, b, axis=0)
    residual = objective.loss.gradient(targets, raw).reshape(n_rows, b, K)
    residual *= objective.weights[:, None, None]
    residual[index, np.arange(b)] = 0.0
    q = change.shape[1]
    data = objective.design.transpose_dot(residual.reshape(n_rows, b * K))
    gradient = data.reshape(q, b, K).transpose(2, 0, 1)
    gradient = gradient + objective.penalty_gradient(fitted.theta[:, :, None] + change)
    return gradient.reshape(K * q, b)


def _logit_range(shift, loss):
    """Spread of each row's logit moves over the outputs that its loss compares."""
    if loss.separable:
        return np.max(np.abs(shift), axis=2)
    return np.max(shift, axis=2) - np.min(shift, axis=2)
