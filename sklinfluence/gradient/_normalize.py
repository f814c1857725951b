"""Normalisations of influence: what each column, and each query, is divided by.

Three functions of the method they serve go first: how a row's leaving moves the
parameters, and how much that row is worth to itself.
"""

import numpy as np

from sklinfluence._removal import (
    change_lengths,
    gradient_lengths,
    gradient_rows,
    inverse_ratio,
)

NORMALIZATIONS = ("theta", "loss", "gradient", "cosine")


def moving_coefficients(fitted, removal, method):
    """c_i, where row i's leaving moves the parameters by H^+ (c_i (x) x_i)."""
    if method != "newton":
        return fitted.coefficients
    return fitted.objective.weights[:, None] * removal.residual


def own_influence(fitted, removal, method):
    """Self-influence before it is normalised, (n_train,)."""
    if method == "grad_dot":
        alike = np.einsum("ik,ik->i", fitted.query_residual, fitted.coefficients)
        return alike * fitted.objective.design.squared_norms()
    if method == "influence":
        return removal.self_influence
    loss, targets = fitted.objective.loss.unweighted(), fitted.objective.targets
    return loss.loss(targets, removal.raw) - loss.loss(targets, fitted.raw)


def train_scale(fitted, removal, refined, method, normalize):
    """Factor of every training row's column, (n_train,); None for no normalisation.

    Parameters
    ----------
    fitted : FittedHead
    removal : Removal
        Used by ``method="newton"`` and ``normalize="loss"``; else None will do.
    refined : Refined
        Used by ``method="newton"``; else None will do.
    method : {"influence", "newton", "grad_dot"}
    normalize : {None, "theta", "loss", "gradient", "cosine"}
    """
    if normalize is None:
        return None
    if normalize == "loss":
        own = own_influence(fitted, removal, method)
        return inverse_ratio(1.0, np.sqrt(np.maximum(own, 0.0)))
    if normalize == "theta" and method != "grad_dot":
        coefficients = moving_coefficients(fitted, removal, method)
        lengths = change_lengths(fitted, coefficients)
        if method == "newton" and refined.index.size:
            lengths[refined.index] = np.linalg.norm(refined.change, axis=(1, 2))
        return inverse_ratio(1.0, lengths)
    gradients = gradient_lengths(fitted.objective.design, fitted.coefficients)
    return inverse_ratio(1.0, gradients)


def query_scale(queries, normalize):
    """Factor of every query's row, (n_queries,)."""
    if normalize != "cosine":
        return np.ones(len(queries.raw))
    return inverse_ratio(1.0, gradient_lengths(queries.design, queries.residual))


def self_scale(fitted, queries, method, normalize, coefficients, own):
    """Factor of the self-influence ``own`` of rows outside the fit, (n_queries,)."""
    if normalize is None:
        return np.ones(len(own))
    if normalize == "loss":
        return inverse_ratio(1.0, np.sqrt(np.maximum(own, 0.0)))
    if normalize == "theta" and method != "grad_dot":
        rows = queries.design.rows(slice(None))
        change = fitted.solve(gradient_rows(coefficients, rows).T)
        return inverse_ratio(1.0, np.linalg.norm(change, axis=0))
    lengths = gradient_lengths(queries.design, queries.residual)
    return inverse_ratio(1.0, lengths**2 if normalize == "cosine" else lengths)
