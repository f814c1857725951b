"""How queries' raw predictions change when rows leave a head's objective."""

from functools import partial

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._raw_change import RawChange
from sklinfluence._removal import apply_gradients, row_shifts
from sklinfluence.curvature import SoftmaxLoss


def raw_change_of(reading, X, *, is_classification):
    """A reading's `RawChange` for queries X."""
    queries = reading.queries(X)
    return RawChange(
        queries.raw,
        _link(reading.fitted.objective.loss, queries.raw.shape[1], is_classification),
        partial(_along, reading.fitted, queries),
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


def _along(fitted, queries, gradient):
    if isinstance(fitted.objective.loss, SoftmaxLoss):
        # No row moves what all outputs share.
        gradient = gradient - gradient.mean(axis=1, keepdims=True)
    direction = queries.design.transpose_dot(gradient).T.reshape(-1, 1)
    solved = fitted.solve(direction).reshape(fitted.theta.shape)
    return apply_gradients(fitted, solved)


def _without(reading, queries):
    fitted, design = reading.fitted, reading.fitted.objective.design
    shifts = row_shifts(fitted, queries)
    values_per_row = fitted.theta.size + 3 * queries.raw.size
    for block in block_slices(design.n_rows, values_per_row):
        shift = shifts(reading.leaving[block], design.rows(block))
        _put_refined(shift, reading.refined, queries, block)
        yield block, shift


def _put_refined(shift, refined, queries, block):
    """Replace the shifts of refined rows of the block by those to their optimum."""
    inside = (refined.index >= block.start) & (refined.index < block.stop)
    if not inside.any():
        return
    asked, change = queries.design.rows(slice(None)), refined.change[inside]
    moved = np.einsum("jq,ikq->jik", asked, change, optimize=True)
    shift[:, refined.index[inside] - block.start] = moved
