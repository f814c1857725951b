"""The filter's own forest: grown once on the given labels, its bootstrap by content.

Random trees [1]_ on the columns as they are, holes included. What a tree sees of a
column is its order alone, so it is given ranks: no unit is too large or too small for
its single precision.

Rows of equal columns are one unit of the bootstrap, whatever their labels: they are
drawn together or left out together. Units are numbered by their content. Neither the
order of the rows, nor whether a row comes twice or with a weight of two, nor rows of
weight zero change a tree.

References
----------
.. [1] Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.
"""

from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.tree import DecisionTreeClassifier

from sklinfluence._scheduling import map_blocks
from sklinfluence.filtering._votes._forest_vote import ForestVote, LeafMeans

# Twice as many rank alike on nine sets (mean average precision .826 and .827).
N_TREES = 100
MIN_SAMPLES_LEAF = 3


def grow_classes(X, targets, sample_weight, random_state, n_jobs=None, groups=()):
    """The vote of a forest grown on class memberships.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN is a value of its own.
    targets : ndarray of shape (n, K)
        One-hot; a row of several classes is grown on as one row a class.
    sample_weight : ndarray of shape (n,)
        0 is absence.
    random_state : RandomState
    n_jobs : int, default=None
        Threads that grow trees.
    groups : list of ndarray, default=()
        Rows that leave together, of every group of more than one.

    Returns
    -------
    vote : ForestVote
    """
    tree = DecisionTreeClassifier(
        min_samples_leaf=MIN_SAMPLES_LEAF, max_features="sqrt"
    )
    rows, codes = np.nonzero(targets)
    share = targets[rows, codes]
    forest = Forest(tree, n_jobs)
    forest.fit(X, codes, sample_weight, random_state, share, rows)
    return ForestVote(forest.apply, forest.leaf_means(X, groups=groups))


class Forest:
    """Trees on bootstrap draws of distinct rows.

    Parameters
    ----------
    tree : DecisionTreeClassifier or DecisionTreeRegressor
    n_jobs : int or None
    """

    def __init__(self, tree, n_jobs=None):
        self.tree = tree
        self.n_jobs = n_jobs

    def fit(self, X, y, sample_weight, random_state, share=None, rows=None):
        """Grow the trees.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray of shape (n_targets,)
            Codes of classes, or targets.
        sample_weight : ndarray of shape (n,)
        random_state : RandomState
        share : ndarray of shape (n_targets,), default=None
            Of its row's weight that a target has; all of it when None.
        rows : ndarray of shape (n_targets,), int, default=None
            The row that a target belongs to; each its own when None.

        Returns
        -------
        self
        """
        used = sample_weight > 0
        self.ranks_ = Ranks().fit(X[used])
        columns = self.ranks_.transform(X)
        unit = np.full(len(X), -1)
        unit[used] = content_numbers(columns[used])
        rows = np.arange(len(X)) if rows is None else rows
        mass = sample_weight[rows] if share is None else sample_weight[rows] * share
        rows, y, mass = rows[mass > 0], y[mass > 0], mass[mass > 0]
        first, merged, y = _merged(unit[rows], y)
        first, weight = rows[first], np.bincount(merged, weights=mass)
        n_units = unit.max() + 1
        seeds = random_state.randint(np.iinfo(np.int32).max, size=N_TREES)
        draws = [_draw(n_units, seed) for seed in seeds]
        grow = partial(_grow, self.tree, columns[first], y)
        weights = (weight * draw[unit[first]] for draw in draws)
        self.trees_ = map_blocks(grow, weights, seeds, n_jobs=self.n_jobs)
        self.bag_ = np.zeros((len(sample_weight), N_TREES), dtype=np.int32)
        self.bag_[used] = np.column_stack(draws)[unit[used]]
        self.sample_weight_ = sample_weight
        return self

    def apply(self, X):
        """Leaf of every row in every tree, (n, n_trees)."""
        columns = self.ranks_.transform(X)
        leaves = [tree.tree_.apply(columns) for tree in self.trees_]
        return np.column_stack(leaves).astype(np.int32)

    def leaf_means(self, X, pseudo=1.0, groups=()):
        """The means of the leaves, for targets of the rows that were fitted."""
        is_out = self.bag_ == 0
        for rows in groups:
            is_out[rows] = is_out[rows].all(axis=0)
        return LeafMeans(self.apply(X), self.bag_, is_out, self.sample_weight_, pseudo)


class Ranks:
    """Columns as the ranks of their values among those seen, holes left alone.

    A value between two that were seen lies as far between their ranks.
    """

    def fit(self, X):
        """Sort the values of every column."""
        self.values_ = [np.unique(column[~np.isnan(column)]) for column in X.T]
        return self

    def transform(self, X):
        """Ranks in single precision, (n, d)."""
        ranks = np.empty(X.shape, dtype=np.float32)
        for j, values in enumerate(self.values_):
            # Halves: the difference of two large numbers must stay a number.
            column, values = 0.5 * X[:, j], 0.5 * values
            places = np.arange(len(values))
            hole = np.isnan(column)
            ranks[:, j] = np.interp(column, values, places) if len(values) else 0.0
            ranks[hole, j] = np.nan
        return ranks


def content_numbers(columns):
    """A number for every row, equal for equal rows, in an order set by content.

    Parameters
    ----------
    columns : ndarray of shape (n, d), dtype float32
        Neither negative numbers nor a negative zero; any NaN equals any other.

    Returns
    -------
    numbers : ndarray of shape (n,), int
        0 to the number of distinct rows, less one.
    """
    filled = np.where(np.isnan(columns), np.float32(-1.0), columns)
    rows = np.ascontiguousarray(filled).view(f"V{filled.itemsize * filled.shape[1]}")
    return np.unique(rows.ravel(), return_inverse=True)[1].ravel()


def _merged(unit, y):
    """Rows of one unit and target as one: the first of each, its number, targets."""
    values, codes = np.unique(y, return_inverse=True)
    pairs, first, row = np.unique(
        unit * len(values) + codes, return_index=True, return_inverse=True
    )
    return first, row, values[pairs % len(values)]


def _draw(n_units, seed):
    """How often a bootstrap of the units draws each."""
    drawn = np.random.RandomState(seed).randint(n_units, size=n_units)
    return np.bincount(drawn, minlength=n_units)


def _grow(tree, columns, y, weight, seed):
    grown = clone(tree).set_params(random_state=seed)
    return grown.fit(columns, y, sample_weight=weight)
