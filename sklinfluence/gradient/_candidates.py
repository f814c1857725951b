"""Influence of the few training rows nearest to each query (FastIF).

Guo et al. (2021) ask only about the training rows nearest to a query in embedding
space: most of the influence is there, and the matrix of all pairs is never built.
"""

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.curvature._design import block_slices
from sklinfluence.gradient._fitted_head import outer_rows
from sklinfluence.gradient._inputs import check_count
from sklinfluence.gradient._normalize import query_scale
from sklinfluence.gradient._scores import loss_rise
from sklinfluence.heads._ask import sliceable
from sklinfluence.heads._ranges import in_type


class CandidatesMixin:
    """``candidates=k`` on queries, for a ranker with ``_fitted`` and ``_queries``."""

    def influence(self, X, y=None, *, candidates=None):
        """Influence of training rows on every query.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Queries.
        y : array-like of shape (n_queries,), default=None
            Their targets. None: a classifier's queries take the label that the model
            predicts; for regression the influence is on the prediction itself,
            f(x) - f(x) without the row, positive where the row pushes it up.
        candidates : int, default=None
            Only the training rows that are this many nearest to each query in
            embedding space are asked about (FastIF). None: all.

        Returns
        -------
        influence : ndarray or CSR matrix of shape (n_queries, n_train)
            The rise in each query's loss when each training row is left out. With
            ``candidates``, sparse, and it holds these entries only.

        Raises
        ------
        ValueError
            If a label in ``y`` was not seen in training.
        """
        if candidates is None:
            return super().influence(X, y)
        values, index = self._of_candidates(X, y, candidates)
        order = np.argsort(index, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        index = np.take_along_axis(index, order, axis=1)
        indptr = np.arange(0, index.size + 1, index.shape[1])
        shape = (len(index), self._n_train)
        return sparse.csr_matrix((values.ravel(), index.ravel(), indptr), shape)

    def proponents(self, X, y=None, n=5, *, candidates=None):
        """The training rows without which each query's loss would rise most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5
        candidates : int, default=None
            As in `influence`; at least ``n``.

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Largest first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        if candidates is None:
            return super().proponents(X, y, n)
        return self._strongest_candidates(X, y, n, candidates, sign=1)

    def opponents(self, X, y=None, n=5, *, candidates=None):
        """The training rows without which each query's loss would fall most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5
        candidates : int, default=None
            As in `influence`; at least ``n``.

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Most negative first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        if candidates is None:
            return super().opponents(X, y, n)
        return self._strongest_candidates(X, y, n, candidates, sign=-1)

    def _strongest_candidates(self, X, y, n, candidates, sign):
        self._check_candidates(candidates)
        check_count(n, "n", candidates, "candidates")
        values, index = self._of_candidates(X, y, candidates)
        key = np.nan_to_num(-sign * values, nan=np.inf)
        order = np.argsort(key, axis=1, kind="stable")[:, :n]
        return (
            np.take_along_axis(values, order, axis=1),
            np.take_along_axis(index, order, axis=1),
        )

    def _check_candidates(self, candidates):
        """The training rows that candidates are taken from, those with a weight."""
        check_is_fitted(self)
        weighted = np.flatnonzero(self._fitted.objective.weights > 0)
        rows = "the number of training rows with a weight"
        check_count(candidates, "candidates", len(weighted), rows)
        return weighted

    def _of_candidates(self, X, y, candidates):
        """(influence, index) of each query's nearest rows, nearest first."""
        weighted = self._check_candidates(candidates)
        X, y = sliceable(X), self._check_query_targets(X, y)
        # Rows of weight 0 are not there: they take no candidate's place.
        embedding = self._fitted.objective.design.X[weighted]
        search = NearestNeighbors(n_neighbors=candidates, n_jobs=self.n_jobs)
        search.fit(embedding)
        K, q = self._fitted.theta.shape
        parts = []
        for block in block_slices(_num_samples(X), (candidates + 2 * K) * K * q):
            targets = None if y is None else _safe_indexing(y, block)
            queries, dtype = self._queries(_safe_indexing(X, block), targets)
            index = search.kneighbors(queries.design.X, return_distance=False)
            index = weighted[index]
            values = in_type(self._pairs(queries, index), dtype)
            parts.append((values, index))
        values, indices = zip(*parts, strict=True)
        return np.vstack(values), np.vstack(indices)

    def _pairs(self, queries, index):
        """Influence of chosen rows on each query, of ``index``'s shape."""
        fitted = self._fitted
        rows = fitted.objective.design.rows(index.ravel())
        rows = rows.reshape(*index.shape, -1)
        if self.method == "newton":
            influence = loss_rise(queries, self._pair_shifts(queries, index, rows))
        else:
            V = queries.gradients()
            if self._uses_curvature:
                V = fitted.solve(V)
            V = V.reshape(*fitted.theta.shape, len(index))
            moved = np.einsum("jcq,kqj->jck", rows, V, optimize=True)
            influence = np.sum(moved * fitted.coefficients[index], axis=2)
        if self.normalize is not None:
            influence *= self._scale[index]
            influence *= query_scale(queries, self.normalize)[:, None]
        return influence

    def _pair_shifts(self, queries, index, rows):
        """Move of each query's raw prediction when each of its candidates leaves."""
        fitted = self._fitted
        weights = fitted.objective.weights[:, None]
        coefficients = (weights * self._leave_each_out().residual)[index]
        (K, q), m = fitted.theta.shape, len(index)
        asked = queries.design.rows(slice(None))
        solved = fitted.solve(outer_rows(asked, K)).reshape(K, q, m, K)
        along = np.einsum("jcq,lqjk->jclk", rows, solved, optimize=True)
        shift = np.einsum("jclk,jcl->jck", along, coefficients)
        refined = self._refined
        for place, at in enumerate(refined.index):
            j, c = np.nonzero(index == at)
            shift[j, c] = asked[j] @ refined.change[place].T
        return shift
