"""Influence on queries from models that were trained on sets of the rows."""

from abc import abstractmethod
from functools import partial
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import config_context
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import _num_samples

from sklinfluence._estimators import (
    check_values,
    encode_values,
    label_index,
    takeable,
)
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import Interval, _safe_indexing
from sklinfluence._typing import Rows
from sklinfluence.base import BaseRanker, BaseValuer
from sklinfluence.retraining._retraining_valuer import RetrainingValuer, players_of
from sklinfluence.retraining._utility import Utility, one_thread

N_INFLUENCES = {"n_influences": [Interval(Integral, 1, None, closed="left"), None]}


class RetrainingRanker(RetrainingValuer, BaseRanker):
    """Base of the valuers that give influence on single queries too, in the loss.

    The models that it takes are trained on all rows when the first query comes, and
    kept. A subclass says on which sets (`_sets`) and what their losses mean
    (`_weigh`).
    """

    # What is asked first is which rows are worth least; self-influence takes refits.
    ranking_ = BaseValuer.ranking_

    def _known_label_scores(self):
        return ("value", "self_influence")

    def _label_scores(self, score, X, y):
        if score == "value":
            return BaseValuer._label_scores(self, score, X, y)
        return super()._label_scores(score, X, y)

    @abstractmethod
    def _sets(self, n_players):
        """Memberships of players, boolean of shape (n_sets, n_players)."""

    @abstractmethod
    def _weigh(self, sets, losses):
        """Influence (n_queries, n_players) from losses (n_sets, n_queries)."""

    def _settle(self, playing, parts, groups, sample_weight):
        super()._settle(playing, parts, groups, sample_weight)
        self._groups, self._sample_weight = groups, sample_weight
        self._kept = {}

    def fit(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        super().fit(
            X,
            y,
            sample_weight,
            groups=groups,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
        )
        # The rows are needed again: models without one of them come with a query.
        self._training = takeable(X), np.asarray(y)
        return self

    fit.__doc__ = RetrainingValuer.fit.__doc__

    def _trained(self):
        """(players' rows, sets, a model of each set), on all rows."""
        if not self._kept:
            refuse_frozen(self.estimator_)
            X, y = self._training
            players = players_of(len(y), self._groups, self._sample_weight)
            players = tuple(rows for rows in players if len(rows))
            classes = getattr(self, "classes_", None)
            model = self._retrainable()
            utility = Utility.of_training(
                model, X, y, self._sample_weight, players, classes
            )
            sets = self._sets(len(players))
            models = map_fits(partial(_fitted, utility), sets, n_jobs=self.n_jobs)
            self._kept["trained"] = players, sets, models
        return self._kept["trained"]

    def _retrainable(self):
        """The model that is cloned in each fit: its random_state is fixed."""
        return self.estimator_

    def _influence_block(self, X, y):
        players, sets, models = self._trained()
        if _num_samples(X) == 0:
            return np.empty((0, self.n_train_))
        losses = np.array([self._losses(model, X, y) for model in models])
        return self._of_rows(players, self._weigh(sets, losses))

    def _of_rows(self, players, of_players):
        """A group's influence, shared evenly by its rows."""
        influence = np.zeros((len(of_players), self.n_train_))
        for player, rows in enumerate(players):
            influence[:, rows] = of_players[:, player, None] / len(rows)
        return influence

    def _losses(self, model, X, y):
        """Losses of queries; minus the prediction itself where there is no target."""
        if hasattr(self, "classes_"):
            if not hasattr(model, "predict_proba"):
                raise TypeError(
                    f"{type(self.estimator_).__name__} gives no probabilities, so "
                    "there is no loss for rows to influence. Use values_, or wrap it "
                    "in CalibratedClassifierCV."
                )
            proba = model.predict_proba(X)
            given = proba[np.arange(len(proba)), label_index(y, self.classes_)]
            # As log_loss does: a class that a set lacks has probability 0, and one
            # infinite loss would leave nothing of any mean.
            return -np.log(np.maximum(given, np.finfo(np.float64).eps))
        predicted = np.asarray(model.predict(X), dtype=float).reshape(_num_samples(X))
        if y is None:
            return -predicted
        check_values(predicted, "what the model predicts of X", "Scale X.")
        return 0.5 * (predicted - encode_values(y, 1)[:, 0]) ** 2

    def _own_losses(self, model, rows):
        X, y = self._training
        return self._losses(model, _safe_indexing(X, rows), y[rows])


def refuse_frozen(model):
    """Name a model that no set of rows changes."""
    if isinstance(model, FrozenEstimator):
        raise TypeError(
            "Influence compares models that were trained on sets of the rows, and a "
            "FrozenEstimator is not trained. Pass the unfrozen estimator, or take "
            "sklinfluence.trees.ForestRanker for a fitted forest."
        )


def _fitted(utility, chosen):
    with one_thread(), config_context(assume_finite=True):
        return utility.fitted(chosen)
