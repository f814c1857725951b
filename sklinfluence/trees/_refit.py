"""Boosting replayed without a row, or with one more: structures kept, all values anew.

Exact by definition: every sum of every leaf is made again at the raw predictions that
the changed ensemble has, which takes a pass over all training rows for each row that
leaves or joins. Several go side by side.
"""

import numpy as np

from sklinfluence.trees._replay import sums


def values_without(replay, rows, start):
    """Values of leaves without each of some training rows, a stage at a time.

    Parameters
    ----------
    replay : Replay
    rows : ndarray of shape (b,)
        The training rows that leave, one at a time.
    start : ndarray of shape (b, n_outputs)
        The constant that boosting starts from without each.

    Yields
    ------
    stage : Stage
    values : ndarray of shape (n_leaves, b)
    """
    weights = np.tile(replay.weights[:, None, None], (1, 1, len(rows)))
    weights[rows, 0, np.arange(len(rows))] = 0.0
    raw = np.tile(start.T, (len(weights), 1, 1))
    for stage in replay.stages:
        at, gradient, hessian = _sums(replay, stage, weights, raw)
        values = replay.trees.newton(gradient, hessian, stage.further_l2[:, None])
        yield stage, values
        raw += values[at]


def _sums(replay, stage, weights, raw):
    at = stage.numbered(stage.leaves)
    found = replay.loss.at(replay.targets[:, :, None], raw)
    gradient = sums(at, weights * found.g, stage.n_leaves)
    hessian = sums(at, weights * found.h, stage.n_leaves)
    hessian[stage.is_still] = np.inf
    return at, gradient, hessian


def raw_without(replay, rows, leaves, start):
    """Raw predictions of queries without each of some training rows.

    Parameters
    ----------
    replay, rows, start
        As in `values_without`.
    leaves : list over stages of ndarray of shape (n_queries, n_outputs)

    Returns
    -------
    raw : ndarray of shape (n_queries, n_outputs, b)
    """
    raw = np.tile(start.T, (len(leaves[0]), 1, 1))
    walk = zip(values_without(replay, rows, start), leaves, strict=True)
    for (stage, values), of_stage in walk:
        raw += values[stage.numbered(of_stage)]
    return raw


def own_raw_without(replay, rows, start):
    """Raw predictions of some training rows, each without itself: (b, n_outputs)."""
    raw, each = start.copy(), np.arange(len(rows))[:, None]
    for stage, values in values_without(replay, rows, start):
        raw += values[stage.numbered(stage.leaves[rows]), each]
    return raw


def own_raw_with(replay, queries, start):
    """Raw predictions of new rows, each with itself as a row of weight 1.

    Parameters
    ----------
    replay : Replay
    queries : Asked
    start : ndarray of shape (b, n_outputs)
        The constant that boosting starts from with each.

    Returns
    -------
    raw : ndarray of shape (b, n_outputs)
    """
    own, each = start.copy(), np.arange(len(queries))[:, None]
    weights = replay.weights[:, None, None]
    raw = np.tile(start.T, (len(weights), 1, 1))
    for stage, of_stage in zip(replay.stages, queries.leaves, strict=True):
        at, gradient, hessian = _sums(replay, stage, weights, raw)
        joined, asked_at = (
            replay.loss.at(queries.targets, own),
            stage.numbered(of_stage),
        )
        gradient[asked_at, each] += joined.g
        hessian[asked_at, each] += joined.h
        values = replay.trees.newton(gradient, hessian, stage.further_l2[:, None])
        raw += values[at]
        own += values[asked_at, each]
    return own
