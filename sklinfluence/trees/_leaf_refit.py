"""LeafRefitRanker: boosted ensembles without each row, exactly, structures fixed."""

from numbers import Integral
from typing import Any

import numpy as np

from sklinfluence._raw_change import RawChange
from sklinfluence._sklearn_compat import HasMethods, Interval
from sklinfluence._typing import RandomState, Rows
from sklinfluence.trees._asked import training_rows
from sklinfluence.trees._baseline import starts_with, starts_without
from sklinfluence.trees._boosting_ranker import BoostingRanker
from sklinfluence.trees._refit import own_raw_with, own_raw_without, raw_without


class LeafRefitRanker(BoostingRanker):
    """What boosting says without each training row, its structures fixed: exactly.

    For each row the values of all leaves of all stages are computed again, at the raw
    predictions that the ensemble then has [1]_; the splits stay. It is what
    `LeafInfluenceRanker` estimates, and **not what retraining gives**: where a row's
    absence would change splits, which is most of the true effect on most queries, it
    does not see it.

    Read more in the :ref:`User Guide <trees>`.

    Parameters
    ----------
    estimator : estimator, default=None
        A gradient boosting model of scikit-learn, LightGBM or XGBoost, or a Pipeline
        that ends in one. It is cloned and fitted; a fitted one is passed as
        ``FrozenEstimator(model)``. None: HistGradientBoostingClassifier() for class
        targets, HistGradientBoostingRegressor() for real ones.
    refit_baseline : bool, default=False
        Whether the constant that boosting starts from is made anew without the row.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state`` parameters. None leaves them.

    Attributes
    ----------
    self_influence_ : ndarray of shape (n_train,)
        Rise in each row's own loss without it; computed, by a replay of all rows for
        each, when asked for.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest self-influence.
    in_fit_ : ndarray of shape (n_train,), dtype=bool
        False for rows that early stopping held out: they have no influence.
    loo_decision_function_ : ndarray of shape (n_train,) or (n_train, n_classes)
        Raw predictions of each row, the values of its own leaves recomputed without
        it, all else as it is: for one tree the refit, and one pass for all rows
        however many trees there are. Classification only.
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
    LeafInfluenceRanker : An estimate of it in one pass for each query.

    Notes
    -----
    Every question takes time in proportion to the square of the number of rows times
    the number of trees: it is for thousands of rows. A leaf that is empty without the
    row adds 0. Losses are compared with those of the same recomputation with all rows,
    not with the values that the model keeps in single precision.

    References
    ----------
    .. [1] Sharchilev, B., Ustinovsky, Y., Serdyukov, P. and de Rijke, M. (2018).
       Finding influential training samples for gradient boosted decision trees.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.ensemble import GradientBoostingClassifier
    >>> from sklinfluence.trees import LeafRefitRanker
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GradientBoostingClassifier(n_estimators=10)
    >>> ranker = LeafRefitRanker(model).fit(X[:200], y[:200])
    >>> ranker.influence(X[200:203], y[200:203]).shape
    (3, 200)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "refit_baseline": ["boolean"],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        refit_baseline: bool = False,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.refit_baseline = refit_baseline
        self.n_influences = n_influences
        self.random_state = random_state

    def _leaving_blocks(self, queries=()):
        """Training rows that leave side by side, and the starts without them."""
        run = self._replay
        for block in self._in_blocks(self.n_train_, n_queries=len(queries)):
            rows = np.arange(self.n_train_)[block]
            yield block, rows, starts_without(run, rows, self._refits_baseline)

    def _rises(self, queries):
        """(block of training rows, rises of all queries' losses without each)."""
        for block, shift in self._moved(queries.leaves, queries.raw):
            yield block, queries.measure.rise(queries.targets, queries.raw, shift)

    def raw_change(self, X: Rows) -> RawChange:
        """How the raw predictions of queries change when training rows leave.

        Exactly, structures fixed, both along a gradient and row by row. What
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
        """(block of training rows, changes of raw predictions without each)."""
        for block, rows, start in self._leaving_blocks(raw):
            after = raw_without(self._replay, rows, leaves, start)
            yield block, (after - raw[:, :, None]).transpose(0, 2, 1)

    def _on_each(self, queries):
        influence = np.empty((len(queries), self.n_train_))
        for block, rise in self._rises(queries):
            influence[:, block] = rise
        return influence

    def _on_sum(self, queries, shares):
        influence = np.empty(self.n_train_)
        for block, rise in self._rises(queries):
            influence[block] = shares @ rise
        return influence

    def _self_influence(self):
        rows, own = training_rows(self._replay), np.empty(self.n_train_)
        for block, chosen, start in self._leaving_blocks():
            raw = own_raw_without(self._replay, chosen, start)
            own[block] = _rise(rows.take(block), raw)
        return own

    def _of_new(self, rows):
        start = starts_with(self._replay, rows.targets, self._refits_baseline)
        return -_rise(rows, own_raw_with(self._replay, rows, start))


def _rise(rows, raw):
    """Rise of what is asked of rows when their raw predictions become these."""
    shift = (raw - rows.raw)[:, None, :]
    return rows.measure.rise(rows.targets, rows.raw, shift)[:, 0]
