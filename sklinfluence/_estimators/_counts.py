"""Indices and counts of rows, as users give them."""

from numbers import Integral

import numpy as np


def check_rows(index, n_rows, name="index"):
    """Training rows that an argument names, as numpy's indexing does.

    Parameters
    ----------
    index : int, slice or array-like
        Ints, negative ones from the end, or a mask of shape (n_rows,).
    n_rows : int
    name : str, default="index"
        What the argument is called in an error.

    Returns
    -------
    rows : ndarray of shape (n_chosen,)
        From 0 to n_rows - 1.
    is_single : bool
        Whether one int was given.
    """
    if isinstance(index, slice):
        return np.arange(n_rows)[index], False
    rows = np.asarray(index)
    if rows.size == 0 and rows.ndim == 1:
        return np.zeros(0, dtype=int), False
    if rows.dtype == bool and rows.shape == (n_rows,):
        return np.flatnonzero(rows), False
    if rows.dtype.kind not in "iu" or rows.ndim > 1:
        got = f"shape {rows.shape} and dtype {rows.dtype}" if rows.ndim else repr(index)
        raise ValueError(
            f"{name} must hold training rows: an int, a one-dimensional array of ints "
            f"or a mask of shape ({n_rows},); got {got}."
        )
    outside = (rows < -n_rows) | (rows >= n_rows)
    if np.any(outside):
        raise ValueError(
            f"{name} names row {np.atleast_1d(rows)[np.atleast_1d(outside)][0]}, of "
            f"{n_rows} training rows."
        )
    return np.atleast_1d(rows).astype(int) % n_rows, rows.ndim == 0


def check_count(count, name, largest=np.inf, what="the number of training rows"):
    """A ValueError unless an argument is an int from 1 to ``largest``."""
    is_int = isinstance(count, Integral) and not isinstance(count, bool | np.bool_)
    if not is_int or not 1 <= count <= largest:
        allowed = f"from 1 to {what}, {largest}" if largest < np.inf else "above 0"
        raise ValueError(f"{name}={count!r} must be an int {allowed}.")
