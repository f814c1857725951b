"""What dask arrays must be to be read as rows in blocks."""

import dask.array as da
import numpy as np


def rows_along(X, y=None, sample_weight=None):
    """X and what goes with its rows, all in X's chunks of rows.

    Raises
    ------
    TypeError
        If X is another of dask's collections.
    ValueError
        If X is not two-dimensional, its chunks are of unknown lengths, or the others
        have another number of rows.
    """
    if not isinstance(X, da.Array):
        raise TypeError(
            f"X is {type(X).__module__}.{type(X).__name__}, and rows on a cluster are "
            "taken from a dask array: X.to_dask_array(lengths=True) makes one of a "
            "frame."
        )
    if X.ndim != 2:
        raise ValueError(f"X must be two-dimensional, got a dask array of {X.ndim}.")
    _refuse_unknown("X", X)
    return (
        X,
        _aligned("y", y, X),
        _aligned("sample_weight", sample_weight, X),
    )


def _refuse_unknown(name, array):
    if any(np.isnan(size) for sizes in array.chunks for size in sizes):
        raise ValueError(
            f"The lengths of the chunks of {name} are not known, so that no row has a "
            f"number. Call {name}.compute_chunk_sizes() first; of a frame take "
            "to_dask_array(lengths=True)."
        )


def _aligned(name, values, X):
    """A dask array along X's rows, in its chunks."""
    if values is None:
        return None
    if not isinstance(values, da.Array):
        if hasattr(values, "to_dask_array"):
            raise TypeError(
                f"{name} is {type(values).__name__} of dask's: take "
                f"{name}.to_dask_array(lengths=True)."
            )
        values = da.from_array(np.asarray(values), chunks=-1)
    _refuse_unknown(name, values)
    if values.shape[:1] != X.shape[:1]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has "
            f"{X.shape[0]} rows, {name} has shape {values.shape}."
        )
    inner = tuple((size,) for size in values.shape[1:])
    if values.chunks != (X.chunks[0], *inner):
        values = values.rechunk((X.chunks[0], *inner))
    return values
