"""What a ranker can prove about leaving rows out."""

import numpy as np
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import check_rows
from sklinfluence._removal import (
    certify_removal,
    group_changes,
    loss_interval,
    loss_rise,
    newton_error_bound,
    shifts_of,
)
from sklinfluence.curvature import Cholesky, SingularHessianError, minimize


class CertifyMixin:
    """Bounds on leave-one-out, for a ranker with ``_fitted`` and ``_queries``."""

    @property
    def loo_error_bound_(self):
        check_is_fitted(self)
        self._check_certifiable("loo_error_bound_")
        self._fitted.refuse_approximate_rows(
            "loo_error_bound_ needs", ", or certify, which factors its own"
        )
        removal = self._leave_each_out()
        if removal.error_bound is None:
            bound = newton_error_bound(self._fitted, removal, self.n_jobs)
            # One Newton step on the active set says nothing of rows that change it.
            bound[self.active_set_changes_] = np.inf
            removal.error_bound = bound
        return removal.error_bound

    def certify(self, index, X, y=None):
        """Interval in which the true leave-one-out change of each loss lies.

        One Newton step is taken without the row, and the distance to the optimum is
        bounded from the gradient and the Hessian *there*, by the self-concordance of
        logistic and softmax losses [1]_. Nothing is estimated: refitting without the
        row, with the penalty of the fit, gives a value inside the interval.

        Parameters
        ----------
        index : int, array-like of shape (n_chosen,) or mask of shape (n_train,)
            Training rows, negative ints from the end. Each costs a factorisation of
            the Hessian.
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Queries.
        y : array-like of shape (n_queries,), default=None
            Their targets, as in `influence`.

        Returns
        -------
        lower, upper : ndarray of shape (n_queries, n_chosen)
            The rise in each query's loss without each row is between them; (n_queries,)
            for a single int. Equal for heads fitted by least squares, where the step is
            exact; -inf and inf where nothing can be said.

        Raises
        ------
        ValueError
            For damping above 0, for heads with an l1 penalty, whose optimum without a
            row may have other active coefficients, and for an ``index`` that names no
            training row.

        References
        ----------
        .. [1] Bach, F. (2010). Self-concordant analysis for logistic regression.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.preprocessing import scale
        >>> from sklinfluence.gradient import InfluenceRanker
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> X = scale(X)
        >>> ranker = InfluenceRanker(method="newton").fit(X[:400], y[:400])
        >>> lower, upper = ranker.certify([3, 7], X[400:], y[400:])
        >>> influence = ranker.influence(X[400:], y[400:])[:, [3, 7]]
        >>> bool(((lower <= influence) & (influence <= upper)).all())
        True
        """
        check_is_fitted(self)
        self._check_certifiable("certify")
        if self.head_.l1 is not None:
            raise ValueError(
                "certify does not cover heads with an l1 penalty: without a row other "
                "coefficients may be active. active_set_changes_ and "
                "group_influence(order='exact') say what one step finds."
            )
        rows, is_single = check_rows(index, self.n_train_)
        queries, _ = self._queries(*self._asked(X, y))
        if self._fitted.objective.loss.is_quadratic:
            changes = np.array([_exact_change(self._fitted, row) for row in rows])
            rise = loss_rise(queries, shifts_of(queries, changes))
            lower = np.nan_to_num(rise, nan=-np.inf)
            upper = np.nan_to_num(rise, nan=np.inf)
        else:
            changes = group_changes(
                self._fitted, [np.array([row]) for row in rows], n_jobs=self.n_jobs
            )
            before = queries.loss.loss(queries.targets, queries.raw)
            intervals = Parallel(n_jobs=self.n_jobs, prefer="threads")(
                delayed(_interval)(self._fitted, row, change, queries)
                for row, change in zip(rows, changes, strict=True)
            )
            shape = (len(rows), 2, len(before))
            bounds = np.array(intervals).reshape(shape) - before
            lower, upper = bounds[:, 0].T, bounds[:, 1].T
        if is_single:
            return lower[:, 0], upper[:, 0]
        return lower, upper

    def _check_certifiable(self, name):
        if self._fitted.objective.proximal:
            raise ValueError(
                f"{name} bounds the distance to the optimum of the estimator's own "
                "objective, which damping changes: set damping=0."
            )


def _exact_change(fitted, row):
    """Least squares without a row, less theta, whatever the fit's solver and end."""
    objective = _without(fitted, row)
    try:
        return minimize(objective, fitted.theta, Cholesky()).theta - fitted.theta
    except SingularHessianError:
        return np.full(fitted.theta.shape, np.nan)


def _without(fitted, row):
    weights = fitted.objective.weights.copy()
    weights[row] = 0.0
    return fitted.objective.reweighted(weights)


def _interval(fitted, row, change, queries):
    objective = _without(fitted, row)
    return loss_interval(certify_removal(objective, fitted.theta + change), queries)
