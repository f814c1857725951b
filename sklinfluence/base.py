"""The contract that every ranker keeps, and the extension point for new ones."""

from abc import abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import label_index, sliceable, target_array
from sklinfluence._raw_change import RawChange
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence._top_n import as_sparse, strongest_columns
from sklinfluence._typing import Rows
from sklinfluence._valuer import BaseValuer, ranks

__all__ = ["BaseRanker", "BaseValuer", "RawChange"]


class BaseRanker(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseValuer):
    """Base class of everything that says how training rows influence queries.

    ``influence[j, i]`` is the rise in query j's loss when training row i is left out,
    or an estimate of it: positive for a *proponent*, negative for an *opponent*;
    shape (n_queries, n_train), in the loss's own units. Where a method measures
    another unit its class says which; the sign is the same.

    A subclass calls `_begin` in `fit` and gives `_influence_block`; what it knows of
    rows on themselves it gives by `_self_influence`, and of new rows by
    ``score_samples``. Everything else is derived here, in blocks of queries, so that
    nothing of size (n_queries, n_train) is built unless it is what was asked for. A
    method that samples publishes the standard error of its influence as
    ``spread(X, y)``; one that knows how raw predictions change without a row gives a
    `RawChange` as ``raw_change(X)``.

    See Also
    --------
    sklinfluence.gradient.InfluenceRanker : Influence functions of a linear last layer.

    Examples
    --------
    A ranker of one's own, by similarity alone:

    >>> import numpy as np
    >>> from sklearn.metrics.pairwise import rbf_kernel
    >>> from sklearn.utils.validation import validate_data
    >>> from sklinfluence.base import BaseRanker
    >>> class SimilarityRanker(BaseRanker):
    ...     def fit(self, X, y):
    ...         self.X_, _ = validate_data(self, X, y)
    ...         self._begin(len(self.X_))
    ...         return self
    ...     def _influence_block(self, X, y):
    ...         return rbf_kernel(validate_data(self, X, reset=False), self.X_)
    ...     def _self_influence(self):
    ...         return np.ones(self.n_train_)
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> influence, index = SimilarityRanker().fit(X, [0, 1, 1]).proponents(X[:1], n=2)
    >>> index
    array([[0, 1]])
    """

    # How many entries a row of `transform` keeps; None for all. Subclasses that make
    # it a parameter give users the sparse form.
    n_influences = None

    @abstractmethod
    def _influence_block(self, X, y):
        """Influence of every training row on a block of queries.

        A block may be all queries: keep what is built beside the result within
        ``working_memory``.

        Parameters
        ----------
        X : array-like of shape (n_block, n_features)
        y : array-like of shape (n_block,) or None

        Returns
        -------
        influence : ndarray of shape (n_block, n_train)
        """

    def _self_influence(self):
        """Influence of every training row on its own loss, (n_train,).

        A method that defines none leaves this out, and has no ``self_influence_``.
        """
        raise AttributeError(
            f"{type(self).__name__} defines no self-influence: its rows are ranked by "
            "values_."
        )

    @property
    def self_influence_(self):
        """Influence of each training row on its own loss, computed once."""
        check_is_fitted(self)
        if self._kept_self_influence is None:
            self._kept_self_influence = self._self_influence()
        return self._kept_self_influence

    @property
    def ranking_(self):
        """Rank of each training row, 1 for the largest self-influence."""
        # Rows of leverage 1 have no finite influence: they come first.
        return ranks(-np.nan_to_num(self.self_influence_, nan=np.inf))

    @property
    def _n_features_out(self):
        return self.n_train_

    def _query_inputs(self, X, y):
        """X and y in containers whose rows can be taken."""
        return sliceable(X), None if y is None else target_array(y)

    def _asked(self, X, y):
        """Queries: rows that can be taken, and one known target for each.

        Without targets a classifier's queries take the label that the model predicts;
        where targets are real, y stays None.
        """
        check_is_fitted(self)
        X, y = self._query_inputs(X, y)
        n_queries = _num_samples(X)
        if y is None:
            predicts = hasattr(self, "classes_") and hasattr(self, "predict")
            return X, self.predict(X) if predicts else None
        self._check_asked(y, n_queries)
        return X, y

    def _check_asked(self, y, n_queries):
        """Name targets that are too many or too few, and labels not trained on."""
        if _num_samples(y) != n_queries:
            raise ValueError(
                f"y has {_num_samples(y)} rows, X has {n_queries}: the "
                "influence on a query's loss needs one target for each query."
            )
        if hasattr(self, "classes_"):
            label_index(y, self.classes_)

    def _refuse_no_queries(self, X):
        check_is_fitted(self)
        if _num_samples(self._query_inputs(X, None)[0]) == 0:
            raise ValueError("X has no rows: a mean over no queries is not defined.")

    def _blocks(self, X, y):
        """(slice, influence) for blocks of queries, within ``working_memory``."""
        for block, *asked in self._query_blocks(X, y):
            yield block, self._influence_block(*asked)

    def _query_blocks(self, X, y):
        """(slice, X, y) for blocks of queries."""
        X, y = self._asked(X, y)
        n_queries = _num_samples(X)
        # No queries are one empty block: the estimator says whether it takes that.
        for block in block_slices(n_queries, self._values_per_query) or [slice(0, 0)]:
            chosen = X if len(range(n_queries)[block]) == n_queries else None
            chosen = _safe_indexing(X, block) if chosen is None else chosen
            targets = None if y is None else _safe_indexing(y, block)
            yield block, chosen, targets

    @property
    def _values_per_query(self):
        return 4 * self.n_train_

    def _strongest_block(self, X, y, n, by):
        """The n strongest influences on a block of queries, and their rows."""
        return strongest_columns(self._influence_block(X, y), n, by)

    def influence(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Influence of every training row on every query.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Queries.
        y : array-like of shape (n_queries,), default=None
            Their targets. None: a classifier's queries take the label that the model
            predicts; for regression the influence is on the prediction itself,
            f(x) - f(x) without the row, positive where the row pushes it up.

        Returns
        -------
        influence : ndarray of shape (n_queries, n_train)
            The rise in each query's loss when each training row is left out.

        Raises
        ------
        ValueError
            If a label in ``y`` was not seen in training.
        """
        # One call: the matrix is what was asked for, and blocks would copy it.
        return self._influence_block(*self._asked(X, y))

    def mean_influence(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Mean influence of every training row over all queries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        influence : ndarray of shape (n_train,)
        """
        self._refuse_no_queries(X)
        total, n_queries = 0.0, 0
        for _, values in self._blocks(X, y):
            total = total + values.sum(axis=0, dtype=float)
            n_queries += len(values)
        mean = total / n_queries
        return mean.astype(values.dtype, copy=False)

    def transform(self, X: Rows) -> Any:
        """Influence of every training row on the model's own prediction for X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        influence : ndarray or CSR matrix of shape (n_queries, n_train)
            ``influence(X)``; with ``n_influences=k``, sparse, the k largest in
            magnitude of each query.
        """
        if self.n_influences is None:
            return self.influence(X)
        n = min(self.n_influences, self.n_train_)
        rows = [
            as_sparse(*self._strongest_block(*asked, n, "magnitude"), self.n_train_)
            for _, *asked in self._query_blocks(X, None)
        ]
        return sparse.vstack(rows, format="csr")

    def proponents(
        self, X: Rows, y: ArrayLike | None = None, n: int = 5
    ) -> tuple[NDArray, NDArray]:
        """The training rows without which each query's loss would rise most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Largest first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        influence, index = self._strongest(X, y, n, sign=1)
        return influence, index

    def opponents(
        self, X: Rows, y: ArrayLike | None = None, n: int = 5
    ) -> tuple[NDArray, NDArray]:
        """The training rows without which each query's loss would fall most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Most negative first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        influence, index = self._strongest(X, y, n, sign=-1)
        return influence, index

    def _strongest(self, X, y, n, sign):
        check_is_fitted(self)
        if not isinstance(n, Integral) or not 1 <= n <= self.n_train_:
            raise ValueError(
                f"n={n!r} must be an int from 1 to the number of training rows, "
                f"{self.n_train_}."
            )
        by = "largest" if sign > 0 else "smallest"
        found = [
            self._strongest_block(*asked, n, by)
            for _, *asked in self._query_blocks(X, y)
        ]
        influences, indices = zip(*found, strict=True)
        return np.vstack(influences), np.vstack(indices)

    def _known_label_scores(self):
        return ("self_influence",)

    def _label_scores(self, score, X, y):
        if X is None:
            return self.self_influence_
        if not hasattr(self, "score_samples"):
            raise ValueError(
                f"score={score!r} of {type(self).__name__} is of training rows alone: "
                "call label_scores without X."
            )
        return self.score_samples(X, y)
