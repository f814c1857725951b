"""Holes filled, and remembered: a column's median, and a column that tells them.

For models that cannot take NaN. A column with holes in the rows seen gets an
indicator; without it a row with a hole would look like the most ordinary row, and
often it is not. Everything counts rows by their weights.
"""

import numpy as np
from scipy import sparse

from sklinfluence.filtering._columns._winsorize import weighted_median


class HoleFiller:
    """Fill holes by the medians of their columns, and append a column a holed column.

    Nothing is changed where the rows seen have no holes. Holes that appear in other
    columns later are filled, and have no indicator.
    """

    def fit(self, X, sample_weight):
        """Find the medians.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n, d)
        sample_weight : ndarray of shape (n,)
            Positive.

        Returns
        -------
        self
        """
        self.holed_ = np.flatnonzero(_count_holes(X))
        share = sample_weight / sample_weight.sum()
        # Columns without holes now may have some later.
        columns = X.tocsc() if sparse.issparse(X) else X
        self.medians_ = np.empty(X.shape[1])
        for j in range(X.shape[1]):
            column = columns[:, [j]]
            column = column.toarray() if sparse.issparse(column) else column
            self.medians_[j] = weighted_median(column, share)[0]
        return self

    def transform(self, X):
        """Rows without holes, in the container that they came in."""
        if not _count_holes(X).any() and len(self.holed_) == 0:
            return X
        if sparse.issparse(X):
            return self._filled_sparse(X)
        holes = np.isnan(X)
        filled = np.where(holes, self.medians_.astype(X.dtype), X)
        return np.hstack([filled, holes[:, self.holed_].astype(X.dtype)])

    def _filled_sparse(self, X):
        X = X.copy()
        hole = np.isnan(X.data)
        told = sparse.csr_matrix(
            (hole.astype(X.dtype), X.indices.copy(), X.indptr.copy()), X.shape
        )
        told.eliminate_zeros()
        X.data[hole] = self.medians_[X.indices[hole]]
        return sparse.hstack([X, told.tocsc()[:, self.holed_]], format="csr")


def _count_holes(X):
    """Holes of every column, (d,)."""
    if sparse.issparse(X):
        return np.bincount(X.indices[np.isnan(X.data)], minlength=X.shape[1])
    return np.isnan(X).sum(axis=0)
