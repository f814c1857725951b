"""Influence of groups of rows, and the few rows that hold up a prediction."""

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import in_type
from sklinfluence._removal import (
    Queries,
    group_changes,
    linear_rise,
    loss_rise,
    shifts_of,
    smallest_flip,
)
from sklinfluence._warn import warn_user


def influence_of_groups(reading, indices, blocks, order):
    """Rise in each query's loss without each group, (n_queries, n_groups).

    Parameters
    ----------
    reading : HeadReading
    indices : list of ndarray
        Training rows of each group.
    blocks : iterable of Queries
    order : {"first", "second", "newton", "exact"}
    """
    changes = group_changes(reading.fitted, indices, order, reading.n_jobs)
    _warn_about_active_sets(reading, indices, changes)
    parts = [np.empty((0, len(indices)), dtype=reading.dtype)]
    for queries in blocks:
        if order in ("first", "second"):
            parts.append(linear_rise(queries, changes))
        else:
            parts.append(loss_rise(queries, shifts_of(queries, changes)))
    return in_type(np.concatenate(parts), reading.dtype)


def values_per_query(fitted, n_groups):
    """How many floats a query takes while it is asked about this many groups."""
    return 4 * n_groups * fitted.theta.shape[0] + fitted.theta.size


def training_queries(reading, n_values):
    """The training rows with their given targets, in blocks of queries."""
    design, targets = reading.fitted.objective.design, reading.head.targets
    for block in block_slices(design.n_rows, n_values):
        yield Queries.at(reading.fitted, design.X[block], targets[block])


def _warn_about_active_sets(reading, indices, changes):
    """Name the groups without which an l1 head would use other coefficients."""
    if reading.head.l1 is None:
        return
    fitted, changed = reading.fitted, []
    for number, (group, change) in enumerate(zip(indices, changes, strict=True)):
        weights = fitted.objective.weights.copy()
        weights[group] = 0.0
        left = fitted.objective.reweighted(weights)
        if left.breaks(fitted.theta, fitted.raw, change[None])[0]:
            changed.append(number)
    if changed:
        warn_user(
            f"Without group(s) {', '.join(map(str, changed))} other coefficients "
            "of the l1 head would be active: their influence is that of the "
            "present active set, which a refit would leave.",
        )


def rows_holding_up(reading, queries, n):
    """For each query at most n rows without which it loses its class, or None."""
    return [
        smallest_flip(
            reading.fitted, reading.head, queries.take([j]), n, reading.n_jobs
        )
        for j in range(len(queries.raw))
    ]
