"""Rows whose leaving changes the active set of an l1 penalty."""

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal._groups import group_changes
from sklinfluence._removal._queries import parameter_change

# A curved loss's Newton step that, taken this many times, would not leave the active
# set is trusted not to leave it.
_CAUTION = 3.0


def changes_of_active_set(fitted, coefficients):
    """Whether each row's leaving changes signs or lets a coefficient in.

    Parameters
    ----------
    fitted : FittedHead
        Of an objective with an active set.
    coefficients : ndarray of shape (n_rows, n_outputs)
        c_i, where row i's leaving moves the parameters by H^+ (c_i (x) x_i).

    Returns
    -------
    changes : ndarray of shape (n_rows,)
        Boolean; True as well where leaving the row out is not defined.
    """
    n_rows, K = fitted.raw.shape
    values = 3 * n_rows * K + 2 * K * fitted.objective.whole.design.n_columns
    parts = []
    for block in block_slices(n_rows, values):
        index = np.arange(n_rows)[block]
        known = np.nan_to_num(coefficients)
        changes = parameter_change(fitted, known, index)
        broken = _breaks(fitted, changes, index)
        parts.append(broken | np.isnan(coefficients[block]).any(axis=1))
    return np.concatenate(parts)


def _breaks(fitted, changes, index):
    """By the Newton step where it is exact or far from the set's edge, else a refit."""

    def breaks(changes, index):
        return fitted.objective.breaks(fitted.theta, fitted.raw, changes, index)

    broken = breaks(changes, index)
    if fitted.objective.loss.is_quadratic:
        return broken
    doubtful = np.flatnonzero(broken | breaks(_CAUTION * changes, index))
    if doubtful.size:
        rows = index[doubtful]
        exact = group_changes(fitted, [np.array([row]) for row in rows], "exact")
        # The optimum on the set, if it breaks nothing, is the optimum.
        broken[doubtful] = breaks(np.nan_to_num(exact), rows)
        broken[doubtful] |= np.isnan(exact).any(axis=(1, 2))
    return broken
