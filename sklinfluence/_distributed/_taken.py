"""A few rows, brought to the client."""

import numpy as np
from scipy import sparse

from sklinfluence._source import Block


def take_rows(source, rows):
    """A block of the chosen rows of a source, in their order."""
    ends = np.cumsum(source.sizes)
    only = set(np.searchsorted(ends, rows, side="right").tolist())
    at, X, y, weights = source.reduce(_Pick(rows), _together, only=only)
    order = np.empty(len(rows), dtype=np.intp)
    order[at] = np.arange(len(at))
    X, y, weights = (None if p is None else p[order] for p in (X, y, weights))
    return Block(X, y, weights)


class _Pick:
    """The chosen rows that a block has, and which of the chosen they are."""

    def __init__(self, rows):
        self.rows = rows

    def __call__(self, block):
        inside = (self.rows >= block.start) & (self.rows < block.start + len(block))
        at = np.flatnonzero(inside)
        own = self.rows[at] - block.start
        parts = (block.X, block.y, block.weights)
        return (at, *(None if part is None else part[own] for part in parts))


def _together(parts):
    at, X, y, weights = zip(*parts, strict=True)
    stack = sparse.vstack if sparse.issparse(X[0]) else np.concatenate
    X = stack(X, format="csr") if sparse.issparse(X[0]) else stack(X)
    joined = [None if p[0] is None else np.concatenate(p) for p in (y, weights)]
    return (np.concatenate(at), X, *joined)
