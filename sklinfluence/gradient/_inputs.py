"""What a ranker settles about its inputs before any mathematics."""

import warnings
from dataclasses import replace
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from sklinfluence.curvature._design import block_slices
from sklinfluence.heads._l1 import on_active_columns
from sklinfluence.heads._ranges import check_values

# Standard deviations from zero at which a column keeps some six digits of influence.
_LARGEST_OFFSET = 1e5


def kind_of_targets(y):
    """scikit-learn's `type_of_target`, of numbers beyond the integers too.

    It compares floats with themselves as integers, of which numpy warns for large ones.
    """
    with np.errstate(invalid="ignore"):
        return type_of_target(y, input_name="y")


def are_classes(y):
    """Whether targets are class labels where no estimator says so.

    Real targets may all be whole numbers. Floats of many values are real targets;
    integers of many values are taken as classes, with a warning.
    """
    y = np.asarray(y)
    if kind_of_targets(y).startswith("continuous"):
        return False
    if y.ndim != 1 or y.dtype.kind not in "fiu":
        return True
    n_values = len(np.unique(y))
    if n_values <= max(20, len(y) / 10):
        return True
    if y.dtype.kind == "f":
        return False
    warnings.warn(
        f"y holds {n_values} different integers in {len(y)} rows and is taken as class "
        "labels. If it is a real target, use Ridge(): InfluenceRanker(Ridge()).",
        stacklevel=3,
    )
    return True


def default_estimator(y):
    """LogisticRegression for class targets, Ridge for real ones."""
    return LogisticRegression() if are_classes(y) else Ridge()


def check_embedding(embedding):
    """The embedding as a finite, two-dimensional float array or CSR matrix.

    Its values are within the range that heads compute with.
    """
    embedding = check_array(
        embedding,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        input_name="the embedding",
        ensure_min_samples=0,
    )
    remedy = "Put a StandardScaler or a RobustScaler before the estimator."
    check_values(embedding, "the embedding", remedy)
    return embedding


def warn_about_offset(embedding, fit_intercept):
    """Name a column so far from zero that products lose what tells it from a 1."""
    if not fit_intercept or sparse.issparse(embedding) or len(embedding) < 2:
        return
    first = np.asarray(embedding[0], dtype=float)
    total, squares = np.zeros_like(first), np.zeros_like(first)
    for block in block_slices(len(embedding), embedding.shape[1]):
        moved = embedding[block] - first
        total += moved.sum(axis=0)
        squares += np.einsum("ij,ij->j", moved, moved)
    mean = first + total / len(embedding)
    variance = squares / len(embedding) - (total / len(embedding)) ** 2
    spread = np.sqrt(np.maximum(variance, 0.0))
    offset = np.divide(np.abs(mean), spread, out=np.zeros_like(mean), where=spread > 0)
    # Their squares enter the Hessian: beyond this, digits of the spread are lost.
    worst = int(np.argmax(offset))
    if offset[worst] > _LARGEST_OFFSET:
        warnings.warn(
            f"column {worst} of the embedding lies {offset[worst]:.0e} standard "
            "deviations from zero: with an intercept, influences lose their digits "
            "there. Put a StandardScaler before the estimator.",
            stacklevel=4,
        )


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


def polished(head, theta):
    """The head with its parameters at the optimum; of an l1 head, those in use."""
    if head.l1 is not None:
        head, _ = on_active_columns(head)
    if not head.fit_intercept:
        return replace(head, coef=theta)
    return replace(head, coef=theta[:, :-1], intercept=theta[:, -1])
