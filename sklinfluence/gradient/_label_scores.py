"""Label scores of a head's training rows, and of rows that it never saw."""

from functools import partial

import numpy as np

from sklinfluence._removal import (
    added_row,
    gradient_lengths,
    inverse_ratio,
    margin,
    noise_variance,
    opposition,
    query_curvature,
    studentized,
)
from sklinfluence.gradient._influence import over_added


def training_label_scores(reading, score):
    """One label score, not "self_influence", of the training rows: (n_train,)."""
    fitted, raw = reading.fitted, reading.fitted.raw
    if score == "cook":
        return inverse_ratio(reading.removal.moved, _cook_unit(reading))
    if score == "studentized":
        return np.max(np.abs(studentized(fitted, reading.removal)), axis=1)
    if score.startswith("loo_"):
        raw = reading.removal.raw
    objective = fitted.objective
    rows = (objective.design, objective.targets, raw, fitted.query_residual)
    return _plain_score(fitted, score, *rows)


def new_label_scores(reading, score, queries):
    """One label score of rows outside the fit, (n_queries,)."""
    if score not in ("cook", "studentized"):
        rows = (queries.design, queries.targets, queries.raw, queries.residual)
        return _plain_score(reading.fitted, score, *rows)
    outside = partial(_outside_score, reading, score)
    return np.concatenate(over_added(outside, reading, queries))


def _plain_score(fitted, score, design, targets, raw, residual):
    if score in ("loss", "loo_loss"):
        return fitted.objective.loss.unweighted().loss(targets, raw)
    if score in ("margin", "loo_margin"):
        return margin(targets, raw)
    if score == "gradient_norm":
        return gradient_lengths(design, residual)
    mean = fitted.objective.design.transpose_dot(fitted.coefficients).T
    return opposition(design, residual, mean)


def _outside_score(reading, score, queries):
    """Cook's distance of taking a row in; its residual over its standard error."""
    if score == "cook":
        change, residual = added_row(reading.fitted, queries)
        moved = -np.einsum("ik,ik->i", residual, change)
        return inverse_ratio(moved, _cook_unit(reading))
    B, _ = query_curvature(reading.fitted, queries)
    variance = noise_variance(reading.fitted, reading.removal)
    error = np.sqrt(variance * (1.0 + B))
    return np.max(inverse_ratio(np.abs(queries.residual), error), axis=1)


def _cook_unit(reading):
    """The number of parameters and the noise, which Cook's distance is over."""
    variance = np.mean(noise_variance(reading.fitted, reading.removal))
    return np.sum(reading.fitted.objective.n_seen()) * variance
