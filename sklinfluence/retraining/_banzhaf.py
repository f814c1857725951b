"""BanzhafRanker: what a row adds to a random half of the others."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np

from sklinfluence._sklearn_compat import Interval
from sklinfluence._typing import RandomState
from sklinfluence.retraining._enumerate import (
    enumerated,
    every_subset,
    reaches_all_sets,
)
from sklinfluence.retraining._retraining_valuer import PARAMETERS, RetrainingValuer
from sklinfluence.retraining._reuse import is_settled_by_reuse, with_minus_without
from sklinfluence.retraining._stopping import remembered
from sklinfluence.retraining._units import SetUnit, generator


class BanzhafRanker(RetrainingValuer):
    r"""Banzhaf values of training rows, by maximum sample reuse.

    The Banzhaf value of a row is what it adds to the score of a model, in the mean
    over all sets of the other rows, each counted alike:

    .. math:: \phi_i = 2^{-(n-1)} \sum_{S \not\ni i} [v(S \cup i) - v(S)]

    Random sets, each row in or out by a fair coin, serve all rows at once: the mean
    score with the row minus that without it.

    Parameters
    ----------
    estimator : estimator, default=None
        Any classifier or regressor. It is cloned, never changed. None:
        ``LogisticRegression()`` for class targets, ``Ridge()`` for real ones.
    scoring : str or callable, default=None
        Any of scikit-learn's scorers; None: the estimator's own ``score``.
    max_evaluations : int, default=1000
        Sets at most, for each split of the rows. Where it allows every set, the
        values are computed and not estimated.
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
        Processes that share the fits. The result does not depend on it. None means 1
        unless in a :func:`joblib.parallel_config` context.
    random_state : int, RandomState instance or None, default=None
        Seeds the sets and the estimator's own ``random_state``, which is the same in
        every fit. None: drawn, and kept in the journal.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Value of each row in the scorer's units, higher for a row that is better to
        have; NaN where it was never in, or never out. The rows of a group share its
        value.
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
        Scores that could not be: they are left out.
    closed_form_ : {"ridge", "neighbors", "leaves"} or None
        What stood for the fits, to rounding: see `ShapleyRanker`. None: there were
        fits.
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
    ShapleyRanker : Sets of every size alike, along permutations.
    AMERanker : Sets of several sizes, and a sparse regression on them.

    Notes
    -----
    Values do not sum to the score of all rows. They keep their order best under noisy
    scores. Reuse pays where scores are far from additive in the rows; of an additive
    score, permutations estimate a row's gain with less variance.

    References
    ----------
    .. [1] Wang, J. T. and Jia, R. (2023). Data Banzhaf: a robust data valuation
       framework for machine learning.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import BanzhafRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = BanzhafRanker(max_evaluations=200, random_state=0)
    >>> ranker.fit(X[::8], y[::8], X_val=X[1::2], y_val=y[1::2]).values_.shape
    (19,)
    """

    _parameter_constraints: dict = {
        **PARAMETERS,
        "max_evaluations": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        scoring: str | Callable | None = None,
        max_evaluations: int = 1000,
        tol: float = 0.0,
        cv: Any = None,
        journal: str | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.max_evaluations = max_evaluations
        self.tol = tol
        self.cv = cv
        self.journal = journal
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _value(self, run):
        n, seed = run.utility.n_players, run.journal.seed
        if reaches_all_sets(n, self.max_evaluations):
            values = enumerated(every_subset(run), "banzhaf")
            return run.values(values, np.zeros(n))

        def membership(k):
            return generator(seed, k).random(n) < 0.5

        drawn = remembered(lambda k, steps: membership(k))

        def sets_and_utilities(outcomes):
            return drawn(outcomes), np.array([steps[0] for steps in outcomes])

        outcomes = run.evaluate(
            lambda k: SetUnit(membership(k)),
            self.max_evaluations,
            lambda found: is_settled_by_reuse(*sets_and_utilities(found), self.tol),
        )
        values, stderr, _ = with_minus_without(*sets_and_utilities(outcomes))
        return run.values(values, stderr)
