"""Where rows come from: memory, or a dask array on a cluster.

A *source* hands out blocks of rows and puts together what functions make of them, so
that what is computed of rows is written once, as a function of a block. In memory (a
memory-mapped file too) all rows are one block, which functions cut and share among
threads by `_blocks` and `_scheduling`. On a cluster a block is a chunk, read where the
function runs.

Both have ``n_rows``, ``dtype``, ``sizes`` (rows of each block) and

``share(thing)``
    What to pass as one of ``shared``: something large that every block needs.
``send(thing, without_rows)``
    The same of something that has rows of its own, which stay: where it has to
    travel, what ``without_rows()`` gives does.
``reduce(function, combine, *shared, work=0, n_bytes=0, only=None)``
    ``combine([part, ...])`` of ``function(block, *shared)`` of all blocks, evaluated,
    in an order that is always the same. ``work`` is the number of operations a row,
    ``n_bytes`` the size of a part, ``only`` the numbers of blocks beyond which there
    is nothing to read.
``map(function, *shared, outputs)``
    What the function returns, a tuple of arrays, along all rows: one array for each
    of ``outputs``, lazy where the rows are.
``top(function, n, *shared, by="largest")``
    (values, rows), each (m, n), of scores (m, n_block) of each block: the strongest
    by "largest", "smallest" or "magnitude", of equal ones the earlier row, NaN last.
``take(rows)``
    A block of a few rows, in memory.
"""

from dataclasses import dataclass
from importlib import import_module

import numpy as np
from sklearn.utils.validation import _num_samples

from sklinfluence._in_memory import is_dask
from sklinfluence._top_n import strongest_columns


@dataclass
class Block:
    """Rows as a function sees them.

    Attributes
    ----------
    X : array-like of shape (n_block, n_columns)
    y : ndarray of shape (n_block,) or (n_block, n_targets), or None
    weights : ndarray of shape (n_block,) or None
        Sample weights; None for none given.
    start : int
        Which row the first one is.
    number : int
        Which block it is.
    """

    X: object
    y: np.ndarray | None = None
    weights: np.ndarray | None = None
    start: int = 0
    number: int = 0

    def __len__(self):
        return _num_samples(self.X)


@dataclass(frozen=True)
class Output:
    """What `map` puts together: (\\*before, n_rows, \\*after) of a type."""

    dtype: object = float
    after: tuple = ()
    before: tuple = ()


ONE_NUMBER = Output()


def row_source(X, y=None, sample_weight=None, shared_directory=None):
    """The source of training rows, or of queries.

    Parameters
    ----------
    X : rows, or dask array of shape (n_rows, n_columns)
    y, sample_weight : arrays of as many rows, or None
    shared_directory : str, default=None
        Where all workers of a cluster read what is too large for a graph.

    Returns
    -------
    source : ArraySource or DaskSource
    """
    if is_dask(X):
        distributed = import_module("sklinfluence._distributed")
        return distributed.DaskSource(X, y, sample_weight, shared_directory)
    for name, values in (("y", y), ("sample_weight", sample_weight)):
        if is_dask(values):
            raise TypeError(
                f"{name} is a dask collection and X is not: rows are read where X is. "
                f"Pass {name}.compute(), or X as a dask array."
            )
    return ArraySource(X, y, sample_weight)


class ArraySource:
    """Rows in memory: one block."""

    def __init__(self, X, y=None, sample_weight=None):
        self.block = Block(X, y, sample_weight)

    @property
    def n_rows(self):
        return len(self.block)

    @property
    def dtype(self):
        return getattr(self.block.X, "dtype", None)

    @property
    def sizes(self):
        return (self.n_rows,)

    def share(self, thing):
        return thing

    def send(self, thing, without_rows):
        return thing

    def reduce(self, function, combine, *shared, work=0, n_bytes=0, only=None):
        return combine([function(self.block, *shared)])

    def map(self, function, *shared, outputs=(ONE_NUMBER,)):
        return list(function(self.block, *shared))

    def top(self, function, n, *shared, by="largest"):
        return strongest_columns(function(self.block, *shared), n, by)

    def take(self, rows):
        parts = (self.block.X, self.block.y, self.block.weights)
        return Block(*(None if part is None else part[rows] for part in parts))


def sums(parts):
    """The sum of arrays or numbers; of tuples, or dicts, of them, each by itself."""
    return _each_by_itself(parts, np.add)


def largest(parts):
    """The largest of each entry; a NaN stays. Of tuples or dicts, each by itself."""
    return _each_by_itself(parts, np.maximum)


def _each_by_itself(parts, join):
    first = parts[0]
    if isinstance(first, dict):
        joined = {k: _each_by_itself([part[k] for part in parts], join) for k in first}
        return joined
    if isinstance(first, tuple):
        return tuple(_each_by_itself(each, join) for each in zip(*parts, strict=True))
    total = first
    for part in parts[1:]:
        # Never in place: a part may be asked for again.
        total = join(total, part)
    return total
