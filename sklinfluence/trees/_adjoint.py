"""Influence of all training rows on queries, by one pass back through the stages.

The raw prediction of a query depends on the weight of a row through every leaf that
the row is in, and through the raw predictions of all rows that share a leaf with it on
the way. Backwards, the derivative of a query's loss by each leaf value theta is that by
the query's own raw prediction plus that by the raw predictions of the leaf's training
rows; it passes on to g and h of these rows, and from them to their raw predictions
before the stage. One pass gives all rows, where going forward takes one for each row.
"""

import numpy as np

from sklinfluence.trees._baseline import start_slopes, starts_with, starts_without
from sklinfluence.trees._leaving import exact, first_order, joining, leaf_slopes
from sklinfluence.trees._replay import sums


class AdjointPass:
    """Derivatives of weighted sums of queries, from the last stage to the first.

    Parameters
    ----------
    replay : Replay
    queries : Asked
    shares : ndarray of shape (n_queries,)
        The weight of each query in its sum.
    columns : ndarray of shape (n_queries,)
        The sum, from 0 to m - 1, that each query belongs to.

    Attributes
    ----------
    of_raw : ndarray of shape (n_train, n_outputs, m)
        Derivatives by the training rows' raw predictions: while `stages` is at a
        stage, after it; when it is done, before the first.
    of_start : ndarray of shape (n_outputs, m)
        Derivatives by the constant of the queries' own raw predictions.
    """

    def __init__(self, replay, queries, shares, columns):
        self.replay, self.queries, self.columns = replay, queries, columns
        self.slopes = queries.slopes * shares[:, None]
        m = int(columns.max()) + 1
        self.of_raw = np.zeros((*replay.targets.shape, m))
        self.of_start = np.zeros((replay.targets.shape[1], m))
        np.add.at(self.of_start.T, columns, self.slopes)

    def stages(self):
        """Derivatives by the values of leaves, (n_leaves, m), a stage at a time.

        Yields
        ------
        stage, at, found
            As `Replay.backward`.
        asked_at : ndarray of shape (n_queries, n_outputs)
            The queries' leaves.
        of_values : ndarray of shape (n_leaves, m)
        """
        replay, weights = self.replay, self.replay.weights[:, None, None]
        walk = zip(replay.backward(), reversed(self.queries.leaves), strict=True)
        for (stage, at, found), of_stage in walk:
            asked_at = stage.numbered(of_stage)
            of_values = sums(at, self.of_raw, stage.n_leaves)
            np.add.at(of_values, (asked_at, self.columns[:, None]), self.slopes)
            yield stage, at, found, asked_at, of_values
            shrink, per_step = leaf_slopes(replay.trees, stage)
            of_g = of_values * shrink[:, None]
            of_h = of_g * per_step[:, None]
            self.of_raw += weights * found.pull(of_g[at], of_h[at])


def adjoint_influence(replay, queries, shares, columns, *, removal, refit_baseline):
    """Influence of all training rows on weighted sums of queries.

    Parameters
    ----------
    replay : Replay
    queries : Asked
    shares, columns : ndarray of shape (n_queries,)
        As in `AdjointPass`.
    removal : bool
        Whether the values of a row's own leaves change as by its removal, or to first
        order in its weight.
    refit_baseline : bool
        Whether the constant that boosting starts from changes too.

    Returns
    -------
    influence : ndarray of shape (n_train, m)
    """
    run = AdjointPass(replay, queries, shares, columns)
    influence = np.zeros((len(replay.targets), run.of_raw.shape[2]))
    leaving = exact if removal else first_order
    for stage, at, found, _, of_values in run.stages():
        change = leaving(replay.trees, stage, at, found, replay.weights)
        influence += _weighed(of_values[at], run.of_raw, change, removal)
    if refit_baseline:
        change = _start_change(replay, removal)
        of_start = (run.of_start + run.of_raw.sum(axis=0))[None]
        influence += _weighed(of_start, run.of_raw, change, removal)
    return influence


def _weighed(of_values, of_raw, change, removal):
    # The later path of a row goes with it: that its own raw prediction changes is of
    # no account when it is gone.
    of_values = of_values - of_raw if removal else of_values
    return np.einsum("ikm,ik->im", of_values, change)


def _start_change(replay, removal):
    """Change of the start without each row, (n_train, n_outputs)."""
    if removal:
        every = np.arange(len(replay.targets))
        return starts_without(replay, every, refit=True) - replay.trees.baseline
    return -replay.weights[:, None] * start_slopes(replay, replay.targets)


def influence_of_new(replay, rows, *, removal, refit_baseline):
    """Influence on themselves that rows would have if they were training rows.

    Parameters
    ----------
    replay : Replay
    rows : Asked
    removal, refit_baseline : bool
        As in `adjoint_influence`. With ``removal`` the values of their leaves are
        those with and without them; that their own path through the ensemble changes
        when they join is left out.

    Returns
    -------
    influence : ndarray of shape (n_rows,)
        Of rows of weight 1.
    """
    ones, columns = np.ones(len(rows)), np.arange(len(rows))
    run = AdjointPass(replay, rows, ones, columns)
    raw, influence = rows.raw, np.zeros(len(rows))
    for stage, _, _, asked_at, of_values in run.stages():
        raw = raw - stage.values[asked_at]
        found = replay.loss.at(rows.targets, raw)
        if removal:
            change = joining(replay.trees, stage, asked_at, found)
        else:
            change = first_order(replay.trees, stage, asked_at, found, ones)
        influence += np.sum(of_values[asked_at, columns[:, None]] * change, axis=1)
    if refit_baseline:
        if removal:
            joined = starts_with(replay, rows.targets, refit=True)
            change = replay.trees.baseline - joined
        else:
            change = -start_slopes(replay, rows.targets)
        of_start = run.of_start + run.of_raw.sum(axis=0)
        influence += np.sum(of_start.T * change, axis=1)
    return influence
