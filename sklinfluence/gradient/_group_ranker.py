"""A ranker's answers about groups of rows, and what it can prove about single ones."""

from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

from sklinfluence._estimators import check_count, check_rows
from sklinfluence._removal import ORDERS, group_indices, refuse_emptied
from sklinfluence._typing import Rows
from sklinfluence.gradient._certify import certified_rise
from sklinfluence.gradient._group_influence import (
    influence_of_groups,
    rows_holding_up,
    training_queries,
    values_per_query,
)
from sklinfluence.gradient._row_ranker import RowRanker


class GroupRanker(RowRanker):
    """Groups of rows, sets that flip a prediction, and guaranteed bounds."""

    def group_influence(
        self,
        groups: Any,
        X: Rows | None = None,
        y: ArrayLike | None = None,
        order: Literal["first", "second", "newton", "exact"] = "newton",
    ) -> NDArray:
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
        self._in_memory_only("group_influence")
        if not isinstance(order, str) or order not in ORDERS:
            raise ValueError(
                f"order={order!r} is not one of {', '.join(map(repr, ORDERS))}."
            )
        reading, indices = self.reading_, group_indices(groups, self.n_train_)
        refuse_emptied(indices, reading.head)
        n_values = values_per_query(reading.fitted, len(indices))
        if X is None:
            blocks = training_queries(reading, n_values)
        else:
            blocks = self._asked_blocks(X, y, n_values)
        return influence_of_groups(reading, indices, blocks, order)

    def most_damaging(self, X: Rows, y: ArrayLike | None = None, n: int = 20) -> list:
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
        self._in_memory_only("most_damaging")
        if not hasattr(self, "classes_"):
            raise ValueError(
                "most_damaging asks which rows flip a predicted class; a regressor "
                "has none. Use group_influence."
            )
        if self.reading_.fitted.objective.proximal:
            raise ValueError(
                "most_damaging verifies by refits, which damping holds back: set "
                "damping=0."
            )
        if self.reading_.head.l1 is not None:
            raise ValueError(
                "most_damaging verifies its sets by refits on the active set, and with "
                "an l1 penalty other coefficients may become active without a row. "
                "Use an l2 penalty."
            )
        check_count(n, "n")
        return rows_holding_up(self.reading_, self._queries(*self._asked(X, y)), n)

    @property
    def loo_error_bound_(self):
        self._in_memory_only("loo_error_bound_")
        self._check_certifiable("loo_error_bound_")
        self.reading_.fitted.refuse_approximate_rows(
            "loo_error_bound_ needs", ", or certify, which factors its own"
        )
        return self.reading_.error_bound

    def certify(
        self, index: ArrayLike | int, X: Rows, y: ArrayLike | None = None
    ) -> tuple[NDArray, NDArray]:
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
        self._in_memory_only("certify")
        self._check_certifiable("certify")
        if self.reading_.head.l1 is not None:
            raise ValueError(
                "certify does not cover heads with an l1 penalty: without a row other "
                "coefficients may be active. active_set_changes_ and "
                "group_influence(order='exact') say what one step finds."
            )
        rows, is_single = check_rows(index, self.n_train_)
        queries = self._queries(*self._asked(X, y))
        lower, upper = certified_rise(self.reading_, rows, queries)
        if is_single:
            return lower[:, 0], upper[:, 0]
        return lower, upper

    def _check_certifiable(self, name):
        if self.reading_.fitted.objective.proximal:
            raise ValueError(
                f"{name} bounds the distance to the optimum of the estimator's own "
                "objective, which damping changes: set damping=0."
            )
