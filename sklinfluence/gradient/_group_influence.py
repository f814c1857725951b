"""What a ranker with a fitted head says about groups of rows."""

import warnings

import numpy as np
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.curvature._design import block_slices
from sklinfluence.gradient._flip import smallest_flip
from sklinfluence.gradient._groups import (
    ORDERS,
    group_changes,
    group_indices,
    linear_rise,
    refuse_emptied,
    shifts_of,
)
from sklinfluence.gradient._inputs import check_count
from sklinfluence.gradient._scores import Queries, loss_rise
from sklinfluence.heads._ask import sliceable
from sklinfluence.heads._ranges import in_type


class GroupInfluenceMixin:
    """Group removal, for a ranker with ``_fitted``, ``head_`` and ``_queries``."""

    def group_influence(self, groups, X=None, y=None, order="newton"):
        """Rise in each query's loss when a whole group of rows is left out.

        Parameters
        ----------
        groups : array-like of shape (n_train,), list of index arrays, or boolean \
                matrix of shape (n_groups, n_train)
            A label for every training row (groups in the order of
            :func:`numpy.unique`), the rows of each group, or their masks. A single
            boolean mask is one group.
        X : {array-like, sparse matrix} of shape (n_queries, n_features), default=None
            Queries. None: the training rows with their given targets.
        y : array-like of shape (n_queries,), default=None
            Their targets, as in `influence`.
        order : {"first", "second", "newton", "exact"}, default="newton"
            "first": the sum of the rows' first-order influences, which treats them as
            independent. "second": two terms of the Neumann series of the Newton step,
            which sees rows that stand in for each other [2]_. Both are linear in the
            query's loss. "newton": one exact Newton step of the objective without the
            group, the loss evaluated there; exact for least squares. "exact": Newton
            steps to the optimum, what a refit with the same penalty gives. Of an l1
            head, all stay on its active set; groups that change it are warned about.

        Returns
        -------
        influence : ndarray of shape (n_queries, n_groups)
            NaN for a group without which the objective has no unique optimum.

        Raises
        ------
        ValueError
            If a group holds every row of a class; names the class.

        Notes
        -----
        The penalty is that of the fit, in the objective's sum form. An estimator
        whose penalty is relative to the number of rows (``SGDClassifier``, ``Lasso``)
        is refitted equivalently with ``alpha * n / (n - m)``.

        References
        ----------
        .. [1] Koh, P. W., Ang, K.-S., Teo, H. H. K. and Liang, P. (2019). On the
           accuracy of influence functions for measuring group effects.
        .. [2] Basu, S., You, X. and Feizi, S. (2020). On second-order group influence
           functions for black-box predictions.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.preprocessing import scale
        >>> from sklinfluence.gradient import InfluenceRanker
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> X = scale(X)
        >>> ranker = InfluenceRanker().fit(X[:400], y[:400])
        >>> hospital = [range(0, 40), range(40, 80)]
        >>> ranker.group_influence(hospital, X[400:], y[400:]).shape
        (169, 2)
        """
        check_is_fitted(self)
        self._check_group_order(order)
        indices = group_indices(groups, self._n_train)
        refuse_emptied(indices, self.head_)
        changes = group_changes(self._fitted, indices, order, self.n_jobs)
        self._warn_about_active_sets(indices, changes)
        influence = np.empty((0, len(indices)), dtype=self._dtype)
        parts = [influence]
        for queries in self._group_queries(X, y, changes):
            if order in ("first", "second"):
                parts.append(linear_rise(queries, changes))
            else:
                parts.append(loss_rise(queries, shifts_of(queries, changes)))
        return in_type(np.concatenate(parts), self._dtype)

    def _warn_about_active_sets(self, indices, changes):
        """Name the groups without which an l1 head would use other coefficients."""
        if self.head_.l1 is None:
            return
        fitted, changed = self._fitted, []
        for number, (group, change) in enumerate(zip(indices, changes, strict=True)):
            weights = fitted.objective.weights.copy()
            weights[group] = 0.0
            left = fitted.objective.reweighted(weights)
            if left.breaks(fitted.theta, fitted.raw, change[None])[0]:
                changed.append(number)
        if changed:
            warnings.warn(
                f"Without group(s) {', '.join(map(str, changed))} other coefficients "
                "of the l1 head would be active: their influence is that of the "
                "present active set, which a refit would leave.",
                stacklevel=3,
            )

    def _check_group_order(self, order):
        if not isinstance(order, str) or order not in ORDERS:
            raise ValueError(
                f"order={order!r} is not one of {', '.join(map(repr, ORDERS))}."
            )

    def _group_queries(self, X, y, changes):
        """The queries, or the training rows, in blocks."""
        values = changes[:, :, 0].size * 4 + self._fitted.theta.size
        if X is None:
            design, targets = self._fitted.objective.design, self.head_.targets
            for block in block_slices(self._n_train, values):
                yield Queries.at(self._fitted, design.X[block], targets[block])
            return
        X, y = sliceable(X), self._check_query_targets(X, y)
        for block in block_slices(_num_samples(X), values):
            targets = None if y is None else _safe_indexing(y, block)
            yield self._queries(_safe_indexing(X, block), targets)[0]

    def most_damaging(self, X, y=None, n=20):
        """The smallest sets found of training rows that hold up a prediction.

        Rows leave one by one, each time the one whose removal moves the query's
        margin furthest by one exact Newton step; after each the head is taken to its
        optimum without the rows gone so far. Once the prediction has changed, rows
        that turn out not to be needed are put back. What is returned is therefore
        verified by a refit, and a minimal set, but not proved to be the smallest.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            The class that each query is to lose. None: the class predicted.
        n : int, default=20
            Most rows that may leave.

        Returns
        -------
        rows : list of ndarray or None, of length n_queries
            Training rows, in the order found, without which the model no longer
            predicts the class; empty where it does not now, None where no set of at
            most n rows was found.

        Raises
        ------
        ValueError
            For a regressor, which has no class to flip, for damping above 0, and for
            heads with an l1 penalty.

        Notes
        -----
        Each row costs a factorisation of the Hessian and a pass over the training
        rows, for each query. A class is never emptied.

        References
        ----------
        .. [1] Broderick, T., Giordano, R. and Meager, R. (2020). An automatic
           finite-sample robustness metric.
        .. [2] Yang, J., Jain, S. and Wallace, B. C. (2023). How many and which
           training points would need to be removed to flip this prediction?

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.preprocessing import scale
        >>> from sklinfluence.gradient import InfluenceRanker
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> X = scale(X)
        >>> ranker = InfluenceRanker().fit(X[:400], y[:400])
        >>> unsure = abs(ranker.decision_function(X[400:])).argsort()[2] + 400
        >>> rows = ranker.most_damaging(X[[unsure]])[0]
        >>> len(rows)
        2
        """
        check_is_fitted(self)
        if not hasattr(self, "classes_"):
            raise ValueError(
                "most_damaging asks which rows flip a predicted class; a regressor "
                "has none. Use group_influence."
            )
        if self._fitted.objective.proximal:
            raise ValueError(
                "most_damaging verifies by refits, which damping holds back: set "
                "damping=0."
            )
        if self.head_.l1 is not None:
            raise ValueError(
                "most_damaging verifies its sets by refits on the active set, and with "
                "an l1 penalty other coefficients may become active without a row. "
                "Use an l2 penalty."
            )
        check_count(n, "n")
        queries, _ = self._queries(X, self._check_query_targets(X, y))
        return [
            smallest_flip(self._fitted, self.head_, queries.take([j]), n, self.n_jobs)
            for j in range(len(queries.raw))
        ]
