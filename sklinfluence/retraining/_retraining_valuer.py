"""What the methods share that value rows by retraining: players, splits, a journal."""

from dataclasses import dataclass
from numbers import Integral
from typing import Self

import joblib
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d

from sklinfluence._estimators import (
    check_folds,
    check_numbers,
    check_training,
    default_estimator,
    takeable,
    takes_classes,
)
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    HasMethods,
    _fit_context,
    _safe_indexing,
)
from sklinfluence._typing import Rows
from sklinfluence._warn import warn_user
from sklinfluence.base import BaseValuer
from sklinfluence.retraining._closed_forms._choose import in_closed_form
from sklinfluence.retraining._evaluate import evaluate_units
from sklinfluence.retraining._journal import Journal, opened
from sklinfluence.retraining._utility import Utility

PARAMETERS = {
    "estimator": [HasMethods("fit"), None],
    "scoring": [str, callable, None],
    "cv": ["cv_object"],
    "journal": [str, None],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
}
# Parameters that change how a run is computed and not what it finds.
_HOW = {"journal", "n_jobs", "max_evaluations", "tol", "random_state"}
# Rows that a warning names; it counts the rest.
_N_NAMED = 5
# The unit of a journal that holds the utilities of no player and of all.
ENDS = -1


class RetrainingValuer(BaseValuer):
    """Base of the valuers whose utility is the score of a retrained estimator.

    A subclass gives `_value`: the values of one utility's players.
    """

    @_fit_context(prefer_skip_nested_validation=False)
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
        """Value every training row by retraining.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, for estimators whose ``fit`` takes them. A row of
            weight 0 is absent and worth 0.
        groups : array-like of shape (n_train,), default=None
            Groups of rows that come and leave together: the players. None: each row
            is a player.
        X_val : array-like of shape (n_val, n_features), default=None
            The rows that models are scored on. None: each row is valued on the folds
            that do not hold it, see ``cv``.
        y_val : array-like of shape (n_val,), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights in the score.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the utility of all rows cannot be evaluated, or the journal is that of
            another run.
        """
        y, sample_weight = check_training(self, X, y, sample_weight)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, groups)
        X = takeable(X)
        tracker = FitTracker(self, X, y)
        estimator = self._unfitted(y)
        classes = np.unique(y) if takes_classes(estimator, y) else None
        digest = self._digest(
            X, y, sample_weight, groups, X_val, y_val, sample_weight_val
        )
        fixed = self.random_state
        if fixed is not None and not isinstance(fixed, Integral):
            fixed = check_random_state(fixed).randint(np.iinfo(np.int32).max)
        with opened(self.journal, digest, fixed) as journal:
            fix_random_states(estimator, journal.seed)
            scorer = check_scoring(estimator, scoring=self.scoring)
            whole = (estimator, X, y, sample_weight)
            model = self._of_all_rows(whole, classes)
            validation = (X_val, y_val, sample_weight_val)
            splits = [
                (self._quickest(utility.checked(model)), plays)
                for utility, plays in self._splits(
                    whole, classes, scorer, groups, validation
                )
            ]
            parts = [
                self._value(
                    SplitRun(utility, split, journal, tracker.each, self.n_jobs)
                )
                for split, (utility, _) in enumerate(splits)
            ]
        self.estimator_ = model
        self.closed_form_ = splits[0][0].closed_form
        self._begin(len(y), self.estimator_, classes)
        self._settle([plays for _, plays in splits], parts, groups, sample_weight)
        tracker.done()
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A utility is one number: of one target, whatever the model takes.
        tags.target_tags.multi_output = False
        return tags

    def _of_all_rows(self, whole, classes):
        """The model that rows are valued for; one that fails ends the run at once."""
        rows = (np.arange(len(whole[2])),)
        try:
            return Utility.of_training(*whole, rows, classes).fitted([0])
        except Exception as error:
            name = type(whole[0]).__name__
            error.add_note(f"{name} cannot be fitted on all rows: none can be valued.")
            raise

    def _quickest(self, utility):
        """The utility in closed form, where it has one."""
        return in_closed_form(utility)

    def _unfitted(self, y):
        if self.estimator is None:
            return default_estimator(y)
        return clone(self.estimator)

    def _digest(self, *data):
        parameters = {
            name: value
            for name, value in self.get_params(deep=True).items()
            if name not in _HOW
        }
        # What is frozen is what it was fitted to be, which its name does not say.
        frozen = self.estimator if isinstance(self.estimator, FrozenEstimator) else None
        data = data if frozen is None else (*data, frozen)
        return joblib.hash((type(self).__name__, repr(parameters), data))

    # -- utilities ----------------------------------------------------------------

    def _splits(self, whole, classes, scorer, groups, validation):
        """(utility, who plays) of the validation set, or of each fold."""
        X_val, y_val, sample_weight_val = validation
        _, X, y, sample_weight = whole
        players = players_of(len(y), groups, sample_weight)
        if X_val is not None:
            if y_val is None:
                raise ValueError("X_val was given without y_val: pass both or neither.")
            check_consistent_length(X_val, y_val, sample_weight_val)
            check_numbers(
                y_val, "y_val", "Divide y and y_val by y's standard deviation."
            )
            asked = (takeable(X_val), np.asarray(y_val), sample_weight_val)
            yield _game(whole, players, classes, scorer, asked)
            return
        if y_val is not None or sample_weight_val is not None:
            raise ValueError("y_val and sample_weight_val belong to X_val: pass it.")
        folds = check_folds(self.cv, y, classes is not None)
        for train, test in folds.split(np.zeros(len(y)), y, groups):
            trains = np.isin(np.arange(len(y)), train)
            weights = None if sample_weight is None else sample_weight[test]
            asked = (_safe_indexing(X, test), y[test], weights)
            within = [rows[trains[rows]] for rows in players]
            yield _game(whole, within, classes, scorer, asked)

    # -- values -------------------------------------------------------------------

    def _settle(self, playing, parts, groups, sample_weight):
        """Means over splits, spread over the rows of each player."""
        players = players_of(self.n_train_, groups, sample_weight)
        values = np.full((len(parts), len(players)), np.nan)
        errors = values.copy()
        for split, (plays, part) in enumerate(zip(playing, parts, strict=True)):
            values[split, plays], errors[split, plays] = part.values, part.stderr
        n_known = np.count_nonzero(~np.isnan(values), axis=0)
        with np.errstate(invalid="ignore"):
            value = np.nansum(values, axis=0) / n_known
            squares = np.where(np.isnan(values), 0.0, errors**2).sum(axis=0)
            error = np.sqrt(squares) / n_known
        self.values_ = np.zeros(self.n_train_)
        self.values_stderr_ = np.zeros(self.n_train_)
        for rows, of_player, stderr in zip(players, value, error, strict=True):
            self.values_[rows] = of_player / max(len(rows), 1)
            self.values_stderr_[rows] = stderr / max(len(rows), 1)
        if groups is not None:
            self.groups_, self.group_values_ = np.unique(groups), value
        self.n_evaluations_ = sum(part.n_evaluations for part in parts)
        failures = [error for part in parts for error in part.failures]
        self.n_failed_ = len(failures)
        self._warn(failures)

    def _warn(self, failures):
        if failures:
            warn_user(
                f"{len(failures)} of {self.n_evaluations_} utilities could not be "
                "evaluated and are left out, on both sides of every difference. The "
                f"first failed with {failures[0]}",
            )
        unmeasured = np.flatnonzero(np.isnan(self.values_))
        if unmeasured.size:
            named = ", ".join(map(str, unmeasured[:_N_NAMED]))
            more = unmeasured.size - _N_NAMED
            warn_user(
                f"Row(s) {named}{f' and {more} more' if more > 0 else ''} were never "
                "measured: their values are NaN. Evaluate more sets.",
            )

    def _wrapped(self):
        if self.estimator is None:
            return default_estimator(np.array(["a", "b"]))
        return self.estimator


@dataclass(frozen=True)
class SplitRun:
    """One split's utility, and how its evaluations are run, kept and reported."""

    utility: Utility
    split: int
    journal: Journal
    each: object
    n_jobs: int | None

    def evaluate(self, make_unit, n_units, stop=lambda outcomes: False):
        """Outcomes of units 0, 1, ...: see `evaluate_units`."""
        return evaluate_units(
            self.utility,
            make_unit,
            n_units,
            journal=self.journal,
            split=self.split,
            n_jobs=self.n_jobs,
            each=self.each,
            stop=stop,
        )

    def ends(self):
        """The utilities of no player and of all."""
        known = self.journal.units(self.split).setdefault(ENDS, {})
        n = self.utility.n_players
        for step, chosen in enumerate(([], np.arange(n))):
            if step not in known:
                self.journal.add(self.split, ENDS, step, *self.utility(chosen))
            error = known[step][1]
            if error is not None:
                raise ValueError(
                    f"The utility of {'all rows' if step else 'no row'} cannot be "
                    f"evaluated, so no row can be valued: {error}"
                )
        return known[0][0], known[1][0]

    def values(self, values, stderr):
        """The answer of this split, with what it took."""
        known = self.journal.units(self.split)
        outcomes = [outcome for steps in known.values() for outcome in steps.values()]
        failures = [error for _, error in outcomes if error is not None]
        return SplitValues(values, stderr, len(outcomes), failures)


@dataclass(frozen=True)
class SplitValues:
    """What one split's evaluations say of its players.

    Attributes
    ----------
    values, stderr : ndarray of shape (n_playing,)
    n_evaluations : int
    failures : list of str
    """

    values: np.ndarray
    stderr: np.ndarray
    n_evaluations: int
    failures: list


def _game(whole, players, classes, scorer, asked):
    plays = np.array([len(rows) > 0 for rows in players])
    playing = tuple(rows for rows in players if len(rows))
    if not playing:
        raise ValueError(
            "No row with a weight above 0 may train here: there is nothing to value."
        )
    return Utility(*whole, playing, classes, scorer, *asked, is_checked=False), plays


def fix_random_states(estimator, seed):
    """Give every random_state that is not a number yet one that stays the same."""
    for name, value in sorted(estimator.get_params(deep=True).items()):
        is_state = name == "random_state" or name.endswith("__random_state")
        if is_state and not isinstance(value, Integral):
            estimator.set_params(**{name: seed})


def players_of(n_rows, groups, sample_weight):
    """The rows of each player: of each group, or each row; without weight, none."""
    rows = np.arange(n_rows)
    weighted = (
        np.ones(n_rows, dtype=bool)
        if sample_weight is None
        else (np.asarray(sample_weight) > 0)
    )
    if groups is None:
        return tuple(rows[row : row + 1][weighted[row : row + 1]] for row in rows)
    _, group = np.unique(groups, return_inverse=True)
    return tuple(
        rows[(group == number) & weighted] for number in range(group.max() + 1)
    )
