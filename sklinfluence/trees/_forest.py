"""A fitted forest as arrays: each leaf says the weighted mean of its rows' targets.

With c_ti the weight of row i in tree t (how often its bag holds it) and N_l the sum of
these weights over the rows of leaf l, a prediction is a sum over training rows,
f(x) = sum_i a_i(x) y_i with a_i(x) = 1/T sum_t [same leaf] c_ti / N_l, and without row
i, structures and bags kept, it is
f(x) - 1/T sum_t [same leaf] c_ti / (N_l - c_ti) (y_i - theta_l). Both are exact.
"""

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from sklinfluence._estimators import encode_values, label_index, row_weights
from sklinfluence._sklearn_compat import (
    draws_by_weight,
    forest_input,
    n_rows_of_ensemble,
)
from sklinfluence.trees._leaves import (
    TreeLeaves,
    after,
    last_input,
    read_leaves,
)
from sklinfluence.trees._proof import refuse

# Leaves are means, up to the rounding of their sums.
_TOLERANCE = 1e-10
# What is left of a leaf's weight, relative, when nothing is left.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Forest:
    """A fitted forest with the rows that it was trained on.

    Parameters
    ----------
    reader : object
        ``leaf_values`` and ``leaf_indices(X)`` of the model.
    targets : ndarray of shape (n_train, n_outputs)
        Labels as 0 and 1 for each class, or real targets.
    leaves : ndarray of shape (n_train, n_trees)
        The leaf of each row in each tree, numbered through all trees.
    weights : ndarray of shape (n_train, n_trees)
        c, the weight of each row in each tree; 0 out of its bag.
    values : ndarray of shape (n_leaves, n_outputs)
        What each leaf says, recomputed from its rows.
    totals : ndarray of shape (n_leaves,)
        N, the sum of weights in each leaf.
    has_bags : bool
        Whether trees were trained on bootstrap samples.
    """

    reader: Any
    targets: Any
    leaves: Any
    weights: Any
    values: Any
    totals: Any
    has_bags: bool

    @property
    def n_trees(self):
        return self.leaves.shape[1]

    @property
    def mean_weight(self):
        """The weight in a tree of a row that trained, over rows and trees."""
        n_rows = np.count_nonzero(self.weights.any(axis=1))
        return self.weights.sum() / (n_rows * self.n_trees)

    def leaf_numbers(self, X):
        """The leaf of each row in each tree, numbered through all trees."""
        return _numbered(self.reader, X)

    def predict(self, leaves):
        """Mean of what the leaves of rows say, (n_rows, n_outputs)."""
        return _mean_over_trees(self.values, leaves)

    def members(self):
        """c as a CSR matrix of shape (n_leaves, n_train)."""
        n_train, n_trees = self.leaves.shape
        rows = np.repeat(np.arange(n_train), n_trees)
        entries = (self.weights.ravel(), (self.leaves.ravel(), rows))
        shape = len(self.totals), n_train
        made = sparse.csr_matrix(entries, shape=shape, dtype=np.float64)
        made.eliminate_zeros()
        return made

    def leaving(self, members):
        """c / (N - c) for the entries of `members`; 0 where the leaf would empty."""
        total = np.repeat(self.totals, np.diff(members.indptr))
        made = members.copy()
        made.data = over_what_is_left(members.data, total)
        return made

    def own_change(self):
        """Change of each row's own prediction when it leaves, (n_train, n_outputs)."""
        change = np.zeros_like(self.targets)
        for leaves, weights in zip(self.leaves.T, self.weights.T, strict=True):
            leaving = over_what_is_left(weights, self.totals[leaves])
            change -= leaving[:, None] * (self.targets - self.values[leaves])
        return change / self.n_trees

    def out_of_bag(self):
        """What the trees that did not see a row say of it; NaN where all did."""
        total, count = np.zeros_like(self.targets), np.zeros(len(self.targets))
        for leaves, weights in zip(self.leaves.T, self.weights.T, strict=True):
            is_out = weights == 0
            total[is_out] += self.values[leaves[is_out]]
            count[is_out] += 1
        unknown = np.full_like(total, np.nan)
        known = count[:, None] > 0
        return np.divide(total, count[:, None], out=unknown, where=known)


def over_what_is_left(weights, totals):
    """c / (N - c); 0 where nothing else is in the leaf."""
    left = totals - weights
    out = np.zeros(len(left))
    return np.divide(weights, left, out=out, where=left > _NOTHING * totals)


def _mean_over_trees(values, leaves):
    total = np.zeros((len(leaves), values.shape[1]))
    for of_tree in leaves.T:
        total += values[of_tree]
    return total / leaves.shape[1]


def _numbered(reader, X):
    sizes = [len(stage[0]) for stage in reader.leaf_values]
    starts = np.cumsum([0, *sizes[:-1]])
    found = [
        start + leaves[:, 0]
        for start, leaves in zip(starts, reader.leaf_indices(X), strict=True)
    ]
    return np.stack(found, axis=1).astype(np.int32)


@read_leaves.register(RandomForestClassifier)
@read_leaves.register(ExtraTreesClassifier)
@read_leaves.register(RandomForestRegressor)
@read_leaves.register(ExtraTreesRegressor)
def _leaves(model):
    members = np.array(model.estimators_, dtype=object)[:, None]
    says = _shares if is_classifier(model) else _means
    return TreeLeaves(members, _Input(model), says)


class _Input:
    def __init__(self, model):
        self.model = model

    def __call__(self, X):
        return forest_input(self.model, X)


def _shares(value):
    return value[:, 0] / value[:, 0].sum(axis=1, keepdims=True)


def _means(value):
    return value[:, :, 0]


@singledispatch
def read_forest(model, X, y, sample_weight=None):
    """A fitted forest as arrays, proved on its training rows.

    Parameters
    ----------
    model : estimator
        Fitted; RandomForest* or ExtraTrees*.
    X : array-like of shape (n_train, n_features)
        The rows that it was trained on.
    y : array-like of shape (n_train,)
    sample_weight : array-like of shape (n_train,), default=None
        The weights that it was trained with.

    Returns
    -------
    forest : Forest

    Raises
    ------
    TypeError
        If the model is no such forest.
    ValueError
        If its leaves are no means, or not of these rows.
    """
    raise TypeError(
        f"{type(model).__name__} is no forest: pass a RandomForest* or ExtraTrees*, a "
        "Pipeline that ends in one, or a fitted one as FrozenEstimator(model). For "
        "boosted trees there is LeafInfluenceRanker."
    )


@read_forest.register(FrozenEstimator)
def _read_frozen(model, X, y, sample_weight=None):
    return read_forest(model.estimator, X, y, sample_weight)


@read_forest.register(Pipeline)
def _read_last(model, X, y, sample_weight=None):
    forest = read_forest(model.steps[-1][1], last_input(model, X), y, sample_weight)
    return replace(forest, reader=after(model, forest.reader))


@read_forest.register(RandomForestClassifier)
@read_forest.register(ExtraTreesClassifier)
@read_forest.register(RandomForestRegressor)
@read_forest.register(ExtraTreesRegressor)
def read_scikit_learn(model, X, y, sample_weight=None):
    _check(model, len(y))
    reader = read_leaves(model)
    targets = _targets(model, y)
    leaves = _numbered(reader, X)
    weights = _weights(model, y, sample_weight)
    values, totals = _recomputed(reader, leaves, weights, targets)
    _prove(model, reader, values)
    return Forest(reader, targets, leaves, weights, values, totals, model.bootstrap)


def _check(model, n_rows):
    if model.monotonic_cst is not None and np.any(model.monotonic_cst):
        refuse(model, "monotonic_cst clips the values of its leaves")
    if model.criterion == "absolute_error":
        refuse(model, "criterion='absolute_error' makes leaves medians, not means")
    if model.n_outputs_ > 1:
        refuse(model, "it predicts several outputs. Fit one for each, y[:, k]")
    trained = n_rows_of_ensemble(model)
    if trained != n_rows:
        refuse(model, f"it was trained on {trained} rows, and X has {n_rows}")


def _targets(model, y):
    if not is_classifier(model):
        return encode_values(y, 1)
    return np.eye(len(model.classes_))[label_index(y, model.classes_)]


def _weights(model, y, sample_weight):
    """c, the weight of each row in each tree, (n_rows, n_trees)."""
    own = row_weights(sample_weight, y) * _class_weights(model, y, sample_weight)
    if not model.bootstrap:
        return np.repeat(own[:, None], len(model.estimators_), axis=1)
    # Once: the attribute draws all samples anew whenever it is read.
    samples = model.estimators_samples_
    counts = np.empty((len(y), len(samples)))
    for tree, drawn in enumerate(samples):
        counts[:, tree] = np.bincount(drawn, minlength=len(y))
        if getattr(model, "class_weight", None) == "balanced_subsample":
            counts[:, tree] *= compute_sample_weight("balanced", y, indices=drawn)
    return counts if draws_by_weight(model) else counts * own[:, None]


def _class_weights(model, y, sample_weight):
    weight = getattr(model, "class_weight", None)
    if weight is None or (weight == "balanced_subsample" and model.bootstrap):
        return np.ones(len(y))
    if isinstance(weight, str):
        if not draws_by_weight(model):
            sample_weight = None
        made = compute_class_weight(
            "balanced", classes=model.classes_, y=y, sample_weight=sample_weight
        )
        weight = dict(zip(model.classes_, made, strict=True))
    return compute_sample_weight(weight, y)


def _recomputed(reader, leaves, weights, targets):
    n_leaves = sum(len(stage[0]) for stage in reader.leaf_values)
    totals, sums = np.zeros(n_leaves), np.zeros((n_leaves, targets.shape[1]))
    for at, of_tree in zip(leaves.T, weights.T, strict=True):
        totals += np.bincount(at, of_tree, n_leaves)
        for k, target in enumerate(targets.T):
            sums[:, k] += np.bincount(at, of_tree * target, n_leaves)
    with np.errstate(invalid="ignore"):  # a leaf without rows: the proof names it
        return sums / totals[:, None], totals


def _prove(model, reader, values):
    stored = np.concatenate([stage[0] for stage in reader.leaf_values])
    scale = max(1.0, np.max(np.abs(stored)))
    away = np.max(np.abs(values - stored)) / scale
    if not away <= _TOLERANCE:
        refuse(
            model,
            f"its leaves differ by {away:.1e} (relative) from the means of their rows. "
            "X, y or sample_weight are not what it was trained on, or warm_start "
            "trained trees on others",
        )
