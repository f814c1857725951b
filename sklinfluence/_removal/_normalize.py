"""Normalisations of influence: what each column, and each query, is divided by.

Two functions of the method they serve go first: how a row's leaving moves the
parameters, and how much that row is worth to itself.
"""

import numpy as np

from sklinfluence._removal._fitted_head import gradient_rows
from sklinfluence._removal._queries import (
    change_lengths,
    gradient_lengths,
    inverse_ratio,
)

NORMALIZATIONS = ("theta", "loss", "gradient", "cosine")


def moving_coefficients(reading):
    """c_i, where row i's leaving moves the parameters by H^+ (c_i (x) x_i)."""
    return (
        reading.leaving if reading.method == "newton" else reading.fitted.coefficients
    )


def own_influence(reading):
    """Self-influence before it is normalised, (n_train,)."""
    fitted = reading.fitted
    if reading.method == "grad_dot":
        alike = np.einsum("ik,ik->i", fitted.query_residual, fitted.coefficients)
        return alike * fitted.objective.design.squared_norms()
    if reading.method == "influence":
        return reading.removal.self_influence
    loss, targets = fitted.objective.loss.unweighted(), fitted.objective.targets
    return loss.loss(targets, reading.removal.raw) - loss.loss(targets, fitted.raw)


def train_scale(reading):
    """Factor of every training row's column, (n_train,); None for no normalisation.

    Only ``method="newton"`` and ``normalize="loss"`` ask for the leave-one-out pass.
    """
    fitted, normalize = reading.fitted, reading.normalize
    if normalize is None:
        return None
    if normalize == "loss":
        own = own_influence(reading)
        return inverse_ratio(1.0, np.sqrt(np.maximum(own, 0.0)))
    if normalize == "theta" and reading.uses_curvature:
        lengths = change_lengths(fitted, moving_coefficients(reading), reading.n_jobs)
        if reading.method == "newton" and reading.refined.index.size:
            change = reading.refined.change
            lengths[reading.refined.index] = np.linalg.norm(change, axis=(1, 2))
        return inverse_ratio(1.0, lengths)
    gradients = gradient_lengths(fitted.objective.design, fitted.coefficients)
    return inverse_ratio(1.0, gradients)


def query_scale(queries, normalize):
    """Factor of every query's row, (n_queries,)."""
    if normalize != "cosine":
        return np.ones(len(queries.raw))
    return inverse_ratio(1.0, gradient_lengths(queries.design, queries.residual))


def self_scale(reading, queries, coefficients, own):
    """Factor of the self-influence ``own`` of rows outside the fit, (n_queries,)."""
    normalize = reading.normalize
    if normalize is None:
        return np.ones(len(own))
    if normalize == "loss":
        return inverse_ratio(1.0, np.sqrt(np.maximum(own, 0.0)))
    if normalize == "theta" and reading.uses_curvature:
        rows = queries.design.rows(slice(None))
        change = reading.fitted.solve(gradient_rows(coefficients, rows).T)
        return inverse_ratio(1.0, np.linalg.norm(change, axis=0))
    lengths = gradient_lengths(queries.design, queries.residual)
    return inverse_ratio(1.0, lengths**2 if normalize == "cosine" else lengths)
