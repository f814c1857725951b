"""The regression diagnostics of Belsley, Kuh and Welsch, for every linear head.

At no penalty those of a least squares head are the textbook's. With a penalty, H takes
the place of X^T X and the trace of the smoother that of the number of columns; with
weights, residuals are those of rows scaled by the root of their weight; a row of weight
0 has left already, and its residuals are those of a new row. Logistic and softmax heads
have a known dispersion of 1, and one Newton step for leaving a row out (Pregibon 1981;
Williams 1987 for the externally studentised residual: its square is what leaving the
row out takes off twice the objective).
"""

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal import (
    apply_block,
    deleted_variance,
    inverse_ratio,
    noise_variance,
    parameter_change,
    prediction_error,
    removed_residual,
    studentized,
)
from sklinfluence.gradient import class_probabilities


def row_diagnostics(fitted, removal):
    """Diagnostics of every training row, a dict of arrays.

    Parameters
    ----------
    fitted : FittedHead
    removal : Removal

    Returns
    -------
    diagnostics : dict
        Arrays of shape (n_rows,) or (n_rows, n_parts), a part being an output where
        outputs do not interact.
    """
    if fitted.objective.loss.is_quadratic:
        return _of_least_squares(fitted, removal)
    if fitted.objective.loss.separable:
        return _of_logistic(fitted, removal)
    return _of_softmax(fitted, removal)


def _blocks_of_rows(fitted):
    """B of every row, (n, K) or (n, K, K)."""
    design = fitted.objective.design
    K = len(fitted.theta)
    blocks = block_slices(design.n_rows, 2 * fitted.theta.size + 2 * K * K)
    return np.concatenate(
        fitted.over_rows(lambda block: fitted.row_blocks(design.rows(block)), blocks)
    )


def _n_parameters(fitted):
    """Parameters that rows and penalty determine, of each output or of them all.

    Of an l1 head, those in use. An output without any would divide by zero; its
    distances are 0 all the same.
    """
    return np.maximum(fitted.objective.n_seen(), 1)


def _of_least_squares(fitted, removal):
    weights = fitted.objective.weights[:, None]
    leverage = weights * _blocks_of_rows(fitted)
    variance = noise_variance(fitted, removal)
    # r~ = r / (1 - h), so that s r r~ is s r^2 / (1 - h).
    own = weights * fitted.residual * removal.residual
    squares = inverse_ratio(np.maximum(own, 0.0), variance)
    outside = np.flatnonzero(fitted.objective.weights == 0)
    error = prediction_error(fitted, outside, variance)
    squares[outside] = inverse_ratio(fitted.residual[outside] ** 2, error)
    inner = -np.sign(fitted.residual) * np.sqrt(squares)
    outer = -studentized(fitted, removal)
    ratio = inverse_ratio(deleted_variance(fitted, removal, variance), variance)
    spread = inverse_ratio(leverage, 1.0 - leverage)
    q = _n_parameters(fitted)
    return {
        "leverage": leverage,
        "residual": -fitted.residual,
        "internally_studentized": inner,
        "externally_studentized": outer,
        "cooks_distance": squares * spread / q,
        "dffits": outer * np.sqrt(np.maximum(spread, 0.0)),
        "covariance_ratio": inverse_ratio(ratio**q, 1.0 - leverage),
        "loo_prediction": removal.raw,
    }


def _of_logistic(fitted, removal):
    objective = fitted.objective
    loss, weights = objective.loss, objective.weights[:, None]
    residual, B = fitted.residual, _blocks_of_rows(fitted)
    leverage = weights * loss.curvature(objective.targets, fitted.raw) * B
    plain = fitted.query_residual
    # What a class weighs a row's term with.
    term = np.divide(residual, plain, out=np.ones_like(plain), where=plain != 0)
    variance = loss.unweighted().curvature(objective.targets, fitted.raw)
    pearson = np.sqrt(weights * term) * inverse_ratio(plain, np.sqrt(variance))
    moved = weights * removal.residual * np.sqrt(B)
    losses = 2 * _loss_by_output(objective, fitted.raw)
    inner = inverse_ratio(pearson, np.sqrt(np.maximum(1.0 - leverage, 0.0)))
    dropped = weights * term * losses + weights**2 * residual * B * removal.residual
    # A row of weight 0 is a new one: over the error of its prediction, and what
    # taking it in would add.
    outside = objective.weights == 0
    new = np.sqrt(variance + variance**2 * B)
    inner[outside] = inverse_ratio(plain, new)[outside]
    added = losses - plain**2 * B / (1.0 + variance * B)
    dropped[outside] = np.maximum(added, 0.0)[outside]
    return {
        "leverage": leverage,
        "residual": -plain,
        "internally_studentized": -inner,
        "externally_studentized": -np.sign(plain) * np.sqrt(dropped),
        "cooks_distance": moved**2 / _n_parameters(fitted),
        "dffits": -moved,
        "covariance_ratio": inverse_ratio(1.0, 1.0 - leverage),
        "loo_prediction": class_probabilities(loss, removal.raw)[:, -B.shape[1] :],
    }


def _loss_by_output(objective, raw):
    loss, K = objective.loss.unweighted(), raw.shape[1]
    parts = [loss.loss(objective.targets[:, [k]], raw[:, [k]]) for k in range(K)]
    return np.column_stack(parts)


def _of_softmax(fitted, removal):
    """One value a row: lengths take the place of signed scalars."""
    objective = fitted.objective
    loss, weights = objective.loss, objective.weights
    residual, B = fitted.residual, _blocks_of_rows(fitted)
    S = loss.curvature(objective.targets, fitted.raw)
    C = S * weights[:, None, None]
    # The residual's covariance under the model, what the fit has taken off it; of a
    # row of weight 0, which is new, with the error of its prediction.
    outside = (weights == 0)[:, None, None]
    covariance = S - S @ B @ np.where(outside, -S, C)
    unlikely = _squared_lengths(residual, covariance)
    pulled = np.einsum("ik,ik->i", residual, apply_block(B, removal.residual))
    deviance = 2 * loss.loss(objective.targets, fitted.raw)
    dropped = weights * deviance + weights**2 * pulled
    outside = np.flatnonzero(weights == 0)
    taken_in = removed_residual(S[outside], B[outside], residual[outside])
    added = np.einsum("ik,ik->i", residual[outside], apply_block(B[outside], taken_in))
    dropped[outside] = np.maximum(deviance[outside] - added, 0.0)
    weighed = np.where(weights == 0, 1.0, weights)
    moved = np.maximum(removal.moved, 0.0)
    # det(I - C_i B_i): how much of the curvature's volume is left without the row.
    kept = np.linalg.det(np.eye(B.shape[1]) - C @ B)
    return {
        "leverage": removal.leverage,
        "residual": -np.sum(objective.targets * residual, axis=1),
        "internally_studentized": np.sqrt(weighed * unlikely),
        "externally_studentized": np.sqrt(dropped),
        "cooks_distance": moved / _n_parameters(fitted),
        "dffits": np.sqrt(moved),
        "covariance_ratio": inverse_ratio(1.0, kept),
        "loo_prediction": class_probabilities(loss, removal.raw),
    }


def _squared_lengths(residual, covariance):
    """r^T V^+ r of each row, for any V that a row right by hundreds of nats has."""
    size = np.max(np.abs(covariance), axis=(1, 2))
    size[size == 0] = 1.0
    unit = residual / np.sqrt(size)[:, None]
    inverse = np.linalg.pinv(covariance / size[:, None, None], rcond=1e-10)
    with np.errstate(over="ignore"):
        length = np.einsum("ik,ikm,im->i", unit, inverse, unit)
    # A covariance's form: below zero by rounding alone, where classes are separable.
    return np.maximum(length, 0.0)


def scaled_parameter_changes(fitted, removal):
    """DFBETAS: each row's pull on every parameter, in standard errors, (n, K, q).

    theta - theta_-i over sigma_-i times the root of H^-1's diagonal; sigma_-i is 1 for
    logistic and softmax heads.
    """
    objective = fitted.objective
    n_rows, K = fitted.raw.shape
    error = np.sqrt(_inverse_diagonal(fitted))
    noise = np.ones((n_rows, K))
    if objective.loss.is_quadratic:
        variance = noise_variance(fitted, removal)
        noise = np.sqrt(deleted_variance(fitted, removal, variance))
    coefficients = objective.weights[:, None] * removal.residual
    out = np.empty((n_rows, *fitted.theta.shape))
    for block in block_slices(n_rows, 4 * fitted.theta.size):
        change = -parameter_change(fitted, coefficients, block)
        out[block] = inverse_ratio(change, noise[block][:, :, None] * error)
    return out


def _inverse_diagonal(fitted):
    """Diagonal of H^+, of theta's shape."""
    size = fitted.theta.size
    diagonal = np.empty(size)
    for block in block_slices(size, 4 * size):
        index = np.arange(size)[block]
        unit = np.zeros((size, len(index)))
        unit[index, np.arange(len(index))] = 1.0
        diagonal[index] = fitted.solve(unit)[index, np.arange(len(index))]
    return np.maximum(diagonal, 0.0).reshape(fitted.theta.shape)
