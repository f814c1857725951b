"""Ranks of all rows: the one answer for which all scores meet in one place."""

import os

import dask
import dask.array as da
import numpy as np


def ranked(values, sizes):
    """Rank of each row, 1 for the largest value, NaN first, in chunks of some sizes.

    Parameters
    ----------
    values : dask array of shape (n_rows,)
    sizes : tuple of int

    Raises
    ------
    MemoryError
        If scores and ranks would take more than half of this process's memory.
    """
    n_rows = values.shape[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A score, its place in the order, and a rank.
    if 8 * n_rows > memory / 2:
        raise MemoryError(
            f"Ranks of {n_rows} rows are made of all scores at once, "
            f"{8 * n_rows / 1e9:.1f} GB of them, more than half of the "
            f"{memory / 1e9:.1f} GB here. The strongest alone take a top n of each "
            "chunk: proponents and opponents for queries, dask.array.topk of "
            "self_influence_ for the rows themselves."
        )
    # By the block: as one array they would meet on one worker first.
    blocks = dask.compute(*values.to_delayed().ravel())
    scores = np.concatenate(blocks)
    order = np.argsort(-np.nan_to_num(scores, nan=np.inf), kind="stable")
    ranking = np.empty(n_rows, dtype=int)
    ranking[order] = np.arange(1, n_rows + 1)
    return da.from_array(ranking, chunks=(sizes,))
