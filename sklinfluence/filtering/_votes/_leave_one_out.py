"""Raw predictions of every training row by the head that never saw it.

Exactly coupled where the whole Hessian is factored; output by output where that
would cost too much. Both are one Newton step for the objective without the row.
"""

from functools import cache

import numpy as np
from scipy.special import softmax

from sklinfluence._blocks import block_slices
from sklinfluence._removal import (
    FittedHead,
    apply_block,
    move_of_group,
    move_without,
    removed_residual,
)
from sklinfluence.curvature import Cholesky, block_factors

# A leverage this close to one is held there: the row determines its own prediction.
MAX_LEVERAGE = 1.0 - 1e-6


def loo_raw_coupled(objective, raw, state):
    """One exact Newton step a row, from the factor of the whole Hessian.

    Parameters
    ----------
    objective : Objective
    raw : ndarray of shape (n, n_outputs)
        Raw predictions at the minimum.
    state : solver's state with ``row_blocks``

    Returns
    -------
    loo_raw : ndarray of shape (n, n_outputs)
        0 for a row of leverage 1, which leaves no optimum behind: it says nothing.
    """
    design, loss = objective.design, objective.loss
    out = np.empty_like(raw)
    for at in block_slices(design.n_rows, design.n_columns + 4 * raw.shape[1] ** 2):
        targets, weights = objective.targets[at], objective.weights[at]
        B = state.row_blocks(design.rows(at))
        S = loss.curvature(targets, raw[at])
        S = S * weights.reshape(-1, *[1] * (S.ndim - 1))
        left = removed_residual(-S, B, loss.gradient(targets, raw[at]))
        out[at] = raw[at] + weights[:, None] * apply_block(B, left)
    out[np.isnan(out).any(axis=1)] = 0.0
    return out


def leave_groups_out(loo_raw, objective, end, groups):
    """Put what the head without a group predicts for it in its rows' places.

    Parameters
    ----------
    loo_raw : ndarray of shape (n, n_outputs)
        Changed in place; 0 where nothing is left to predict from.
    objective : Objective
    end : Stationary
        The objective's minimum, factored by `Cholesky`.
    groups : list of ndarray
    """
    residual = objective.residual(end.raw)
    parts = (end.raw, residual, end.operator, Cholesky(), end.state, end.gap)
    fitted = FittedHead(objective, end.theta, *parts)
    for rows in groups:
        loo_raw[rows] = np.nan_to_num(end.raw[rows] + move_without(fitted, rows))


def loo_raw_by_output(objective, raw, groups=()):
    """The same for a softmax, from the diagonal blocks of the Hessian alone.

    Each output k is taken for a logistic problem of its own, with
    b_ik = x_i' H_kk^-1 x_i and curvature p_ik (1 - p_ik); its removal step is
    shrunk by (K - 1) / K, which makes the result exact where all classes are alike:

        f_ik + (K - 1) / K  s_i b_ik (p_ik - y_ik) / (1 - s_i p_ik (1 - p_ik) b_ik)

    The leverage in the denominator is below one whatever the data, because H_kk
    holds the row's own curvature. Pairing the blocks with the softmax's full
    curvature instead has no such bound: there the risk of an overfitted head can
    come out lower than that of a good one.

    Parameters
    ----------
    objective : Objective
        With a `SoftmaxLoss`.
    raw : ndarray of shape (n, K)
    groups : list of ndarray, default=()
        Rows that leave together, of every group of more than one.

    Returns
    -------
    loo_raw : ndarray of shape (n, K)
    """
    n_outputs = raw.shape[1]
    weights = objective.weights[:, None]
    proba = softmax(raw, axis=1)
    operator = objective.hessian(raw)
    factors = block_factors(operator)
    spread = weights * _output_blocks(objective, raw, factors)
    leverage = np.minimum(proba * (1.0 - proba) * spread, MAX_LEVERAGE)
    step = spread * (proba - objective.targets) / (1.0 - leverage)
    for rows in groups:
        step[rows] = _group_steps(objective, proba, rows, operator, factors)
    share = (n_outputs - 1) / n_outputs
    return raw + share * step


def _group_steps(objective, proba, rows, operator, factors):
    """Each output's step when rows leave together, (m, K)."""
    design, weights = objective.design.rows(rows), objective.weights[rows]
    pull = weights[:, None] * (proba[rows] - objective.targets[rows])
    curvature = weights[:, None] * (proba * (1.0 - proba))[rows]
    blocks, steps = cache(operator.diagonal_blocks), np.empty_like(pull)
    for k, factor in enumerate(factors):
        parts = design, curvature[:, k], pull[:, [k]]
        steps[:, [k]] = move_of_group(*parts, lambda k=k: blocks()[k], factor.solve)
    return np.nan_to_num(steps)


def _output_blocks(objective, raw, factors):
    """x_i' H_kk^-1 x_i of every row and output, (n, K)."""
    design, out = objective.design, np.empty_like(raw)
    for at in block_slices(design.n_rows, 2 * design.n_columns):
        rows = design.rows(at)
        for k, factor in enumerate(factors):
            out[at, k] = factor.leverage(rows)
    return out
