"""Normalisations of influence: what each column, and each query, is divided by."""

import numpy as np

from sklinfluence.gradient._scores import (
    change_lengths,
    gradient_lengths,
    inverse_ratio,
)

NORMALIZATIONS = ("theta", "loss", "gradient", "cosine")


def train_scale(fitted, normalize, coefficients, self_influence, *, use_curvature=True):
    """Factor of every training row's column, (n_train,).

    Parameters
    ----------
    fitted : FittedHead
    normalize : {"theta", "loss", "gradient", "cosine"}
    coefficients : ndarray of shape (n_train, n_outputs)
        c_i, where leaving row i out moves the parameters by H^+ (c_i (x) x_i);
        used by "theta".
    self_influence : ndarray of shape (n_train,)
        Not normalised; used by "loss".
    use_curvature : bool, default=True
        False where H is replaced by the identity.
    """
    if normalize == "loss":
        return inverse_ratio(1.0, np.sqrt(np.maximum(self_influence, 0.0)))
    if normalize == "theta" and use_curvature:
        return inverse_ratio(1.0, change_lengths(fitted, coefficients))
    gradients = gradient_lengths(fitted.objective.design, fitted.coefficients)
    return inverse_ratio(1.0, gradients)


def query_scale(queries, normalize):
    """Factor of every query's row, (n_queries,)."""
    if normalize != "cosine":
        return np.ones(len(queries.raw))
    return inverse_ratio(1.0, gradient_lengths(queries.design, queries.residual))


def self_scale(fitted, queries, normalize, coefficients, self_influence, use_curvature):
    """Factor of the self-influence of rows outside the fit, (n_queries,)."""
    lengths = gradient_lengths(queries.design, queries.residual)
    if normalize == "loss":
        return inverse_ratio(1.0, np.sqrt(np.maximum(self_influence, 0.0)))
    if normalize == "theta" and use_curvature:
        rows = queries.design.rows(slice(None))
        change = fitted.solve(
            (coefficients[:, :, None] * rows[:, None, :]).reshape(len(rows), -1).T
        )
        return inverse_ratio(1.0, np.linalg.norm(change, axis=0))
    if normalize in ("theta", "gradient"):
        return inverse_ratio(1.0, lengths)
    return inverse_ratio(1.0, lengths**2) if normalize == "cosine" else 1.0
