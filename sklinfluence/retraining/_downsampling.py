"""DownsamplingRanker: what a row adds to random sets of one size."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _num_samples

from sklinfluence._sklearn_compat import Interval
from sklinfluence._typing import RandomState, Rows
from sklinfluence._warn import warn_user
from sklinfluence.retraining._density import LogDensity, is_density
from sklinfluence.retraining._influence import N_INFLUENCES, RetrainingRanker
from sklinfluence.retraining._retraining_valuer import PARAMETERS
from sklinfluence.retraining._reuse import is_settled_by_reuse, with_minus_without
from sklinfluence.retraining._stopping import remembered
from sklinfluence.retraining._units import SetUnit, generator


class DownsamplingRanker(RetrainingRanker):
    """Mean score of models that saw a row, minus that of models that did not.

    All models are trained on random sets of one size, so that every set serves all
    rows.

    Parameters
    ----------
    estimator : estimator, default=None
        Any classifier or regressor, or a density model whose ``score_samples`` are log
        densities (``KernelDensity``, ``GaussianMixture``), which needs no targets. It
        is cloned, never changed. None: ``LogisticRegression()`` for class targets,
        ``Ridge()`` for real ones.
    share : float, default=0.7
        Share of the rows (of the groups) in each set, rounded; at least one is in and
        one is out.
    scoring : str or callable, default=None
        Any of scikit-learn's scorers; None: the estimator's own ``score``.
    max_evaluations : int, default=1000
        Sets at most, for each split of the rows.
    tol : float, default=0.0
        Stop earlier, once the standard error of every value is below ``tol`` times
        the spread of the values. 0: run all of ``max_evaluations``.
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
        Seeds the sets and the estimator's own ``random_state``, which is the same in
        every fit. None: drawn, and kept in the journal.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Value of each row in the scorer's units, higher for a row that is better to
        have; NaN where it was never in, or never out. The rows of a group share its
        value.
    values_stderr_ : ndarray of shape (n_train,)
        Standard error of each value.
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
    self_influence_ : ndarray of shape (n_train,)
        Mean loss of each row under the models that did not see it, minus that under
        those that did: memorization. Computed, from models of all rows, when asked
        for; so is `influence`, in nats or half squared target units.
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
    BanzhafRanker : Sets of about half of the rows, of varying size.

    Notes
    -----
    A set that holds a row holds one of the others less: at n - 1 rows a value is
    n / (n - 1) times the row's leave-one-out value less the mean of these. Values sum
    to 0 in expectation.

    Of a density model the score is the mean log density of the validation rows, and
    ``self_influence_`` the rise in a row's own log density when it is trained on, in
    nats: memorization by generative models [3]_.

    References
    ----------
    .. [1] Feldman, V. and Zhang, C. (2020). What neural networks memorize and why:
       discovering the long tail via influence estimation.
    .. [2] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", equations 9 and 14.
    .. [3] van den Burg, G. J. J. and Williams, C. K. I. (2021). On memorization in
       probabilistic deep generative models.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import DownsamplingRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = DownsamplingRanker(max_evaluations=100, random_state=0)
    >>> ranker.fit(X[::8], y[::8], X_val=X[1::2], y_val=y[1::2]).values_.shape
    (19,)
    """

    _parameter_constraints: dict = {
        **PARAMETERS,
        **N_INFLUENCES,
        "share": [Interval(Real, 0, 1, closed="neither")],
        "max_evaluations": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        share: float = 0.7,
        scoring: str | Callable | None = None,
        max_evaluations: int = 1000,
        tol: float = 0.0,
        cv: Any = None,
        journal: str | None = None,
        n_influences: int | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.estimator = estimator
        self.share = share
        self.scoring = scoring
        self.max_evaluations = max_evaluations
        self.tol = tol
        self.cv = cv
        self.journal = journal
        self.n_influences = n_influences
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        validation = {"X_val": X_val, "sample_weight_val": sample_weight_val}
        if is_density(self.estimator):
            # Log densities have no targets: none are read.
            y = np.zeros(_num_samples(X))
            y_val = None if X_val is None else np.zeros(_num_samples(X_val))
        super().fit(X, y, sample_weight, groups=groups, y_val=y_val, **validation)
        if is_density(self.estimator):
            self.estimator_ = self.estimator_.estimator_
        return self

    fit.__doc__ = RetrainingRanker.fit.__doc__.replace(
        "y : array-like of shape (n_train,)\n            Class labels or real targets.",
        "y : array-like of shape (n_train,), default=None\n"
        "            Class labels or real targets; density models read none.",
    )

    def _unfitted(self, y):
        estimator = super()._unfitted(y)
        return LogDensity(estimator) if is_density(estimator) else estimator

    def _retrainable(self):
        model = super()._retrainable()
        return LogDensity(model) if is_density(model) else model

    def _losses(self, model, X, y):
        if isinstance(model, LogDensity):
            return -model.predict(X)
        return super()._losses(model, X, y)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = not is_density(self.estimator)
        return tags

    def _value(self, run):
        n = run.utility.n_players
        draw = self._drawing(n, run.journal.seed)
        drawn = remembered(lambda k, steps: draw(k))

        def sets_and_utilities(outcomes):
            return drawn(outcomes), np.array([steps[0] for steps in outcomes])

        outcomes = run.evaluate(
            lambda k: SetUnit(draw(k)),
            self.max_evaluations,
            lambda found: is_settled_by_reuse(*sets_and_utilities(found), self.tol),
        )
        self._n_sets, self._seed = len(outcomes), run.journal.seed
        values, stderr, _ = with_minus_without(*sets_and_utilities(outcomes))
        return run.values(values, stderr)

    def _drawing(self, n_players, seed):
        """The function from k to the k-th set, as a boolean mask."""
        if n_players < 2:
            raise ValueError(
                "A set that leaves rows out needs at least two rows (two groups) to "
                f"choose from: got {n_players}."
            )
        size = int(np.clip(round(self.share * n_players), 1, n_players - 1))

        def draw(k):
            chosen = np.zeros(n_players, dtype=bool)
            chosen[generator(seed, k).permutation(n_players)[:size]] = True
            return chosen

        return draw

    def _sets(self, n_players):
        draw = self._drawing(n_players, self._seed)
        sets = np.array([draw(k) for k in range(self._n_sets)])
        unmeasured = np.flatnonzero(sets.all(axis=0) | ~sets.any(axis=0))
        if len(unmeasured):
            warn_user(
                f"{len(unmeasured)} of the {n_players} rows (or groups) are in every "
                f"one of {len(sets)} sets, or in none: their influence is NaN. Raise "
                "max_evaluations.",
            )
        return sets

    def _weigh(self, sets, losses):
        # The rise when a row is left out: the loss of those without it, minus with.
        each = [with_minus_without(sets, -of_query)[0] for of_query in losses.T]
        return np.array(each)

    def _self_influence(self):
        players, sets, models = self._trained()
        own = np.zeros(self.n_train_)
        for player, rows in enumerate(players):
            losses = np.array([self._own_losses(model, rows) for model in models])
            out = ~sets[:, player]
            # With the row, or without it, in every set: it was never measured.
            own[rows] = (
                np.nan
                if out.all() or not out.any()
                else losses[out].mean(axis=0) - losses[~out].mean(axis=0)
            )
        return own

    def spread(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Standard error of the influence, over the random sets.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        stderr : ndarray of shape (n_queries, n_train)
            NaN for a row that fewer than two sets held, or fewer than two left out.
        """
        X, y = self._asked(X, y)
        players, sets, models = self._trained()
        losses = np.array([self._losses(model, X, y) for model in models])
        errors = [with_minus_without(sets, -of_query)[1] for of_query in losses.T]
        return self._of_rows(players, np.array(errors))
