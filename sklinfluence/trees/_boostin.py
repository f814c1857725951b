"""BoostInRanker: credit for what each stage did to a query's loss."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from sklinfluence._sklearn_compat import HasMethods, Interval
from sklinfluence._typing import RandomState
from sklinfluence.trees._asked import training_rows
from sklinfluence.trees._boosting_ranker import BoostingRanker
from sklinfluence.trees._shared_leaf import (
    credits_in_leaves,
    debits_on_the_way,
    influence_on_each,
    influence_on_itself,
    influence_on_sum,
)


class BoostInRanker(BoostingRanker):
    """BoostIn: credit to training rows for each stage's step down a query's loss.

    What TracIn is to gradient descent [1]_: at each tree the training rows in a query's
    leaf share in the change of its loss, to first order at the raw prediction before
    the stage, by how far the leaf's value would move without them. Positive where the
    row helped. It is a credit along the way and **no estimate of leaving the row out**:
    what later stages would make up for counts in full.

    Read more in the :ref:`User Guide <trees>`.

    Parameters
    ----------
    estimator : estimator, default=None
        A gradient boosting model of scikit-learn, LightGBM or XGBoost, or a Pipeline
        that ends in one. It is cloned and fitted; a fitted one is passed as
        ``FrozenEstimator(model)``. None: HistGradientBoostingClassifier() for class
        targets, HistGradientBoostingRegressor() for real ones.
    power : float, default=0
        Each term is divided by the number of training rows in the leaf (the sum of
        their weights) to this power, from 0 to 2: 0, 1 and 2 are the paper's variants.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state`` parameters. None leaves them.

    Attributes
    ----------
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss, in one pass over the stages.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    in_fit_ : ndarray of shape (n_train,), dtype=bool
        False for rows that early stopping held out: they have no influence.
    loo_decision_function_ : ndarray of shape (n_train,) or (n_train, n_classes)
        Raw predictions of each row, the values of its own leaves recomputed without
        it, all else as it is. Classification only.
    loo_proba_ : ndarray of shape (n_train, n_classes)
        Their class probabilities. Classification only.
    loo_prediction_ : ndarray of shape (n_train,)
        The same predictions of real targets. Regression only.
    estimator_ : estimator
        The fitted ensemble.
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
    LeafInfluenceRanker : What the loss would do without a row, structures fixed.

    Notes
    -----
    With theta the value of a leaf as the ensemble adds it and e the factor by which
    Newton steps are shrunk, a row's part in it is e (g + theta / e h) / (H + l2). The
    authors' code has theta in place of theta / e, which lessens the second term by the
    learning rate.

    References
    ----------
    .. [1] Brophy, J., Hammoudeh, Z. and Lowd, D. (2023). Adapting and evaluating
       influence-estimation methods for gradient-boosted decision trees.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklinfluence.trees import BoostInRanker
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> ranker = BoostInRanker().fit(X[:400], y[:400])
    >>> ranker.influence(X[400:], y[400:]).shape
    (169, 400)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "power": [Interval(Real, 0, 2, closed="both")],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        power: float = 0,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.power = power
        self.n_influences = n_influences
        self.random_state = random_state

    def _settle(self):
        self._power = self.power

    def _credits(self):
        run = self._replay
        return credits_in_leaves(run, training_rows(run), run.weights, self._power)

    def _on_each(self, queries):
        debits = debits_on_the_way(self._replay, queries)
        return influence_on_each(self._replay, queries, self._credits(), debits)

    def _on_sum(self, queries, shares):
        debits = debits_on_the_way(self._replay, queries)
        return influence_on_sum(self._replay, queries, shares, self._credits(), debits)

    def _self_influence(self):
        run = self._replay
        debits = debits_on_the_way(run, training_rows(run))
        return influence_on_itself(self._credits(), debits)

    def _of_new(self, rows):
        run, ones = self._replay, np.ones(len(rows))
        credits = credits_in_leaves(run, rows, ones, self._power)
        return influence_on_itself(credits, debits_on_the_way(run, rows))
