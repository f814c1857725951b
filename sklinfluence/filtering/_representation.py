"""The columns that the filter's surrogates work on: scaled, dense, not too many.

Scaling changes which rows look alike, so the surrogates see standardised columns
whatever the caller's units. Wide data (more columns than rows, or text with
thousands of terms) are rotated onto their principal axes: a ridge-penalised linear
head and distances are unchanged by a rotation, so that nothing is lost while all axes
are kept, and the head's curvature stays small enough to factor.
"""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils.extmath import randomized_svd

# Past this many columns the head's Cholesky factors would rule the time.
MAX_COLUMNS = 1000
# Axes kept of wider data with more rows than this.
MAX_AXES = 500


class Representation:
    """Standardise columns and rotate wide data onto principal axes.

    Dense columns are centred and scaled to unit variance. Sparse columns are left
    on their own scales (the weights of a term are its scale) and only divided by one
    common number; they become dense after the rotation, never before.

    Parameters
    ----------
    random_state : RandomState
        Of the randomised decomposition of wide data.
    """

    def __init__(self, random_state):
        self.random_state = random_state

    def fit_transform(self, X, sample_weight):
        """Dense float64 array of shape (n, n_axes)."""
        used = sample_weight > 0
        self.axes_ = None
        if sparse.issparse(X):
            norms = np.asarray(X.multiply(X).sum(axis=1)).ravel()
            mean_norm = sample_weight @ norms / sample_weight.sum()
            # About unit variance an axis; the number of rows plays no part, or a
            # row of weight two would not be two rows.
            n_axes = min(X.shape[1], MAX_AXES)
            self.scale_ = np.sqrt(max(mean_norm / n_axes, 1e-300))
            scaled = X / self.scale_
        else:
            X = np.asarray(X, dtype=np.float64)
            self.unit_ = _units(X[used])
            X = X / self.unit_
            # Arrays whatever a global set_output asks for.
            scaler = StandardScaler().set_output(transform="default")
            self.scaler_ = scaler.fit(X, sample_weight=sample_weight)
            self.range_ = X[used].min(axis=0), X[used].max(axis=0)
            scaled = self._scale(X)
        if X.shape[1] > min(MAX_COLUMNS, used.sum()):
            self.axes_ = _principal_axes(scaled[used], self.random_state)
        return self._rotate(scaled)

    def transform(self, X):
        """The same columns for other rows."""
        # Rows may come in the other kind of container than those of the fit.
        if hasattr(self, "scale_"):
            return self._rotate(sparse.csr_matrix(X) / self.scale_)
        X = X.toarray() if sparse.issparse(X) else X
        return self._rotate(self._scale(np.asarray(X, dtype=np.float64) / self.unit_))

    def _scale(self, X):
        """Standardised columns, rows held within the range that was seen.

        A column that is all but constant in the rows seen has a tiny scale: one new
        value there would put its row far from everything.
        """
        return self.scaler_.transform(np.clip(X, *self.range_))

    def _rotate(self, scaled):
        if self.axes_ is None:
            return scaled.toarray() if sparse.issparse(scaled) else scaled
        return np.asarray(scaled @ self.axes_)


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
        kept = values > values[-1] * n_rows * np.finfo(float).eps
        return np.asarray(scaled.T @ (vectors[:, kept] / np.sqrt(values[kept])))
    n_axes = min(MAX_AXES, scaled.shape[1] - 1)
    return randomized_svd(scaled, n_axes, n_iter=2, random_state=random_state)[2].T
