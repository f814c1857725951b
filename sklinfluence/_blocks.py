"""Rows in blocks that fit into the working memory."""

from sklearn import get_config

# Past this many rows a block gains no speed from matrix products, it only costs cache.
_MAX_BLOCK_ROWS = 2048


def block_slices(n_rows, values_per_row, at_most=_MAX_BLOCK_ROWS):
    """Slices over the rows, each within scikit-learn's ``working_memory``.

    Parameters
    ----------
    n_rows : int
    values_per_row : int
        float64 values that one row needs while its block is worked on.
    at_most : int, default=2048
        Rows of a block, however much memory there is.
    """
    budget = get_config()["working_memory"] * 2**20
    size = int(budget // (8 * max(values_per_row, 1)))
    size = max(1, min(size, at_most))
    return [slice(i, min(i + size, n_rows)) for i in range(0, n_rows, size)]
