"""Whether the active coefficients of an l1 head stay the same without a row."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklinfluence.curvature._design import block_slices
from sklinfluence.gradient._scores import parameter_change


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
        broken = fitted.objective.breaks(fitted.theta, fitted.raw, changes, index)
        parts.append(broken | np.isnan(coefficients[block]).any(axis=1))
    return np.concatenate(parts)
