"""v(S): the score of an estimator that was trained on the rows of S."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from sklearn import config_context
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, log_loss, r2_score
from threadpoolctl import ThreadpoolController

from sklinfluence._estimators import ends_in_net, fit_weighted
from sklinfluence._sklearn_compat import (
    _BaseScorer,
    _PassthroughScorer,
    _safe_indexing,
)
from sklinfluence.retraining._classes import OfAllClasses

# What a first fit on all rows has checked is not checked in every one after it.
CHECKED = {"assume_finite": True, "skip_parameter_validation": True}
_ATOMS = (str, int, float, type(None))
# Found once in a process: looking for BLAS libraries takes longer than a small fit.
_CONTROLLER = None


@dataclass(frozen=True, eq=False)
class Utility:
    """The score, on validation rows, of the estimator fitted on the rows of players.

    Of no rows it is the score of the classes' shares (of the mean, for real targets)
    among all that may train; of rows of one class that of the class itself. It is a
    function of the *set*: rows are given in their order, whatever the order in which
    a permutation brought them.

    Attributes
    ----------
    estimator : estimator
        Unfitted, its random_state fixed.
    X, y, sample_weight : training rows
    players : tuple of ndarray
        The rows of each player.
    classes : ndarray of shape (n_classes,) or None
    scorer : callable
    X_val, y_val, sample_weight_val : validation rows
    is_checked : bool
        Whether scores by arithmetic have been found equal to the scorer's: see
        `checked`.
    """

    estimator: object
    X: object
    y: np.ndarray
    sample_weight: np.ndarray | None
    players: tuple
    classes: np.ndarray | None
    scorer: object
    X_val: object
    y_val: np.ndarray
    sample_weight_val: np.ndarray | None
    is_checked: bool

    # The name of the closed form that stands for the fits.
    closed_form = None

    @classmethod
    def of_training(cls, estimator, X, y, sample_weight, players, classes):
        """One whose models are asked for, and no scores."""
        nothing = {"scorer": None, "X_val": None, "y_val": None}
        return cls(
            estimator,
            X,
            y,
            sample_weight,
            players,
            classes,
            **nothing,
            sample_weight_val=None,
            is_checked=False,
        )

    def own_fields(self):
        """What a utility is made of."""
        return {field.name: getattr(self, field.name) for field in fields(Utility)}

    @property
    def n_players(self):
        return len(self.players)

    def __call__(self, chosen):
        """The score of a set of players.

        Parameters
        ----------
        chosen : array-like of int, or boolean mask
            Players, in any order.

        Returns
        -------
        value : float
            NaN where fitting or scoring failed.
        error : str or None
            What it failed with.
        """
        with one_thread(), config_context(**CHECKED):
            try:
                return float(self.score(self.fitted(chosen))), None
            except Exception as error:  # whatever the estimator raises is reported
                return np.nan, f"{type(error).__name__}: {error}"

    def along(self, order):
        """Scores of one model after each player of an order, a step of training each.

        A generator of (value, error). `partial_fit` tells what a step is.
        """
        model, error = clone(self.estimator), None
        for place, player in enumerate(order):
            value = np.nan
            # A model that failed once is in no state that later steps could go on from.
            if error is None:
                with one_thread(), config_context(**CHECKED):
                    try:
                        self._step(model, self.players[player], is_first=place == 0)
                        value = float(self.score(model))
                    except Exception as failure:  # as in __call__
                        error = f"{type(failure).__name__}: {failure}"
            yield value, error

    def _step(self, model, rows, is_first):
        keywords = {}
        if self.sample_weight is not None:
            keywords["sample_weight"] = self.sample_weight[rows]
        if is_first and self.classes is not None:
            keywords["classes"] = self.classes
        model.partial_fit(_safe_indexing(self.X, rows), self.y[rows], **keywords)

    def rows(self, chosen):
        """Training rows of a set of players, in their order."""
        chosen = np.asarray(chosen)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        parts = [self.players[player] for player in chosen]
        return np.sort(np.concatenate([np.zeros(0, dtype=np.intp), *parts]))

    def fitted(self, chosen):
        """The model of a set of players."""
        rows = self.rows(chosen)
        if rows.size == 0:
            return self._fit(self._prior(), self.rows(np.arange(self.n_players)))
        if self.classes is None:
            return self._fit(self._unfitted(), rows)
        seen = np.unique(self.y[rows])
        if len(seen) == 1:
            constant = DummyClassifier(strategy="constant", constant=seen)
            return OfAllClasses(self._fit(constant, rows), self.classes)
        model = self._fit(self._unfitted(), rows)
        return (
            model
            if len(seen) == len(self.classes)
            else OfAllClasses(model, self.classes)
        )

    def _fit(self, model, rows):
        # What stands between is felt beside a fit of two milliseconds.
        X = self.X[rows] if type(self.X) is np.ndarray else _safe_indexing(self.X, rows)
        if self.sample_weight is None and not ends_in_net(model):
            return model.fit(X, self.y[rows])
        weights = None if self.sample_weight is None else self.sample_weight[rows]
        return fit_weighted(model, X, self.y[rows], weights)

    def _unfitted(self):
        """A clone of the estimator."""
        parameters = self._plain_parameters
        if parameters is None:
            return clone(self.estimator)
        return type(self.estimator)(**parameters)

    @cached_property
    def _plain_parameters(self):
        """Parameters that a clone shares, if they are all that the estimator holds.

        To ask for them anew, and copy each, takes a twentieth of a small fit.
        """
        parameters = self.estimator.get_params(deep=False)
        held = vars(self.estimator)
        whole = held.keys() == parameters.keys() and all(
            held[name] is value for name, value in parameters.items()
        )
        atoms = all(isinstance(value, _ATOMS) for value in parameters.values())
        return parameters if whole and atoms else None

    def _prior(self):
        if self.classes is None:
            return DummyRegressor()
        return DummyClassifier(strategy="prior")

    def score(self, model):
        """The score of a fitted model on the validation rows."""
        plain = plain_score(self.scorer, model) if self.is_checked else None
        if plain is None:
            return self._score_by_scorer(model)
        return plain(model, self.X_val, self.y_val, self.sample_weight_val)

    def _score_by_scorer(self, model):
        weights = self.sample_weight_val
        if weights is None:
            return self.scorer(model, self.X_val, self.y_val)
        return self.scorer(model, self.X_val, self.y_val, sample_weight=weights)

    def checked(self, model):
        """This utility; by arithmetic, if that scores a model as the scorer does."""
        plain = plain_score(self.scorer, model)
        if plain is None:
            return self
        try:
            by_scorer = self._score_by_scorer(model)
        except ValueError:  # so will every evaluation, and is reported then
            return self
        value = plain(model, self.X_val, self.y_val, self.sample_weight_val)
        equal = np.isclose(value, by_scorer, rtol=1e-12, atol=1e-12, equal_nan=True)
        return replace(self, is_checked=bool(equal))


def one_thread():
    """A context in which BLAS has one thread, so that sums do not depend on them."""
    global _CONTROLLER
    if _CONTROLLER is None:
        _CONTROLLER = ThreadpoolController()
    return _CONTROLLER.limit(limits=1)


def is_own_scorer(model):
    """Whether a model's ``score`` is scikit-learn's accuracy or R2."""
    own = getattr(type(model), "score", None)
    return own in (ClassifierMixin.score, RegressorMixin.score)


def plain_score(scorer, model):
    """Accuracy, R2 or log loss by arithmetic, where the scorer is scikit-learn's own.

    What its scorer does beside them takes as long as a small fit.
    """
    if isinstance(scorer, _PassthroughScorer):
        own = getattr(type(model), "score", None)
        return {ClassifierMixin.score: _accuracy, RegressorMixin.score: _r2}.get(own)
    if not isinstance(scorer, _BaseScorer) or scorer._kwargs:
        return None
    if scorer._score_func is log_loss:
        is_usual = scorer._sign == -1 and scorer._response_method == "predict_proba"
        return _neg_log_loss if is_usual else None
    if scorer._sign != 1:
        return None
    return {accuracy_score: _accuracy, r2_score: _r2}.get(scorer._score_func)


def _accuracy(model, X, y, weights):
    return np.average(y == model.predict(X), weights=weights)


def _r2(model, X, y, weights):
    y_pred = model.predict(X)
    if y.ndim > 1 or len(y) < 2:
        return r2_score(y, y_pred, sample_weight=weights)
    weights = np.ones(len(y)) if weights is None else weights
    left = weights @ (y - y_pred.reshape(y.shape)) ** 2
    spread = weights @ (y - np.average(y, weights=weights)) ** 2
    if spread == 0:
        return r2_score(y, y_pred, sample_weight=weights)
    return 1.0 - left / spread


def _neg_log_loss(model, X, y, weights):
    proba = model.predict_proba(X)
    if len(np.unique(y)) < len(model.classes_):
        return -log_loss(y, proba, sample_weight=weights)  # refuses, and says why
    given = proba[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    # As log_loss holds them: one probability of 0 is not the end of a mean.
    rounding = np.finfo(proba.dtype).eps
    return np.average(np.log(np.clip(given, rounding, 1 - rounding)), weights=weights)
