"""ShapleyRanker: Shapley values and other semivalues along permutations."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from sklinfluence._sklearn_compat import Interval, StrOptions
from sklinfluence._typing import RandomState
from sklinfluence.retraining._enumerate import (
    enumerated,
    every_subset,
    reaches_all_sets,
)
from sklinfluence.retraining._retraining_valuer import PARAMETERS, RetrainingValuer
from sklinfluence.retraining._semivalues import size_weights
from sklinfluence.retraining._stopping import is_settled, mean_and_error, remembered
from sklinfluence.retraining._units import (
    GradientUnit,
    WalkUnit,
    generator,
    walked_marginals,
)


class ShapleyRanker(RetrainingValuer):
    r"""Shapley values of training rows, by retraining along random permutations.

    The Shapley value of a row is what it adds to the score of a model, in the mean
    over all sets of the other rows that it may join:

    .. math:: \phi_i = \frac1n \sum_{S \not\ni i} \binom{n-1}{|S|}^{-1}
              [v(S \cup i) - v(S)]

    It is estimated along permutations of the rows, each with its reverse; where
    ``max_evaluations`` allows every set, it is computed.

    Parameters
    ----------
    estimator : estimator, default=None
        Any classifier or regressor. It is cloned, never changed. None:
        ``LogisticRegression()`` for class targets, ``Ridge()`` for real ones.
    method : {"permutation", "gradient"}, default="permutation"
        "permutation" retrains on every prefix of a permutation. "gradient" is
        G-Shapley: one model walks along it, trained on each row once by its
        ``partial_fit``, and a row is worth what its step gains: as many steps as there
        are rows instead of as many fits, for models that have ``partial_fit``. Its
        values are of such walks and not of models that were trained to their end, and
        their sum is what a walk gains in the mean.
    semivalue : {"shapley", "banzhaf"} or pair of floats, default="shapley"
        How sets of different sizes are weighed. A pair (a, b) is Beta(a, b) Shapley:
        (1, 1) is Shapley's, and (16, 1) looks at small sets, where a row's gain is
        least noisy.
    scoring : str or callable, default=None
        Any of scikit-learn's scorers; None: the estimator's own ``score``.
    truncation : float, default=0.0
        A permutation ends where its score is nearer than this to that of all rows, and
        the rows left gain 0. Above 0 values are biased by up to it; not for
        ``method="gradient"``.
    max_evaluations : int, default=10000
        Fits at most, for each split of the rows; whole permutations are walked, one
        pair at least.
    tol : float, default=0.0
        Stop earlier, once the standard error of every value is below ``tol`` times
        the spread of the values. 0: run all of ``max_evaluations``.
    cv : int, cross-validation generator or iterable, default=None
        Folds where ``fit`` is given no validation set. None: 5 folds, stratified for
        classes, in order of the rows.
    journal : str, default=None
        Path of a file that keeps every score evaluated, so that a run that was broken
        off goes on where it was. None: none is kept.
    n_jobs : int, default=None
        Processes that share the permutations. The result does not depend on it. None
        means 1 unless in a :func:`joblib.parallel_config` context.
    random_state : int, RandomState instance or None, default=None
        Seeds the permutations and the estimator's own ``random_state``, which is the
        same in every fit. None: drawn, and kept in the journal.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Value of each row in the scorer's units, higher for a row that is better to
        have; NaN where it was never measured. The rows of a group share its value.
    values_stderr_ : ndarray of shape (n_train,)
        Standard error of each value; 0 where all sets were evaluated.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the lowest value.
    group_values_ : ndarray of shape (n_groups,)
        Value of each group, in the order of ``groups_``; with ``groups`` only.
    groups_ : ndarray of shape (n_groups,)
        The groups, sorted; with ``groups`` only.
    n_evaluations_ : int
        Scores that were evaluated.
    n_failed_ : int
        Scores that could not be: their gains are left out on both sides.
    closed_form_ : {"ridge", "neighbors", "leaves"} or None
        What stood for the fits, to rounding (see Notes); None: there were fits.
    estimator_ : estimator
        The model of all rows.
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
    sklinfluence.neighbors.KNNShapleyRanker : In closed form, for nearest neighbours.

    Notes
    -----
    The score of no rows is that of ``DummyClassifier(strategy="prior")`` on all of
    them (of their mean, for real targets), that of rows of one class the class.
    Values sum to the score of all rows less that of none, for ``semivalue="shapley"``
    without truncation. Where no validation set is given, values are means over folds.

    Three kinds of model need no fits. Of ``Ridge`` (a positive alpha, a direct
    solver, float64 rows) R2 and squared errors follow from rank-one updates; of
    ``KNeighborsClassifier`` and ``KNeighborsRegressor`` all scores follow from one
    sort of the distances. Their scores are compared with one fit first. A fitted tree
    or forest whose leaves are means, as ``FrozenEstimator(forest)``, keeps its splits,
    and each leaf says the mean of the rows of a set that lie in it (where none does,
    its nearest ancestor speaks): what rows are worth to that forest, which refits of
    other splits would not say. Other frozen models are refused.

    References
    ----------
    .. [1] Ghorbani, A. and Zou, J. (2019). Data Shapley: equitable valuation of data
       for machine learning.
    .. [2] Kwon, Y. and Zou, J. (2022). Beta Shapley: a unified and noise-reduced data
       valuation framework.
    .. [3] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", equations 17 and 18.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import ShapleyRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = ShapleyRanker(max_evaluations=100, random_state=0)
    >>> ranker.fit(X[::8], y[::8], X_val=X[1::2], y_val=y[1::2]).values_.shape
    (19,)
    """

    _parameter_constraints: dict = {
        **PARAMETERS,
        "method": [StrOptions({"permutation", "gradient"})],
        "semivalue": [StrOptions({"shapley", "banzhaf"}), tuple],
        "truncation": [Interval(Real, 0, None, closed="left")],
        "max_evaluations": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: Literal["permutation", "gradient"] = "permutation",
        semivalue: Literal["shapley", "banzhaf"] = "shapley",
        scoring: str | Callable | None = None,
        truncation: float = 0.0,
        max_evaluations: int = 10_000,
        tol: float = 0.0,
        cv: Any = None,
        journal: str | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.semivalue = semivalue
        self.scoring = scoring
        self.truncation = truncation
        self.max_evaluations = max_evaluations
        self.tol = tol
        self.cv = cv
        self.journal = journal
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _unfitted(self, y):
        estimator = super()._unfitted(y)
        self._check_semivalue()
        self._check_method(estimator)
        return estimator

    def _quickest(self, utility):
        # Steps of training have no closed form, even where training to the end has.
        return utility if self.method == "gradient" else super()._quickest(utility)

    def _value(self, run):
        n, by_steps = run.utility.n_players, self.method == "gradient"
        # Of all sets: what a walk of steps scores is no function of the set.
        is_plain = not self.truncation and not by_steps
        if is_plain and reaches_all_sets(n, self.max_evaluations):
            return run.values(
                enumerated(every_subset(run), self.semivalue), np.zeros(n)
            )
        empty, whole = run.ends()
        seed, weights = run.journal.seed, size_weights(self.semivalue, n)

        def make_unit(k):
            order = generator(seed, k).permutation(n)
            if by_steps:
                return GradientUnit(order)
            return WalkUnit(order, whole, self.truncation)

        gains = remembered(
            lambda k, steps: self._gain(make_unit(k), steps, empty, whole, weights)
        )
        n_walked = n if by_steps else max(n - 1, 1)
        n_units = max(1, self.max_evaluations // (2 * n_walked))
        outcomes = run.evaluate(
            make_unit, n_units, lambda found: is_settled(gains(found), self.tol)
        )
        mean, stderr, _ = mean_and_error(gains(outcomes))
        return run.values(mean, stderr)

    @staticmethod
    def _gain(unit, steps, empty, whole, weights):
        """Each player's weighted gain, the mean of a permutation and its reverse.

        Where a utility could not be evaluated on one of the two ways, the other's.
        """
        marginals, places = walked_marginals(unit, steps, empty, whole)
        return mean_and_error(weights[places] * marginals)[0]

    def _check_method(self, estimator):
        if self.method != "gradient":
            return
        if not hasattr(estimator, "partial_fit"):
            raise ValueError(
                f"method='gradient' trains {type(estimator).__name__} a row at a time, "
                "and it has no partial_fit. Use a model that has one, such as "
                "SGDClassifier or MLPClassifier, or method='permutation'."
            )
        if self.truncation:
            raise ValueError(
                f"truncation={self.truncation!r} ends walks whose score is near that "
                "of all rows, and walks of method='gradient' end at scores of their "
                "own. Leave truncation=0."
            )

    def _check_semivalue(self):
        pair = self.semivalue
        if isinstance(pair, str):
            return
        if len(pair) != 2 or not all(isinstance(p, Real) and p > 0 for p in pair):
            raise ValueError(
                f"semivalue={pair!r} must be 'shapley', 'banzhaf' or a pair (a, b) of "
                "positive numbers, for Beta(a, b)."
            )
