"""What the rankers of nearest neighbours share: players, queries, and their mean."""

from numbers import Integral, Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    RadiusNeighborsClassifier,
)
from sklearn.utils.validation import validate_data

from sklinfluence._estimators import (
    are_classes,
    check_folds,
    check_values,
    encode_values,
    extreme,
    label_index,
)
from sklinfluence._progress import FitTracker
from sklinfluence._scheduling import map_blocks
from sklinfluence._sklearn_compat import (
    Interval,
    StrOptions,
    _check_sample_weight,
    _fit_context,
    _safe_indexing,
)
from sklinfluence._typing import Rows
from sklinfluence.base import BaseRanker, BaseValuer
from sklinfluence.neighbors._game import NeighborGame
from sklinfluence.neighbors._nearest import SortedRows

PARAMETERS = {
    "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    "utility": [StrOptions({"soft", "hard", "threshold"})],
    "radius": [Interval(Real, 0, None, closed="left"), None],
    "metric": [str, callable],
    "metric_params": [dict, None],
    "cv": ["cv_object"],
    "n_influences": [Interval(Integral, 1, None, closed="left"), None],
    "n_jobs": [Integral, None],
}


class NeighborsRanker(BaseRanker):
    """Base of the rankers whose model is a vote of nearest neighbours.

    A subclass says how many rows it has to see (`_n_nearest`) and what each is worth
    to a query (`_worth`).
    """

    # Rows are ranked by what they are worth, and have no influence on themselves.
    ranking_ = BaseValuer.ranking_
    _known_label_scores = BaseValuer._known_label_scores
    _label_scores = BaseValuer._label_scores

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        X_val: Rows | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Value every training row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            A row of weight 0 is absent and worth 0. Other weights multiply what a row's
            match counts; with real targets they must be equal.
        groups : array-like of shape (n_train,), default=None
            Groups of rows, for a ``cv`` that keeps them together.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            The queries whose predictions rows are valued by. None: each row is valued
            by the rows of the folds that do not train on them, see ``cv``.
        y_val : array-like of shape (n_val,), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights in the mean.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If weights are all 0, or not equal with real targets; if ``X_val`` comes
            without ``y_val``; if ``utility="threshold"`` meets real targets or no
            radius.
        """
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32]
        )
        X = _in_range(X)
        tracker = FitTracker(self, X, y)
        classes = np.unique(y) if are_classes(y) else None
        weights = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self._check_options(classes, weights)
        self._check_metric(X)
        self._begin(len(y), classes=classes)
        self._X, rows = X, np.flatnonzero(weights)
        targets = self._coded(y)
        self._game = NeighborGame(
            rows,
            self._sorted_rows(rows),
            targets[rows],
            weights[rows],
            None if classes is None else len(classes),
            self.radius if self.utility == "threshold" else None,
        )
        self.estimator_ = self._vote().fit(X[rows], _safe_indexing(y, rows))
        if X_val is None:
            asked = [weights, groups, y_val, sample_weight_val]
            self.values_ = self._values_by_folds(y, targets, *asked, tracker.each)
        else:
            queries, at, share = self._validation(X_val, y_val, sample_weight_val)
            total = self._total(self._game, queries, at, share, tracker.each)
            self.values_ = total / share.sum()
        tracker.done()
        return self

    def _check_options(self, classes, weights):
        name = type(self).__name__
        if classes is None and np.ptp(weights[weights > 0]) > 0:
            raise ValueError(
                "sample_weight of real targets can leave rows out (0), and the others "
                f"must weigh the same: a weighted vote of {name} has no closed form."
            )
        if self.utility == "threshold" and classes is None:
            raise ValueError(
                "utility='threshold' counts matching labels, and y holds real targets. "
                "Use utility='hard' or 'soft'."
            )
        if (self.utility == "threshold") != (self.radius is not None):
            raise ValueError(
                "utility='threshold' and radius= belong together: got "
                f"utility={self.utility!r}, radius={self.radius!r}."
            )

    def _check_metric(self, X):
        parameters = self.metric_params or {}
        try:
            pairwise_distances(X[:1], metric=self.metric, **parameters)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"metric={self.metric!r} with metric_params={parameters!r} gives no "
                f"distances of these rows: {error}"
            ) from error

    def _sorted_rows(self, rows):
        X = self._X if len(rows) == self._X.shape[0] else self._X[rows]
        n_nearest = min(self._n_nearest(len(rows)), len(rows))
        return SortedRows(X, self.metric, self.metric_params, n_nearest)

    def _vote(self):
        """The model whose predictions rows are valued by."""
        shared = {"metric": self.metric, "metric_params": self.metric_params}
        if self.utility == "threshold":
            return RadiusNeighborsClassifier(
                self.radius, outlier_label="most_frequent", **shared
            )
        n_neighbors = min(self.n_neighbors, self._game.n_players)
        if hasattr(self, "classes_"):
            return KNeighborsClassifier(n_neighbors, **shared)
        return KNeighborsRegressor(n_neighbors, **shared)

    # -- queries ------------------------------------------------------------------

    def _validation(self, X_val, y_val, sample_weight_val):
        if y_val is None:
            raise ValueError("X_val was given without y_val: pass both or neither.")
        X_val, y_val = self._asked(X_val, y_val)
        weights = _check_sample_weight(
            sample_weight_val, np.empty(len(y_val)), ensure_non_negative=True
        )
        return self._validated(X_val), self._coded(y_val), weights

    def _validated(self, X):
        return _in_range(
            validate_data(
                self,
                X,
                reset=False,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
            )
        )

    def _coded(self, y):
        if hasattr(self, "classes_"):
            return label_index(y, self.classes_)
        return encode_values(y, 1)[:, 0]

    def _values_by_folds(
        self, y, targets, weights, groups, y_val, sample_weight_val, each
    ):
        """Each row's mean value to the rows of folds that were not trained with it."""
        if y_val is not None or sample_weight_val is not None:
            raise ValueError("y_val and sample_weight_val belong to X_val: pass it.")
        folds = check_folds(self.cv, y, hasattr(self, "classes_"))
        total, asked = np.zeros(len(y)), np.zeros(len(y))
        for train, held_out in folds.split(self._X, y, groups):
            train, held_out = np.sort(train), np.asarray(held_out)
            train = train[weights[train] > 0]
            held_out = held_out[weights[held_out] > 0]
            game = self._game.among(train, self._sorted_rows(train))
            queries, share = self._X[held_out], np.ones(len(held_out))
            total += self._total(game, queries, targets[held_out], share, each)
            asked[train] += len(held_out)
        # A row of weight 0 is worth 0; one that no fold trained on was not measured.
        never = np.where(weights > 0, np.nan, 0.0)
        return np.divide(total, asked, out=never, where=asked > 0)

    def _total(self, game, queries, asked, share, each):
        """Weighted sum over queries of what each training row is worth to them."""

        def of_block(block):
            players, values = self._block(game, queries[block], asked[block])
            total = np.zeros(game.n_players)
            for at, row, weight in zip(players, values, share[block], strict=True):
                total[at] += weight * row
            return total

        blocks = each("value the rows", game.blocks(len(share)))
        parts = map_blocks(of_block, blocks, n_jobs=self.n_jobs)
        total = np.zeros(self.n_train_)
        total[game.rows] = np.sum(parts, axis=0)
        return total

    def _block(self, game, queries, asked):
        players, brings, inside = game.players(queries, asked)
        return players, self._worth(game, brings, asked, inside)

    def _influence_block(self, X, y):
        queries = self._validated(X)
        asked = None if y is None else self._coded(y)
        influence = np.zeros((queries.shape[0], self.n_train_))
        for block in self._game.blocks(len(influence)):
            at = None if asked is None else asked[block]
            players, values = self._block(self._game, queries[block], at)
            rows = self._game.rows[players]
            np.put_along_axis(influence[block], rows, values, axis=1)
        return influence

    def _wrapped(self):
        return KNeighborsClassifier()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _in_range(X):
    """Rows whose squared distances are floats."""
    check_values(X, "X", "Scale its columns.")
    # Distances come out in X's own type, and squares are beyond single precision.
    is_far = X.dtype == np.float32 and extreme(X) > 1e15
    return X.astype(np.float64) if is_far else X
