"""What is settled about an embedding before any mathematics."""

from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, check_array

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import LARGEST_VALUE, check_values
from sklinfluence._warn import warn_user
from sklinfluence.heads import on_active_columns

# Standard deviations from zero at which a column keeps some six digits of influence.
_LARGEST_OFFSET = 1e5
# Rows that settle it for all where no column is near that.
_N_FEW = 1024


def check_embedding(embedding):
    """The embedding as a finite, two-dimensional float array or CSR matrix.

    Its values are within the range that heads compute with.
    """
    embedding = check_array(
        embedding,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        ensure_all_finite=False,
        ensure_min_samples=0,
    )
    stored = embedding.data if sparse.issparse(embedding) else embedding
    axes = range(stored.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = float(np.einsum(stored, axes, stored, axes, []))
    # One pass says that all is well; what is not is named by those that look for it.
    if not squares <= LARGEST_VALUE:
        assert_all_finite(embedding, input_name="the embedding")
        remedy = "Put a StandardScaler or a RobustScaler before the estimator."
        check_values(embedding, "the embedding", remedy)
    return embedding


def warn_about_offset(embedding, fit_intercept):
    """Name a column so far from zero that products lose what tells it from a 1."""
    if not fit_intercept or sparse.issparse(embedding) or len(embedding) < 2:
        return
    if not _may_be_far(embedding):
        return
    first = np.asarray(embedding[0], dtype=float)
    total, squares = np.zeros_like(first), np.zeros_like(first)
    for block in block_slices(len(embedding), embedding.shape[1]):
        moved = embedding[block] - first
        total += moved.sum(axis=0)
        squares += np.einsum("ij,ij->j", moved, moved)
    mean = first + total / len(embedding)
    variance = squares / len(embedding) - (total / len(embedding)) ** 2
    warn_about_moments(mean, variance)


def _may_be_far(embedding):
    """Whether a few rows leave it open that a column is as far from zero.

    A share f of the rows, of mean m and deviation s, makes the deviation of all rows at
    least sqrt(f) s, and sqrt(f) times the distance of their mean from m: the mean lies
    at most (m / s + 1) / sqrt(f) deviations from zero.
    """
    n_rows = len(embedding)
    index = np.linspace(0, n_rows - 1, min(n_rows, _N_FEW)).astype(int)
    few = np.asarray(embedding[index], dtype=float)
    mean, spread = np.abs(few.mean(axis=0)), few.std(axis=0)
    bound = _LARGEST_OFFSET * np.sqrt(len(few) / n_rows)
    return bool(np.any(mean + spread >= bound * spread))


def warn_about_moments(mean, variance):
    """`warn_about_offset` where the columns' means and variances are known."""
    spread = np.sqrt(np.maximum(variance, 0.0))
    offset = np.divide(np.abs(mean), spread, out=np.zeros_like(mean), where=spread > 0)
    # Their squares enter the Hessian: beyond this, digits of the spread are lost.
    worst = int(np.argmax(offset))
    if offset[worst] > _LARGEST_OFFSET:
        warn_user(
            f"column {worst} of the embedding lies {offset[worst]:.0e} standard "
            "deviations from zero: with an intercept, influences lose their digits "
            "there. Put a StandardScaler before the estimator.",
        )


def polished(head, theta):
    """The head with its parameters at the optimum; of an l1 head, those in use."""
    if head.l1 is not None:
        head, _ = on_active_columns(head)
    if not head.fit_intercept:
        return replace(head, coef=theta)
    return replace(head, coef=theta[:, :-1], intercept=theta[:, -1])
