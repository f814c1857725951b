"""A forest that keeps its splits, and whose leaves are means of the rows of a set."""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from sklinfluence._sklearn_compat import n_rows_of_ensemble
from sklinfluence.retraining._closed_forms._closed_utility import (
    ClosedUtility,
    as_floats,
    by_outputs,
    reads_predictions_only,
    row_weights,
)
from sklinfluence.retraining._closed_forms._outputs import coded_targets, score_outputs

_TREES = (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
_FORESTS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
_ABSENT = -1  # in place of a node below a leaf


@dataclass(frozen=True, eq=False)
class LeafUtility(ClosedUtility):
    """Any score of a fitted forest, or tree, as it would be with some rows in it.

    A leaf says the mean of the rows of the set that lie in it, each as often as the
    tree drew it; where none does, its nearest ancestor with some speaks. A tree
    without any is left out.

    Attributes
    ----------
    leaves : ndarray of shape (n_rows, n_trees)
        Of each training row, numbered through all trees.
    paths : ndarray of shape (n_nodes, depth)
        From the root to each node, then nothing.
    asked : ndarray of shape (n_trees, depth, n_val)
        The paths of the validation rows.
    drawn : ndarray of shape (n_rows, n_trees)
        The weight of each row in each tree.
    votes : ndarray of shape (n_rows, n_outputs)
    """

    leaves: np.ndarray
    paths: np.ndarray
    asked: np.ndarray
    drawn: np.ndarray
    votes: np.ndarray

    closed_form = "leaves"

    def trained_on(self):
        """The rows that the forest was trained on."""
        return np.flatnonzero(row_weights(self) > 0)

    def of_rows(self, rows):
        nodes = self.paths[self.leaves[rows]]
        weights = np.broadcast_to(self.drawn[rows][:, :, None], nodes.shape)
        there = (nodes != _ABSENT) & (weights > 0)
        nodes, weights, n_nodes = nodes[there], weights[there], len(self.paths)
        count = np.bincount(nodes, weights, n_nodes)
        row = np.broadcast_to(rows[:, None, None], there.shape)[there]
        sums = np.column_stack(
            [np.bincount(nodes, weights * vote[row], n_nodes) for vote in self.votes.T]
        )
        speaking = self._deepest(count > 0)
        return self._score(count[speaking], sums[speaking]), None

    def _deepest(self, has_rows):
        """The node that speaks for each query in each tree: (n_trees, n_val)."""
        speaking = self.asked[:, 0]
        for level in range(1, self.asked.shape[1]):
            nodes = self.asked[:, level]
            speaking = np.where((nodes != _ABSENT) & has_rows[nodes], nodes, speaking)
        return speaking

    def _walk(self, rows):
        return np.array([self._walk_alone(order) for order in rows]), None

    def _walk_alone(self, rows):
        n_trees, _, n_val = self.asked.shape
        count = np.zeros((n_trees, n_val))
        sums = np.zeros((n_trees, n_val, self.votes.shape[1]))
        depth = np.zeros((n_trees, n_val), dtype=np.int16)
        values = np.empty(len(rows))
        for place, row in enumerate(rows):
            shared = self._shared_depth(row)
            drawn = np.broadcast_to(self.drawn[row][:, None], depth.shape)
            closer = (shared > depth) & (drawn > 0)
            depth[closer], count[closer], sums[closer] = shared[closer], 0.0, 0.0
            joins = (shared == depth) & (drawn > 0)
            count[joins] += drawn[joins]
            sums[joins] += drawn[joins][:, None] * self.votes[row]
            values[place] = self._score(count, sums)
        return values

    def _shared_depth(self, row):
        """How many nodes a training row's path shares with each query's."""
        path = self.paths[self.leaves[row]]
        shared = np.zeros((len(path), self.asked.shape[2]), dtype=np.int16)
        for level, nodes in enumerate(path.T):
            shared += (self.asked[:, level] == nodes[:, None]) & (nodes != _ABSENT)[
                :, None
            ]
        return shared

    def _score(self, count, sums):
        speaks = count > 0
        n_speaking = speaks.sum(axis=0)[:, None]
        means = np.divide(
            sums, count[:, :, None], out=np.zeros_like(sums), where=speaks[:, :, None]
        )
        silent = self.votes[self.trained_on()].mean(axis=0)
        outputs = means.sum(axis=0) / np.maximum(n_speaking, 1)
        return score_outputs(self, np.where(n_speaking > 0, outputs, silent))


def leaf_utility(utility):
    """The closed form of a frozen tree or forest, or None where it has none."""
    model = utility.estimator.estimator
    if type(model) not in (*_TREES, *_FORESTS) or not _averages(model):
        return None
    X, X_val = as_floats(utility.X), as_floats(utility.X_val)
    if X is None or X_val is None or not reads_predictions_only(utility.scorer):
        return None
    trees = model.estimators_ if isinstance(model, _FORESTS) else [model]
    starts = np.cumsum([0, *(tree.tree_.node_count for tree in trees)])
    paths = _paths([tree.tree_ for tree in trees], starts)

    def leaves_of(rows):
        leaves = np.asarray(model.apply(rows)).reshape(len(rows), len(trees))
        return leaves + starts[:-1]

    asked = paths[leaves_of(utility.X_val)].transpose(1, 2, 0)
    drawn = row_weights(utility)[:, None] * _times_drawn(model, len(X), len(trees))
    return LeafUtility(
        **by_outputs(utility),
        leaves=leaves_of(utility.X),
        paths=paths,
        asked=np.ascontiguousarray(asked),
        drawn=drawn,
        votes=coded_targets(utility),
    )


def _averages(model):
    """Whether leaves are means of what lies in them, by weights that are known."""
    if model.criterion == "absolute_error" or model.n_outputs_ != 1:
        return False
    return getattr(model, "class_weight", None) is None


def _times_drawn(model, n_rows, n_trees):
    """How often each tree drew each row, (n_rows, n_trees)."""
    if not getattr(model, "bootstrap", False):
        return np.ones((n_rows, n_trees))
    if n_rows_of_ensemble(model) != n_rows:
        raise ValueError(
            f"The fitted {type(model).__name__} was trained on "
            f"{n_rows_of_ensemble(model)} rows, and X has {n_rows}: pass the rows that "
            "it was trained on."
        )
    draws = [np.bincount(seen, minlength=n_rows) for seen in model.estimators_samples_]
    return np.array(draws, dtype=np.float64).T


def _paths(trees, starts):
    """Paths from the root to every node of every tree, (n_nodes, depth)."""
    depth = max(tree.max_depth for tree in trees) + 1
    paths = np.full((starts[-1], depth), _ABSENT, dtype=np.int64)
    for tree, start in zip(trees, starts[:-1], strict=True):
        paths[start, 0] = start
        # Children have larger numbers than their parents.
        for node in range(tree.node_count):
            for child in (tree.children_left[node], tree.children_right[node]):
                if child > 0:
                    at = np.count_nonzero(paths[start + node] != _ABSENT)
                    paths[start + child] = paths[start + node]
                    paths[start + child, at] = start + child
    return paths
