"""What filters and the estimators around them ask of what they are given."""

import numpy as np
from scipy.sparse import issparse
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import validate_data

from sklinfluence._estimators import sliceable
from sklinfluence._sklearn_compat import _safe_indexing, is_scalar_nan


def as_rows(detector, X):
    """Turn nested lists into an array; leave every other container, and text."""
    X = sliceable(X)
    if issparse(X):
        return X.tocsr()
    if hasattr(X, "shape") or not hasattr(detector, "n_features_in_"):
        return X
    return np.asarray(X)


def check_new_rows(detector, X, model):
    """Rows as they came, their columns checked against those of the fit.

    Parameters
    ----------
    detector : estimator
        Fitted.
    X : object
    model : estimator
        Says whether it takes rows with missing values, as it did in fit.
    """
    if not hasattr(detector, "n_features_in_"):
        return X
    # Checked, then passed on as it came: only the ranker knows what X may hold.
    seen = validate_data(
        detector,
        X,
        reset=False,
        accept_sparse=True,
        dtype=None,
        ensure_all_finite=False,
    )
    X = as_rows(detector, X)
    holes = rows_with_holes(seen)
    if holes.size:
        model.predict(_safe_indexing(X, holes))
    return X


def rows_with_holes(X):
    """Numbers of the rows of a checked array that hold NaN or an infinite value."""
    if issparse(X):
        X = X.tocoo()
        return np.unique(X.row[~np.isfinite(X.data)])
    if X.dtype.kind == "O":
        return np.flatnonzero([any(map(is_scalar_nan, row)) for row in X])
    if X.dtype.kind != "f":
        return np.empty(0, dtype=int)
    return np.flatnonzero(~np.isfinite(X).all(axis=1))


def unfrozen(estimator):
    """What is inside a FrozenEstimator, or the estimator itself."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def check_columns(detector, X, y):
    """Check y and note the columns of X, whatever holds them.

    scikit-learn counts the columns of a list by its first row.
    """
    if isinstance(X, list | tuple) and not len(X):
        raise ValueError(
            f"X has no rows (0 samples), and {type(detector).__name__} needs at least "
            "one."
        )
    validate_data(detector, X, y, skip_check_array=True)
