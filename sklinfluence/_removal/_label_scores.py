"""How likely each row's given label is wrong, by scores that one head gives.

Every score is higher where the label is likelier wrong. All are of the row's own
unweighted loss; leave-one-out scores of rows outside the fit are the plain ones, since
the model never saw them.
"""

import numpy as np

from sklinfluence._removal._queries import gradient_lengths, inverse_ratio
from sklinfluence._removal._together import JointRemoval
from sklinfluence._warn import warn_user

# Of the rows: degrees of freedom below this share are the leverages' rounding.
_NONE_LEFT = 1e-9

CLASSIFICATION_SCORES = (
    "loo_loss",
    "loo_margin",
    "loss",
    "margin",
    "self_influence",
    "cook",
    "gradient_norm",
    "agra",
)
REGRESSION_SCORES = (
    "studentized",
    "loo_loss",
    "loss",
    "self_influence",
    "cook",
    "gradient_norm",
)


def margin(targets, raw):
    """Largest raw prediction of another class, less that of the given one."""
    if targets.shape[1] == 1:
        return np.where(targets[:, 0] > 0.5, -1.0, 1.0) * raw[:, 0]
    given = targets == targets.max(axis=1, keepdims=True)
    other = np.where(given, -np.inf, raw).max(axis=1)
    return other - np.where(given, raw, -np.inf).max(axis=1)


def opposition(design, residual, mean_gradient):
    """Minus the cosine between a row's gradient and the mean training gradient.

    AGRA's idea (aggregated gradients): rows that pull against the rest are suspect.
    Without a penalty the mean gradient vanishes at the optimum, and so does the score.
    """
    along = np.einsum("ik,ik->i", residual, design.dot(mean_gradient.T))
    lengths = gradient_lengths(design, residual) * np.linalg.norm(mean_gradient)
    return -inverse_ratio(along, lengths)


def degrees_of_freedom_left(objective, removal):
    """Rows with a weight less the trace of the smoother, of each output: (n_outputs,).

    NaN where it is nothing but rounding. Rows that leave together and are the same,
    target and all, are one row of their weight.
    """
    n_rows = np.count_nonzero(objective.weights)
    if isinstance(removal, JointRemoval):
        n_rows = removal.n_all
    left = n_rows - removal.output_leverage.sum(axis=0)
    return np.where(left > _NONE_LEFT * n_rows, left, np.nan)


def noise_variance(fitted, removal):
    """Residual variance of each output, (n_outputs,); 1 for class targets.

    NaN, with a warning, where the model has as many parameters as there are rows.
    """
    if not fitted.objective.loss.is_quadratic:
        return np.ones(fitted.raw.shape[1])
    left = degrees_of_freedom_left(fitted.objective, removal)
    if np.any(np.isnan(left)):
        _warn_about_freedom("The model leaves no degrees of freedom")
    return fitted.objective.weights @ fitted.residual**2 / left


def _warn_about_freedom(what):
    warn_user(
        f"{what} to estimate the noise from: what is measured in units of it is NaN. "
        "Use fewer columns, more rows or a stronger penalty.",
    )


def deleted_variance(fitted, removal, variance):
    """Noise of each output as estimated without each row, (n_rows, n_outputs).

    A row of weight 0 was left out already: it takes nothing off ``variance``, which
    is that of all rows.
    """
    objective = fitted.objective
    if not objective.loss.is_quadratic:
        return np.ones_like(fitted.raw)
    left = degrees_of_freedom_left(objective, removal)
    n_own, own = 1.0, _taken_off(fitted, removal)
    if isinstance(removal, JointRemoval):
        n_own, own = removal.n_own[:, None], removal.own
    # No degrees of freedom, no noise estimate: nothing can be said of any row.
    if np.any(left <= n_own):
        _warn_about_freedom("Without a row the model leaves no degrees of freedom")
    fewer = np.where(left > n_own, left - n_own, np.nan)
    deleted = np.maximum(variance * left - own, 0.0) / fewer
    outside = objective.weights == 0
    if isinstance(removal, JointRemoval):
        # Copies of a row of weight 0 leave with it.
        outside &= removal.n_own == 0
    return np.where(outside[:, None], variance, deleted)


def _taken_off(fitted, removal):
    """s r r~, by which a row's leaving lowers the sum of squares: r~ = r / (1 - h)."""
    return fitted.objective.weights[:, None] * fitted.residual * removal.residual


def prediction_error(fitted, rows, variance):
    """Squared standard error of what is predicted for new rows, (n_chosen, K).

    sigma^2 (1 + x^T H^-1 x), the row's own noise in it.
    """
    blocks = fitted.row_blocks(fitted.objective.design.rows(rows))
    return variance * (1.0 + blocks)


def studentized(fitted, removal):
    """Deleted studentised residuals of the training rows, (n_rows, n_outputs).

    sqrt(s_i) r_i / (sigma_-i sqrt(1 - h_i)), sigma_-i being the noise estimated
    without the row. Exact at no penalty; a ridge's degrees of freedom are the trace
    of its smoother. A row of weight 0 was left out already: its residual is over the
    standard error of a prediction, sigma sqrt(1 + x^T H^-1 x). With its copies, a row
    is left out as one observation of their weight where targets are the same too.
    """
    weights, variance = fitted.objective.weights, noise_variance(fitted, removal)
    deleted = deleted_variance(fitted, removal, variance)
    if isinstance(removal, JointRemoval):
        return inverse_ratio(removal.residual, np.sqrt(deleted * removal.spread_left))
    own = _taken_off(fitted, removal)
    squares = inverse_ratio(np.maximum(own, 0.0), deleted)
    outside = np.flatnonzero(weights == 0)
    error = prediction_error(fitted, outside, variance)
    squares[outside] = inverse_ratio(fitted.residual[outside] ** 2, error)
    return np.sign(fitted.residual) * np.sqrt(squares)
