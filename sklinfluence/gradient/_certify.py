"""Intervals in which the loss without a row is proved to lie."""

from functools import partial

import numpy as np

from sklinfluence._removal import (
    certify_removal,
    group_changes,
    loss_interval,
    loss_rise,
    shifts_of,
)
from sklinfluence._scheduling import map_blocks
from sklinfluence.curvature import Cholesky, SingularHessianError, minimize


def certified_rise(reading, rows, queries):
    """Bounds on the rise in each query's loss without each row.

    Parameters
    ----------
    reading : HeadReading
    rows : ndarray of shape (n_chosen,)
    queries : Queries

    Returns
    -------
    lower, upper : ndarray of shape (n_queries, n_chosen)
        -inf and inf where nothing can be said.
    """
    fitted = reading.fitted
    if fitted.objective.loss.is_quadratic:
        changes = np.array([_exact_change(fitted, row) for row in rows])
        rise = loss_rise(queries, shifts_of(queries, changes))
        return np.nan_to_num(rise, nan=-np.inf), np.nan_to_num(rise, nan=np.inf)
    alone = [np.array([row]) for row in rows]
    changes = group_changes(fitted, alone, n_jobs=reading.n_jobs)
    before = queries.loss.loss(queries.targets, queries.raw)
    interval = partial(_interval, fitted, queries)
    intervals = map_blocks(interval, rows, changes, n_jobs=reading.n_jobs)
    bounds = np.array(intervals).reshape(len(rows), 2, len(before)) - before
    return bounds[:, 0].T, bounds[:, 1].T


def _exact_change(fitted, row):
    """Least squares without a row, less theta, whatever the fit's solver and end."""
    objective, unknown = _without(fitted, row), np.full(fitted.theta.shape, np.nan)
    if objective.sees_less_than(fitted.objective):
        return unknown
    try:
        return minimize(objective, fitted.theta, Cholesky()).theta - fitted.theta
    except SingularHessianError:
        return unknown


def _without(fitted, row):
    weights = fitted.objective.weights.copy()
    weights[row] = 0.0
    return fitted.objective.reweighted(weights)


def _interval(fitted, queries, row, change):
    objective = _without(fitted, row)
    return loss_interval(certify_removal(objective, fitted.theta + change), queries)
