"""A vote of nearest neighbours on every prefix of a permutation, by one sort."""

from dataclasses import dataclass

import numpy as np
from sklearn import get_config
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from sklinfluence.retraining._closed_forms._closed_utility import (
    ClosedUtility,
    as_floats,
    by_outputs,
    reads_predictions_only,
)
from sklinfluence.retraining._closed_forms._outputs import coded_targets, score_outputs


@dataclass(frozen=True, eq=False)
class NeighborsUtility(ClosedUtility):
    """Any score of a nearest-neighbours vote or mean.

    Equal distances are taken in order of the rows. A set of fewer rows than
    neighbours has no score, as its fit has none, unless it is of one class.

    Attributes
    ----------
    distances : ndarray of shape (n_val, n_rows)
    order : ndarray of shape (n_val, n_rows)
        Training rows, nearest first.
    rank : ndarray of shape (n_val, n_rows)
        The place of each training row in ``order``.
    votes : ndarray of shape (n_rows, n_outputs)
    """

    distances: np.ndarray
    order: np.ndarray
    rank: np.ndarray
    votes: np.ndarray

    closed_form = "neighbors"

    @property
    def n_neighbors(self):
        return self.estimator.n_neighbors

    def of_rows(self, rows):
        K, ranks = self.n_neighbors, self.rank[:, rows]
        alone = self._of_one_class(rows)
        if alone is not None:
            return alone, None
        if len(rows) < K:
            return np.nan, self._too_few(len(rows))
        nearest = np.sort(np.partition(ranks, K - 1, axis=1)[:, :K], axis=1)
        return score_outputs(self, self._outputs(np.arange(len(ranks)), nearest)), None

    def _walk(self, rows):
        values = np.array([self._walk_alone(order) for order in rows])
        return values, self._too_few(1) if np.isnan(values).any() else None

    def _walk_alone(self, rows):
        n_val, n = self.rank.shape
        nearest = np.full((n_val, self.n_neighbors), n, dtype=self.rank.dtype)
        outputs = np.zeros((n_val, self.votes.shape[1]))
        values = np.empty(len(rows))
        for place, row in enumerate(rows):
            changed = np.flatnonzero(self.rank[:, row] < nearest[:, -1])
            joined = np.column_stack([nearest[changed], self.rank[changed, row]])
            nearest[changed] = np.sort(joined, axis=1)[:, :-1]
            size = place + 1
            if size >= self.n_neighbors:
                # Until then some neighbours are missing: all rows are done at once.
                at = changed if size > self.n_neighbors else np.arange(n_val)
                outputs[at] = self._outputs(at, nearest[at])
            values[place] = self._value(rows[:size], size, outputs)
        return values

    def _value(self, rows, size, outputs):
        alone = self._of_one_class(rows)
        if alone is not None:
            return alone
        return np.nan if size < self.n_neighbors else score_outputs(self, outputs)

    def _of_one_class(self, rows):
        """The score of rows of one class: of what names it always; None of others."""
        if self.classes is None:
            return None
        first = self.votes[rows[0]]
        if not np.array_equal(self.votes[rows].sum(axis=0), len(rows) * first):
            return None
        return score_outputs(self, np.tile(first, (len(self.rank), 1)))

    def _outputs(self, queries, nearest):
        """Weighted mean vote of the rows of these ranks, (n_queries, n_outputs)."""
        rows = self.order[queries[:, None], nearest]
        if self.estimator.weights == "uniform":
            return self.votes[rows].mean(axis=1)
        far = self.distances[queries[:, None], rows]
        touched = (far == 0).any(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            weights = np.where(touched, far == 0, 1.0 / far)
        total = weights.sum(axis=1)[:, None]
        return (weights[:, None, :] @ self.votes[rows])[:, 0] / total

    def _too_few(self, size):
        return f"ValueError: n_neighbors={self.n_neighbors} is more than the rows"


def neighbors_utility(utility):
    """The closed form of a utility, or None where it has none."""
    model = utility.estimator
    if type(model) not in (KNeighborsClassifier, KNeighborsRegressor):
        return None
    known = model.weights in ("uniform", "distance") and model.metric != "precomputed"
    if not known or not reads_predictions_only(utility.scorer):
        return None
    X, X_val = as_floats(utility.X), as_floats(utility.X_val)
    if X is None or X_val is None or not _fits_memory(len(X), len(X_val)):
        return None
    keywords = dict(model.metric_params or {})
    if model.metric == "minkowski":
        keywords.setdefault("p", model.p)
    distances = pairwise_distances(X_val, X, metric=model.metric, **keywords)
    order = np.argsort(distances, axis=1, kind="stable").astype(np.int32)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(X), dtype=np.int32)[None], axis=1)
    votes = coded_targets(utility)
    return NeighborsUtility(
        **by_outputs(utility), distances=distances, order=order, rank=rank, votes=votes
    )


def _fits_memory(n_rows, n_val):
    """Whether distances and both orders fit into scikit-learn's working memory."""
    return 16 * n_rows * n_val <= get_config()["working_memory"] * 2**20
