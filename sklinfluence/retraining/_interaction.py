"""Shapley interaction indices: what two rows add together that neither adds alone."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from sklinfluence._sklearn_compat import Interval, StrOptions, validate_params
from sklinfluence._typing import RandomState, Rows
from sklinfluence.retraining._enumerate import (
    enumerated,
    every_subset,
    reaches_all_sets,
)
from sklinfluence.retraining._retraining_valuer import PARAMETERS, RetrainingValuer
from sklinfluence.retraining._semivalues import log_binomial
from sklinfluence.retraining._stopping import mean_and_error
from sklinfluence.retraining._units import generator


@validate_params(
    {
        **{name: rule for name, rule in PARAMETERS.items() if name != "cv"},
        "index": [StrOptions({"shapley", "taylor"})],
        "max_evaluations": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=False,
)
def shapley_interaction(
    estimator: Any,
    X: Rows,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    index: Literal["shapley", "taylor"] = "shapley",
    groups: ArrayLike | None = None,
    X_val: Rows | None = None,
    y_val: ArrayLike | None = None,
    sample_weight_val: ArrayLike | None = None,
    scoring: str | Callable | None = None,
    max_evaluations: int = 10_000,
    cv: Any = None,
    journal: str | None = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> Any:
    r"""What pairs of training rows are worth together beyond what each is worth alone.

    Of a pair, the mean over sets S of the others of

    .. math:: \Delta_{ij}(S) = v(S \cup ij) - v(S \cup i) - v(S \cup j) + v(S)

    positive for rows that need each other, negative for rows that stand for each
    other, such as copies. The two indices weigh the sizes of S differently.

    Parameters
    ----------
    estimator : estimator or None
        Any classifier or regressor; it is cloned. None: ``LogisticRegression()`` for
        class targets, ``Ridge()`` for real ones.
    X : array-like of shape (n_train, n_features)
        Training rows, in any form that the estimator takes.
    y : array-like of shape (n_train,)
        Class labels or real targets.
    sample_weight : array-like of shape (n_train,), default=None
        Weights of the rows, for estimators whose ``fit`` takes them.
    index : {"shapley", "taylor"}, default="shapley"
        "shapley" is the interaction index of Grabisch and Roubens: every size of S
        counts alike. "taylor" is the Shapley-Taylor index of order 2: small sets count
        more, and all entries together are v(all) - v(none).
    groups : array-like of shape (n_train,), default=None
        Groups of rows that come and leave together: the players. None: each row is a
        player.
    X_val : array-like of shape (n_val, n_features), default=None
        The rows that models are scored on. None: the folds of ``cv``, each pair on
        those that hold neither.
    y_val : array-like of shape (n_val,), default=None
        Their targets.
    sample_weight_val : array-like of shape (n_val,), default=None
        Their weights in the score.
    scoring : str or callable, default=None
        Any of scikit-learn's scorers; None: the estimator's own ``score``.
    max_evaluations : int, default=10000
        Fits at most, for each split of the rows. Where that is every set, the answer
        is exact; else permutations are drawn, of n (n + 1) / 2 fits each for n
        players, one at least.
    cv : int, cross-validation generator or iterable, default=None
        Folds where there is no validation set. None: 5 folds, stratified for classes.
    journal : str, default=None
        Path of a file that keeps every score evaluated, so that a run that was broken
        off goes on where it was. None: none is kept.
    n_jobs : int, default=None
        Processes that share the permutations. The result does not depend on it. None
        means 1 unless in a :func:`joblib.parallel_config` context.
    random_state : int, RandomState instance or None, default=None
        Seeds the permutations and the estimator's own ``random_state``.

    Returns
    -------
    result : Bunch
        ``interactions`` of shape (n_players, n_players), symmetric, in the scorer's
        units. Its diagonal holds what the index says of single players: their Shapley
        values, or v(i) - v(none) for "taylor". ``stderr``, of the same shape, 0 where
        all sets were evaluated. ``n_evaluations`` and ``n_failed``: scores that were
        and that could not be evaluated. NaN where a pair was never measured.

    Raises
    ------
    ValueError
        If the utility of all rows cannot be evaluated, or the journal is that of
        another run.

    References
    ----------
    .. [1] Grabisch, M. and Roubens, M. (1999). An axiomatic approach to the concept of
       interaction among players in cooperative games.
    .. [2] Dhamdhere, K., Agarwal, A. and Sundararajan, M. (2020). The Shapley Taylor
       interaction index.
    .. [3] Hammoudeh, Z. and Lowd, D. "Training data influence analysis and
       estimation: a survey", equations 19 and 21.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.retraining import shapley_interaction
    >>> X, y = load_iris(return_X_y=True)
    >>> rows = [0, 50, 60, 100, 0]  # the last a copy of the first
    >>> result = shapley_interaction(None, X[rows], y[rows], X_val=X, y_val=y)
    >>> int(result.interactions[0].argmin())
    4
    """
    valuer = _PairValuer(
        estimator,
        index=index,
        scoring=scoring,
        max_evaluations=max_evaluations,
        cv=cv,
        journal=journal,
        n_jobs=n_jobs,
        random_state=random_state,
    )
    valuer.fit(
        X,
        y,
        sample_weight,
        groups=groups,
        X_val=X_val,
        y_val=y_val,
        sample_weight_val=sample_weight_val,
    )
    return Bunch(
        interactions=valuer.interactions_,
        stderr=valuer.interactions_stderr_,
        n_evaluations=valuer.n_evaluations_,
        n_failed=valuer.n_failed_,
    )


class _PairValuer(RetrainingValuer):
    """Splits, journal and evaluation as the valuers', of pairs instead of players."""

    _parameter_constraints: dict = {**PARAMETERS}

    def __init__(
        self,
        estimator=None,
        *,
        index="shapley",
        scoring=None,
        max_evaluations=10_000,
        cv=None,
        journal=None,
        n_jobs=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.index = index
        self.scoring = scoring
        self.max_evaluations = max_evaluations
        self.cv = cv
        self.journal = journal
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _value(self, run):
        n = run.utility.n_players
        if reaches_all_sets(n, self.max_evaluations):
            found = _enumerated_pairs(every_subset(run), self.index)
            return run.values(found, np.zeros((n, n)))
        empty, whole = run.ends()
        seed = run.journal.seed

        def make_unit(k):
            return PairUnit(generator(seed, k).permutation(n))

        n_units = max(1, self.max_evaluations // (n * (n + 1) // 2))
        outcomes = run.evaluate(make_unit, n_units)
        samples = [
            pairs_along(make_unit(k).order, steps, empty, whole, self.index).ravel()
            for k, steps in enumerate(outcomes)
        ]
        mean, stderr, _ = mean_and_error(np.array(samples))
        mean, stderr = mean.reshape(n, n), stderr.reshape(n, n)
        if self.index == "taylor":
            # Sets of one player are in every permutation, and the same in each.
            np.fill_diagonal(stderr, 0.0)
        return run.values(mean, stderr)

    def _settle(self, playing, parts, groups, sample_weight):
        """Means over the splits in which both of a pair play."""
        n = len(playing[0])
        values = np.full((len(parts), n, n), np.nan)
        errors = values.copy()
        for split, (plays, part) in enumerate(zip(playing, parts, strict=True)):
            both = np.ix_([split], plays, plays)
            values[both], errors[both] = part.values, part.stderr
        mean, _, n_known = mean_and_error(values.reshape(len(parts), -1))
        squares = np.nansum(errors.reshape(len(parts), -1) ** 2, axis=0)
        nan = np.full(n * n, np.nan)
        stderr = np.divide(np.sqrt(squares), n_known, out=nan, where=n_known > 0)
        self.interactions_ = mean.reshape(n, n)
        self.interactions_stderr_ = stderr.reshape(n, n)
        self.values_ = np.zeros(self.n_train_)
        self.n_evaluations_ = sum(part.n_evaluations for part in parts)
        failures = [error for part in parts for error in part.failures]
        self.n_failed_ = len(failures)
        self._warn(failures)


@dataclass(frozen=True, eq=False)
class PairUnit:
    """A permutation, and every later player joined to each of its prefixes.

    Step k n + j is the first k players and player j: what all pairs need whose
    earlier player stands at place k.
    """

    order: np.ndarray

    def run(self, utility, known):
        n = len(self.order)
        found = []
        for k in range(n - 1):
            for j in self.order[k:]:
                step = int(k * n + j)
                if step not in known:
                    found.append((step, *utility([*self.order[:k], j])))
        return found


def pairs_along(order, steps, empty, whole, index):
    """Each pair's weighted difference of differences in one permutation, (n, n)."""
    n = len(order)
    weights = _pair_weights(index, n)
    joined = np.full((n, n), np.nan)  # [k, j]: the first k players and j
    for step, value in steps.items():
        joined[divmod(step, n)] = value
    joined[n - 1, order[-1]] = whole
    prefix = np.concatenate([[empty], joined[np.arange(n), order]])
    pairs = np.empty((n, n))
    for k, first in enumerate(order):
        later = order[k + 1 :]
        gain_after = joined[k + 1, later] - prefix[k + 1] if k + 1 < n else 0.0
        difference = gain_after - (joined[k, later] - prefix[k])
        pairs[first, later] = pairs[later, first] = weights[k] * difference
        pairs[first, first] = prefix[k + 1] - prefix[k]
    if index == "taylor":
        np.fill_diagonal(pairs, joined[0] - empty)
    return pairs


def _pair_weights(index, n_players):
    """What a pair counts whose earlier player stands at place k of a permutation.

    A permutation meets S of size k before a pair with probability
    2 (n - 1 - k) / (n (n - 1)): the Shapley-Taylor index is the plain mean over
    permutations, and the interaction index, in which all n - 1 sizes count alike, is
    that of differences divided by their size's share.
    """
    n, k = n_players, np.arange(n_players)
    if index == "taylor":
        return np.ones(n)
    return np.divide(n, 2.0 * (n - 1 - k), out=np.zeros(n), where=k < n - 1)


def _enumerated_pairs(utilities, index):
    """The index of every pair, and of every player, from all utilities."""
    n = int(np.log2(len(utilities)))
    numbers = np.arange(2**n)
    sizes = np.sum((numbers[:, None] >> np.arange(n)) & 1, axis=1)
    # Of sets of s among the n - 2 others: their share, each set's part of it.
    s = np.arange(max(n - 1, 1))
    share = _pair_weights(index, n)[: len(s)] * 2.0 * (n - 1 - s) / (n * max(n - 1, 1))
    share = share / np.exp(log_binomial(max(n - 2, 0), s))
    pairs = np.diag(_of_single_players(utilities, index, n))
    for i in range(n):
        for j in range(i):
            one, other = 1 << i, 1 << j
            S = numbers[(numbers & (one | other)) == 0]
            together = utilities[S | one | other] + utilities[S]
            difference = together - utilities[S | one] - utilities[S | other]
            pairs[i, j] = pairs[j, i] = share[sizes[S]] @ difference
    return pairs


def _of_single_players(utilities, index, n):
    if index == "taylor":
        return utilities[1 << np.arange(n)] - utilities[0]
    return enumerated(utilities, "shapley")
