"""The range of each column's values, but for outliers that would blind the rest.

A standardised column is measured in units of its own deviation, and a single row of
1e8 makes that unit so large that all other rows coincide. Such values are taken for
the nearest one that is no outlier. A value x is an outlier when the rows as far from
the column's median m as x have, together, more of the column's spread than rows near
it can account for,

    (x - m)^2 * (their share of the weight) > 10 s^2,

s being the median distance from m of the values that differ from it. That is
Chebyshev's inequality turned into a rule: tails up to the log-normal's stay below 3,
and a column of rare values (a term, a category) is never touched, since s is then the
distance of the rare values themselves.
"""

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklinfluence._blocks import block_slices
from sklinfluence._sklearn_compat import _check_sample_weight
from sklinfluence.filtering._columns._advice import advice_on_columns

# Spread, in units of s^2, that the rows at or beyond a value may have.
MAX_SPREAD = 10.0
# More weight than this is no outlier but another population; one row always may be.
MAX_OUTLIER_SHARE = 0.02


def value_range(X, sample_weight):
    """Lowest and highest value of every column that is no outlier.

    Parameters
    ----------
    X : {ndarray, CSR matrix} of shape (n, d)
        Finite; made dense a block of columns at a time.
    sample_weight : ndarray of shape (n,)
        Positive.

    Returns
    -------
    lowest, highest : ndarray of shape (d,)
    """
    share = sample_weight / sample_weight.sum()
    bounds = np.empty((2, X.shape[1]))
    X = X.tocsc() if sparse.issparse(X) else X
    for at in block_slices(X.shape[1], 8 * X.shape[0]):
        columns = X[:, at].toarray() if sparse.issparse(X) else X[:, at]
        inside = ~_outliers(columns, share)
        bounds[0, at] = columns.min(axis=0, where=inside, initial=np.inf)
        bounds[1, at] = columns.max(axis=0, where=inside, initial=-np.inf)
    return bounds[0], bounds[1]


def _outliers(columns, share):
    """Which values are outliers of their column."""
    # Halves: the difference of two large numbers must stay a number.
    half = 0.5 * columns
    order, mass = _sorted_with_mass(half, share)
    middle = _first_reaching_half(half, order, mass)
    far = np.abs(half - middle)
    order, mass = _sorted_with_mass(far, share)
    scale = _first_reaching_half(far, order, mass * (_sorted(far, order) > 0))
    beyond = np.cumsum(mass[::-1], axis=0)[::-1]
    # Sums of shares differ in the last digits.
    may_be = beyond <= MAX_OUTLIER_SHARE + 1e-12
    may_be[-1] = True
    # Not squared, which would leave the float range before the values do.
    is_far = _sorted(far, order) * np.sqrt(beyond / MAX_SPREAD) > scale
    # From the first such value on, whatever follows it is as far away.
    outlying = np.maximum.accumulate(is_far & may_be, axis=0)
    mask = np.empty_like(outlying)
    np.put_along_axis(mask, order, outlying, axis=0)
    return mask


def weighted_median(columns, share):
    """Median of every column, holes left out; 0 for a column of nothing else.

    Parameters
    ----------
    columns : ndarray of shape (n, d)
    share : ndarray of shape (n,)
        Positive weights.

    Returns
    -------
    medians : ndarray of shape (d,)
        The lower of two that would do.
    """
    order, mass = _sorted_with_mass(columns, share)
    mass = np.where(np.isnan(_sorted(columns, order)), 0.0, mass)
    return np.nan_to_num(_first_reaching_half(columns, order, mass), nan=0.0)


def _sorted(values, order):
    return np.take_along_axis(values, order, axis=0)


def _sorted_with_mass(values, share):
    order = np.argsort(values, axis=0, kind="stable")
    return order, share[order]


def _first_reaching_half(values, order, mass):
    """Weighted median of every column: the lower of two that would do."""
    reached = np.cumsum(mass, axis=0)
    first = np.argmax(reached >= (0.5 - 1e-12) * reached[-1], axis=0)
    return _sorted(values, order)[first, np.arange(values.shape[1])]


class Winsorizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Hold every column's values within the range of those that are no outliers.

    Columns without outliers pass as they are. Zeros of a sparse matrix stay zeros.
    """

    def fit(self, X, y=None, sample_weight=None):
        """Find the range of every column, among rows of positive weight."""
        X = self._check(X, reset=True)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        used = np.flatnonzero(weight > 0)
        self.lowest_, self.highest_ = value_range(X[used], weight[used])
        return self

    def transform(self, X):
        """Hold the values of other rows within the same range."""
        check_is_fitted(self)
        X = self._check(X, reset=False)
        if not sparse.issparse(X):
            return np.clip(X, self.lowest_, self.highest_, dtype=X.dtype)
        X = X.copy()
        X.data = np.clip(
            X.data, self.lowest_[X.indices], self.highest_[X.indices], dtype=X.dtype
        )
        return X

    def _check(self, X, reset):
        dtype = [np.float64, np.float32]
        with advice_on_columns(X, "Ridge()"):
            return validate_data(self, X, reset=reset, accept_sparse="csr", dtype=dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
