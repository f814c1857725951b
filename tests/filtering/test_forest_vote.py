"""Leaf means over out-of-bag trees, against scikit-learn's forests and loops."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from sklinfluence.filtering._votes._forest_vote import ForestVote, LeafMeans

# Sums of the same numbers in another order.
ROUNDING = 1e-12


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def bags(forest, n_rows):
    drawn = [np.bincount(i, minlength=n_rows) for i in forest.estimators_samples_]
    return np.column_stack(drawn)


def leaf_means(forest, X, pseudo):
    bag = bags(forest, len(X))
    return LeafMeans(forest.apply(X), bag, bag == 0, pseudo=pseudo)


@pytest.mark.parametrize("kind", [RandomForestClassifier, RandomForestRegressor])
def test_of_given_targets_is_scikit_learns_out_of_bag(kind):
    is_classes = kind is RandomForestClassifier
    X, y = (load_iris if is_classes else load_diabetes)(return_X_y=True)
    forest = kind(60, min_samples_leaf=3, oob_score=True, random_state=0).fit(X, y)
    targets = np.eye(3)[y] if is_classes else y[:, None]
    means = leaf_means(forest, X, 0.0)
    if is_classes:
        out, new = forest.oob_decision_function_, forest.predict_proba(X)
    else:
        out, new = forest.oob_prediction_[:, None], forest.predict(X)[:, None]
    np.testing.assert_allclose(means.out_of_bag(targets), out, rtol=ROUNDING)
    np.testing.assert_allclose(
        means.of_new(forest.apply(X), targets), new, rtol=ROUNDING, atol=ROUNDING
    )


def test_of_soft_targets_by_a_loop(rng):
    X, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(12, min_samples_leaf=3, random_state=0).fit(X, y)
    weight = rng.uniform(0.5, 2.0, size=150)
    drawn = bags(forest, 150)
    targets = rng.dirichlet(np.ones(3), size=150)
    leaves = forest.apply(X)
    means = LeafMeans(leaves, drawn, drawn == 0, weight)
    vote = ForestVote(forest.apply, means)
    bag = drawn * weight[:, None]
    log_proba, model = vote.refit(targets)
    for i in range(150):
        said = []
        for t in np.flatnonzero(bag[i] == 0):
            share = bag[:, t] @ targets / bag[:, t].sum()
            inside = bag[:, t] * (leaves[:, t] == leaves[i, t])
            said.append((inside @ targets + share) / (inside.sum() + 1))
        if said:
            expected = np.mean(said, axis=0)
            np.testing.assert_allclose(np.exp(log_proba[i]), expected, rtol=1e-10)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)).sum(axis=1), 1)


def test_own_target_never_speaks_for_its_row(rng):
    X, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(4, random_state=0).fit(X, y)
    bag = bags(forest, 150)
    # With four trees some rows are in every bag.
    assert (bag > 0).all(axis=1).any()
    means = LeafMeans(forest.apply(X), bag, bag == 0)
    targets = rng.dirichlet(np.ones(3), size=150)
    before = means.out_of_bag(targets)
    for i in [*np.flatnonzero((bag > 0).all(axis=1))[:5], 0, 1, 2]:
        changed = targets.copy()
        changed[i] = [0, 0, 1]
        after = means.out_of_bag(changed)[i]
        np.testing.assert_allclose(after, before[i], rtol=ROUNDING)
    drawn = bag.sum(axis=1)
    for i in np.flatnonzero((bag > 0).all(axis=1)):
        others = np.arange(150) != i
        of_others = np.average(targets[others], axis=0, weights=drawn[others])
        np.testing.assert_allclose(before[i], of_others, rtol=ROUNDING)


def test_classes_that_no_tree_knows_have_a_logarithm():
    means = LeafMeans(np.zeros((3, 1), int), np.array([[1.0], [1], [0]]), None)
    bag = means.bag
    vote = ForestVote(None, LeafMeans(means.leaves, bag, bag == 0))
    log_proba, _ = vote.refit(np.eye(2)[[0, 0, 1]])
    assert np.isfinite(log_proba).all()
    assert log_proba[2, 1] < np.log(1e-2)
