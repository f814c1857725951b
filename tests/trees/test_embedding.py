"""Leaves as columns, against scikit-learn's encoder, its paths, and loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import clone
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklinfluence.trees import LeafEmbedding
from sklinfluence.trees._leaves import read_leaves

FEW = {"n_estimators": 4, "random_state": 0}
MODELS = {
    "forest": (RandomForestClassifier(max_depth=4, **FEW), "three"),
    "values": (ExtraTreesRegressor(max_depth=4, **FEW), "real"),
    "plain": (GradientBoostingClassifier(**FEW), "three"),
    "hist": (
        HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=5, random_state=0),
        "two",
    ),
}


@pytest.fixture(params=[*MODELS, "light", "extreme"])
def fitted(request, data):
    if request.param in MODELS:
        model, targets = MODELS[request.param]
        return clone(model).fit(data.X, getattr(data, targets)), data
    y = (data.two == "yes").astype(int)
    if request.param == "light":
        lightgbm = pytest.importorskip("lightgbm")
        options = {"min_child_samples": 5, "verbose": -1}
        return lightgbm.LGBMClassifier(n_estimators=4, **options).fit(data.X, y), data
    xgboost = pytest.importorskip("xgboost")
    return xgboost.XGBClassifier(n_estimators=4, max_depth=3).fit(data.X, y), data


def embedded(model, data, **options):
    y = model.predict(data.X)
    made = LeafEmbedding(FrozenEstimator(model), **options).fit(data.X, y)
    return made, made.transform(data.X)


def by_hand(model, X):
    """What each row's leaf says, and which it is, tree by tree."""
    reader, values, leaves = read_leaves(model), [], []
    for stage, found in zip(reader.leaf_values, reader.leaf_indices(X), strict=True):
        for of_tree, at in zip(stage, found.T, strict=True):
            values.append(np.reshape(of_tree[at], (len(at), -1)))
            leaves.append(at)
    return values, np.array(leaves).T


def test_leaf_path_is_scikit_learns_encoding_of_leaves(data):
    forest = RandomForestClassifier(max_depth=4, **FEW).fit(data.X, data.three)
    made, Z = embedded(forest, data)
    assert sparse.issparse(Z) and Z.format == "csr"
    truth = OneHotEncoder().fit_transform(forest.apply(data.X))
    assert_array_equal(Z.toarray(), truth.toarray())
    assert made.n_leaves_ == Z.shape[1] == len(made.get_feature_names_out())


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kernel", ["leaf_path", "leaf_output"])
def test_kernels_of_leaves_are_sums_over_trees(kernel, power, fitted):
    model, data = fitted
    Z = embedded(model, data, kernel=kernel, power=power)[1]
    values, leaves = by_hand(model, data.X)
    for i, j in [(0, 0), (0, 1), (3, 17), (40, 41), (5, 150)]:
        truth = 0.0
        for tree, said in enumerate(values):
            if leaves[i, tree] == leaves[j, tree]:
                count = np.sum(leaves[:, tree] == leaves[i, tree])
                weight = said[i] @ said[j] if kernel == "leaf_output" else 1.0
                truth += weight / count ** (2 * power)
        assert_allclose((Z[[i]] @ Z[[j]].T).toarray()[0, 0], truth, rtol=1e-12)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_feature_path_is_scikit_learns_decision_path(power, data):
    for forest, y in (
        (RandomForestClassifier(max_depth=4, **FEW), data.three),
        (RandomForestRegressor(max_depth=3, **FEW), data.real),
    ):
        forest.fit(data.X, y)
        truth, _ = forest.decision_path(data.X)
        truth = truth.toarray().astype(float)
        truth /= truth.sum(axis=0) ** power
        Z = embedded(forest, data, kernel="feature_path", power=power)[1]
        assert_allclose(Z.toarray(), truth, rtol=1e-12)


def test_feature_paths_of_every_library(fitted):
    model, data = fitted
    paths = embedded(model, data, kernel="feature_path")[1].toarray()
    leaves = embedded(model, data)[1].toarray()
    output = embedded(model, data, kernel="feature_output")[1].toarray()
    values = by_hand(model, data.X)[0]
    # A root for each tree, in all rows; as many nodes as two times leaves less one.
    n_trees = len(values)
    assert (paths.min(axis=0) == 1).sum() >= n_trees
    assert paths.shape[1] == 2 * leaves.shape[1] - n_trees
    children = [left for stage in read_leaves(model).children for left, _ in stage]
    is_leaf = np.concatenate(children) < 0
    assert_array_equal(output[:, ~is_leaf], paths[:, ~is_leaf])
    # Rows of one leaf share all of its tree's nodes, so they share at least the leaves.
    assert np.all(paths @ paths.T >= leaves @ leaves.T)
    length = np.sum([np.sum(said**2, axis=1) for said in values], axis=0)
    inner = np.sum(output[:, ~is_leaf] ** 2, axis=1)
    assert_allclose(np.sum(output**2, axis=1) - inner, length, rtol=1e-12)


def test_tree_output_is_what_each_tree_says(fitted):
    model, data = fitted
    Z = embedded(model, data, kernel="tree_output")[1]
    assert_allclose(Z, np.concatenate(by_hand(model, data.X)[0], axis=1), rtol=1e-12)


def test_weights_count_rows(data):
    model = RandomForestRegressor(max_depth=3, **FEW).fit(data.X, data.real)
    made = LeafEmbedding(FrozenEstimator(model), power=1.0)
    weighted = made.fit(data.X, data.real, sample_weight=data.weights)
    ours = weighted.transform(data.X).toarray()
    repeated = np.repeat(np.arange(len(data.X)), data.weights.astype(int))
    counted = LeafEmbedding(FrozenEstimator(model), power=1.0)
    counted.fit(data.X[repeated], data.real[repeated])
    assert_allclose(ours, counted.transform(data.X).toarray(), rtol=1e-12)


def test_pipelines_before_and_after(data):
    forest = RandomForestClassifier(max_depth=4, **FEW)
    inner = make_pipeline(StandardScaler(), "passthrough", forest)
    plain = LeafEmbedding(forest).fit(data.X, data.three).transform(data.queries)
    piped = LeafEmbedding(inner).fit(data.X, data.three).transform(data.queries)
    assert_array_equal(plain.toarray(), piped.toarray())
    outer = make_pipeline(LeafEmbedding(forest), LogisticRegression())
    assert outer.fit(data.X, data.three).score(data.X, data.three) > 0.7


def test_what_counts_nothing_takes_no_power(data):
    with pytest.raises(ValueError, match="set power=0"):
        LeafEmbedding(kernel="tree_output", power=1.0).fit(data.X, data.two)


def test_models_without_trees_are_named(data):
    with pytest.raises(TypeError, match="LogisticRegression are not known"):
        LeafEmbedding(LogisticRegression()).fit(data.X, data.two)
