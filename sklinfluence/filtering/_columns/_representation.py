"""The columns that the filter's surrogates work on: scaled, dense, not too many.

Scaling changes which rows look alike, so the surrogates see standardised columns
whatever the caller's units. Wide data (more columns than rows, or text with
thousands of terms) are rotated onto their principal axes: a ridge-penalised linear
head and distances are unchanged by a rotation, so that nothing is lost while all axes
are kept, and the head's curvature stays small enough to factor.

What is done depends on the numbers alone: a sparse matrix and its dense form come out
the same.
"""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils.extmath import randomized_svd

from sklinfluence.filtering._columns._holes import HoleFiller
from sklinfluence.filtering._columns._winsorize import value_range

# Past this many columns the head's Cholesky factors would rule the time.
MAX_COLUMNS = 1000
# Axes kept of wider data with more rows than this.
MAX_AXES = 500
# Wide data with a smaller share of entries that are not zero are taken for counts or
# weights of terms: a page of text has a hundredth of a vocabulary, an image a fifth
# of its pixels or more.
MAX_TERM_DENSITY = 0.05
# The length of a row of the largest numbers must be a number; a power of two is exact.
_SMALL = 2.0**-12


class Representation:
    """Scale columns and rotate wide data onto principal axes.

    Columns are standardised, unless they are many and nearly all zeros: the weight of
    a term is its scale, and to standardise would make the rarest terms the heaviest.
    Those are divided by one common number, and become dense after the rotation, never
    before. Outliers are held at the nearest value that is none. Holes are filled with
    medians, and columns that tell them are added.

    Parameters
    ----------
    random_state : RandomState
        Of the randomised decomposition of wide data.

    Attributes
    ----------
    holds_terms_ : bool
        Whether the columns are many and nearly all zeros.
    """

    def __init__(self, random_state):
        self.random_state = random_state

    def fit_transform(self, X, sample_weight):
        """Dense float64 array of shape (n, n_axes)."""
        used = sample_weight > 0
        weight = sample_weight[used]
        self.filler_ = HoleFiller().fit(X[used], weight)
        X = self.filler_.transform(X)
        is_wide = X.shape[1] > min(MAX_COLUMNS, len(weight))
        self.holds_terms_ = is_wide and _density(X[used], weight) < MAX_TERM_DENSITY
        scaling = _Terms() if self.holds_terms_ else _Columns()
        self.scaling_ = scaling.fit(scaling.prepare(X)[used], weight)
        scaled = scaling.transform(X)
        self.axes_ = None
        if is_wide:
            self.axes_ = _principal_axes(scaled[used], self.random_state)
        return self._rotate(scaled)

    def transform(self, X):
        """The same columns for other rows."""
        return self._rotate(self.scaling_.transform(self.filler_.transform(X)))

    def _rotate(self, scaled):
        if self.axes_ is None:
            return scaled
        return np.asarray(scaled @ self.axes_)


class _Columns:
    """Columns standardised, values held within the range that was seen.

    A column that is all but constant in the rows seen has a tiny scale: one new value
    there would put its row far from everything.
    """

    def prepare(self, X):
        X = X.toarray() if sparse.issparse(X) else X
        return np.asarray(X, dtype=np.float64)

    def fit(self, X, weight):
        self.range_ = value_range(X, weight)
        X = np.clip(X, *self.range_)
        self.unit_ = _units(X)
        # Arrays whatever a global set_output asks for.
        scaler = StandardScaler().set_output(transform="default")
        self.scaler_ = scaler.fit(X / self.unit_, sample_weight=weight)
        return self

    def transform(self, X):
        X = np.clip(self.prepare(X), *self.range_)
        return self.scaler_.transform(X / self.unit_)


class _Terms:
    """Rows of term weights on their common scale; overlong rows are shortened."""

    def prepare(self, X):
        X = sparse.csr_matrix(X, dtype=np.float64, copy=True)
        # One form of one row, or sums over it would differ in the last digits.
        X.sum_duplicates()
        X.eliminate_zeros()
        X.data *= _SMALL
        return X

    def fit(self, X, weight):
        lengths = _lengths(X)
        self.longest_ = value_range(lengths[:, None], weight)[1][0]
        lengths = np.minimum(lengths, self.longest_)
        unit = lengths.max() or 1.0
        mean_square = weight @ np.square(lengths / unit) / weight.sum()
        # About unit variance an axis; the number of rows plays no part, or a row of
        # weight two would not be two rows.
        n_axes = min(X.shape[1], MAX_AXES)
        self.scale_ = unit * np.sqrt(mean_square / n_axes) or 1.0
        return self

    def transform(self, X):
        X = self.prepare(X)
        lengths = _lengths(X)
        kept = np.minimum(self.longest_ / np.where(lengths > 0, lengths, 1.0), 1.0)
        X.data *= np.repeat(kept, np.diff(X.indptr))
        X.data /= self.scale_
        return X


def _density(X, weight):
    """Share of the entries that are not zero, rows counted by their weights."""
    if sparse.issparse(X):
        counts = X.count_nonzero(axis=1)
    else:
        counts = np.count_nonzero(X, axis=1)
    return weight @ counts / weight.sum() / X.shape[1]


def _lengths(X):
    """Euclidean lengths of CSR rows, however large their entries."""
    largest = abs(X).max(axis=1).toarray().ravel()
    unit = np.where(largest > 0, largest, 1.0)
    scaled = X.data / np.repeat(unit, np.diff(X.indptr))
    squares = sparse.csr_matrix((np.square(scaled), X.indices, X.indptr), X.shape)
    return unit * np.sqrt(np.asarray(squares.sum(axis=1)).ravel())


def _units(X):
    """1, or the largest entry of a column whose squares would leave the float range."""
    largest = np.abs(X).max(axis=0)
    return np.where(
        (largest > 1e100) | ((largest < 1e-100) & (largest > 0)), largest, 1
    )


def _principal_axes(scaled, random_state):
    """Right singular vectors, (n_columns, n_axes): all of them for few rows."""
    n_rows = scaled.shape[0]
    if n_rows <= MAX_AXES:
        gram = scaled @ scaled.T
        gram = gram.toarray() if sparse.issparse(gram) else gram
        values, vectors = np.linalg.eigh(gram)
        if values[-1] <= 0:  # all rows alike: one axis that tells so
            return np.zeros((scaled.shape[1], 1))
        kept = values > values[-1] * n_rows * np.finfo(float).eps
        return np.asarray(scaled.T @ (vectors[:, kept] / np.sqrt(values[kept])))
    n_axes = min(MAX_AXES, scaled.shape[1] - 1)
    return randomized_svd(scaled, n_axes, n_iter=2, random_state=random_state)[2].T
