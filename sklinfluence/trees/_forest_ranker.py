"""ForestRanker: random forests without each of their training rows, exactly."""

from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.utils.validation import check_is_fitted

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import (
    are_classes,
    check_count,
    encode_values,
    fit_weighted,
    label_index,
    sliceable,
)
from sklinfluence._messages import shown
from sklinfluence._progress import FitTracker
from sklinfluence._raw_change import RawChange
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    _fit_context,
    _set_random_states,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence._warn import warn_user
from sklinfluence.base import BaseRanker
from sklinfluence.trees._forest import read_forest
from sklinfluence.trees._forest_flips import rows_holding_up
from sklinfluence.trees._training import check_one_target

# What scikit-learn's log_loss takes a probability of 0 for.
_LEAST = np.finfo(np.float64).eps


class ForestRanker(BaseRanker):
    """Influence in a random forest, exact while bags and structures are kept.

    A leaf says the weighted mean of its rows, so a forest's prediction is a sum over
    training rows, and so is what it would be without one of them. ``influence[j, i]``
    is the rise in query j's loss when row i leaves the leaves it is in: minus the log
    of the probability of the label (0 is taken for 2.2e-16, as by
    :func:`sklearn.metrics.log_loss`), or half the squared error. Where trees are grown
    without a row anew, they may be split otherwise: that is not part of it. A leaf
    that empties keeps its value.

    Read more in the :ref:`User Guide <trees>`.

    Parameters
    ----------
    estimator : estimator, default=None
        A RandomForest* or ExtraTrees*, or a Pipeline that ends in one. A fitted one is
        passed as ``FrozenEstimator(model)``, with its own training rows. It is cloned,
        never changed. None: a random forest of scikit-learn's defaults.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in magnitude,
        in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state``. None leaves it as it is.

    Attributes
    ----------
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    loo_proba_ : ndarray of shape (n_train, n_classes)
        Out-of-bag class probabilities: what the trees say that never saw the row.
        NaN for rows that every tree saw. Classification with bootstrap samples only.
    loo_prediction_ : ndarray of shape (n_train,)
        Out-of-bag predictions. Regression with bootstrap samples only.
    estimator_ : estimator
        The fitted forest.
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
    sklinfluence.retraining.DataOOBRanker : Values by out-of-bag correctness.

    Notes
    -----
    What is kept takes about 30 bytes for each row and tree. Influence costs one sparse
    product of queries and training rows by shared leaves.

    References
    ----------
    .. [1] Lin, Y. and Jeon, Y. (2006). Random forests and adaptive nearest neighbors.
    .. [2] Meinshausen, N. (2006). Quantile regression forests.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.trees import ForestRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = ForestRanker(random_state=0).fit(X, y)
    >>> ranker.influence(X[:2], y[:2]).shape
    (2, 150)
    >>> weights = ranker.representer_weights(X[50:52])
    >>> share = weights @ (y == 1)
    >>> bool(np.allclose(share, ranker.predict_proba(X[50:52])[:, 1]))
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.n_influences = n_influences
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the forest, or read a fitted one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, non-negative. They say how often a row is in a bag, or
            how it weighs in each tree, as the forest has it.

        Returns
        -------
        self : ForestRanker

        Raises
        ------
        TypeError
            If the estimator is no forest.
        ValueError
            If a fitted forest was trained on other rows, or if its leaves are no means
            (``criterion="absolute_error"``, ``monotonic_cst``).
        """
        X = sliceable(X)
        y, sample_weight = check_one_target(self, X, y, sample_weight)
        tracker = FitTracker(self, X, y)
        model = self._unfitted(y)
        if self.random_state is not None:
            _set_random_states(model, self.random_state)
        with tracker.task("fit the forest"):
            model = fit_weighted(model, X, y, sample_weight)
        with tracker.task("read its leaves"):
            forest = read_forest(model, X, y, sample_weight)
        self._forest, self._out_of_bag = forest, forest.out_of_bag()
        self._members = forest.members()
        self._leaving = forest.leaving(self._members)
        self.estimator_ = model
        self._begin(len(y), model)
        tracker.done()
        return self

    def _unfitted(self, y):
        if self.estimator is not None:
            return clone(self.estimator)
        return RandomForestClassifier() if are_classes(y) else RandomForestRegressor()

    def _wrapped(self):
        return RandomForestClassifier() if self.estimator is None else self.estimator

    # -- losses ---------------------------------------------------------------------

    def _coded(self, y):
        """Queries' targets: places of labels, or reals; None stays None."""
        if hasattr(self, "classes_"):
            return label_index(y, self.classes_)
        return None if y is None else encode_values(y, 1)[:, 0]

    def _own(self):
        """The training rows' targets, coded likewise."""
        targets = self._forest.targets
        return targets.argmax(axis=1) if hasattr(self, "classes_") else targets[:, 0]

    def _said_of(self, asked, said):
        """What is predicted of each query's target, (n_queries,)."""
        if hasattr(self, "classes_"):
            return np.take_along_axis(said, asked[:, None], axis=1)[:, 0]
        return said[:, 0]

    def _loss(self, asked, said):
        """Loss at a prediction of the target; without targets, minus the prediction."""
        if hasattr(self, "classes_"):
            # A sum over trees may end a rounding outside of [0, 1].
            return -np.log(np.clip(said, _LEAST, 1.0))
        return -said if asked is None else 0.5 * (said - asked) ** 2

    # -- influence ------------------------------------------------------------------

    def _influence_block(self, X, y):
        leaves, asked = self._forest.leaf_numbers(X), self._coded(y)
        influence = np.empty((len(leaves), self.n_train_))
        for block in block_slices(len(leaves), 6 * self.n_train_):
            of_block = None if asked is None else asked[block]
            influence[block] = self._rises(leaves[block], of_block)
        return influence

    def _rises(self, leaves, asked):
        forest = self._forest
        said = self._said_of(asked, forest.predict(leaves))[:, None]
        at = None if asked is None else asked[:, None]
        after = said + self._changes(leaves, asked)
        return self._loss(at, after) - self._loss(at, said)

    def _changes(self, leaves, asked):
        """Change of what is said of each query's target without each training row."""
        forest, own = self._forest, self._own()
        if hasattr(self, "classes_"):
            values = forest.values[leaves, asked[:, None]]
            targets = own == asked[:, None]
        else:
            # About their mean, which differences of sums would cancel.
            values = forest.values[leaves, 0] - own.mean()
            targets = (own - own.mean())[None, :]
        shared = (self._at(leaves) @ self._leaving).toarray()
        said = (self._at(leaves, values) @ self._leaving).toarray()
        return (said - shared * targets) / forest.n_trees

    def _at(self, leaves, values=None):
        """Queries by leaves, CSR of shape (n_queries, n_leaves)."""
        n_queries, n_trees = leaves.shape
        entries = np.ones(leaves.size) if values is None else values.ravel()
        start = np.arange(0, leaves.size + 1, n_trees)
        shape = n_queries, len(self._forest.totals)
        return sparse.csr_matrix((entries, leaves.ravel(), start), shape=shape)

    def _self_influence(self):
        forest, own = self._forest, self._own()
        said = forest.predict(forest.leaves)
        after = self._said_of(own, said + forest.own_change())
        return self._loss(own, after) - self._loss(own, self._said_of(own, said))

    def representer_weights(self, X: Rows) -> sparse.csr_matrix:
        """The weight of each training row in each prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        weights : CSR matrix of shape (n_queries, n_train)
            None negative; each row sums to 1. ``weights @ y`` is the forest's
            prediction; ``weights @ (y == label)`` its probability of a label.
        """
        check_is_fitted(self)
        leaves = self._forest.leaf_numbers(sliceable(X))
        share = 1.0 / (self._forest.totals[leaves] * self._forest.n_trees)
        return self._at(leaves, share) @ self._members

    def raw_change(self, X: Rows) -> RawChange:
        """How the predictions of queries change when training rows leave.

        Exactly, structures and bags fixed; of class probabilities, or of the
        predicted value. What :func:`~sklinfluence.metrics.metric_influence` asks.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        change : RawChange
        """
        check_is_fitted(self)
        forest = self._forest
        leaves = forest.leaf_numbers(sliceable(X))
        return RawChange(
            forest.predict(leaves),
            "identity",
            partial(_along, forest, self._leaving, self._at(leaves)),
            partial(self._without, leaves),
        )

    def _without(self, leaves):
        """(block of training rows, changes of predictions without each)."""
        forest, by_row = self._forest, self._leaving.tocsc()
        mean = forest.targets.mean(axis=0)
        n_outputs = len(mean)
        for block in block_slices(self.n_train_, 3 * len(leaves) * n_outputs):
            leaving = by_row[:, block]
            shared = (self._at(leaves) @ leaving).toarray()
            shift = np.empty((*shared.shape, n_outputs))
            for k in range(n_outputs):
                values = self._at(leaves, forest.values[leaves, k] - mean[k])
                said = (values @ leaving).toarray()
                shift[:, :, k] = said - shared * (forest.targets[block, k] - mean[k])
            yield block, shift / forest.n_trees

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have in the fitted forest.

        The rise in a row's loss when it is taken away again from leaves that it was
        put into, in each tree with the mean weight of a training row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), default=None
            Given labels or targets. None: the label that a classifier predicts; for
            regression, the change of the prediction by a row one unit above it.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
        """
        check_is_fitted(self)
        X, y = self._asked(X, y)
        forest, asked = self._forest, self._coded(y)
        leaves = forest.leaf_numbers(X)
        said = self._said_of(asked, forest.predict(leaves))
        target = said + 1.0 if asked is None else asked
        target = 1.0 if hasattr(self, "classes_") else target[:, None]
        values = forest.values[leaves, 0]
        if hasattr(self, "classes_"):
            values = forest.values[leaves, asked[:, None]]
        joins = forest.mean_weight / (forest.totals[leaves] + forest.mean_weight)
        joined = said + np.mean(joins * (target - values), axis=1)
        return self._loss(asked, said) - self._loss(asked, joined)

    # -- what is said of rows by trees that never saw them ----------------------------

    @property
    def loo_proba_(self):
        self._check_out_of_bag("loo_proba_", classification=True)
        return self._known_out_of_bag()

    @property
    def loo_prediction_(self):
        self._check_out_of_bag("loo_prediction_", classification=False)
        return self._known_out_of_bag()[:, 0]

    def _check_out_of_bag(self, name, classification):
        check_is_fitted(self)
        if hasattr(self, "classes_") != classification:
            task, other = "regression", "loo_proba_"
            if classification:
                task, other = "classification", "loo_prediction_"
            raise AttributeError(f"{name} is for {task} only. Use {other}.")
        if not self._forest.has_bags:
            raise AttributeError(
                f"{name} is what trees say of rows out of their bags, and this forest "
                "has none: set bootstrap=True."
            )

    def _known_out_of_bag(self):
        """Predictions out of bag; rows that have none are named."""
        unknown = np.flatnonzero(np.isnan(self._out_of_bag[:, 0]))
        if len(unknown):
            warn_user(
                f"Every tree saw row(s) {shown(unknown)}: nothing is out of bag there, "
                "and what is said of them is NaN. Grow more trees.",
            )
        return self._out_of_bag

    def _known_label_scores(self):
        out_of_bag = ("oob_loss",) if self._forest.has_bags else ()
        return (*out_of_bag, "loss", "self_influence")

    def _label_scores(self, score, X, y):
        if score == "self_influence":
            return super()._label_scores(score, X, y)
        if X is None:
            forest, own = self._forest, self._own()
            is_out = score == "oob_loss"
            said = self._known_out_of_bag() if is_out else forest.predict(forest.leaves)
            return self._loss(own, self._said_of(own, said))
        if y is None:
            raise ValueError(
                f"score={score!r} of new rows needs their given labels, y."
            )
        # No tree saw a new row: all are out of its bag.
        X, y = self._asked(X, y)
        asked = self._coded(y)
        said = self._forest.predict(self._forest.leaf_numbers(X))
        return self._loss(asked, self._said_of(asked, said))

    # -- sets of rows -----------------------------------------------------------------

    def most_damaging(self, X: Rows, y: ArrayLike | None = None, n: int = 20) -> list:
        """The smallest sets found of training rows that hold up a prediction.

        Rows leave one by one, each time the one whose removal takes most off the
        query's margin; once the prediction has changed, rows that turn out not to be
        needed are put back. What is returned is verified by recomputing the leaves
        without the rows, and a minimal set, but not proved to be the smallest.

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
            Training rows, in the order found, without which the forest no longer
            predicts the class; empty where it does not now, None where no set of at
            most n rows was found. Leaves that hold one class alone keep saying it
            until they are empty, and then too: a forest of pure leaves may have none.

        Raises
        ------
        ValueError
            For a regressor, which has no class to flip.

        References
        ----------
        .. [1] Yang, J., Jain, S. and Wallace, B. C. (2023). How many and which
           training points would need to be removed to flip this prediction?
        """
        check_is_fitted(self)
        if not hasattr(self, "classes_"):
            raise ValueError(
                "most_damaging asks which rows flip a predicted class; a regressor "
                "has none. Use influence."
            )
        check_count(n, "n")
        X, y = self._asked(X, y)
        leaves, lost = self._forest.leaf_numbers(X), self._coded(y)
        return rows_holding_up(self._forest, self._members, leaves, lost, n)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags


def _along(forest, leaving, at, gradient):
    """Changes of a weighted sum of predictions: a sum over queries is one at leaves."""
    # About the mean of targets, which differences of sums would cancel.
    mean = forest.targets.mean(axis=0)
    of_leaves = at.T @ gradient
    shared = np.sum((leaving.T @ of_leaves) * (forest.targets - mean), axis=1)
    said = leaving.T @ np.sum(of_leaves * (forest.values - mean), axis=1)
    return (said - shared) / forest.n_trees
