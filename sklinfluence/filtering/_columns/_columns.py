"""What the filter's own models read X as: columns of numbers, with or without holes."""

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.filtering._columns._advice import advice_on_columns
from sklinfluence.filtering._columns._table import (
    TableColumns,
    is_frame,
    is_sparse_frame,
)


class ColumnReader:
    """Read arrays, sparse matrices and data frames as columns of numbers.

    Parameters
    ----------
    model : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``, and is named in errors.
    random_state : int, RandomState instance or None
        Of the encoders of text columns.
    advised : str
        The estimator that advice on columns of strings ends in.
    """

    def __init__(self, model, random_state, advised):
        self.model = model
        self.random_state = random_state
        self.advised = advised

    def fit_read(self, X, sample_weight=None):
        """The columns of X, which say how later rows are read.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n, d)
        sample_weight : array-like of shape (n,), default=None
            Rows of weight zero are read, and teach nothing.

        Returns
        -------
        columns : {ndarray, CSR matrix} of shape (n, n_columns)
            Of floats; NaN where there is a hole.
        """
        self.table_ = None
        if is_frame(X) and not is_sparse_frame(X):
            used = X
            if sample_weight is not None:
                used = _safe_indexing(X, np.flatnonzero(np.asarray(sample_weight) > 0))
            self.table_ = TableColumns(check_random_state(self.random_state)).fit(used)
        return self._read(X, reset=True)

    def read(self, X):
        """The same columns of other rows."""
        return self._read(X, reset=False)

    def _read(self, X, reset):
        table = self.table_
        if table is not None and (is_frame(X) or table.others_):
            validate_data(self.model, X, reset=reset, skip_check_array=True)
            return table.transform(X)
        with advice_on_columns(X, self.advised):
            return validate_data(
                self.model,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                ensure_all_finite="allow-nan",
            )
