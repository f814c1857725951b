"""Influence of single rows, as functions of a reading and of queries."""

from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import in_type
from sklinfluence._removal import (
    _gradient_products,
    added_row,
    apply_block,
    apply_gradients,
    gradient_lengths,
    inverse_ratio,
    loss_rise,
    moving_coefficients,
    one_step_newton,
    own_influence,
    parameter_change,
    query_curvature,
    query_scale,
    self_scale,
    solved_gradients,
    solved_mean,
)
from sklinfluence._scheduling import on_threads
from sklinfluence._source import Output


def influence_on(reading, queries):
    """Influence of every training row on every query, (n_queries, n_train).

    Parameters
    ----------
    reading : HeadReading
    queries : Queries
    """
    output = Output(queries.dtype, before=(len(queries.raw),))
    asked = (queries, _solved(reading, queries))
    return reading.by_row(_influence_of_rows, *asked, output=output)


def strongest_on(reading, queries, n, by):
    """The n strongest influences on every query, and their rows: (n_queries, n)."""
    asked = (queries, _solved(reading, queries))
    return reading.strongest(_influence_of_rows, n, by, *asked)


def _solved(reading, queries):
    """What is solved for once, not at every row: H^+ g_j of first-order influence."""
    if reading.method == "newton":
        return None
    return solved_gradients(reading.fitted, queries, reading.uses_curvature)


def _influence_of_rows(reading, queries, solved):
    """Influence of the reading's rows on every query, (n_queries, n_rows)."""
    if reading.method == "newton":
        influence = one_step_newton(
            reading.fitted, reading.removal, queries, reading.n_jobs
        )
        _put_refined(influence, reading.refined, queries)
    else:
        influence = _gradient_products(reading.fitted, solved, reading.n_jobs)
    if reading.normalize is not None:
        influence *= reading.scale
        influence *= query_scale(queries, reading.normalize)[:, None]
    return in_type(influence, queries.dtype)


def _put_refined(influence, refined, queries):
    """Replace the columns of refined rows by their influence at the optimum."""
    index, change = refined.index, refined.change
    if not index.size:
        return
    K = queries.raw.shape[1]
    for block in block_slices(len(queries.raw), 6 * K * index.size):
        part = queries.take(block)
        asked = part.design.rows(slice(None))
        shift = np.einsum("jq,ikq->jik", asked, change, optimize=True)
        influence[block, index] = loss_rise(part, shift)


def influence_along(reading, mean, dtype):
    """First-order influence of every training row on a mean of gradients, (n_train,).

    Parameters
    ----------
    reading : HeadReading
    mean : ndarray of shape (n_outputs, n_columns)
    dtype : dtype
        Of the queries.
    """
    with on_threads(reading.n_jobs):
        direction = solved_mean(reading.fitted, mean, reading.uses_curvature)
    return reading.by_row(_along_direction, direction, dtype, output=Output(dtype))


def _along_direction(reading, direction, dtype):
    with on_threads(reading.n_jobs):
        along = apply_gradients(reading.fitted, direction)
    if reading.normalize is not None:
        along *= reading.scale
    return in_type(along, dtype)


def influence_on_own(reading):
    """Influence of every training row on its own loss, (n_train,)."""
    own, fitted = own_influence(reading), reading.fitted
    if reading.normalize is not None:
        own = own * reading.scale
    if reading.normalize == "cosine":
        lengths = gradient_lengths(fitted.objective.design, fitted.query_residual)
        own = inverse_ratio(own, lengths)
    return in_type(own, reading.dtype)


def influence_if_added(reading, queries):
    """Self-influence that each query would have as a training row, (n_queries,)."""
    scores = over_added(partial(_added_influence, reading), reading, queries)
    return in_type(np.concatenate([np.zeros(0), *scores]), queries.dtype)


def over_added(work, reading, queries):
    """``work`` of queries, by so many whose Newton steps into the fit are held."""
    fitted, (n_queries, K) = reading.fitted, queries.raw.shape
    blocks = block_slices(n_queries, 2 * fitted.theta.size + 4 * K * K)
    return fitted.over_rows(
        lambda block: work(queries.take(block)), blocks, reading.n_jobs
    )


def _added_influence(reading, queries):
    fitted, residual = reading.fitted, queries.residual
    if reading.method == "grad_dot":
        own = gradient_lengths(queries.design, residual) ** 2
    elif reading.method == "influence":
        B, _ = query_curvature(fitted, queries)
        own = np.einsum("ik,ik->i", residual, apply_block(B, residual))
    else:
        change, residual = added_row(fitted, queries)
        own = queries.loss.loss(queries.targets, queries.raw)
        own = own - queries.loss.loss(queries.targets, queries.raw + change)
    return own * self_scale(reading, queries, residual, own)


def parameter_influence_of(reading, rows):
    """Cook's vector: theta less theta without each row, (n_chosen, K, q)."""
    change = -parameter_change(reading.fitted, moving_coefficients(reading), rows)
    if reading.method == "newton" and reading.refined.index.size:
        refined = reading.refined
        for at, row in zip(refined.index, refined.change, strict=True):
            change[rows == at] = -row
    return change
