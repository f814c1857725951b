"""Influence through the leaves that a training row shares with a query, and no others.

Of each tree, the change of a leaf's value when a row leaves (`credits`) times the
derivative of a query's loss by it (`debits`) where both are in the leaf. Rows on
themselves share every leaf, and a sum over queries is a sum at leaves: neither needs
the matrix of queries and rows.
"""

import numpy as np
from scipy import sparse

from sklinfluence.trees._leaving import first_order, newton_slopes

# Bytes of the queries' side of a product.
_MOST_BYTES = 2**26


def credits_in_leaves(replay, rows, weights, power):
    """To first order, at raw predictions as they are; over leaf weight to a power.

    Parameters
    ----------
    replay : Replay
    rows : Asked
        Training rows, or others as if they were.
    weights : ndarray of shape (n_rows,)
    power : float

    Yields
    ------
    change : ndarray of shape (n_rows, n_outputs)
    """
    for stage, at, found in replay.forward(rows.leaves, rows.targets):
        change = first_order(replay.trees, stage, at, found, weights)
        yield change if power == 0 else change * _over_weight(stage, power)[at]


def _over_weight(stage, power):
    # A leaf may hold no row with a weight.
    share = np.zeros(stage.n_leaves)
    return np.divide(1.0, stage.weight**power, out=share, where=stage.weight > 0)


def credits_along_own_path(replay, rows, weights, start):
    """To first order, with the row's own raw prediction changing from stage to stage.

    Parameters
    ----------
    replay : Replay
    rows : Asked
    weights : ndarray of shape (n_rows,)
    start : ndarray of shape (n_rows, n_outputs)
        Change of the constant that boosting starts from when each row leaves.

    Yields
    ------
    change : ndarray of shape (n_rows, n_outputs)
    """
    weights, moved = weights[:, None], start
    for stage, at, found in replay.forward(rows.leaves, rows.targets):
        g, h = found.push(moved)
        fall = weights * (found.g - g), weights * (found.h - h)
        change = newton_slopes(replay.trees, stage, at, *fall)
        yield change
        moved = moved + change


def debits_at_the_end(queries, n_stages):
    """By raw predictions after the last stage, the same for every stage."""
    slopes = queries.slopes
    for _ in range(n_stages):
        yield slopes


def debits_on_the_way(replay, queries):
    """By raw predictions before each stage."""
    raw = np.tile(replay.trees.baseline, (len(queries), 1))
    for stage, of_stage in zip(replay.stages, queries.leaves, strict=True):
        yield queries.measure.gradient(queries.targets, raw)
        raw = raw + stage.values[stage.numbered(of_stage)]


def influence_on_each(replay, queries, credits, debits):
    """Influence of all training rows on each query, (n_queries, n_train).

    Parameters
    ----------
    replay : Replay
    queries : Asked
    credits, debits : iterables over stages of ndarrays of shape (n, n_outputs)
    """
    if len(queries) == 1:  # a sum of one, without sparse matrices of all rows
        return influence_on_sum(replay, queries, np.ones(1), credits, debits)[None]
    influence = np.zeros((len(replay.targets), len(queries)))
    pending = _Product(influence)
    stages = zip(replay.stages, queries.leaves, credits, debits, strict=True)
    for stage, of_stage, change, slope in stages:
        asked_at = stage.numbered(of_stage)
        pending.add(stage.numbered(stage.leaves), change, asked_at, slope, stage)
    pending.finish()
    return influence.T


class _Product:
    """Rows by leaves times leaves by queries, of as many stages at once as fit."""

    def __init__(self, into):
        self.into, self.n_leaves, self.parts = into, 0, []

    def add(self, at, change, asked_at, slope, stage):
        size = 8 * self.into.shape[1] * (self.n_leaves + stage.n_leaves)
        size += 16 * at.size * (len(self.parts) + 1)
        if self.parts and size > _MOST_BYTES:
            self.finish()
        start = self.n_leaves
        self.parts.append((at + start, change, asked_at + start, slope))
        self.n_leaves += stage.n_leaves

    def finish(self):
        at, change, asked_at, slope = (
            np.hstack(part) for part in zip(*self.parts, strict=True)
        )
        n_rows, n_queries = self.into.shape
        starts = np.arange(0, at.size + 1, at.shape[1])
        shape = n_rows, self.n_leaves
        of_rows = sparse.csr_matrix((change.ravel(), at.ravel(), starts), shape=shape)
        of_queries = np.zeros((self.n_leaves, n_queries))
        of_queries[asked_at, np.arange(n_queries)[:, None]] = slope
        self.into += of_rows @ of_queries
        self.n_leaves, self.parts = 0, []


def influence_on_sum(replay, queries, shares, credits, debits):
    """Influence of all training rows on a weighted sum of queries, (n_train,)."""
    influence = np.zeros(len(replay.targets))
    stages = zip(replay.stages, queries.leaves, credits, debits, strict=True)
    for stage, of_stage, change, slope in stages:
        asked_at = stage.numbered(of_stage)
        of_values = np.bincount(
            asked_at.ravel(), (shares[:, None] * slope).ravel(), stage.n_leaves
        )
        at = stage.numbered(stage.leaves)
        influence += np.sum(of_values[at] * change, axis=1)
    return influence


def influence_on_itself(credits, debits):
    """Influence of rows on themselves, (n_rows,)."""
    return sum(
        np.sum(slope * change, axis=1)
        for change, slope in zip(credits, debits, strict=True)
    )
