"""Replacing rows of data held in any container that scikit-learn takes."""

import numpy as np
from scipy import sparse

from sklinfluence._sklearn_compat import _safe_indexing


def take_labels(y, source):
    """Return y with the label of row ``source[i]`` at row i, in y's own container.

    A corrupted label is always one that stands somewhere in y already. Taking it from
    there, rather than writing a value, keeps every dtype as it was: strings of any
    width, categoricals, objects.
    """
    taken = _safe_indexing(y, source)
    if hasattr(y, "iloc"):
        taken.index = y.index
    return tuple(taken) if isinstance(y, tuple) else taken


def replace_rows(X, rows, new):
    """Return a copy of X in which ``new`` stands at the given rows."""
    if hasattr(X, "iloc"):
        X = X.copy()
        X.iloc[rows] = new
        return X
    if sparse.issparse(X):
        # Assigning rows is what the list-of-lists format is for.
        replaced = X.tolil(copy=True)
        replaced[rows] = new
        return replaced.asformat(X.format)
    if isinstance(X, list):
        replaced = list(X)
        for row, value in zip(rows, new, strict=True):
            replaced[row] = value
        return replaced
    # The common dtype: a trigger of 0.5 must not become 0 in an integer image.
    replaced = np.array(X, dtype=np.result_type(X, new))
    replaced[rows] = new
    return replaced
