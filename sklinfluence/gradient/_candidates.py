"""Influence of the few training rows nearest to each query (FastIF).

Guo et al. (2021) ask only about the training rows nearest to a query in embedding
space: most of the influence is there, and the matrix of all pairs is never built.
"""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from sklinfluence._estimators import in_type
from sklinfluence._removal import loss_rise, outer_rows, query_scale


def influence_of_candidates(reading, blocks, candidates):
    """Influence of each query's nearest rows, nearest first.

    Parameters
    ----------
    reading : HeadReading
    blocks : iterable of Queries
    candidates : int

    Returns
    -------
    influence, index : ndarray of shape (n_queries, candidates)
    """
    # Rows of weight 0 are not there: they take no candidate's place.
    weighted = np.flatnonzero(reading.fitted.objective.weights > 0)
    search = NearestNeighbors(n_neighbors=candidates, n_jobs=reading.n_jobs)
    search.fit(reading.fitted.objective.design.X[weighted])
    values, indices = [], []
    for queries in blocks:
        index = weighted[search.kneighbors(queries.design.X, return_distance=False)]
        influence = _pairs(reading, queries, index)
        values.append(in_type(influence, queries.dtype))
        indices.append(index)
    return np.vstack(values), np.vstack(indices)


def values_per_query(fitted, candidates):
    """How many floats a query and its candidates take while they are asked about."""
    K, q = fitted.theta.shape
    return (candidates + 2 * K) * K * q


def _pairs(reading, queries, index):
    """Influence of chosen rows on each query, of ``index``'s shape."""
    fitted = reading.fitted
    rows = fitted.objective.design.rows(index.ravel())
    rows = rows.reshape(*index.shape, -1)
    if reading.method == "newton":
        influence = loss_rise(queries, _pair_shifts(reading, queries, index, rows))
    else:
        V = queries.gradients()
        if reading.uses_curvature:
            V = fitted.solve(V)
        V = V.reshape(*fitted.theta.shape, len(index))
        moved = np.einsum("jcq,kqj->jck", rows, V, optimize=True)
        influence = np.sum(moved * fitted.coefficients[index], axis=2)
    if reading.normalize is not None:
        influence *= reading.scale[index]
        influence *= query_scale(queries, reading.normalize)[:, None]
    return influence


def _pair_shifts(reading, queries, index, rows):
    """Move of each query's raw prediction when each of its candidates leaves."""
    coefficients = reading.leaving[index]
    (K, q), m = reading.fitted.theta.shape, len(index)
    asked = queries.design.rows(slice(None))
    solved = reading.fitted.solve(outer_rows(asked, K)).reshape(K, q, m, K)
    along = np.einsum("jcq,lqjk->jclk", rows, solved, optimize=True)
    shift = np.einsum("jclk,jcl->jck", along, coefficients)
    refined = reading.refined
    for place, at in enumerate(refined.index):
        j, c = np.nonzero(index == at)
        shift[j, c] = asked[j] @ refined.change[place].T
    return shift
