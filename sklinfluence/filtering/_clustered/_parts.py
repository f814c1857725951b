"""What all functions of a block ask: its weights, its columns as the votes see them."""

from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
from scipy import sparse

from sklinfluence._source import Block, Output, row_source

# Numbers of a part of a block: 40 MB, of which several are held at a time.
_MOST_AT_ONCE = 5 * 10**6


def weights_of(block):
    """Weights that the fits go by; 0 for later copies of a row."""
    return np.ones(len(block)) if block.weights is None else block.weights


def concatenated(parts):
    """Arrays one after another; of tuples or lists, each by itself."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return type(parts[0])(map(concatenated, zip(*parts, strict=True)))


def along(source, values):
    """An array of the client's along the rows, kept on the cluster in their chunks."""
    chunks = (source.sizes, *((size,) for size in values.shape[1:]))
    return kept([da.from_array(values, chunks=chunks)])[0]


def kept(arrays):
    """Arrays along the rows, computed once and kept where they are."""
    return list(dask.persist(*arrays))


class InParts:
    """A function of a block that makes much of each row: of some rows at a time.

    Parameters
    ----------
    func : callable
        ``func(block, *shared)``.
    join : callable
        Of what it returns for one part after another, a list.
    width : int
        Numbers that it makes of a row.
    """

    def __init__(self, func, join, width):
        self.func, self.join = func, join
        self.n_rows = max(_MOST_AT_ONCE // width, 64)

    def __call__(self, block, *shared):
        starts = range(0, len(block), self.n_rows)
        parts = [self._part(block, slice(at, at + self.n_rows)) for at in starts]
        return self.join([self.func(part, *shared) for part in parts])

    def _part(self, block, at):
        rows = (block.X, block.y, block.weights)
        cut = (None if part is None else part[at] for part in rows)
        return Block(*cut, block.start + at.start, block.number)


@dataclass(frozen=True)
class View:
    """Columns of a block as a vote sees them.

    Attributes
    ----------
    scaling : object with ``transform``
    features : callable or None
        What is made of the scaled columns.
    """

    scaling: object
    features: object = None

    def width(self, n_columns):
        """How many columns they are."""
        return n_columns if self.features is None else len(self.features.landmarks)

    def __call__(self, block):
        Z = self.scaling.transform(block.X)
        return Z if self.features is None else self.features(Z)


@dataclass(frozen=True)
class Copied:
    """Rows that have copies: what they weigh together, and the targets they share.

    Attributes
    ----------
    rows : ndarray of shape (n_copied,)
        Ascending.
    group : ndarray of shape (n_copied,)
        Which are copies of one another, from 0.
    weight : ndarray of shape (n_copied,)
        Of all copies of the row together.
    share : ndarray of shape (n_copied,)
        Of the row among its copies.
    """

    rows: np.ndarray
    group: np.ndarray
    weight: np.ndarray
    share: np.ndarray

    def inside(self, block):
        """Which of them a block has, and where."""
        first, last = np.searchsorted(
            self.rows, [block.start, block.start + len(block)]
        )
        at = slice(first, last)
        return at, self.rows[at] - block.start

    def own_weights(self, block):
        """What leaves with each row of a block."""
        weights = weights_of(block)
        if len(self.rows):
            at, place = self.inside(block)
            weights = weights.copy()
            weights[place] = self.weight[at]
        return weights

    def once(self, block):
        """What rows of a block weigh where every distinct row weighs one."""
        once = np.where(weights_of(block) > 0, 1.0, 0.0)
        if len(self.rows):
            at, place = self.inside(block)
            once[place] *= self.share[at]
        return once

    def shared(self, targets):
        """The mean of the copies' targets for each of them, (n_copied, K)."""
        sums = np.zeros((self.group.max() + 1, targets.shape[1]))
        np.add.at(sums, self.group, self.share[:, None] * targets)
        return sums[self.group]


@dataclass(frozen=True)
class ClusterRows:
    """Rows in chunks, and how much each counts.

    Attributes
    ----------
    X : dask array of shape (n_rows, n_columns)
    weight : ndarray of shape (n_rows,)
        Of the fits: one of several copies has the weight of all.
    copied : Copied
    fitted, given : dask array of shape (n_rows,)
        These weights, and those of the rows one by one, along the rows.
    """

    X: object
    weight: np.ndarray
    copied: Copied
    fitted: object
    given: object

    @classmethod
    def counted(cls, X, weight, given, copied):
        """Rows of such weights, the client's own."""
        source = row_source(X)
        fitted = along(source, weight)
        each = fitted if given is weight else along(source, given)
        return cls(X, weight, copied, fitted, each)

    def source(self, targets=None):
        """Blocks by the weights of the fits."""
        return row_source(self.X, targets, self.fitted)

    def of_all(self, values, targets=None):
        """Blocks of other numbers of the rows, by the weights that were given."""
        return row_source(values, targets, self.given)

    def weighed(self, values, targets):
        """Blocks of other numbers of the rows, by the weights of the fits."""
        return row_source(values, targets, self.fitted)

    @property
    def total(self):
        return self.weight.sum()

    def shared(self, targets):
        """Targets in which copies are of one mind."""
        if not len(self.copied.rows):
            return targets
        own = self.of_all(targets).take(self.copied.rows).X
        means = self.copied.shared(own)
        (found,) = self.of_all(targets).map(
            _replaced, self.copied, means, outputs=(_like(targets),)
        )
        return kept([found])[0]


def _like(array):
    return Output(array.dtype, after=array.shape[1:])


def _replaced(block, copied, values):
    out = np.array(block.X)
    at, place = copied.inside(block)
    out[place] = values[at]
    return (out,)


def refuse_sparse_chunk(block):
    """Name what the votes do not read: sparse chunks."""
    if sparse.issparse(block.X):
        raise TypeError(
            "X holds sparse chunks, and the votes of MislabelFilter read dense ones: "
            "X.map_blocks(lambda chunk: chunk.toarray())."
        )
