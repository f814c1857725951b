"""The contract that every ranker keeps, and the extension point for new ones."""

from abc import ABCMeta, abstractmethod
from inspect import getattr_static
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._parts import PartsMixin
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    _estimator_has,
    _safe_indexing,
)
from sklinfluence.curvature._design import block_slices
from sklinfluence.heads._ask import ask, sliceable
from sklinfluence.heads._targets import target_array

__all__ = ["BaseRanker"]


class BaseRanker(
    PartsMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base class of everything that says how training rows influence queries.

    ``influence[j, i]`` is the rise in query j's loss when training row i is left out,
    or an estimate of it: positive for a *proponent*, negative for an *opponent*;
    shape (n_queries, n_train), in the loss's own units.

    A subclass sets, in `fit`, ``self_influence_`` of shape (n_train,) and, if it
    wraps a model, ``estimator_``; and gives `_influence_block` and `score_samples`.
    Everything else is derived here, in blocks of queries, so that nothing of size
    (n_queries, n_train) is built unless it is what was asked for.

    See Also
    --------
    sklinfluence.gradient.InfluenceRanker : Influence functions of a linear last layer.

    Examples
    --------
    A ranker of ones's own, by similarity alone:

    >>> import numpy as np
    >>> from sklearn.metrics.pairwise import rbf_kernel
    >>> from sklinfluence.base import BaseRanker
    >>> class SimilarityRanker(BaseRanker):
    ...     def fit(self, X, y, sample_weight=None):
    ...         self.X_ = np.asarray(X)
    ...         self.self_influence_ = np.ones(len(self.X_))
    ...         return self
    ...     def _influence_block(self, X, y):
    ...         return rbf_kernel(X, self.X_)
    ...     def score_samples(self, X, y=None):
    ...         return np.ones(len(X))
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> influence, index = SimilarityRanker().fit(X, [0, 1, 1]).proponents(X[:1], n=2)
    >>> index
    array([[0, 1]])
    """

    # How many entries a row of `transform` keeps; None for all. Subclasses that make
    # it a parameter give users the sparse form.
    n_influences = None

    @abstractmethod
    def fit(self, X, y, sample_weight=None):
        """Fit or read the model and prepare what queries need.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows.

        Returns
        -------
        self : object
        """

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

    @abstractmethod
    def score_samples(self, X, y=None):
        """Self-influence that new rows would have under the fitted model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            New rows.
        y : array-like of shape (n_rows,), default=None
            Their labels or targets; by default the model's own predictions.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
        """

    def __dir__(self):
        # scikit-learn's own asks hasattr of every name. A property may take a pass over
        # all rows, and is there even where it refuses to be computed.
        of_class = type(self)
        return [
            name
            for name in object.__dir__(self)
            if isinstance(getattr_static(of_class, name, None), property)
            or hasattr(self, name)
        ]

    @property
    def ranking_(self):
        """Rank of each training row, 1 for the largest self-influence."""
        # Rows of leverage 1 have no finite influence: they come first.
        values = np.nan_to_num(self.self_influence_, nan=np.inf)
        ranking = np.empty(len(values), dtype=int)
        ranking[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
        return ranking

    @property
    def _n_features_out(self):
        return self._n_train

    @property
    def _n_train(self):
        """Number of training rows."""
        return len(self.self_influence_)

    def _blocks(self, X, y):
        """(slice, influence) for blocks of queries, within ``working_memory``."""
        check_is_fitted(self)
        X = sliceable(X)
        n_queries = _num_samples(X)
        y = self._check_query_targets(X, y)
        # No queries are one empty block: the estimator says whether it takes that.
        for block in block_slices(n_queries, 4 * self._n_train) or [slice(0, 0)]:
            chosen = X if len(range(n_queries)[block]) == n_queries else None
            chosen = _safe_indexing(X, block) if chosen is None else chosen
            targets = None if y is None else _safe_indexing(y, block)
            yield block, self._influence_block(chosen, targets)

    def _check_query_targets(self, X, y):
        y = None if y is None else target_array(y)
        n_queries = _num_samples(sliceable(X))
        if y is not None and _num_samples(y) != n_queries:
            raise ValueError(
                f"y has {_num_samples(y)} rows, X has {n_queries}: the "
                "influence on a query's loss needs one target for each query."
            )
        return y

    def influence(self, X, y=None):
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
        check_is_fitted(self)
        # One call: the matrix is what was asked for, and blocks would copy it.
        return self._influence_block(sliceable(X), self._check_query_targets(X, y))

    def mean_influence(self, X, y=None):
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
        if not _num_samples(sliceable(X)):
            raise ValueError("X has no rows: a mean over no queries is not defined.")
        total = 0.0
        for _, values in self._blocks(X, y):
            total = total + values.sum(axis=0, dtype=float)
        mean = total / _num_samples(sliceable(X))
        return mean.astype(values.dtype, copy=False)

    def transform(self, X):
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
        rows = [
            _largest_in_magnitude(values, self.n_influences)
            for _, values in self._blocks(X, None)
        ]
        return sparse.vstack(rows, format="csr")

    def proponents(self, X, y=None, n=5):
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

    def opponents(self, X, y=None, n=5):
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
        if not isinstance(n, Integral) or not 1 <= n <= self._n_train:
            raise ValueError(
                f"n={n!r} must be an int from 1 to the number of training rows, "
                f"{self._n_train}."
            )
        influences, indices = [], []
        for _, values in self._blocks(X, y):
            key = np.nan_to_num(-sign * values, nan=np.inf)
            index = np.argpartition(key, n - 1, axis=1)[:, :n]
            order = np.argsort(np.take_along_axis(key, index, 1), axis=1, kind="stable")
            index = np.take_along_axis(index, order, axis=1)
            influences.append(np.take_along_axis(values, index, axis=1))
            indices.append(index)
        return np.vstack(influences), np.vstack(indices)

    def label_scores(self, score, X=None, y=None):
        """Scores of given labels, higher where a label is likelier wrong.

        Parameters
        ----------
        score : str
            Every ranker knows "self_influence".
        X : {array-like, sparse matrix} of shape (n_rows, n_features), default=None
            None: the training rows.
        y : array-like of shape (n_rows,), default=None
            Given labels of ``X``.

        Returns
        -------
        scores : ndarray of shape (n_rows,)

        Raises
        ------
        ValueError
            If this ranker does not know ``score``; lists those it does.
        """
        check_is_fitted(self)
        known = self._known_label_scores()
        if not isinstance(score, str) or score not in known:
            raise ValueError(
                f"score={score!r} is not one that {type(self).__name__} gives here. "
                f"It gives {', '.join(map(repr, known))}."
            )
        return self._label_scores(score, X, y)

    def _known_label_scores(self):
        return ("self_influence",)

    def _label_scores(self, score, X, y):
        return self.self_influence_ if X is None else self.score_samples(X, y)

    @available_if(_estimator_has("predict"))
    def predict(self, X):
        """Predictions of the wrapped model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        y_pred : ndarray of shape (n_queries,)
        """
        check_is_fitted(self)
        return ask(self.estimator_, "predict", X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Class probabilities of the wrapped model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        proba : ndarray of shape (n_queries, n_classes)
        """
        check_is_fitted(self)
        return ask(self.estimator_, "predict_proba", X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Raw predictions of the wrapped model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        decision : ndarray of shape (n_queries,) or (n_queries, n_classes)
        """
        check_is_fitted(self)
        return ask(self.estimator_, "decision_function", X)

    @available_if(_estimator_has("score"))
    def score(self, X, y, sample_weight=None):
        """Score of the wrapped model's predictions: its own ``score``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,)
        sample_weight : array-like of shape (n_queries,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        if sample_weight is None:
            return ask(self.estimator_, "score", X, y)
        return ask(self.estimator_, "score", X, y, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _tags_of_model(self, tags, model):
        """Take over, from the model wrapped, what a ranker shares with it.

        It predicts as the model does, although it is a transformer too: scikit-learn
        stratifies the folds of what says that it is a classifier.
        """
        wrapped = get_tags(model)
        tags.input_tags = wrapped.input_tags
        tags.estimator_type = wrapped.estimator_type
        tags.classifier_tags = wrapped.classifier_tags
        tags.regressor_tags = wrapped.regressor_tags
        tags.target_tags.multi_output = wrapped.target_tags.multi_output
        if tags.classifier_tags is not None:
            # Rankers take one label a row, whatever the model itself takes.
            tags.classifier_tags.multi_label = False
            tags.target_tags.multi_output = False
        return wrapped


def _largest_in_magnitude(values, k):
    """CSR matrix of the k entries of each row that are largest in magnitude."""
    k = min(k, values.shape[1])
    magnitude = np.nan_to_num(np.abs(values), nan=-1.0)
    index = np.sort(np.argpartition(-magnitude, k - 1, axis=1)[:, :k], axis=1)
    kept = np.take_along_axis(values, index, axis=1)
    indptr = np.arange(0, kept.size + 1, k)
    return sparse.csr_matrix((kept.ravel(), index.ravel(), indptr), values.shape)
