"""What runs on a worker: leaves of a tree, and what joins them.

They are objects that are called, so that the graph sees no further than their
arguments.
"""

import numpy as np

from sklinfluence._distributed._shared import received
from sklinfluence._scheduling import on_this_thread
from sklinfluence._top_n import strongest


class Leaf:
    """Read some blocks, one at a time, and put together what comes of them.

    Parameters
    ----------
    chunks : list of Chunk
    function : callable
    combine : callable
    n_shared : int
        How many of the arguments of a call are shared; what is in the cluster's
        memory comes after them, by ``outside``.
    """

    def __init__(self, chunks, function, combine, n_shared):
        self.chunks, self.function, self.combine = chunks, function, combine
        self.n_shared = n_shared
        self.outside = list(dict.fromkeys(k for c in chunks for k in c.outside))

    def __call__(self, *given):
        shared = received(given[: self.n_shared])
        outside = dict(zip(self.outside, given[self.n_shared :], strict=True))
        total = None
        with on_this_thread():
            for chunk in self.chunks:
                part = self._part(chunk, outside, shared)
                # Two parts are held at a time, however many blocks there are.
                if total is None:
                    total = part
                elif part is not None:
                    total = self.combine([total, part])
        return total

    def _part(self, chunk, outside, shared):
        """What comes of one block; of none of its rows, nothing."""
        if chunk.n_rows == 0:
            return None
        return self.function(chunk.read(outside), *shared)


class MapLeaf(Leaf):
    """One block's rows, mapped: a tuple of arrays, or one where one is asked for."""

    def __init__(self, chunk, function, n_shared, outputs):
        super().__init__([chunk], function, None, n_shared)
        self.outputs = outputs

    def __call__(self, *given):
        found = super().__call__(*given)
        if found is None:
            found = [
                np.zeros((*out.before, 0, *out.after), out.dtype)
                for out in self.outputs
            ]
        found = tuple(
            np.asarray(part, dtype=out.dtype)
            for part, out in zip(found, self.outputs, strict=True)
        )
        return found if len(found) > 1 else found[0]


class Joint:
    """Put parts together; those of blocks without rows are not there."""

    def __init__(self, combine):
        self.combine = combine

    def __call__(self, *parts):
        parts = [part for part in parts if part is not None]
        return self.combine(parts) if parts else None


class Strongest:
    """Scores of a block to their strongest, and several of these to theirs."""

    def __init__(self, function, n, by):
        self.function, self.n, self.by = function, n, by

    def __call__(self, block, *shared):
        values = self.function(block, *shared)
        rows = block.start + np.arange(values.shape[1])
        rows = np.broadcast_to(rows, values.shape)
        return strongest(values, rows, self.n, self.by)

    def combine(self, parts):
        values, rows = (np.hstack(each) for each in zip(*parts, strict=True))
        return strongest(values, rows, self.n, self.by)


class Item:
    """One entry of a tuple."""

    def __init__(self, at):
        self.at = at

    def __call__(self, found):
        return found[self.at]


def first_of(parts):
    """The only part."""
    return parts[0]
