"""Cook's vector: how far each row holds the parameters."""

from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import check_rows
from sklinfluence._removal import parameter_change
from sklinfluence.gradient._normalize import moving_coefficients


class ParameterInfluenceMixin:
    """`parameter_influence` of a ranker with a fitted head."""

    def parameter_influence(self, index):
        """How far each row holds the head's parameters from where they would be.

        Parameters
        ----------
        index : int, array-like of shape (n_chosen,) or mask of shape (n_train,)
            Training rows; negative ints count from the end.

        Returns
        -------
        change : ndarray of shape (n_chosen, n_outputs, n_columns)
            theta - theta without the row (Cook's vector), the intercept's column
            last; (n_outputs, n_columns) for a single int.

        Raises
        ------
        ValueError
            For ``method="grad_dot"``, which knows no parameter change, and for an
            ``index`` that names no training row.
        """
        check_is_fitted(self)
        if self.method == "grad_dot":
            raise ValueError(
                "method='grad_dot' has no parameter change: it uses no curvature. "
                "Use method='influence' or method='newton'."
            )
        rows, is_single = check_rows(index, self.n_train_)
        removal = self._leave_each_out() if self.method == "newton" else None
        coefficients = moving_coefficients(self._fitted, removal, self.method)
        change = -parameter_change(self._fitted, coefficients, rows)
        if self.method == "newton" and self._refined.index.size:
            refined = zip(self._refined.index, self._refined.change, strict=True)
            for at, row in refined:
                change[rows == at] = -row
        return change[0] if is_single else change
