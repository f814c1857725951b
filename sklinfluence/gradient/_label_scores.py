"""How likely each row's given label is wrong, by scores that one head gives.

Every score is higher where the label is likelier wrong. All are of the row's own
unweighted loss; leave-one-out scores of rows outside the fit are the plain ones, since
the model never saw them.
"""

import numpy as np

from sklinfluence.gradient._scores import gradient_lengths, inverse_ratio

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
    """Weighted rows less the trace of the smoother, of each output: (n_outputs,)."""
    return np.count_nonzero(objective.weights) - removal.output_leverage.sum(axis=0)


def noise_variance(fitted, removal):
    """Residual variance of each output, (n_outputs,); 1 for class targets."""
    if not fitted.objective.loss.is_quadratic:
        return np.ones(fitted.raw.shape[1])
    squares = fitted.objective.weights @ fitted.residual**2
    return squares / degrees_of_freedom_left(fitted.objective, removal)


def studentized(fitted, removal):
    """Deleted studentised residuals of the training rows, (n_rows, n_outputs).

    sqrt(s_i) r_i / (sigma_-i sqrt(1 - h_i)), sigma_-i being the noise estimated
    without the row. Exact at no penalty; a ridge's degrees of freedom are the trace
    of its smoother. A row of weight 0 was left out already: its residual is over the
    standard error of a prediction, sigma sqrt(1 + x^T H^-1 x).
    """
    weights = fitted.objective.weights[:, None]
    left = degrees_of_freedom_left(fitted.objective, removal)
    # r~ = r / (1 - h): what is taken from the sum of squares is s r r~.
    own = weights * fitted.residual * removal.residual
    variance = noise_variance(fitted, removal) * left - own
    # No degrees of freedom, no noise estimate: nothing can be said of any row.
    left = np.where(left > 1.0, left - 1.0, np.nan)
    variance = np.maximum(variance, 0.0) / left
    squares = inverse_ratio(np.maximum(own, 0.0), variance)
    outside = np.flatnonzero(fitted.objective.weights == 0)
    error = noise_variance(fitted, removal) * (1.0 + removal.spread[outside, None])
    squares[outside] = inverse_ratio(fitted.residual[outside] ** 2, error)
    return np.sign(fitted.residual) * np.sqrt(squares)
