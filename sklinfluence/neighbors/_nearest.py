"""Training rows in order of their distance to queries, with ties in order of rows."""

import numpy as np
from scipy import sparse
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors


class SortedRows:
    """Rows sorted by distance; copies of a row are equally far from every query.

    The matrix products behind distances round copies of a row apart, and no search of
    scikit-learn's keeps the order of ties: so distances are taken to distinct rows,
    and equal ones are sorted again by row.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
    metric : str or callable
    metric_params : dict or None
    n_nearest : int
        How many rows to find; n_rows: all.
    """

    def __init__(self, X, metric, metric_params, n_nearest):
        self.n_rows, self.n_nearest = X.shape[0], n_nearest
        first, self.copy_of = _distinct(X)
        self.X = X if len(first) == self.n_rows else X[first]
        self.metric, self.metric_params = metric, metric_params or {}
        self.search = None
        if n_nearest < self.n_rows:
            self.search = NearestNeighbors(
                n_neighbors=min(n_nearest, len(first)),
                metric=metric,
                metric_params=metric_params,
            ).fit(self.X)
            self.copies = np.argsort(self.copy_of, kind="stable")
            count = np.bincount(self.copy_of)
            self.starts = np.concatenate([[0], np.cumsum(count)])

    def distances(self, queries):
        """Distances to every row, (n_queries, n_rows)."""
        distances = pairwise_distances(
            queries, self.X, metric=self.metric, **self.metric_params
        )
        return (
            distances if self.X.shape[0] == self.n_rows else distances[:, self.copy_of]
        )

    def nearest(self, queries):
        """Rows, nearest first: (n_queries, n_nearest)."""
        if self.search is None:
            return _sorted_with_ties(self.distances(queries))
        distances, found = self.search.kneighbors(queries)
        if self.X.shape[0] == self.n_rows:
            order = np.lexsort((found, distances), axis=1)
            return np.take_along_axis(found, order, axis=1)
        pairs = zip(distances, found, strict=True)
        return np.stack([self._with_copies(*pair) for pair in pairs])

    def _with_copies(self, distances, found):
        """The nearest rows of one query, from its nearest distinct ones."""
        count = self.starts[found + 1] - self.starts[found]
        enough = np.searchsorted(np.cumsum(count), self.n_nearest) + 1
        # All that are as far as the last one compete for its place.
        enough = np.searchsorted(distances, distances[enough - 1], side="right")
        spans = [slice(*self.starts[[at, at + 1]]) for at in found[:enough]]
        rows = np.concatenate([self.copies[span] for span in spans])
        far = np.repeat(distances[:enough], count[:enough])
        return rows[np.lexsort((rows, far))][: self.n_nearest]


def _distinct(X):
    """(first row of each distinct one, place of each row among them)."""
    if sparse.issparse(X):
        X = X.tocsr()
        X.sum_duplicates()
        ends = zip(X.indptr[:-1], X.indptr[1:], strict=True)
        keys = [(X.indices[a:b].tobytes(), X.data[a:b].tobytes()) for a, b in ends]
        place = {}
        copy_of = np.array([place.setdefault(key, len(place)) for key in keys])
        return np.unique(copy_of, return_index=True)[1], copy_of
    # Bytes sort faster than rows; with a 0 added, -0.0 has those of 0.0.
    rows = np.ascontiguousarray(X) + X.dtype.type(0)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, copy_of = np.unique(keys, return_index=True, return_inverse=True)
    return first, copy_of


def _sorted_with_ties(distances):
    order = np.argsort(distances, axis=1)
    ahead = np.take_along_axis(distances, order, axis=1)
    # A stable sort costs six times as much: only where something is tied.
    tied = np.flatnonzero((ahead[:, 1:] == ahead[:, :-1]).any(axis=1))
    order[tied] = np.argsort(distances[tied], axis=1, kind="stable")
    return order
