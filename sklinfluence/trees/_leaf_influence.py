"""LeafInfluenceRanker: influence on boosted ensembles whose structures stay."""

from numbers import Integral
from typing import Any, Literal

import numpy as np

from sklinfluence._raw_change import RawChange
from sklinfluence._sklearn_compat import HasMethods, Interval, StrOptions
from sklinfluence._typing import RandomState, Rows
from sklinfluence.trees._adjoint import adjoint_influence, influence_of_new
from sklinfluence.trees._asked import asked_about_sum, training_rows
from sklinfluence.trees._baseline import start_slopes
from sklinfluence.trees._boosting_ranker import BoostingRanker
from sklinfluence.trees._shared_leaf import (
    credits_along_own_path,
    debits_at_the_end,
    influence_on_each,
    influence_on_itself,
    influence_on_sum,
)


class LeafInfluenceRanker(BoostingRanker):
    """Influence of training rows on a boosted ensemble with its structures fixed.

    Trees stay as they are, and the values of all leaves of all stages follow the
    weights of training rows [1]_: ``influence(X, y)[j, i]`` is, to first order, the
    rise in query j's loss when row i leaves. One pass back through the stages gives it
    for all rows at once, for one query or for a weighted sum of queries. With several
    classes the raw predictions of a row move one another's gradients, and that is
    followed too.

    **A fixed structure is not a retrained model**: where a row's absence would change
    splits, which is most of the true effect on most queries, no method of this family
    sees it.

    Read more in the :ref:`User Guide <trees>`.

    Parameters
    ----------
    estimator : estimator, default=None
        A gradient boosting model of scikit-learn, LightGBM or XGBoost, or a Pipeline
        that ends in one. It is cloned and fitted; a fitted one is passed as
        ``FrozenEstimator(model)``. None: HistGradientBoostingClassifier() for class
        targets, HistGradientBoostingRegressor() for real ones.
    method : {"derivative", "removal", "single_point"}, default="derivative"
        "derivative": by the weight of each row, exactly. "removal": the row's own
        leaves have the values that they have without it, and only what follows from
        them is to first order: nearer to `LeafRefitRanker` by far where a row is nearly
        alone in its leaf, to which the derivative is blind. "single_point": the
        derivative, less that other rows' raw predictions change too; it needs no pass
        for each query.
    refit_baseline : bool, default=False
        Whether the constant that boosting starts from changes with the rows too.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state`` parameters. None leaves them.

    Attributes
    ----------
    self_influence_ : ndarray of shape (n_train,)
        Influence of each row on its own loss. For "single_point" one pass over the
        stages; for the others, computed when asked for, a pass for each training row.
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
    LeafRefitRanker : The values of all leaves recomputed without each row, exactly.
    BoostInRanker : Credit for each stage's step down a query's loss.
    ForestRanker : Random forests, exactly.

    Notes
    -----
    A pass takes time in proportion to rows times trees. Queries go side by side, as
    many as ``working_memory`` holds with a copy of the training rows' raw predictions
    each. Units are the loss's: nats, half squared target units, half deviances.

    References
    ----------
    .. [1] Sharchilev, B., Ustinovsky, Y., Serdyukov, P. and de Rijke, M. (2018).
       Finding influential training samples for gradient boosted decision trees.
    .. [2] Brophy, J., Hammoudeh, Z. and Lowd, D. (2023). Adapting and evaluating
       influence-estimation methods for gradient-boosted decision trees.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from sklinfluence.trees import LeafInfluenceRanker
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = HistGradientBoostingClassifier(max_iter=20)
    >>> ranker = LeafInfluenceRanker(model, method="removal").fit(X[:400], y[:400])
    >>> influence, index = ranker.proponents(X[400:402], y[400:402], n=3)
    >>> index.shape
    (2, 3)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "method": [StrOptions({"derivative", "removal", "single_point"})],
        "refit_baseline": ["boolean"],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Literal["derivative", "removal", "single_point"] = "derivative",
        refit_baseline: bool = False,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.refit_baseline = refit_baseline
        self.n_influences = n_influences
        self.random_state = random_state

    def _settle(self):
        self._method = self.method

    def raw_change(self, X: Rows) -> RawChange:
        """How the raw predictions of queries change when training rows leave.

        By ``method``, in one pass along a gradient. Row by row, all of it is held in
        memory: a number for each query, output and training row. What
        :func:`~sklinfluence.metrics.metric_influence` asks.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        change : RawChange
        """
        return self._raw_change(X, self._moved)

    def _moved(self, leaves, raw):
        """(all training rows, changes of raw predictions without each)."""
        n_queries, n_outputs = raw.shape
        outputs = np.tile(np.eye(n_outputs), (n_queries, 1))
        each = np.repeat(np.arange(n_queries), n_outputs)
        queries = asked_about_sum([at[each] for at in leaves], outputs, raw[each])
        change = self._on_each(queries)
        change = change.reshape(n_queries, n_outputs, self.n_train_)
        yield slice(0, self.n_train_), change.transpose(0, 2, 1)

    def _on_each(self, queries):
        run = self._replay
        if self._method == "single_point":
            debits = debits_at_the_end(queries, len(run.stages))
            influence = influence_on_each(run, queries, self._credits(), debits)
            return influence + self._of_start(queries.slopes)
        influence = np.empty((len(queries), self.n_train_))
        for block in self._in_blocks(len(queries)):
            chosen = queries.take(block)
            columns = np.arange(len(chosen))
            influence[block] = self._back(chosen, np.ones(len(chosen)), columns).T
        return influence

    def _on_sum(self, queries, shares):
        run = self._replay
        if self._method != "single_point":
            return self._back(queries, shares, np.zeros(len(queries), dtype=int))[:, 0]
        debits = debits_at_the_end(queries, len(run.stages))
        influence = influence_on_sum(run, queries, shares, self._credits(), debits)
        return influence + self._of_start((shares @ queries.slopes)[None])[0]

    def _back(self, queries, shares, columns):
        return adjoint_influence(
            self._replay,
            queries,
            shares,
            columns,
            removal=self._method == "removal",
            refit_baseline=self._refits_baseline,
        )

    def _credits(self):
        run = self._replay
        start = self._start_change(run.targets, run.weights)
        return credits_along_own_path(run, training_rows(run), run.weights, start)

    def _start_change(self, targets, weights):
        """Change of the start when rows leave, to first order: (n_rows, n_outputs)."""
        if not self._refits_baseline:
            return np.zeros_like(targets)
        return -weights[:, None] * start_slopes(self._replay, targets)

    def _of_start(self, slopes):
        """What the change of the start is to queries, (n_queries, n_train)."""
        run = self._replay
        return slopes @ self._start_change(run.targets, run.weights).T

    def _self_influence(self):
        run = self._replay
        rows = training_rows(run)
        if self._method == "single_point":
            return self._alone(rows, run.weights)
        own = np.empty(self.n_train_)
        for block in self._in_blocks(self.n_train_):
            chosen = rows.take(block)
            columns = np.arange(len(chosen))
            influence = self._back(chosen, np.ones(len(chosen)), columns)
            own[block] = influence[block][columns, columns]
        return own

    def _alone(self, rows, weights):
        run = self._replay
        start = self._start_change(rows.targets, weights)
        credits = credits_along_own_path(run, rows, weights, start)
        debits = debits_at_the_end(rows, len(run.stages))
        return influence_on_itself(credits, debits) + np.sum(
            rows.slopes * start, axis=1
        )

    def _of_new(self, rows):
        if self._method == "single_point":
            return self._alone(rows, np.ones(len(rows)))
        return influence_of_new(
            self._replay,
            rows,
            removal=self._method == "removal",
            refit_baseline=self._refits_baseline,
        )
