"""ExpectedRanker: influence averaged over the states that training may end in."""

from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_consistent_length, check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted, has_fit_parameter

from sklinfluence._estimators import (
    _last_step,
    reordered,
    seeded_nets,
    sliceable,
    takeable,
)
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import (
    HasMethods,
    Interval,
    _fit_context,
    _safe_indexing,
    _set_random_states,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.base import BaseRanker, BaseValuer

_LARGEST_SEED = np.iinfo(np.int32).max


def _ranker_has(attribute):
    def check(self):
        first = self.rankers_[0] if hasattr(self, "rankers_") else self.ranker
        return hasattr(first, attribute)

    return check


class ExpectedRanker(BaseRanker):
    """Mean influence over models that differ by their seed and the order of the rows.

    What one trained network says about influence depends much on its initial
    parameters and on the order in which it saw the rows. The mean over several such
    states is far more stable; their spread says how far a single one can be trusted.

    Read more in the :ref:`User Guide <training_path>`.

    Parameters
    ----------
    ranker : ranker
        Any ranker that trains its model, such as
        ``InfluenceRanker(MLPClassifier())`` or those of `sklinfluence.deep`.
    n_estimators : int, default=10
        Number of models.
    vary : tuple of {"init", "order"}, default=("init", "order")
        What differs between them. "init": every ``random_state`` parameter in the
        ranker, its own or its model's (for scikit-learn's estimators that one seeds
        their shuffling too), and the initial parameters of skorch nets. Modules that
        are instances draw theirs anew, by ``reset_parameters``, except layers that
        are not trained; without "init" they start from the parameters they have.
        "order": the order in which ``fit`` is given the rows.
    n_jobs : int, default=None
        Models that are trained at once. None means 1 unless in a
        :func:`joblib.parallel_config` context. Nets train at once in processes only:
        threads share torch's random generators.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    random_state : int, RandomState instance or None, default=None
        Draws the seeds and the orders. torch's own random state, which nets are
        trained from, is afterwards as it was before.

    Attributes
    ----------
    rankers_ : list of rankers
        Fitted, one for each state.
    orders_ : list of ndarray of shape (n_train,)
        ``orders_[m][k]`` is the row that model m was given k-th.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    self_influence_ : ndarray of shape (n_train,)
        Mean over the states.
    self_influence_std_ : ndarray of shape (n_train,)
        Standard deviation over the states.
    values_ : ndarray of shape (n_train,)
        Mean value over the states, of rankers that value rows (expected leave-one-out,
        with :class:`LeaveOneOutRanker`).
    values_std_ : ndarray of shape (n_train,)
        Standard deviation of the values over the states.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the largest mean self-influence; for the lowest value
        where rows are valued.

    See Also
    --------
    sklinfluence.metrics.stability : How well two influence matrices agree.

    References
    ----------
    .. [1] K, K. and Søgaard, A. (2022). Revisiting methods for finding influential
       examples.
    .. [2] Hammoudeh, Z. and Lowd, D. Training data influence analysis and estimation:
       a survey; section 3.2, equation 5.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import SGDClassifier
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> from sklinfluence.retraining import ExpectedRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> single = InfluenceRanker(SGDClassifier(loss="log_loss"), method="grad_dot",
    ...                          refit_head=False)
    >>> ranker = ExpectedRanker(single, n_estimators=5, random_state=0).fit(X, y)
    >>> ranker.influence(X[:2], y[:2]).shape
    (2, 150)
    >>> ranker.spread(X[:2], y[:2]).shape
    (2, 150)
    """

    _parameter_constraints: dict = {
        "ranker": [HasMethods(["fit", "influence"])],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "vary": [list, tuple, set],
        "n_jobs": [Integral, None],
        "n_influences": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        ranker: Any,
        n_estimators: int = 10,
        *,
        vary: tuple[str, ...] = ("init", "order"),
        n_jobs: int | None = None,
        n_influences: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.ranker = ranker
        self.n_estimators = n_estimators
        self.vary = vary
        self.n_jobs = n_jobs
        self.n_influences = n_influences
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: Rows | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the ranker once for every state.

        Parameters
        ----------
        X : array-like of shape (n_train, n_features)
            Training rows, in any form that the ranker takes.
        y : array-like of shape (n_train,) or (n_train, n_targets), default=None
            Targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, for rankers that take them.
        groups : array-like of shape (n_train,), default=None
            Groups of rows, for rankers that value them.
        X_val : array-like of shape (n_val, n_features), default=None
            The rows that a ranker with values is scored on.
        y_val : array-like of shape (n_val,), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        self : ExpectedRanker
        """
        unknown = set(self.vary) - {"init", "order"}
        if unknown or not self.vary:
            raise ValueError(
                f"vary={self.vary!r} must name 'init', 'order' or both: what differs "
                "between the models."
            )
        by_row = {"sample_weight": sample_weight, "groups": groups}
        asked = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        by_row, asked = self._given(by_row), self._given(asked)
        self._refuse_frozen()
        rows = sliceable(X)
        check_consistent_length(rows, y, *by_row.values())
        # A Dataset that brings its targets with it stays one.
        rows = X if y is None else rows
        rng = check_random_state(self.random_state)
        shared = rng.randint(_LARGEST_SEED)
        rankers, states, self.orders_ = [], [], []
        for _ in range(self.n_estimators):
            # Both are drawn in any case: varying one leaves the other's draws alone.
            seed, shuffle = rng.randint(_LARGEST_SEED, size=2)
            seed = seed if "init" in self.vary else shared
            order = np.arange(_num_samples(sliceable(X)))
            if "order" in self.vary:
                order = np.random.RandomState(shuffle).permutation(order)
            ranker = self._seeded(int(seed), int(shared))
            rankers.append(ranker)
            states.append((int(seed), int(shared), "init" in self.vary))
            self.orders_.append(order)
        fit_one = partial(_fit_in_order, rows, y, by_row, asked)
        self.rankers_ = map_fits(
            fit_one, rankers, self.orders_, states, n_jobs=self.n_jobs
        )
        values = np.array(
            [
                _unshuffled(ranker.self_influence_, order)
                for ranker, order in zip(self.rankers_, self.orders_, strict=True)
            ]
        )
        first = self.rankers_[0]
        self._begin(values.shape[1], first, getattr(first, "classes_", None))
        self._mean_of_self_influence = values.mean(axis=0)
        self.self_influence_std_ = values.std(axis=0)
        self._settle_values()
        return self

    def _given(self, keywords):
        """Keywords of fit that were given; one that the ranker cannot use is named."""
        given = {name: value for name, value in keywords.items() if value is not None}
        for name in given:
            if not has_fit_parameter(self.ranker, name):
                raise ValueError(
                    f"{name} was given, but fit of {type(self.ranker).__name__} does "
                    "not take it."
                )
        return given

    def _settle_values(self):
        """Means of the values, where the rankers value rows."""
        self.__dict__.pop("values_", None)
        self.__dict__.pop("values_std_", None)
        if hasattr(self.rankers_[0], "values_"):
            pairs = zip(self.rankers_, self.orders_, strict=True)
            values = [_unshuffled(each.values_, order) for each, order in pairs]
            self.values_ = np.mean(values, axis=0)
            self.values_std_ = np.std(values, axis=0)

    def _refuse_frozen(self):
        model = getattr(self.ranker, "estimator", None)
        if model is not None and isinstance(_last_step(model), FrozenEstimator):
            raise ValueError(
                f"The estimator of {type(self.ranker).__name__} is a FrozenEstimator: "
                "no model is trained, so none differs from another. Pass the "
                "unfrozen estimator, to be trained n_estimators times, or use the "
                "ranker without ExpectedRanker."
            )

    def _seeded(self, seed, shared):
        """A clone whose every random_state is derived from a seed."""
        ranker = clone(self.ranker)
        _set_random_states(ranker, seed)
        if "order_state" in ranker.get_params(deep=False):
            # Rankers that tell initial parameters from the order of batches keep the
            # latter: the rows themselves are shuffled where that is wanted.
            ranker.set_params(order_state=shared)
        return ranker

    @property
    def ranking_(self):
        """Rank of each row: 1 for the lowest value, or the largest self-influence."""
        if hasattr(self, "values_"):
            return BaseValuer.ranking_.fget(self)
        return super().ranking_

    def _members(self, X, y):
        """Every member's influence on a block, its columns in our order."""
        for ranker, order in zip(self.rankers_, self.orders_, strict=True):
            yield _unshuffled(ranker.influence(X, y), order)

    def _self_influence(self):
        return self._mean_of_self_influence

    def _query_inputs(self, X, y):
        # Members know their own containers, a Dataset with its targets among them.
        return X, y

    def _influence_block(self, X, y):
        total = 0.0
        for influence in self._members(X, y):
            total = total + influence
        return total / len(self.rankers_)

    def spread(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Standard deviation of the influence over the states.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        std : ndarray of shape (n_queries, n_train)
        """
        members = list(self._members(*self._asked(X, y)))
        return np.std(members, axis=0)

    @available_if(_ranker_has("score_samples"))
    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Mean self-influence that new rows would have.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        self_influence : ndarray of shape (n_queries,)
        """
        X, y = self._asked(X, y)
        return np.mean([ranker.score_samples(X, y) for ranker in self.rankers_], axis=0)

    def _known_label_scores(self):
        return self.rankers_[0].label_score_names_

    def _label_scores(self, score, X, y):
        members = []
        for ranker, order in zip(self.rankers_, self.orders_, strict=True):
            scores = ranker.label_scores(score, X, y)
            members.append(_unshuffled(scores, order) if X is None else scores)
        return np.mean(members, axis=0)

    @available_if(_ranker_has("predict"))
    def predict(self, X: Rows) -> NDArray:
        """Prediction by the mean of the models, or by their vote.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)

        Returns
        -------
        y_pred : ndarray of shape (n_queries,)
        """
        check_is_fitted(self)
        if not hasattr(self, "classes_"):
            return np.mean([ranker.predict(X) for ranker in self.rankers_], axis=0)
        if hasattr(self.rankers_[0], "predict_proba"):
            return self.classes_[np.argmax(self.predict_proba(X), axis=1)]
        votes = sum(
            ranker.predict(X)[:, None] == self.classes_ for ranker in self.rankers_
        )
        return self.classes_[np.argmax(votes, axis=1)]

    @available_if(_ranker_has("predict_proba"))
    def predict_proba(self, X: Rows) -> NDArray:
        """Mean of the models' class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)

        Returns
        -------
        proba : ndarray of shape (n_queries, n_classes)
        """
        check_is_fitted(self)
        return np.mean([ranker.predict_proba(X) for ranker in self.rankers_], axis=0)

    @available_if(_ranker_has("decision_function"))
    def decision_function(self, X: Rows) -> NDArray:
        """Mean of the models' raw predictions.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)

        Returns
        -------
        decision : ndarray of shape (n_queries,) or (n_queries, n_classes)
        """
        check_is_fitted(self)
        members = [ranker.decision_function(X) for ranker in self.rankers_]
        return np.mean(members, axis=0)

    @available_if(_ranker_has("predict"))
    def score(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Accuracy, or R2, of the mean prediction.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
        y : array-like of shape (n_queries,)
        sample_weight : array-like of shape (n_queries,), default=None

        Returns
        -------
        score : float
        """
        metric = accuracy_score if hasattr(self, "classes_") else r2_score
        return metric(y, self.predict(X), sample_weight=sample_weight)

    def _wrapped(self):
        return self.ranker

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = get_tags(self.ranker).target_tags.required
        tags.non_deterministic = self.random_state is None
        return tags


def _fit_in_order(X, y, by_row, asked, ranker, order, state):
    X, y = _indexed(X, order), None if y is None else _indexed(y, order)
    init, shared, reinitialize = state
    by_row = {name: np.asarray(given)[order] for name, given in by_row.items()}
    with seeded_nets(ranker, init, shared, reinitialize=reinitialize):
        return ranker.fit(X, y, **by_row, **asked)


def _indexed(values, order):
    if sliceable(values) is not values:
        return reordered(values, order)
    return _safe_indexing(takeable(values), order)


def _unshuffled(values, order):
    """Values whose last axis follows the shuffled rows, in the rows' own order."""
    out = np.empty_like(values)
    out[..., order] = values
    return out
