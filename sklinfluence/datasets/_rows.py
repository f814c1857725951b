"""Replacing rows of data held in any container that scikit-learn takes."""

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from sklinfluence._estimators import refuse_unlike_labels
from sklinfluence._sklearn_compat import _safe_indexing


def check_labels(y):
    """Class labels as a flat array."""
    labels = column_or_1d(y)
    if labels.dtype.kind == "f":
        # scikit-learn's own check casts them to integers first, with a warning.
        assert_all_finite(labels, input_name="y")
    refuse_unlike_labels(labels)
    check_classification_targets(labels)
    return labels


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


def in_container(y, values):
    """Other values for y, in y's container: a series or a column of a frame."""
    if not hasattr(y, "columns"):
        if hasattr(y, "iloc"):
            return type(y)(values, index=y.index, name=y.name)
        is_series = hasattr(y, "to_frame")  # polars: what is left that has it
        return type(y)(y.name, values) if is_series else values.reshape(np.shape(y))
    table = {y.columns[0]: values}
    return type(y)(table, index=y.index) if hasattr(y, "iloc") else type(y)(table)


def replace_rows(X, rows, new):
    """Return a copy of X in which ``new`` stands at the given rows.

    In the dtypes that hold both: a trigger of 0.5 must not become 0 in an integer
    image.
    """
    if hasattr(X, "columns"):
        return _replace_in_frame(X, rows, new)
    if sparse.issparse(X):
        # Assigning rows is what the list-of-lists format is for.
        replaced = X.astype(np.result_type(X.dtype, new.dtype)).tolil(copy=True)
        replaced[rows] = new
        return replaced.asformat(X.format)
    if isinstance(X, list):
        replaced = list(X)
        for row, value in zip(rows, new, strict=True):
            replaced[row] = value
        return replaced
    replaced = np.array(X, dtype=np.result_type(X, new))
    replaced[rows] = new
    return replaced


def _replace_in_frame(X, rows, new):
    """Stack both tables and take the rows: columns find their common dtypes."""
    if not hasattr(new, "columns"):
        new = type(X)(new, columns=X.columns)
    source = np.arange(len(X))
    source[rows] = len(X) + np.arange(len(rows))
    if not hasattr(X, "iloc"):
        import polars

        return polars.concat([X, new], how="vertical_relaxed")[source]
    import pandas

    # A row's cells go by their place, whatever a trigger calls the columns.
    replaced = pandas.concat([X, new.set_axis(X.columns, axis=1)]).iloc[source]
    replaced.index = X.index
    return replaced
