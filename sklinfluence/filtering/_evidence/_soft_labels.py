"""Any classifier fitted to soft labels: rows repeated once a class, by weight."""

import numpy as np

# A class that a row has with less than this probability is not worth a row.
LEAST = 0.01


def is_hard(targets):
    """Whether every row has one class for certain."""
    return bool(np.all((targets == 0) | (targets == 1)))


def repeated(targets, sample_weight):
    """Rows, classes and weights that stand for soft labels.

    Parameters
    ----------
    targets : ndarray of shape (n, K)
        Rows summing to one.
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    rows, codes : ndarray of shape (n_repeated,), int
        A row comes once with each class that it has by more than .01.
    weights : ndarray of shape (n_repeated,)
        Those of one row sum to its weight.
    """
    kept = np.where(targets > LEAST, targets, 0.0)
    kept /= kept.sum(axis=1, keepdims=True)
    rows, codes = np.nonzero(kept)
    weights = kept[rows, codes]
    if sample_weight is not None:
        weights = weights * sample_weight[rows]
    return rows, codes, weights
