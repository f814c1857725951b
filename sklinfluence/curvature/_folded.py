"""Sums over rows, and forms in rows, of many symmetric matrices at once.

x x^T is symmetric: its q (q + 1) / 2 distinct products, formed once a row, meet the
weights or the matrices of all pairs of outputs in one wide product. Forming them costs
as much as some fifty pairs do, so that few pairs are quicker one by one.
"""

import numpy as np

from sklinfluence._blocks import block_slices

# From so many pairs of outputs on.
_MANY = 128
# Numbers of products that are formed at a time.
_AT_ONCE = 2**22


def pays(n_pairs):
    """Whether so many matrices are better met together than one by one."""
    return n_pairs >= _MANY


def slices(n_rows, n_columns):
    """The rows in blocks whose products are held at once."""
    n_products = n_columns * (n_columns + 1) // 2
    return block_slices(n_rows, 2 * n_products, max(64, _AT_ONCE // n_products))


def products(rows):
    """x_i x_j of each row, i >= j: (n, q (q + 1) / 2)."""
    n, q = rows.shape
    out, at = np.empty((n, q * (q + 1) // 2)), 0
    for i in range(q):
        np.multiply(rows[:, : i + 1], rows[:, i, None], out=out[:, at : at + i + 1])
        at += i + 1
    return out


def fold(blocks, k, m):
    """M with x^T blocks[k, :, m] x = `products` (x) M: (n_pairs, q (q + 1) / 2)."""
    i, j = np.tril_indices(blocks.shape[1])
    k, m = k[:, None], m[:, None]
    both = blocks[k, i, m, j] + blocks[k, j, m, i]
    both[:, i == j] *= 0.5
    return both


def unfold(folded, n_columns):
    """The symmetric matrices whose entries at i >= j these are, (n, q, q)."""
    out = np.empty((len(folded), n_columns, n_columns))
    i, j = np.tril_indices(n_columns)
    out[:, i, j] = out[:, j, i] = folded
    return out
