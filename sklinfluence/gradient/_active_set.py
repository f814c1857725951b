"""Whether the active coefficients of an l1 head stay the same without a row."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklinfluence.curvature._design import block_slices
from sklinfluence.gradient._groups import group_changes
from sklinfluence.gradient._scores import parameter_change

# A curved loss's Newton step that, taken this many times, would not leave the active
# set is trusted not to leave it.
_CAUTION = 3.0


class ActiveSetMixin:
    """What a ranker reports about an l1 penalty's active set."""

    @property
    def active_set_changes_(self):
        check_is_fitted(self)
        fitted = self._fitted
        if self.head_.l1 is None:
            return np.zeros(self._n_train, dtype=bool)
        weights = fitted.objective.weights[:, None]
        coefficients = weights * self._leave_each_out().residual
        return changes_of_active_set(fitted, coefficients)


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
