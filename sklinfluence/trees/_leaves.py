"""Which leaf of each tree a row is in, whatever library the trees come from.

A *reader* of a fitted ensemble has ``leaf_values``, stages of outputs of arrays of
shape (n_leaves,) or (n_leaves, n_classes): what a leaf adds to the raw prediction, or
says; ``children``, in the same order, pairs of arrays over the nodes (left and right
child, negative at leaves, the root first; leaves are numbered as their nodes are); and
``leaf_indices(X)``, which yields a stage at a time the number of each row's leaf, int32
of shape (n_rows, n_outputs): nothing of the size of rows times trees is kept.
"""

from functools import singledispatch
from importlib import import_module

import numpy as np
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import _num_samples

from sklinfluence._estimators import steps_before_last, transformed

# Where the readers of other libraries' models are; imported when the first one comes.
_ELSEWHERE = {
    "lightgbm": "sklinfluence.trees._lightgbm",
    "xgboost": "sklinfluence.trees._xgboost",
}
# Leaves, of rows and trees, that another library is asked for in one call.
_ASKED_AT_ONCE = 2**24


class TreeLeaves:
    """Reader of scikit-learn's decision trees.

    Parameters
    ----------
    members : ndarray of shape (n_stages, n_outputs)
        Fitted decision trees.
    prepare : callable
        Makes of X what the trees read.
    values_of : callable
        What a leaf says, from the tree's ``value`` at its leaves.
    """

    def __init__(self, members, prepare, values_of):
        self.members, self.prepare = members, prepare
        self.leaf_values = [
            [values_of(tree.tree_.value[_is_leaf(tree.tree_)]) for tree in stage]
            for stage in members
        ]

    @property
    def children(self):
        return [
            [(tree.tree_.children_left, tree.tree_.children_right) for tree in stage]
            for stage in self.members
        ]

    def leaf_indices(self, X):
        X = self.prepare(X)
        for stage in self.members:
            found = [_numbers(tree.tree_)[tree.tree_.apply(X)] for tree in stage]
            yield np.stack(found, axis=1)


def _is_leaf(tree):
    return tree.children_left < 0


def _numbers(tree):
    """The number of each leaf among the leaves, by its node."""
    return (np.cumsum(_is_leaf(tree)) - 1).astype(np.int32)


class AskedLeaves:
    """Reader of another library's model, which is asked for some stages at a time.

    Parameters
    ----------
    ask : callable
        ``ask(X, first, n)`` gives the leaves of n stages from the first on, as the
        library numbers them: (n_rows, n * n_outputs).
    leaf_values, children : list of lists
        As a reader has them.
    numbers : list of lists of ndarray, default=None
        The number of a leaf by what the library calls it; None where it is the same.
    """

    def __init__(self, ask, leaf_values, children, numbers=None):
        self.ask, self.leaf_values, self.children = ask, leaf_values, children
        self.numbers = numbers

    def leaf_indices(self, X):
        n_stages, n_outputs = len(self.leaf_values), len(self.leaf_values[0])
        size = max(1, _ASKED_AT_ONCE // max(1, _num_samples(X) * n_outputs))
        for first in range(0, n_stages, size):
            n = min(size, n_stages - first)
            found = np.asarray(self.ask(X, first, n)).astype(np.int32)
            found = found.reshape(-1, n, n_outputs)
            for at in range(n):
                yield self._numbered(found[:, at], first + at)

    def _numbered(self, leaves, stage):
        if self.numbers is None:
            return leaves
        return values_at(self.numbers[stage], leaves).astype(np.int32)


class AfterSteps:
    """Reader of an ensemble that ends a Pipeline."""

    def __init__(self, reader, steps):
        self.reader, self.steps = reader, steps

    @property
    def leaf_values(self):
        return self.reader.leaf_values

    @property
    def children(self):
        return self.reader.children

    def leaf_indices(self, X):
        return self.reader.leaf_indices(transformed(self.steps, X))


def after(pipeline, reader):
    """The reader of a Pipeline's last step, of what comes before it."""
    steps = steps_before_last(pipeline)
    return AfterSteps(reader, steps) if steps else reader


def last_input(pipeline, X):
    """What a Pipeline's last step gets to see."""
    return transformed(steps_before_last(pipeline), X)


def compact(leaves):
    """Numbers of leaves in the smallest unsigned type that holds them."""
    return leaves.astype(np.min_scalar_type(int(leaves.max(initial=0))), copy=False)


def values_at(values, leaves):
    """What a stage adds to rows, (n_rows, n_outputs)."""
    return np.stack([v[at] for v, at in zip(values, leaves.T, strict=True)], axis=1)


def paths(left, right):
    """The nodes on the way to each leaf, itself included: CSR (n_leaves, n_nodes)."""
    n_nodes = len(left)
    parent = np.full(n_nodes, -1)
    inner = np.flatnonzero(left >= 0)
    parent[left[inner]] = parent[right[inner]] = inner
    leaves = np.flatnonzero(left < 0)
    at, rows, columns = leaves, [], []
    number = np.arange(len(leaves))
    while len(at):
        rows.append(number)
        columns.append(at)
        is_below = parent[at] >= 0
        at, number = parent[at][is_below], number[is_below]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix(
        (np.ones(len(rows)), (rows, columns)), shape=(len(leaves), n_nodes)
    )


@singledispatch
def read_leaves(model):
    """The reader of a fitted ensemble.

    Raises
    ------
    TypeError
        If models of this class are not known.
    """
    return reader_of(read_leaves, model)(model)


@read_leaves.register(FrozenEstimator)
def _read_frozen(model):
    return read_leaves(model.estimator)


@read_leaves.register(Pipeline)
def _read_last(model):
    return after(model, read_leaves(model.steps[-1][1]))


def reader_of(function, model):
    """The implementation of a singledispatch function for another library's model."""
    packages = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    for package in packages & set(_ELSEWHERE):
        import_module(_ELSEWHERE[package])
    found = function.dispatch(type(model))
    if found is function.dispatch(object):
        raise TypeError(
            f"The trees of {type(model).__name__} are not known here: pass a "
            "HistGradientBoosting*, GradientBoosting*, LGBM* or XGB* model (or, to "
            "ForestRanker and LeafEmbedding, a RandomForest* or ExtraTrees*), fitted "
            "ones as FrozenEstimator(model)."
        )
    return found
