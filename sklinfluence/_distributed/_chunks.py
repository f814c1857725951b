"""The chunks of dask arrays as graphs of their own, each to be read inside a task.

`delayed(kernel)(chunk)` makes the read and the kernel two tasks, and blockwise fusion
leaves a slice or a concatenation apart from what is done with it: in both cases rows
travel between workers. So every block's own part of the graph is cut out and handed to
the task that works on it. What is in the cluster's memory already (persisted chunks)
cannot be handed over: the task depends on it, and runs where it lies.
"""

import dask
import numpy as np
from dask.utils import ensure_dict
from scipy import sparse

from sklinfluence._source import Block


class Chunk:
    """How one block is read.

    Attributes
    ----------
    graph : dict
        What to evaluate, and nothing else.
    keys : tuple of (list, key or None, key or None)
        Of X, one for each chunk of columns, of y and of the weights.
    outside : tuple of keys
        What lies in the cluster's memory and is to be given.
    start, number, n_rows : int
    """

    __slots__ = ("graph", "keys", "n_rows", "number", "outside", "start")

    def __init__(self, graph, keys, outside, start, number, n_rows):
        self.graph, self.keys, self.outside = graph, keys, outside
        self.start, self.number, self.n_rows = start, number, n_rows

    def __getstate__(self):
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setstate__(self, state):
        for name, value in zip(self.__slots__, state, strict=True):
            setattr(self, name, value)

    def read(self, outside):
        """The block, ``outside`` being a dict of what is given."""
        graph = {**self.graph, **{key: outside[key] for key in self.outside}}
        columns, y, weights = self.keys
        asked = [key for key in (*columns, y, weights) if key is not None]
        values = dict(zip(asked, dask.get(graph, asked), strict=True))
        X = _side_by_side([_as_rows(values[key]) for key in columns])
        y, weights = (None if key is None else values[key] for key in (y, weights))
        return Block(X, y, weights, self.start, self.number)


def _as_rows(chunk):
    """A chunk as numpy's array, or as sparse rows."""
    if isinstance(chunk, np.ndarray):
        return chunk
    if hasattr(chunk, "tocsr"):  # scipy's formats, and those of the package sparse
        return sparse.csr_matrix(chunk.tocsr())
    return np.asarray(chunk)


def _side_by_side(parts):
    if len(parts) == 1:
        return parts[0]
    if any(map(sparse.issparse, parts)):
        return sparse.hstack(parts, format="csr")
    return np.hstack(parts)


def chunks_of(X, y=None, weights=None):
    """How to read each block, and the futures of what is in the cluster's memory.

    Parameters
    ----------
    X : dask array of shape (n_rows, n_columns)
    y, weights : dask arrays of the same chunks of rows, or None

    Returns
    -------
    chunks : list of Chunk
    futures : dict
        Keys to futures.
    """
    arrays = [array for array in (X, y, weights) if array is not None]
    futures, graph = {}, {}
    for array in arrays:
        nodes = ensure_dict(array.__dask_graph__())
        futures |= {future.key: future for future in _futures_in(nodes.values())}
        graph |= array.__dask_optimize__(
            array.__dask_graph__(), list(_flat(array.__dask_keys__()))
        )
    chunks, start = [], 0
    keys_of_y, keys_of_weights = _row_keys(y, X), _row_keys(weights, X)
    for number, n_rows in enumerate(X.chunks[0]):
        columns = [(X.name, number, j) for j in range(X.numblocks[1])]
        keys = (columns, keys_of_y[number], keys_of_weights[number])
        wanted = [key for key in (*columns, *keys[1:]) if key is not None]
        own, outside = _needed(graph, wanted, futures)
        chunks.append(Chunk(own, keys, outside, start, number, n_rows))
        start += n_rows
    return chunks, futures


def _futures_in(nodes):
    """Futures among the nodes of a graph, and among their arguments."""
    open_ = list(nodes)
    while open_:
        node = open_.pop()
        if hasattr(node, "add_done_callback"):
            yield node
        elif isinstance(node, list | tuple | set):
            open_ += node
        elif isinstance(node, dict):
            open_ += node.values()
        else:  # a task: dask's own objects have their arguments so
            open_ += getattr(node, "args", None) or ()
            open_ += (getattr(node, "kwargs", None) or {}).values()


def _flat(keys):
    if isinstance(keys, list):
        for key in keys:
            yield from _flat(key)
    else:
        yield keys


def _row_keys(array, X):
    if array is None:
        return [None] * X.numblocks[0]
    inner = (0,) * (array.ndim - 1)
    return [(array.name, number, *inner) for number in range(array.numblocks[0])]


def _needed(graph, wanted, futures):
    """The part of a graph that some keys need, and what of it is in memory already."""
    own, outside, open_ = {}, [], list(wanted)
    while open_:
        key = open_.pop()
        if key in own or key in outside:
            continue
        if key in futures:
            outside.append(key)
            continue
        own[key] = node = graph[key]
        open_ += node.dependencies
    return own, tuple(outside)
