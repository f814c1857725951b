"""Rows of an embedding, each with its 1, in blocks that fit the memory asked for."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklinfluence._blocks import block_slices
from sklinfluence._scheduling import map_rows, sum_rows

# Multiplications of a pass over rows that threads are started for.
_WORTH_SHARING = 10**6


class Design:
    """Embedding rows x_i, with a 1 appended when the head has an intercept.

    The 1 is never stored: products add the intercept's part, blocks append it.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n_rows, n_features)
        float32 or float64. Sparse rows are made dense a block at a time, and only
        where a method needs the rows themselves.
    fit_intercept : bool
    """

    def __init__(self, X, fit_intercept):
        self.X = X
        self.fit_intercept = fit_intercept
        self.n_rows, n_features = X.shape
        self.n_columns = n_features + bool(fit_intercept)

    def rows(self, index, factors=None, out=None):
        """The chosen rows as a float64 array of shape (n_chosen, n_columns).

        With ``factors``, of shape (n_chosen,), each times its own; in the first rows of
        ``out`` where there is one.
        """
        block = self.X[index]
        if sparse.issparse(block):
            block = block.toarray()
        n_rows = block.shape[0]
        out = np.empty((n_rows, self.n_columns)) if out is None else out[:n_rows]
        inner = out[:, : block.shape[1]]
        if factors is None:
            inner[:] = block
        else:
            np.multiply(block, factors[:, None], out=inner)
        if self.fit_intercept:
            out[:, -1] = 1.0 if factors is None else factors
        return out

    def take(self, index):
        """The design of some of the rows."""
        return Design(self.X[index], self.fit_intercept)

    def dot(self, W, index=None):
        """Rows times W: (n_columns, m) to (n_chosen, m)."""
        if index is not None or self._is_one_product(W.shape[1]):
            return self._dot(W, slice(None) if index is None else index)
        out = np.empty((self.n_rows, W.shape[1]))

        def fill(block):
            out[block] = self._dot(W, block)

        map_rows(fill, block_slices(self.n_rows, self.n_columns + W.shape[1]))
        return out

    def _dot(self, W, index):
        X = self.X[index]
        if not self.fit_intercept:
            return X @ W
        return X @ W[:-1] + W[-1]

    def transpose_dot(self, U, index=None):
        """Transposed rows times U: (n_chosen, m) to (n_columns, m)."""
        if index is not None or self._is_one_product(U.shape[1]):
            return self._transpose_dot(U, slice(None) if index is None else index)
        blocks = block_slices(self.n_rows, self.n_columns + U.shape[1])
        return sum_rows(lambda block: self._transpose_dot(U[block], block), blocks)

    def _transpose_dot(self, U, index):
        product = self.X[index].T @ U
        if not self.fit_intercept:
            return np.asarray(product)
        return np.vstack([product, U.sum(axis=0)])

    def _is_one_product(self, n_right):
        """Whether all rows meet so many columns at once: there is little to share.

        float32 rows are cast, memory-mapped rows read: both by the block.
        """
        size = self.n_rows * self.n_columns * n_right
        if sparse.issparse(self.X) or size == 0:
            return True
        is_there = self.X.dtype == np.float64 and not isinstance(self.X, np.memmap)
        return is_there and size < _WORTH_SHARING

    def squared_norms(self, index=slice(None)):
        """Squared length of each row, its 1 included: (n_chosen,)."""
        X = self.X[index]
        if sparse.issparse(X):
            norms = np.asarray(X.multiply(X).sum(axis=1), dtype=float).ravel()
        else:
            norms = np.einsum("ij,ij->i", X, X, dtype=float)
        return norms + bool(self.fit_intercept)

    def gram(self, weights, columns=None):
        """Sum of weight times row row^T over ``columns``: (n_columns, n_columns)."""
        columns = np.arange(self.n_columns) if columns is None else columns
        total = np.zeros((len(columns), len(columns)))
        for block in block_slices(self.n_rows, self.n_columns):
            rows = self.rows(block, np.sqrt(weights[block]))[:, columns]
            total += rows.T @ rows
        return total


@dataclass(frozen=True)
class ReducedDesign:
    """What is known of rows without any of them."""

    n_rows: int
    n_columns: int
    fit_intercept: bool
    X: object = None
