"""The constant that boosting starts from, as rows leave or join."""

import numpy as np

# How far a model's start may be from the best constant, relative, and count as it.
_CLOSE = 1e-6


def check_baseline(model, replay):
    """A ValueError unless the model starts from the best constant for its loss."""
    best = replay.loss.best_constant(_mean(replay))[0]
    start = np.asarray(replay.trees.baseline, dtype=np.float64)
    if replay.targets.shape[1] > 1:  # what all outputs share changes nothing
        start = start - start.mean()
    if np.max(np.abs(start - best)) > _CLOSE * max(1.0, np.max(np.abs(best))):
        raise ValueError(
            f"refit_baseline=True refits the constant that {type(model).__name__} "
            f"starts from, and it starts from {start.tolist()}, not from the best one "
            f"for its loss, {best.tolist()}. Set refit_baseline=False."
        )


def _mean(replay):
    weights = replay.weights
    return (weights @ replay.targets / weights.sum())[None]


def constants_without(replay, rows):
    """The best constant without each of the rows, (n_chosen, n_outputs)."""
    weights, targets = replay.weights, replay.targets
    left = weights @ targets - weights[rows, None] * targets[rows]
    return replay.loss.best_constant(left / (weights.sum() - weights[rows, None]))


def constants_with(replay, targets):
    """The best constant with each of new rows of weight 1, (n_new, n_outputs)."""
    weights = replay.weights
    joined = weights @ replay.targets + targets
    return replay.loss.best_constant(joined / (weights.sum() + 1.0))


def best_constant(replay):
    """The best constant of all rows, (n_outputs,)."""
    return replay.loss.best_constant(_mean(replay))[0]
