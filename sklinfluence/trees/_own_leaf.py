"""Raw predictions of training rows by an ensemble whose own leaves never saw the row.

Each row goes its own way through the stages: the leaf that it reaches has the value
that it would have without the row, all else as it is. For one tree this is the refit
without the row, structures kept; of many trees it leaves out that other rows' raw
predictions change too, and costs one pass for all rows.
"""

import numpy as np

from sklinfluence.trees._leaving import left_values


def own_leaf_refit(replay):
    """What is said of each row without itself, and how its loss was on the way.

    The constant that boosting starts from is held: others' sums are at it.

    Parameters
    ----------
    replay : Replay

    Returns
    -------
    raw : ndarray of shape (n_train, n_outputs)
        Raw predictions after the last stage.
    staged_loss : ndarray of shape (n_train,)
        Mean over stages of the loss after each.
    """
    raw = np.tile(replay.trees.baseline, (len(replay.targets), 1))
    total = np.zeros(len(raw))
    for stage, at, found in replay.forward(replay.leaves, replay.targets):
        raw += left_values(replay.trees, stage, at, found, replay.weights)
        total += replay.loss.loss(replay.targets, raw)
    return raw, total / len(replay.stages)


def staged_loss(replay, queries):
    """Mean over stages of the loss of rows that were not trained on, (n_queries,)."""
    raw, total = np.tile(replay.trees.baseline, (len(queries), 1)), 0.0
    for stage, of_stage in zip(replay.stages, queries.leaves, strict=True):
        raw = raw + stage.values[stage.numbered(of_stage)]
        total = total + queries.measure.loss(queries.targets, raw)
    return total / len(replay.stages)
