"""Other labels or targets in some rows of y, in the container that y came in."""

import numpy as np

from sklinfluence.datasets import take_labels


def relabelled(y, given, rows, labels):
    """A copy of y with other labels in some rows.

    A label that the rows' noise model suggests is one that some row of y has.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 1)
        Given labels, in any container.
    given : ndarray of shape (n_samples,)
        The same as an array.
    rows : ndarray of int
        Rows that get another label.
    labels : ndarray of shape (n_rows,)
        Their new labels, each of which some row of y has.

    Returns
    -------
    y_new : array-like
        In the container of y.
    """
    first = {}
    for row, label in enumerate(np.asarray(given).tolist()):
        first.setdefault(label, row)
    source = np.arange(len(given))
    source[rows] = [first[label] for label in np.asarray(labels).tolist()]
    return take_labels(y, source)


def with_targets(y, rows, targets):
    """A copy of y with other real targets in some rows; integers become floats.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 1)
        Given targets, in any container.
    rows : ndarray of int
        Rows that get another target.
    targets : ndarray of shape (n_rows,)
        Their new targets.

    Returns
    -------
    y_new : array-like
        In the container of y; an array where the container is not known.
    """
    if isinstance(y, list | tuple):
        values = list(y)
        for row, target in zip(rows.tolist(), targets.tolist(), strict=True):
            values[row] = target
        return type(y)(values)
    values = np.array(y, dtype=np.float64)
    values[rows] = targets if values.ndim == 1 else targets[:, np.newaxis]
    if isinstance(y, np.ndarray):
        return values.astype(y.dtype, copy=False) if y.dtype.kind == "f" else values
    if hasattr(y, "iloc"):
        return _as_pandas(y, values)
    if type(y).__module__.partition(".")[0] == "polars":
        is_series = values.ndim == 1
        return type(y)(y.name, values) if is_series else type(y)(values, y.columns)
    return values


def _as_pandas(y, values):
    names = {"name": y.name} if values.ndim == 1 else {"columns": y.columns}
    y_new = type(y)(values, index=y.index, **names)
    dtypes = [y.dtype] if values.ndim == 1 else y.dtypes.tolist()
    # A nullable or Arrow column of integers becomes a float one of its kind.
    kept = dtypes[0] if dtypes[0].kind == "f" else _float_like(dtypes[0])
    return y_new.astype(kept)


def _float_like(dtype):
    if type(dtype).__name__ == "ArrowDtype":
        return "double[pyarrow]"
    return "Float64" if hasattr(dtype, "na_value") else np.float64
