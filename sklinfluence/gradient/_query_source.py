"""Queries in blocks: what is asked about rows as many as those of the training set."""

import numpy as np

from sklinfluence._estimators import sliceable
from sklinfluence._removal import mean_gradient, query_scale
from sklinfluence._scheduling import on_threads
from sklinfluence._source import Output, row_source, sums
from sklinfluence.gradient._influence import influence_along, influence_if_added


def scores_of(ranker, X, y):
    """`influence_if_added` of rows with their given or predicted targets, (n_rows,)."""
    source = row_source(sliceable(X), y)
    output = Output(_dtype(ranker.reading_, source))
    return source.map(
        _scores, source.send(ranker, ranker._without_rows), outputs=(output,)
    )[0]


def _dtype(reading, source):
    """Single precision where training rows and queries are."""
    is_single = {reading.dtype, source.dtype} == {np.dtype(np.float32)}
    return np.float32 if is_single else np.float64


def _scores(block, ranker):
    queries = ranker._queries(*ranker._asked(block.X, block.y))
    return (influence_if_added(ranker.reading_, queries),)


def mean_over(ranker, X, y):
    """Mean first-order influence of every training row over queries, (n_train,)."""
    source = row_source(sliceable(X), y)
    parts = (source.send(ranker, ranker._without_rows), source.n_rows)
    mean, kinds = source.reduce(_gradients, _joined, *parts)
    return influence_along(ranker.reading_, mean, np.result_type(*kinds))


def _gradients(block, ranker, n_queries):
    """What a block of queries gives to the mean gradient, and the type it is in."""
    queries = ranker._queries(*ranker._asked(block.X, block.y))
    scale = query_scale(queries, ranker.reading_.normalize)
    with on_threads(ranker.reading_.n_jobs):
        return mean_gradient(queries, scale / n_queries), [queries.dtype]


def _joined(parts):
    gradients, kinds = zip(*parts, strict=True)
    return sums(gradients), [kind for each in kinds for kind in each]
