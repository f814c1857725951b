"""Copies: rows of equal X, whatever their targets.

What is said about a row by a model that trained on its copy is not said by a model that
never saw it. So copies leave a fit together, and stay together in folds. Targets play
no part in who is whose copy: two equal rows of different labels are the clearest sign
there is of a wrong one, and must not vouch for themselves either.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from sklinfluence._blocks import block_slices

# 128 bits: a billion rows have two of one digest with a probability of 1e-21.
_DIGEST_BYTES = 16
# Distances by matrix products are off by so much of the longest row at most.
_ROUNDING = 1e-7
_HOLE = object()


@dataclass(frozen=True)
class Copies:
    """Which rows are equal, and which of those leave together.

    Attributes
    ----------
    row : ndarray of shape (n_rows,), int
        Number of each row's distinct row, in the order of first appearance.
    group : ndarray of shape (n_distinct,), int
        Number of each distinct row's group; its own where none is near to it.
    """

    row: np.ndarray
    group: np.ndarray

    @classmethod
    def of_digests(cls, digests):
        """Which rows have equal digests; None where no two have.

        Parameters
        ----------
        digests : ndarray of shape (n_rows, 2), uint64
            As `row_digests` makes them, here or on a cluster.
        """
        row = _renumbered(np.unique(digests, axis=0, return_inverse=True)[1].ravel())
        return _unless_distinct(cls(row, np.arange(row.max(initial=-1) + 1)))

    @cached_property
    def first(self):
        """The first row of each distinct row, (n_distinct,)."""
        return np.unique(self.row, return_index=True)[1]

    @property
    def of_rows(self):
        """Number of each row's group, (n_rows,)."""
        return self.group[self.row]

    def near(self):
        """Numbers of the distinct rows of each group that holds several of them."""
        order = np.argsort(self.group, kind="stable")
        n_members = np.bincount(self.group)
        members = np.split(order, np.cumsum(n_members)[:-1])
        return [rows for rows in members if len(rows) > 1]

    def near_rows(self):
        """The rows of each group that holds several distinct rows."""
        return [np.flatnonzero(np.isin(self.row, rows)) for rows in self.near()]

    @property
    def n_copied(self):
        """Rows that another row is a copy of."""
        n_members = np.bincount(self.of_rows)
        return int(n_members[n_members > 1].sum())

    def largest(self):
        """How many rows the largest group has."""
        return int(np.bincount(self.of_rows).max())

    @property
    def n_groups(self):
        return len(np.unique(self.group))

    def total(self, values):
        """Sums of the rows' values by distinct row, (n_distinct, ...)."""
        n_rows = len(self.row)
        ones, places = np.ones(n_rows), (self.row, np.arange(n_rows))
        member = sparse.csr_matrix((ones, places), (len(self.group), n_rows))
        flat = np.reshape(values, (n_rows, -1))
        return (member @ flat).reshape(-1, *np.shape(values)[1:])

    def mean(self, values, weight):
        """Weighted means by distinct row; plain ones where all weights are 0."""
        weight = np.where(self.total(weight)[self.row] > 0, weight, 1.0)
        weight = weight / self.total(weight)[self.row]
        return self.total(weight.reshape(-1, *[1] * (np.ndim(values) - 1)) * values)

    def all_of(self, flags):
        """Whether a flag is set for a row and all of its copies, (n_rows, ...)."""
        missing = np.zeros((self.group.max() + 1, *flags.shape[1:]), dtype=bool)
        np.logical_or.at(missing, self.of_rows, ~flags)
        return ~missing[self.of_rows]

    def take(self, index):
        """The copies among some of the rows; None where there is none."""
        row, group = _renumbered(self.row[index]), self.of_rows[index]
        first = np.unique(row, return_index=True)[1]
        return _unless_distinct(Copies(row, _renumbered(group[first])))

    def apart(self, rows, others):
        """Those of ``rows`` that are copies of none of the ``others``."""
        group = self.of_rows
        return rows[~np.isin(group[rows], group[others])]


def find_copies(X, tolerance=0.0, in_use=None):
    """Find the rows that are copies of others.

    Parameters
    ----------
    X : array-like, sparse matrix, frame or list of texts, of n_rows
        In a container whose rows can be taken. A hole equals a hole.
    tolerance : float or None, default=0.0
        Rows within it in every column, the columns standardised over the distinct rows,
        are copies, and so are their copies; what is no number must be equal. None
        finds none.
    in_use : ndarray of shape (n_rows,), dtype=bool, default=None
        Rows by which columns are standardised.

    Returns
    -------
    copies : Copies or None
        None where every row is alone.
    """
    if tolerance is None or 0 in getattr(X, "shape", ()):
        return None  # rows of no columns are the model's to refuse
    is_sparse = sparse.issparse(X)
    numbers, codes = ([], []) if is_sparse else _columns(X)
    keys = _keys_of_sparse(X) if is_sparse else _keys_of_dense([*numbers, *codes])
    row = _numbered(keys)
    first = np.unique(row, return_index=True)[1]
    group = np.arange(len(first))
    if tolerance > 0 and len(first) > 1:
        used = slice(None) if in_use is None or not in_use.any() else in_use[first]
        if is_sparse:
            near = _near_sparse(X.tocsr()[first], tolerance, used)
        else:
            parts = [part[first] for part in numbers], [part[first] for part in codes]
            near = _near_dense(*parts, tolerance, used)
        group = _connected(near, len(first))
    return _unless_distinct(Copies(row, group))


def row_digests(X):
    """128 bits of each row of numbers, (n_rows, 2); equal rows have equal ones."""
    digests = b"".join(_keys_of_dense([np.asarray(X)]))
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, _DIGEST_BYTES // 8)


def _unless_distinct(copies):
    return None if copies.n_groups == len(copies.row) else copies


def _renumbered(numbers):
    """The same partition, numbered in the order of first appearance."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=int)
    place[np.argsort(first)] = np.arange(len(first))
    return place[inverse]


def _numbered(keys):
    seen = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=int)


def _columns(X):
    """Columns of numbers, and columns of codes for what is none.

    Returns
    -------
    numbers, codes : list of ndarray of shape (n_rows, n_columns)
    """
    if hasattr(X, "__array__") and not hasattr(X, "ndim"):
        X = np.asarray(X)  # an array in all but name
    if hasattr(X, "columns"):
        # By place: two columns of one name are refused elsewhere, by it.
        by_place = X.iloc if hasattr(X, "iloc") else X
        columns = [by_place[:, j] for j in range(X.shape[1])]
    elif isinstance(X, dict):
        columns = list(X.values())
    elif hasattr(X, "ndim") and X.ndim > 1 and X.dtype == object:
        columns = list(X.T)
    else:
        columns = [X if hasattr(X, "ndim") else _as_column(X)]
    numbers, codes = [], []
    for column in map(np.asarray, columns):
        if column.dtype.kind in "fiub":
            numbers.append(column.reshape(len(column), -1))
        elif column.dtype.kind in "mM":
            codes.append(column.astype(np.int64).reshape(len(column), -1))
        else:
            codes.append(_numbered(map(_key, column))[:, np.newaxis])
    return numbers, codes


def _as_column(rows):
    """Rows of any kind, one object each."""
    column = np.empty(len(rows), dtype=object)
    for i in range(len(rows)):
        column[i] = rows[i]
    return column


def _key(value):
    """Something hashable that is equal for equal values, and for holes."""
    if isinstance(value, str):
        return value
    if hasattr(value, "shape"):
        return np.asarray(value).tobytes()
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    if isinstance(value, dict):
        return frozenset((name, _key(part)) for name, part in value.items())
    try:
        is_hole = value is None or bool(value != value)
    except TypeError:  # pandas' NA is neither equal nor unequal to itself
        is_hole = True
    if is_hole:
        return _HOLE
    # What cannot be looked up is a row of its own.
    return value if isinstance(value, Hashable) else id(value)


def _keys_of_dense(parts):
    """A digest a row of 2-D arrays side by side."""
    width = sum(part.shape[1] for part in parts)
    for at in block_slices(len(parts[0]), 2 * width):
        blocks = [_canonical(part[at]) for part in parts]
        block = np.hstack([b.view(np.uint8).reshape(len(b), -1) for b in blocks])
        yield from (_digest(row.tobytes()) for row in block)


def _digest(content):
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _canonical(block):
    """One form of zero and one of a hole."""
    if block.dtype.kind == "f":
        block = np.where(np.isnan(block), np.nan, block) + 0.0
    return np.ascontiguousarray(block)


def _keys_of_sparse(X):
    X = sparse.csr_matrix(X, copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    data, indices = _canonical(X.data), X.indices
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        yield _digest(indices[start:stop].tobytes() + data[start:stop].tobytes())


def _near_dense(numbers, codes, tolerance, used):
    """Pairs of rows within the tolerance in every column, a block of rows at a time."""
    n_rows = len((numbers or codes)[0])
    table = np.hstack([np.empty((n_rows, 0)), *numbers]).astype(np.float64)
    holes = ~np.isfinite(table)
    table[holes] = np.nan
    if table.shape[1]:
        # Arrays whatever a global set_output asks for.
        scaler = StandardScaler().set_output(transform="default")
        table = scaler.fit(table[used]).transform(table)
    # Codes and holes that differ are further apart than any tolerance.
    apart = np.hstack([holes[:, holes.any(axis=0)], *codes]) * (2.0 * tolerance)
    table = np.hstack([np.nan_to_num(table), apart])
    search = NearestNeighbors(radius=tolerance, metric="chebyshev").fit(table)
    for at in block_slices(n_rows, n_rows):
        found = search.radius_neighbors_graph(table[at]).tocoo()
        yield found.row + at.start, found.col


def _near_sparse(X, tolerance, used):
    """The same for a CSR matrix, which never becomes dense."""
    scaler = StandardScaler(with_mean=False).set_output(transform="default")
    X = scaler.fit(X[used]).transform(X)
    # Pairs this close in all, to be looked at column by column.
    n_differing = min(X.shape[1], 2 * np.diff(X.indptr).max(initial=0))
    longest = np.sqrt(X.multiply(X).sum(axis=1).max())
    radius = tolerance * np.sqrt(n_differing) + _ROUNDING * longest
    search = NearestNeighbors(radius=radius).fit(X)
    for at in block_slices(X.shape[0], X.shape[0]):
        found = search.radius_neighbors_graph(X[at]).tocoo()
        rows, others = found.row + at.start, found.col
        rows, others = rows[rows < others], others[rows < others]
        if len(rows):
            largest = abs(X[rows] - X[others]).max(axis=1).toarray().ravel()
            rows, others = rows[largest <= tolerance], others[largest <= tolerance]
        yield rows, others


def _connected(pairs, n_rows):
    """Numbers of the components that blocks of pairs make of the rows."""
    label = np.arange(n_rows)
    for rows, others in pairs:
        rows = np.concatenate([rows, np.arange(n_rows)])
        root = np.unique(label, return_index=True)[1][label]
        others = np.concatenate([others, root])
        graph = sparse.coo_matrix((np.ones(len(rows)), (rows, others)), (n_rows,) * 2)
        label = connected_components(graph, directed=False)[1]
    return _renumbered(label)
