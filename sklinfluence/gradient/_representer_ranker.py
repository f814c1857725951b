"""RepresenterRanker: predictions as sums over the training rows."""

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import in_type, sliceable
from sklinfluence._removal import (
    REPRESENTERS,
    HeadReading,
    check_embedding,
    check_penalty,
    class_codes,
    fit_head,
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
from sklinfluence.gradient._head_ranker import HeadRanker
from sklinfluence.heads import linear_head

# A head further than this, relative, from reproducing its own predictions is not at
# the optimum that representer theorems speak of.
_IDENTITY = 1e-6


class RepresenterRanker(HeadRanker):
    """Representer points: what each training row adds to a raw prediction.

    A penalised linear head is a weighted sum of its training rows, so that each of
    its raw predictions (less the intercept) is a sum over rows of a *representer
    value* times an inner product of embeddings. ``influence(X, y)[j, i]`` is row i's
    term at the class of query j: positive where the row raises the decision for that
    class, negative where it lowers it. **The unit is that of raw predictions (logits,
    or the target's), not the loss's** as for other rankers: a row's term says what the
    sum is made of, not what a refit without the row would give.

    Read more in the :ref:`User Guide <groups_and_bounds>`.

    Parameters
    ----------
    estimator : estimator, default=None
        Any estimator that :func:`sklinfluence.heads.linear_head` knows, or a Pipeline
        that ends in one. A fitted model is passed as ``FrozenEstimator(model)``. It is
        cloned, never changed. None: ``LogisticRegression()`` for class targets,
        ``Ridge()`` for real ones.
    method : {"l2", "lje", "l1"}, default="l2"
        "l2": the representer theorem of an l2 penalty [1]_; needs one. "l1": that of
        an l1 or elastic-net penalty, on its active coefficients [3]_. "lje": local
        Jacobian expansion [2]_, a Newton step from beside the fit taken apart by rows;
        it needs neither a penalty nor an optimum, and its sum includes the intercept.
    ascent : float, default=0.01
        Length of the gradient-ascent step of "lje", on the mean of the objective. At
        an optimum the step is none.
    solver : {"auto", "cholesky", "cg"} or solver object, default="auto"
        How H^-1 is applied, as in :class:`InfluenceRanker`.
    refit_head : bool, default=True
        Whether a copy of the head is taken to its optimum. False reads it as it is;
        "l2" and "l1" then refuse a head that is not at its optimum.
    n_influences : int, default=None
        `transform` keeps this many terms of each query, the largest in magnitude, in
        a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state`` parameters. None leaves them.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    head_ : LinearHead
        Its linear head, polished; for "lje", where the expansion is taken.
    reading_ : HeadReading
        The head, factored there: a value that never changes.
    alpha_ : ndarray of shape (n_train, n_outputs)
        Representer values: -s_i r_i / lambda. For "lje", where a row's term is no
        multiple of an inner product, its part of its own raw prediction over
        ``|x_i|**2``.
    decomposition_gap_ : float
        Largest miss of the sum on a training raw prediction, relative to the largest:
        less the intercept for "l2" and "l1", that of the Newton point for "lje".
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    self_influence_ : ndarray of shape (n_train,)
        Each row's term in its own decision for its given label (in its own
        prediction, for regression).
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    stationarity_gap_ : float
        Largest change of a training raw prediction that polishing made, or would make.
    n_features_in_ : int
        Number of columns of X, when the estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    InfluenceRanker : What the loss would do without a row.

    References
    ----------
    .. [1] Yeh, C.-K., Kim, J., Yen, I. E. H. and Ravikumar, P. (2018). Representer
       point selection for explaining deep neural networks.
    .. [2] Sui, Y., Wu, G. and Sanner, S. (2021). Representer point selection via
       local Jacobian expansion.
    .. [3] Tsai, C.-P., Yeh, C.-K., Ravikumar, P. et al. (2023). Representer point
       selection for explaining regularized high-dimensional models.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklinfluence.gradient import RepresenterRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    >>> ranker = RepresenterRanker(model).fit(X, y)
    >>> terms = ranker.contributions(X[:2])
    >>> terms.shape
    (2, 150, 3)
    >>> decision = ranker.decision_function(X[:2]) - ranker.estimator_.intercept_
    >>> bool(np.allclose(terms.sum(axis=1), decision, atol=1e-6))
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "method": [StrOptions(set(REPRESENTERS))],
        "ascent": [Interval(Real, 0, None, closed="left")],
        "solver": [
            StrOptions({"auto", "cholesky", "cg"}),
            HasMethods(["init", "solve"]),
        ],
        "refit_head": ["boolean"],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    _written_out = {**HeadRanker._written_out, "solver": "ConjugateGradient()"}

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Literal["l2", "lje", "l1"] = "l2",
        ascent: float = 0.01,
        solver: Any = "auto",
        refit_head: bool = True,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.ascent = ascent
        self.solver = solver
        self.refit_head = refit_head
        self.n_influences = n_influences
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the estimator and take its head apart.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_train,) or (n_train, n_targets)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, non-negative.

        Returns
        -------
        self : RepresenterRanker

        Raises
        ------
        TypeError
            If no linear head is known for the estimator.
        ValueError
            If the head has not the penalty that ``method`` needs, or is not at its
            optimum and ``refit_head`` is False.
        """
        X = sliceable(X)
        y, sample_weight = self._check_training(X, y, sample_weight)
        estimator = self._fit_estimator(X, y, sample_weight)
        head = linear_head(estimator, y, sample_weight).trained_on(X)
        check_penalty(head, self.method)
        embedding = check_embedding(head.embed(X))
        fitted = fit_head(
            head, embedding, solver=self.solver, refit_head=self.refit_head
        )
        expansion = take_apart(fitted, self.method, self.ascent)
        gap = expansion.gap()
        if self.method != "lje" and gap > _IDENTITY and not self.refit_head:
            raise ValueError(
                f"The head is not at the optimum of its objective, so method="
                f"{self.method!r} does not decompose it: the sum over rows misses a "
                "raw "
                f"prediction by {gap:.1e} of the largest. Set refit_head=True, lower "
                "the estimator's tol or use method='lje'."
            )
        # Nothing is set before all is done: a fit that fails leaves no half of one.
        head = polished(head, expansion.fitted.theta)
        self.reading_ = HeadReading(expansion.fitted, head, dtype=embedding.dtype)
        self.estimator_, self.head_, self._expansion = estimator, head, expansion
        self.alpha_, self.decomposition_gap_ = expansion.alpha, gap
        self.stationarity_gap_ = fitted.gap
        self._begin(len(fitted.residual), estimator, head.classes)
        return self

    def _self_influence(self):
        objective = self.reading_.fitted.objective
        output, sign = self._place(objective.targets)
        own = self.alpha_[np.arange(self.n_train_), output] * sign
        own = own * self._expansion.own_products(objective.design, output)
        return in_type(own, self.reading_.dtype)

    def _place(self, targets):
        """The output of each row's class and the sign it carries."""
        n_rows = len(targets)
        if targets.shape[1] > 1 and hasattr(self, "classes_"):
            return class_codes(targets), np.ones(n_rows)
        if targets.shape[1] > 1:
            raise ValueError(
                f"The model predicts {targets.shape[1]} targets, and a row adds to "
                "each of them: use contributions(X)."
            )
        sign = np.ones(n_rows)
        if hasattr(self, "classes_"):
            sign = np.where(class_codes(targets) == 1, 1.0, -1.0)
        return np.zeros(n_rows, dtype=int), sign

    def _influence_block(self, X, y):
        queries = self.reading_.queries(X, y)
        output, sign = self._place(queries.targets)
        terms = self._expansion.contributions(queries.design, output) * sign[:, None]
        return in_type(terms, queries.dtype)

    def contributions(self, X: Rows) -> NDArray:
        """Every row's term in every raw prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        terms : ndarray of shape (n_queries, n_train) or (n_queries, n_train, n_outputs)
            They sum over rows to the decision function (the prediction, for
            regression) less the intercept; with it for "lje". One output: a binary
            decision for ``classes_[1]``, or a single target.
        """
        check_is_fitted(self)
        queries = self.reading_.queries(X)
        n_queries, K = queries.raw.shape
        outputs = [np.full(n_queries, k, dtype=int) for k in range(K)]
        terms = [
            self._expansion.contributions(queries.design, output) for output in outputs
        ]
        terms = terms[0] if K == 1 else np.stack(terms, axis=2)
        return in_type(terms, queries.dtype)

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have under the fitted model.

        The term that a row of weight 1 with this residual would add to its own
        decision.

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
        output, sign = self._place(queries.targets)
        scores = np.zeros(len(output))
        # As many at once as their solves, each of theta's size, take memory.
        for block in block_slices(len(output), 4 * self.reading_.fitted.theta.size):
            own = self._expansion.added_terms(queries.take(block), output[block])
            scores[block] = sign[block] * own
        return in_type(scores, queries.dtype)
