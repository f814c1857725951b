"""Rows of a dask array as blocks, on whatever scheduler or client is current."""

import math
from itertools import pairwise
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

from sklinfluence._distributed._chunks import chunks_of
from sklinfluence._distributed._cluster import (
    current_client,
    evaluate,
    warn_about_threads,
)
from sklinfluence._distributed._leaves import (
    Item,
    Joint,
    Leaf,
    MapLeaf,
    Strongest,
    first_of,
)
from sklinfluence._distributed._ranked import ranked
from sklinfluence._distributed._rows import rows_along
from sklinfluence._distributed._shared import Held, OnDisk, directory_of_all, pack
from sklinfluence._distributed._taken import take_rows
from sklinfluence._source import ONE_NUMBER

# How many parts are put together at a time: sixteen held half as much memory again.
_FAN_IN = 4
# Operations, and bytes read, that make a second of work on one core.
_SECOND = 3e10
_READ_A_SECOND = 2e8
# Bytes of parts are at most this share of the rows' own: they travel, rows do not.
_SHARE = 0.25


class DaskSource:
    """Blocks of rows on a cluster.

    Parameters
    ----------
    X : dask array of shape (n_rows, n_columns)
        Its chunks of rows are the blocks; chunks of columns are put together where
        they are read.
    y, sample_weight : dask arrays, or arrays, of as many rows, or None
        Read in X's chunks.
    shared_directory : str, default=None
        Where all workers read what is above 100 MB. None: dask's own
        ``temporary-directory``.

    Raises
    ------
    ValueError
        If the lengths of X's chunks are not known, or the rows of the others differ.
    """

    def __init__(self, X, y=None, sample_weight=None, shared_directory=None):
        X, y, sample_weight = rows_along(X, y, sample_weight)
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.shared_directory = shared_directory
        self._chunks, self._futures = chunks_of(X, y, sample_weight)
        self._directory = None

    @property
    def n_rows(self):
        return self.X.shape[0]

    @property
    def n_columns(self):
        return self.X.shape[1]

    @property
    def dtype(self):
        return self.X.dtype

    @property
    def sizes(self):
        return self.X.chunks[0]

    @property
    def n_bytes(self):
        """Of all rows, were they dense."""
        return self.n_rows * self.n_columns * self.dtype.itemsize

    def share(self, thing):
        """A thing as a literal in the graph, or as a file.

        Parameters
        ----------
        thing : object
            It must pickle.

        Returns
        -------
        shared : Held or OnDisk
        """
        return pack(thing, self._find_directory)

    def send(self, thing, without_rows):
        """`share` what is left of a thing without its rows."""
        return self.share(without_rows())

    def ranked(self, values):
        """Rank along all rows, 1 for the largest, from gathered values."""
        return ranked(values, self.sizes)

    def warn_about_threads(self):
        """Name workers whose BLAS has threads of its own."""
        warn_about_threads()

    def _find_directory(self):
        if self._directory is None:
            client = current_client()
            self._directory = directory_of_all(client, self.shared_directory)
        return self._directory

    def reduce(self, function, combine, *shared, work=0, n_bytes=0, only=None):
        """``combine`` of ``function`` of all blocks; see :mod:`sklinfluence._source`.

        Raises
        ------
        ValueError
            If no block has rows.
        """
        if not self.n_rows:
            raise ValueError("X has no rows.")
        layer, given = self._begin(shared)
        name = f"{_name_of(function)}-{uuid4().hex}"
        chunks = self._chunks
        if only is not None:
            chunks = [chunks[number] for number in sorted(only)]
        groups = self._groups(chunks, work, n_bytes)
        leaves = [Leaf(group, function, combine, len(shared)) for group in groups]
        for at, leaf in enumerate(leaves):
            layer[name, 0, at] = (leaf, *given, *leaf.outside)
        last = _grow(layer, name, len(leaves), Joint(combine))
        return self._evaluate(name, layer, last, n_bytes)

    def _groups(self, chunks, work, n_bytes):
        """Runs of blocks, each one leaf's: a second of work, few bytes of parts."""
        if self._futures:
            # A leaf runs where its rows lie, which are in one place if it has one.
            return [[chunk] for chunk in chunks]
        seconds = max(work * self.n_rows / _SECOND, self.n_bytes / _READ_A_SECOND)
        n_leaves = min(len(chunks), math.ceil(seconds))
        if n_bytes:
            n_leaves = min(n_leaves, int(_SHARE * self.n_bytes / n_bytes))
        n_leaves = max(n_leaves, 1)
        client = current_client()
        n_threads = 1 if client is None else sum(client.nthreads().values())
        if n_leaves <= n_threads:
            n_leaves = min(n_threads, len(chunks))
        elif n_threads:  # none yet where workers come with the work
            # The last round is a whole one.
            n_leaves -= n_leaves % n_threads
        bounds = np.linspace(0, len(chunks), n_leaves + 1).astype(int)
        return [chunks[start:stop] for start, stop in pairwise(bounds)]

    def map(self, function, *shared, outputs=(ONE_NUMBER,)):
        """Lazy arrays along all rows; see :mod:`sklinfluence._source`."""
        layer, given = self._begin(shared)
        name, is_one = f"{_name_of(function)}-{uuid4().hex}", len(outputs) == 1
        for chunk in self._chunks:
            leaf = MapLeaf(chunk, function, len(shared), outputs)
            at = _at(outputs[0], chunk.number) if is_one else (chunk.number,)
            layer[name, *at] = (leaf, *given, *leaf.outside)
        graph = HighLevelGraph.from_collections(name, layer)
        if is_one:
            return [self._lazy(graph, name, outputs[0])]
        return [self._picked(graph, name, at, out) for at, out in enumerate(outputs)]

    def _picked(self, graph, name, item, out):
        """One of the arrays that the blocks of a graph give, a tuple each."""
        own = f"{name}-{item}"
        layer = {
            (own, *_at(out, chunk.number)): (Item(item), (name, chunk.number))
            for chunk in self._chunks
        }
        layers = {**graph.layers, own: layer}
        dependencies = {**graph.dependencies, own: {name}}
        return self._lazy(HighLevelGraph(layers, dependencies), own, out)

    def _lazy(self, graph, name, out):
        before = tuple((size,) for size in out.before)
        after = tuple((size,) for size in out.after)
        meta = np.empty((0,) * (len(before) + 1 + len(after)), out.dtype)
        chunks = (*before, self.sizes, *after)
        return da.Array(graph, name, chunks, meta=meta)

    def top(self, function, n, *shared, by="largest"):
        """The strongest scores and their rows; see :mod:`sklinfluence._source`."""
        pick = Strongest(function, n, by)
        return self.reduce(pick, pick.combine, *shared)

    def take(self, rows):
        """A block of a few rows, in the order asked for."""
        return take_rows(self, np.asarray(rows))

    def _begin(self, shared):
        """A graph with what is shared in it, and its keys."""
        layer, given = dict(self._futures), []
        for thing in shared:
            if not isinstance(thing, Held | OnDisk):
                thing = self.share(thing)
            key = f"shared-{id(thing):x}-{uuid4().hex}"
            layer[key] = (thing,)
            given.append(key)
        return layer, given

    def _evaluate(self, name, layer, key, n_bytes=0):
        final = f"all-of-{name}"
        layer[final] = (first_of, [key])
        graph = HighLevelGraph.from_collections(final, layer)
        chunk = max(self.sizes, default=0) * self.n_columns * self.dtype.itemsize
        shared = [t[0] for t in layer.values() if isinstance(t, tuple)]
        shared = [thing.n_bytes for thing in shared if isinstance(thing, Held | OnDisk)]
        sizes = {
            "a chunk of X": chunk,
            "a partial sum": n_bytes,
            "what is shared": sum(shared),
        }
        return evaluate(Delayed(final, graph), self._futures, sizes)


def _grow(layer, name, n_parts, join):
    """Join parts by a tree in their order; the key of what is left."""
    level = 0
    while n_parts > 1:
        level += 1
        for at, start in enumerate(range(0, n_parts, _FAN_IN)):
            stop = min(start + _FAN_IN, n_parts)
            inputs = ((name, level - 1, i) for i in range(start, stop))
            layer[name, level, at] = (join, *inputs)
        n_parts = at + 1
    return (name, level, 0)


def _at(out, number):
    """The place of a chunk in an array along all rows."""
    return (*(0 for _ in out.before), number, *(0 for _ in out.after))


def _name_of(function):
    while hasattr(function, "func"):  # a partial
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    return f"sklinfluence-{name.strip('_')}"
