"""The constant that boosting starts from, as rows leave or join."""

import numpy as np

# How far a model's start may be from the best constant, relative, and count as it.
_CLOSE = 1e-6


def check_baseline(model, replay):
    """A ValueError unless the model starts from the best constant for its loss."""
    best, start = _best(replay, 0.0, 0.0)[0], np.array(replay.trees.baseline)
    if len(start) > 1:  # what all outputs share changes nothing
        start -= start.mean()
    if np.max(np.abs(start - best)) > _CLOSE * max(1.0, np.max(np.abs(best))):
        raise ValueError(
            f"refit_baseline=True refits the constant that {type(model).__name__} "
            f"starts from, and it starts from {start.tolist()}, not from the best one "
            f"for its loss, {best.tolist()}. Set refit_baseline=False."
        )


def starts_without(replay, rows, refit):
    """Where boosting starts without each of some training rows, (b, n_outputs)."""
    if not refit:
        return np.tile(replay.trees.baseline, (len(rows), 1))
    weights = replay.weights[rows, None]
    return _moved(replay, -weights * replay.targets[rows], -weights)


def starts_with(replay, targets, refit):
    """Where it starts with each of new rows of weight 1, (b, n_outputs)."""
    if not refit:
        return np.tile(replay.trees.baseline, (len(targets), 1))
    return _moved(replay, targets, 1.0)


def start_slopes(replay, targets):
    """Derivative of the start by the weight of rows, there or not: (b, n_outputs)."""
    return replay.loss.constant_slope(_mean(replay), targets) / replay.weights.sum()


def _moved(replay, of_targets, of_weights):
    best = _best(replay, of_targets, of_weights) - _best(replay, 0.0, 0.0)
    return replay.trees.baseline + best


def _best(replay, of_targets, of_weights):
    """The best constants with sums of targets and of weights changed by this."""
    total = replay.weights.sum() + of_weights
    mean = (replay.weights @ replay.targets + of_targets) / total
    return replay.loss.best_constant(np.atleast_2d(mean))


def _mean(replay):
    return replay.weights @ replay.targets / replay.weights.sum()
