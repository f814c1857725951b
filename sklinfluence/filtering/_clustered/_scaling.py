"""Columns standardised on a cluster as `Representation` does it in memory."""

import numpy as np

from sklinfluence._sklearn_compat import fitted_scale
from sklinfluence._source import sums
from sklinfluence.filtering._clustered._parts import refuse_sparse_chunk, weights_of
from sklinfluence.filtering._clustered._ranks import column_range
from sklinfluence.filtering._columns import MAX_COLUMNS


def check_columns(source):
    """Refuse chunks that no vote reads, and say where a number is none.

    Raises
    ------
    TypeError, ValueError
    """
    if source.n_columns > min(MAX_COLUMNS, source.n_rows):
        raise ValueError(
            f"X has {source.n_columns} columns: on a cluster the votes of "
            f"MislabelFilter take at most {MAX_COLUMNS}, and no more than rows. "
            "Reduce them first (TruncatedSVD), or judge labels by a ranker."
        )
    bad = source.reduce(_first_bad, _earliest)
    if bad:
        row, number = bad
        raise ValueError(
            f"X contains NaN or an infinite value in row {row} (chunk {number}). On a "
            "cluster holes are not filled: drop these rows, or fill them."
        )


def _first_bad(block):
    refuse_sparse_chunk(block)
    bad = np.flatnonzero(~np.isfinite(block.X).all(axis=1))
    return (block.start + bad[0], block.number) if len(bad) else ()


def _earliest(parts):
    return min((part for part in parts if part), default=())


class Scaling:
    """Standardised columns, values held within the range that was seen.

    Parameters
    ----------
    range_ : tuple of ndarray of shape (d,)
        Lowest and highest value.
    unit_ : ndarray of shape (d,)
    mean_, scale_ : ndarray of shape (d,)
        Of the columns in their unit.
    """

    def __init__(self, range_, unit_, mean_, scale_):
        self.range_, self.unit_, self.mean_, self.scale_ = range_, unit_, mean_, scale_

    def transform(self, X):
        """Scaled rows, float64."""
        Z = in_units(X, self.range_, self.unit_)
        Z -= self.mean_
        Z /= self.scale_
        return Z


def in_units(X, range_, unit_):
    return np.clip(np.asarray(X, dtype=np.float64), *range_) / unit_


def fit_scaling(source, weight):
    """What standardises the columns.

    Parameters
    ----------
    source : row source
        By the weights of the fits.
    weight : ndarray of shape (n_rows,)
        The same weights.

    Returns
    -------
    scaling : Scaling
    """
    total = weight.sum()
    range_ = column_range(source, total, weight.max())
    largest = np.maximum(*np.abs(range_))
    tiny = (largest < 1e-100) & (largest > 0)
    unit = np.where((largest > 1e100) | tiny, largest, 1.0)
    mean = source.reduce(_weighted_sum, sums, range_, unit) / total
    variance = source.reduce(_weighted_square, sums, range_, unit, mean) / total
    return Scaling(range_, unit, mean, fitted_scale(mean, variance, total))


def _weighted_sum(block, range_, unit):
    return weights_of(block) @ in_units(block.X, range_, unit)


def _weighted_square(block, range_, unit, mean):
    return weights_of(block) @ np.square(in_units(block.X, range_, unit) - mean)
