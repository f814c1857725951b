"""Whether the active coefficients of an l1 head stay the same without a row."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklinfluence._removal import changes_of_active_set


class ActiveSetMixin:
    """What a ranker reports about an l1 penalty's active set."""

    @property
    def active_set_changes_(self):
        check_is_fitted(self)
        fitted = self._fitted
        if self.head_.l1 is None:
            return np.zeros(self.n_train_, dtype=bool)
        weights = fitted.objective.weights[:, None]
        coefficients = weights * self._leave_each_out().residual
        return changes_of_active_set(fitted, coefficients)
