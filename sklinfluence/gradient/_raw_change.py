"""How queries' raw predictions change when rows leave a head's objective."""

from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._raw_change import RawChange
from sklinfluence._removal import apply_gradients, parameter_change
from sklinfluence._scheduling import on_threads
from sklinfluence.curvature import SoftmaxLoss


def raw_change_of(reading, X, *, is_classification):
    """A reading's `RawChange` for queries X."""
    queries = reading.queries(X)
    return RawChange(
        queries.raw,
        _link(reading.fitted.objective.loss, queries.raw.shape[1], is_classification),
        partial(_along, reading, queries),
        partial(_without, reading, queries),
    )


def _link(loss, n_outputs, is_classification):
    if not is_classification:
        return "identity"
    if isinstance(loss, SoftmaxLoss):
        return "softmax"
    if loss.is_quadratic:
        return None
    return "sigmoid" if n_outputs == 1 else "one_vs_rest"


def _along(reading, queries, gradient):
    fitted = reading.fitted
    if isinstance(fitted.objective.loss, SoftmaxLoss):
        # No row moves what all outputs share.
        gradient = gradient - gradient.mean(axis=1, keepdims=True)
    with on_threads(reading.n_jobs):
        direction = queries.design.transpose_dot(gradient).T.reshape(-1, 1)
        solved = fitted.solve(direction).reshape(fitted.theta.shape)
        return apply_gradients(fitted, solved)


def _without(reading, queries):
    fitted, asked = reading.fitted, queries.design.rows(slice(None))
    values_per_row = 2 * fitted.theta.size + 2 * queries.raw.size
    for block in block_slices(len(reading.leaving), values_per_row):
        change = parameter_change(fitted, reading.leaving, block)
        _put_refined(change, reading.refined, block)
        yield block, np.einsum("jq,ikq->jik", asked, change, optimize=True)


def _put_refined(change, refined, block):
    """Replace the changes of refined rows of the block by those to their optimum."""
    inside = (refined.index >= block.start) & (refined.index < block.stop)
    if inside.any():
        change[refined.index[inside] - block.start] = refined.change[inside]
