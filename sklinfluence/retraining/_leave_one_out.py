"""LeaveOneOutRanker: retrain without each row."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sklinfluence._typing import RandomState
from sklinfluence.retraining._influence import N_INFLUENCES, RetrainingRanker
from sklinfluence.retraining._retraining_valuer import PARAMETERS
from sklinfluence.retraining._units import SetUnit


class LeaveOneOutRanker(RetrainingRanker):
    """What leaving each row (each group) out changes, by retraining without it.

    The definition that influence functions approximate, for any estimator, at one fit
    a row.

    Parameters
    ----------
    estimator : estimator, default=None
        Any classifier or regressor. It is cloned, never changed. None:
        ``LogisticRegression()`` for class targets, ``Ridge()`` for real ones.
    scoring : str or callable, default=None
        Any of scikit-learn's scorers, for ``values_``; None: the estimator's own
        ``score``.
    cv : int, cross-validation generator or iterable, default=None
        Folds where ``fit`` is given no validation set. None: 5 folds, stratified for
        classes, in order of the rows.
    journal : str, default=None
        Path of a file that keeps every score evaluated, so that a run that was broken
        off goes on where it was. None: none is kept.
    n_influences : int, default=None
        `transform` keeps this many influences of each query, the largest in
        magnitude, in a CSR matrix. None: all, dense.
    n_jobs : int, default=None
        Processes that share the fits. The result does not depend on it. None means 1
        unless in a :func:`joblib.parallel_config` context.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state``, which is the same in every fit.
        None: drawn, and kept in the journal.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Score with each row minus score without it, higher for a row that is better to
        have. The rows of a group share its value.
    values_stderr_ : ndarray of shape (n_train,)
        0: nothing is sampled.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the lowest value.
    self_influence_ : ndarray of shape (n_train,)
        Rise in each row's own loss when it (its group) is left out; computed, from
        models of all rows, when asked for.
    group_values_ : ndarray of shape (n_groups,)
        Value of each group, in the order of ``groups_``; with ``groups`` only.
    groups_ : ndarray of shape (n_groups,)
        The groups, sorted; with ``groups`` only.
    n_evaluations_ : int
        Scores that were evaluated.
    n_failed_ : int
        Scores that could not be: the rows' values are NaN.
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
    sklinfluence.gradient.InfluenceRanker : The same from one fit, for linear heads.
    DownsamplingRanker : Many rows out at once, for models that one row hardly moves.

    Notes
    -----
    ``influence`` is in nats, or half squared target units, whatever ``scoring`` is.
    It keeps a model for each row.

    References
    ----------
    .. [1] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", equation 8.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import LeaveOneOutRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = LeaveOneOutRanker().fit(X[::8], y[::8], X_val=X[1::2], y_val=y[1::2])
    >>> ranker.influence(X[1:3], y[1:3]).shape
    (2, 19)
    """

    _parameter_constraints: dict = {**PARAMETERS, **N_INFLUENCES}

    def __init__(
        self,
        estimator: Any = None,
        *,
        scoring: str | Callable | None = None,
        cv: Any = None,
        journal: str | None = None,
        n_influences: int | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.cv = cv
        self.journal = journal
        self.n_influences = n_influences
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _value(self, run):
        n = run.utility.n_players
        _, whole = run.ends()
        outcomes = run.evaluate(lambda k: SetUnit(np.delete(np.arange(n), k)), n)
        without = np.array([steps[0] for steps in outcomes])
        return run.values(whole - without, np.zeros(n))

    def _sets(self, n_players):
        return np.vstack(
            [np.ones(n_players, dtype=bool), ~np.eye(n_players, dtype=bool)]
        )

    def _weigh(self, sets, losses):
        return (losses[1:] - losses[0]).T

    def _self_influence(self):
        players, _, (whole, *models) = self._trained()
        own = np.zeros(self.n_train_)
        for rows, model in zip(players, models, strict=True):
            own[rows] = self._own_losses(model, rows) - self._own_losses(whole, rows)
        return own
