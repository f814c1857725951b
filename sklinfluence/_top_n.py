"""The few largest, or smallest, of each line of scores: a query's top n."""

import numpy as np
from scipy import sparse


def _minus_size(values):
    return -np.abs(values)


_KEYS = {"largest": np.negative, "smallest": np.positive, "magnitude": _minus_size}


def strongest(values, rows, n, by="largest"):
    """The n strongest of each line, of equal ones the earliest rows, NaN last.

    Parameters
    ----------
    values, rows : ndarray of shape (m, n_candidates)
    n : int
    by : {"largest", "smallest", "magnitude"}, default="largest"

    Returns
    -------
    values, rows : ndarray of shape (m, min(n, n_candidates))
    """
    n = min(n, values.shape[1])
    key = np.nan_to_num(_KEYS[by](values), nan=np.inf)
    if n < values.shape[1]:
        # What is no stronger than the n-th, and so may be among them by its row.
        bound = np.partition(key, n - 1, axis=1)[:, n - 1]
        candidates = [np.flatnonzero(k <= b) for k, b in zip(key, bound, strict=True)]
    else:
        candidates = [np.arange(values.shape[1])] * len(values)
    chosen = np.empty((len(values), n), dtype=np.intp)
    for line, among in enumerate(candidates):
        order = np.lexsort((rows[line, among], key[line, among]))
        chosen[line] = among[order[:n]]
    return tuple(np.take_along_axis(part, chosen, axis=1) for part in (values, rows))


def strongest_columns(values, n, by="largest"):
    """`strongest` where the j-th candidate is row j."""
    rows = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return strongest(values, rows, n, by)


def as_sparse(values, index, n_columns):
    """A few entries of each line as a CSR matrix of shape (m, n_columns)."""
    order = np.argsort(index, axis=1)
    kept, index = (np.take_along_axis(part, order, axis=1) for part in (values, index))
    indptr = np.arange(0, kept.size + 1, values.shape[1])
    shape = (len(values), n_columns)
    return sparse.csr_matrix((kept.ravel(), index.ravel(), indptr), shape)
