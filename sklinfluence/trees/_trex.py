"""TrexRanker: representers of a linear model on the leaves of an ensemble."""

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import (
    fit_weighted,
    row_weights,
    sliceable,
)
from sklinfluence._progress import FitTracker
from sklinfluence._removal import (
    HeadReading,
    check_embedding,
    check_penalty,
    fit_head,
    loss_rise,
    polished,
    take_apart,
)
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.base import BaseRanker
from sklinfluence.heads import linear_head
from sklinfluence.trees._embedding import KERNELS, LeafEmbedding
from sklinfluence.trees._training import check_one_target

# The penalty of the paper's surrogate, a multiple of the rows' total weight.
_STRENGTH = 0.003


class TrexRanker(BaseRanker):
    """TREX: what each row adds to a linear surrogate of an ensemble of trees.

    An l2-penalised linear model is fitted on the leaves that rows reach
    (`LeafEmbedding`), with the same targets. Its raw prediction is a sum over training
    rows of a representer value times a tree kernel, and ``influence[j, i]`` is the
    rise in query j's loss when row i's term is dropped from that sum [1]_. The
    surrogate is another model than the ensemble, and a term that is dropped is no
    refit: the ensemble itself is asked by `ForestRanker`, or by what
    ``InfluenceRanker`` finds on the same embedding.

    Read more in the :ref:`User Guide <trees>`.

    Parameters
    ----------
    estimator : estimator, default=None
        An ensemble of trees, as for `LeafEmbedding`. A fitted one is passed as
        ``FrozenEstimator(model)``. None: ``HistGradientBoostingClassifier()`` for
        class targets, its regressor for real ones.
    kernel : {"leaf_path", "leaf_output", "feature_path", "feature_output", \
"tree_output"}, default="leaf_path"
        As in `LeafEmbedding`.
    power : float, default=None
        As in `LeafEmbedding`. None: 1, the weighted kernels, and 0 for "tree_output".
    surrogate : estimator, default=None
        The linear model on the leaves, with an l2 penalty. None: LogisticRegression or
        Ridge without an intercept, the mean loss penalised by ``0.003 ||w||**2``.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in magnitude,
        in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state``. None leaves it as it is.

    Attributes
    ----------
    alpha_ : ndarray of shape (n_train, n_outputs)
        Representer values, -s_i r_i / lambda.
    surrogate_ : Pipeline
        The fitted embedding and linear model.
    reading_ : HeadReading
        The linear model at its optimum: a value that never changes.
    decomposition_gap_ : float
        Largest miss of the sum over rows on a training raw prediction, relative to the
        largest.
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    estimator_ : estimator
        The fitted ensemble: what `predict` asks.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    n_train_ : int
        Number of training rows.
    n_features_in_ : int
        Number of columns of X, when the estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    LeafEmbedding : The embedding; with InfluenceRanker it takes rows out by refitting.
    sklinfluence.gradient.RepresenterRanker : Representers of any linear last layer.

    Notes
    -----
    To explain what the ensemble predicts rather than what the rows were labelled, fit
    on its own predictions: ``fit(X, model.predict(X))`` with a frozen model.

    References
    ----------
    .. [1] Brophy, J., Hammoudeh, Z. and Lowd, D. (2023). Adapting and evaluating
       influence-estimation methods for gradient-boosted decision trees. JMLR 24(154).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import GradientBoostingClassifier
    >>> from sklinfluence.trees import TrexRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GradientBoostingClassifier(n_estimators=10, random_state=0)
    >>> ranker = TrexRanker(model).fit(X, y)
    >>> ranker.contributions(X[:2]).shape
    (2, 150, 3)
    >>> influence, index = ranker.proponents(X[:2], y[:2], n=3)
    >>> bool((y[index] == 0).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "kernel": [StrOptions(KERNELS)],
        "power": [Interval(Real, 0, None, closed="left"), None],
        "surrogate": [HasMethods("fit"), None],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }
    _written_out = {
        **LeafEmbedding._written_out,
        "surrogate": "LogisticRegression(fit_intercept=False), or Ridge",
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        kernel: Literal[
            "leaf_path",
            "leaf_output",
            "feature_path",
            "feature_output",
            "tree_output",
        ] = "leaf_path",
        power: float | None = None,
        surrogate: Any = None,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.kernel = kernel
        self.power = power
        self.surrogate = surrogate
        self.n_influences = n_influences
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the ensemble, and the surrogate on its leaves.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, non-negative, for the ensemble and the surrogate.

        Returns
        -------
        self : TrexRanker

        Raises
        ------
        TypeError
            If the estimator is no ensemble of trees that is known.
        ValueError
            If the surrogate has no l2 penalty on every weight.
        """
        X = sliceable(X)
        y, sample_weight = check_one_target(self, X, y, sample_weight)
        tracker = FitTracker(self, X, y)
        with tracker.task("fit the ensemble"):
            leaves = self._leaves().fit(X, y, sample_weight)
        with tracker.task("fit the surrogate"):
            model = leaves.estimator_
            linear = self._linear(model, y, sample_weight)
            surrogate = make_pipeline(FrozenEstimator(leaves), linear)
            fit_weighted(surrogate, X, y, sample_weight)
            head = linear_head(surrogate, y, sample_weight)
            check_penalty(head, "l2")
            fitted = fit_head(
                head, check_embedding(head.embed(X)), solver="auto", refit_head=True
            )
        self._expansion = take_apart(fitted, "l2", 0.0)
        self.reading_ = HeadReading(fitted, polished(head, fitted.theta))
        self.alpha_ = self._expansion.alpha
        self.decomposition_gap_ = self._expansion.gap()
        self.estimator_, self.surrogate_ = model, surrogate
        self._begin(len(y), model, head.classes)
        tracker.done()
        return self

    def _leaves(self):
        power = self.power
        if power is None:
            power = 0.0 if self.kernel == "tree_output" else 1.0
        return LeafEmbedding(
            self.estimator,
            kernel=self.kernel,
            power=power,
            random_state=self.random_state,
        )

    def _linear(self, model, y, sample_weight):
        if self.surrogate is not None:
            return clone(self.surrogate)
        # In sum form: lambda = 2 * 0.003 * W on the squares over two.
        strength = 2 * _STRENGTH * row_weights(sample_weight, y).sum()
        if hasattr(model, "classes_"):
            return LogisticRegression(C=1 / strength, fit_intercept=False, max_iter=500)
        return Ridge(strength, fit_intercept=False)

    def _wrapped(self):
        is_default = self.estimator is None
        return HistGradientBoostingClassifier() if is_default else self.estimator

    def _influence_block(self, X, y):
        queries = self.reading_.queries(X, y)
        n_queries, n_outputs = queries.raw.shape
        influence = np.empty((n_queries, self.n_train_))
        for block in block_slices(n_queries, 4 * n_outputs * self.n_train_):
            part = queries.take(block)
            influence[block] = loss_rise(part, -self._terms(part))
        return influence

    def _terms(self, queries):
        """Each row's term in every raw prediction, (n_queries, n_train, n_outputs)."""
        n_queries, n_outputs = queries.raw.shape
        terms = [
            self._expansion.contributions(queries.design, np.full(n_queries, k))
            for k in range(n_outputs)
        ]
        return np.stack(terms, axis=2)

    def contributions(self, X: Rows) -> NDArray:
        """Every row's term in every raw prediction of the surrogate.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        terms : ndarray of shape (n_queries, n_train) or (n_queries, n_train, n_outputs)
            They sum over rows to the surrogate's decision function (its prediction,
            for regression) at the optimum, less an intercept where it has one. One
            output: a binary decision for ``classes_[1]``, or a single target.
        """
        check_is_fitted(self)
        terms = self._terms(self.reading_.queries(X))
        return terms[:, :, 0] if terms.shape[2] == 1 else terms

    def _self_influence(self):
        fitted = self.reading_.fitted
        objective = fitted.objective
        own = self._expansion.own_products(objective.design, self._first(fitted.raw))
        shift = -self.alpha_ * own[:, None]
        loss = objective.loss.unweighted()
        return loss.rise(objective.targets, fitted.raw, shift[:, None, :])[:, 0]

    def _first(self, raw):
        """One output for each row: the kernel is the same for all."""
        return np.zeros(len(raw), dtype=int)

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have in the fitted surrogate.

        The rise in a row's loss when the term is dropped that a row of weight 1 with
        this residual would add.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), default=None
            Given labels or targets. None: the label that a classifier predicts; for
            regression, the term of a row that lies one unit above its prediction.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
        """
        check_is_fitted(self)
        queries = self.reading_.queries(*self._asked(X, y))
        own = self._expansion.own_products(queries.design, self._first(queries.raw))
        alpha = -queries.residual / self._expansion.strength
        shift = -alpha * own[:, None]
        return loss_rise(queries, shift[:, None, :])[:, 0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags
