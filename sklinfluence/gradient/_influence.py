"""Influence of single rows, as functions of a reading and of queries."""

from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import in_type
from sklinfluence._removal import (
    added_row,
    apply_block,
    first_order,
    gradient_lengths,
    inverse_ratio,
    loss_rise,
    mean_first_order,
    moving_coefficients,
    one_step_newton,
    own_influence,
    parameter_change,
    query_curvature,
    query_scale,
    self_scale,
)
from sklinfluence._scheduling import on_threads


def influence_on(reading, queries):
    """Influence of every training row on every query, (n_queries, n_train).

    Parameters
    ----------
    reading : HeadReading
    queries : Queries
    """
    if reading.method == "newton":
        influence = one_step_newton(
            reading.fitted, reading.removal, queries, reading.n_jobs
        )
        _put_refined(influence, reading.refined, queries)
    else:
        influence = first_order(
            reading.fitted,
            queries,
            use_curvature=reading.uses_curvature,
            n_jobs=reading.n_jobs,
        )
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


def mean_influence_on(reading, queries):
    """Mean of first-order influence over the queries, by one solve: (n_train,)."""
    with on_threads(reading.n_jobs):
        mean = mean_first_order(
            reading.fitted,
            queries,
            query_scale(queries, reading.normalize),
            use_curvature=reading.uses_curvature,
        )
    if reading.normalize is not None:
        mean *= reading.scale
    return in_type(mean, queries.dtype)


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
