"""A first step of a Pipeline that takes what the filter's own models take."""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklinfluence.filtering._columns._columns import ColumnReader
from sklinfluence.filtering._columns._representation import Representation
from sklinfluence.filtering._columns._table import (
    has_other_columns,
    is_frame,
    is_sparse_frame,
)
from sklinfluence.filtering._columns._winsorize import Winsorizer


def needs_reading(X):
    """Whether X holds anything but numbers: other columns of a frame, or holes."""
    if sparse.issparse(X):
        return False
    if is_frame(X):
        return not is_sparse_frame(X) and has_other_columns(X)
    X = np.asarray(X)
    return X.dtype.kind == "f" and bool(np.isnan(X).any())


class ReadColumns(TransformerMixin, BaseEstimator):
    """Columns of numbers with their outliers held; others encoded, holes filled.

    Numbers without holes keep their units. What has to be read is standardised.

    Parameters
    ----------
    advised : str, default="Ridge()"
        The estimator that advice on columns of strings ends in.
    random_state : int, RandomState instance or None, default=None
        Of the encoders of text.
    """

    def __init__(self, advised="Ridge()", random_state=None):
        self.advised = advised
        self.random_state = random_state

    def fit(self, X, y=None, sample_weight=None):
        """Learn from the rows of positive weight how others are read."""
        self.reader_ = None
        if not needs_reading(X):
            self.scaling_ = Winsorizer().fit(X, sample_weight=sample_weight)
            return self
        rng = check_random_state(self.random_state)
        self.reader_ = ColumnReader(self, rng, self.advised)
        columns = self.reader_.fit_read(X, sample_weight)
        weight = np.ones(len(columns)) if sample_weight is None else sample_weight
        self.scaling_ = Representation(rng)
        self.scaling_.fit_transform(columns, np.asarray(weight, dtype=np.float64))
        return self

    def transform(self, X):
        """Other rows in the same columns."""
        check_is_fitted(self)
        X = X if self.reader_ is None else self.reader_.read(X)
        return self.scaling_.transform(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags
