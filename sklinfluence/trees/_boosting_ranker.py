"""What the rankers of boosted ensembles share: the model replayed, and its own rows."""

from abc import abstractmethod
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import (
    are_classes,
    check_training,
    encode_values,
    fit_weighted,
    label_index,
    sliceable,
)
from sklinfluence._progress import FitTracker
from sklinfluence._raw_change import RawChange
from sklinfluence._sklearn_compat import (
    _check_sample_weight,
    _fit_context,
    _set_random_states,
)
from sklinfluence._typing import Rows
from sklinfluence.base import BaseRanker
from sklinfluence.trees._asked import Asked, asked, asked_about_sum, training_rows
from sklinfluence.trees._baseline import check_baseline
from sklinfluence.trees._ensemble import read_ensemble
from sklinfluence.trees._own_leaf import own_leaf_refit, staged_loss
from sklinfluence.trees._replay import replay
from sklinfluence.trees._shared_leaf import (
    credits_in_leaves,
    debits_on_the_way,
    influence_on_itself,
)

# Arrays of the size of all rows' raw predictions that a pass holds at once.
_COPIES = 8
LABEL_SCORES = ("staged_loo_loss", "loo_loss", "boostin", "loss", "self_influence")


class BoostingRanker(BaseRanker):
    """Base of the rankers of boosted ensembles.

    A subclass says what its influence is on single queries (`_on_each`), on a weighted
    sum of them (`_on_sum`), of training rows on themselves (`_self_influence`) and of
    new rows as if they were training rows (`_of_new`).
    """

    _written_out = {
        "estimator": "HistGradientBoostingClassifier(), or the Regressor for real "
        "targets"
    }
    # Whether the constant that boosting starts from is made anew without a row.
    refit_baseline = False

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the boosted ensemble, or read a fitted one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, non-negative.

        Returns
        -------
        self : object

        Raises
        ------
        TypeError
            If the estimator is no boosted ensemble that is known here.
        ValueError
            If its leaves cannot be recomputed from these rows: what was left out, and
            what may be the reason, is named.
        """
        X = sliceable(X)
        y, sample_weight = check_training(self, X, y, sample_weight)
        y = column_or_1d(y, warn=True)
        tracker = FitTracker(self, X, y)
        model = self._unfitted(y)
        if self.random_state is not None:
            _set_random_states(model, self.random_state)
        with tracker.task("fit the ensemble"):
            model = fit_weighted(model, X, y, sample_weight)
        with tracker.task("replay its stages"):
            run = replay(read_ensemble(model, X, y, sample_weight))
        if self.refit_baseline:
            check_baseline(model, run)
        # Nothing is set before all is done: a fit that fails leaves no half of one.
        self._replay, self._refits_baseline = run, self.refit_baseline
        self._kept_own_leaf = None
        self.estimator_, self.in_fit_ = model, run.trees.in_fit
        self._settle()
        self._begin(len(y), model)
        tracker.done()
        return self

    def _settle(self):
        """Keep the parameters that questions depend on, as they are now."""

    def _unfitted(self, y):
        if self.estimator is not None:
            return clone(self.estimator)
        if are_classes(y):
            return HistGradientBoostingClassifier()
        return HistGradientBoostingRegressor()

    def _wrapped(self):
        if self.estimator is None:
            return HistGradientBoostingClassifier()
        return self.estimator

    # -- queries ----------------------------------------------------------------------

    @abstractmethod
    def _on_each(self, queries):
        """Influence of all training rows on each query, (n_queries, n_train)."""

    @abstractmethod
    def _on_sum(self, queries, shares):
        """Influence of all training rows on a weighted sum of queries, (n_train,)."""

    @abstractmethod
    def _of_new(self, rows):
        """Influence on themselves that new rows would have, (n_rows,)."""

    def _coded(self, y):
        """Coded targets; None stays None."""
        if hasattr(self, "classes_"):
            targets = label_index(y, self.classes_)
        elif y is None:
            return None
        else:
            targets = encode_values(y, 1)[:, 0]
        return self._replay.loss.code(targets, self._replay.targets.shape[1])

    def _queries(self, X, y):
        return asked(self._replay, self._replay.leaves_of(X), self._coded(y))

    def _influence_block(self, X, y):
        return self._on_each(self._queries(X, y))

    def mean_influence(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray:
        """Mean influence of every training row over all queries, in one pass.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        sample_weight : array-like of shape (n_queries,), default=None
            Weights of the queries in the mean.

        Returns
        -------
        influence : ndarray of shape (n_train,)
        """
        self._refuse_no_queries(X)
        queries = self._queries(*self._asked(X, y))
        shares = _check_sample_weight(
            sample_weight, np.empty(len(queries)), ensure_non_negative=True
        )
        if not shares.any():
            raise ValueError("sample_weight of the queries must not be zero for all.")
        return self._on_sum(queries, shares / shares.sum())

    def _raw_change(self, X, without):
        """`RawChange` of queries, by `_on_sum` and ``without(leaves, raw)``."""
        check_is_fitted(self)
        X, _ = self._query_inputs(X, None)
        leaves = self._replay.leaves_of(X)
        raw = self._replay.raw_of(leaves)

        def along(gradient):
            queries = asked_about_sum(leaves, gradient, raw)
            return self._on_sum(queries, np.ones(len(raw)))

        return RawChange(
            raw, self._replay.loss.link, along, partial(without, leaves, raw)
        )

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have under the fitted model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), default=None
            Given labels or targets. None: the label that a classifier predicts; for
            regression, how far a row one unit above its prediction raises it.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
            Those of rows of weight 1.
        """
        check_is_fitted(self)
        queries = self._queries(*self._asked(X, y))
        if queries.measure is not self._replay.loss:
            above = self._replay.loss.predict(queries.raw) + 1.0
            queries = Asked(
                queries.leaves, above[:, None], queries.measure, queries.raw
            )
        scores = np.zeros(len(queries))
        for block in self._in_blocks(len(queries)):
            scores[block] = self._of_new(queries.take(block))
        return scores

    def _in_blocks(self, n_rows, n_queries=0):
        """Slices of rows worked on side by side, each with raw predictions of all."""
        n_values = self._replay.targets.size + n_queries * self._replay.targets.shape[1]
        return block_slices(n_rows, _COPIES * n_values)

    # -- training rows by leaves that never saw them -----------------------------------

    @property
    def _own_leaf(self):
        check_is_fitted(self)
        if self._kept_own_leaf is None:
            self._kept_own_leaf = own_leaf_refit(self._replay)
        return self._kept_own_leaf

    @property
    def loo_decision_function_(self):
        self._check_task("loo_decision_function_", classification=True)
        raw = self._own_leaf[0]
        return raw[:, 0] if raw.shape[1] == 1 else raw

    @property
    def loo_proba_(self):
        self._check_task("loo_proba_", classification=True)
        return self._replay.loss.predict(self._own_leaf[0])

    @property
    def loo_prediction_(self):
        self._check_task("loo_prediction_", classification=False)
        return self._replay.loss.predict(self._own_leaf[0])

    def _check_task(self, name, classification):
        check_is_fitted(self)
        if hasattr(self, "classes_") != classification:
            task, other = "regression", "loo_proba_"
            if classification:
                task, other = "classification", "loo_prediction_"
            raise AttributeError(f"{name} is for {task} only. Use {other}.")

    def _known_label_scores(self):
        return LABEL_SCORES

    def _label_scores(self, score, X, y):
        if score == "self_influence":
            return super()._label_scores(score, X, y)
        run = self._replay
        if X is None:
            if score.endswith("loo_loss"):
                raw, staged = self._own_leaf
                return staged if score.startswith("staged") else _losses(run, raw)
            rows, weights = training_rows(run), run.weights
        elif y is None:
            raise ValueError(
                f"score={score!r} of new rows needs their given labels, y."
            )
        else:
            rows = self._queries(*self._asked(X, y))
            weights = np.ones(len(rows))
        if score == "staged_loo_loss":
            return staged_loss(run, rows)
        if score == "boostin":
            credits = credits_in_leaves(run, rows, weights, 0)
            return influence_on_itself(credits, debits_on_the_way(run, rows))
        return rows.measure.loss(rows.targets, rows.raw)


def _losses(run, raw):
    return run.loss.loss(run.targets, raw)
