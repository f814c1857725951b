"""What is asked of a boosted ensemble: queries, by their leaves and a measure.

An `Asked` is all that the passes over the stages know of the rows that a question is
about, be they new queries or the training rows themselves: which leaves they are in,
and whether their loss or their prediction is measured at the end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklinfluence.trees._losses import WeightedRaw


@dataclass(frozen=True)
class Asked:
    """Rows whose loss, or prediction, is asked about.

    Attributes
    ----------
    leaves : list over stages of ndarray of shape (n_queries, n_outputs)
    targets : ndarray of shape (n_queries, n_outputs)
        Coded; of no account where the prediction is asked about.
    measure : object
        ``loss``, ``gradient`` and ``rise`` at raw predictions: the training loss, or
        minus the prediction.
    raw : ndarray of shape (n_queries, n_outputs)
        Raw predictions after the last stage.
    """

    leaves: Any
    targets: Any
    measure: Any
    raw: Any

    def __len__(self):
        return len(self.targets)

    @property
    def slopes(self):
        """Derivative of what is asked by the last raw predictions."""
        return self.measure.gradient(self.targets, self.raw)

    def take(self, rows):
        """Some of the queries."""
        leaves = [of_stage[rows] for of_stage in self.leaves]
        return Asked(leaves, self.targets[rows], self.measure, self.raw[rows])


def asked(replay, leaves, targets):
    """Queries in these leaves; their targets coded, or None for predictions."""
    raw = replay.raw_of(leaves)
    if targets is None:
        return Asked(leaves, np.zeros_like(raw), replay.loss.drop, raw)
    return Asked(leaves, targets, replay.loss, raw)


def asked_about_sum(leaves, gradient, raw):
    """Rows asked about a weighted sum of their raw predictions."""
    return Asked(leaves, gradient, WeightedRaw(), raw)


def training_rows(replay):
    """The training rows, as queries about their own loss."""
    return Asked(replay.leaves, replay.targets, replay.loss, replay.raw)
