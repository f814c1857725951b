"""Utilities in closed form: what refits say, and what journals keep of them."""

import json

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklinfluence.retraining import (
    BanzhafRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
    shapley_interaction,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)) + 3.0
X_VAL = RNG.normal(size=(30, 4)) + 3.0
SLOPES = np.array([1.0, 2.0, -1.0, 0.5])
Y, Y_VAL = (rows @ SLOPES + RNG.normal(size=len(rows)) for rows in (X, X_VAL))
NAMES = np.array(["a", "b", "c"])
LABELS, LABELS_VAL = (NAMES[np.digitize(y, [6.5, 8.5])] for y in (Y, Y_VAL))
WEIGHTS, WEIGHTS_VAL = RNG.uniform(0.5, 2.0, 24), RNG.uniform(0.5, 2.0, 30)
WEIGHTS[5] = 0.0
REAL = {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": WEIGHTS_VAL}
NAMED = {"X_val": X_VAL, "y_val": LABELS_VAL}


# Of another type than those that have a closed form: refitted, by the same code.
class RefittedRidge(Ridge):
    pass


class RefittedClassifier(KNeighborsClassifier):
    pass


class RefittedRegressor(KNeighborsRegressor):
    pass


REFITTED = {
    Ridge: RefittedRidge,
    KNeighborsClassifier: RefittedClassifier,
    KNeighborsRegressor: RefittedRegressor,
}
WALKS = ShapleyRanker(max_evaluations=46, random_state=0)
SETS = BanzhafRanker(max_evaluations=20, random_state=0)


def both(ranker, estimator, y, val, **fit):
    """The ranker fitted in closed form, and by refits."""
    known = estimator.get_params()
    closed, refitted = (
        type(ranker)(**{**ranker.get_params(deep=False), "estimator": model})
        for model in (estimator, REFITTED[type(estimator)](**known))
    )
    for each in (closed, refitted):
        each.fit(X, y, **val, **fit)
    assert refitted.closed_form_ is None
    assert closed.n_failed_ == refitted.n_failed_
    return closed, refitted


# R2 and squared errors are sums of tens of terms up to 1e2; the issue's own bound.
def same(closed, refitted, name):
    assert closed.closed_form_ == name
    scale = max(1.0, np.abs(refitted.values_).max())
    assert_allclose(closed.values_, refitted.values_, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("ranker", [WALKS, SETS], ids=["walks", "sets"])
@pytest.mark.parametrize(
    ("scoring", "intercept", "alpha", "fit"),
    [
        (None, True, 1.0, {}),
        ("r2", False, 0.3, {"sample_weight": WEIGHTS}),
        ("neg_mean_squared_error", True, 10.0, {"groups": np.arange(24) % 7}),
        ("neg_root_mean_squared_error", False, 1.0, {}),
        (
            "neg_root_mean_squared_error",
            True,
            1,
            {"sample_weight": WEIGHTS, "groups": np.arange(24) % 7},
        ),
    ],
)
def test_ridge_is_its_refits(ranker, scoring, intercept, alpha, fit):
    model = Ridge(alpha, fit_intercept=intercept)
    ranker = ranker.set_params(scoring=scoring)
    same(*both(ranker, model, Y, REAL, **fit), "ridge")


@pytest.mark.parametrize("ranker", [WALKS, SETS], ids=["walks", "sets"])
@pytest.mark.parametrize(
    ("scoring", "K", "votes", "fit"),
    [
        (None, 1, "uniform", {}),
        ("neg_log_loss", 3, "distance", {}),
        ("roc_auc_ovr", 3, "uniform", {"groups": np.arange(24) % 7}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*could not be evaluated:UserWarning")
def test_votes_of_neighbors_are_their_refits(ranker, scoring, K, votes, fit):
    model = KNeighborsClassifier(K, weights=votes)
    ranker = ranker.set_params(scoring=scoring)
    same(*both(ranker, model, LABELS, NAMED, **fit), "neighbors")


@pytest.mark.parametrize("votes", ["uniform", "distance"])
@pytest.mark.filterwarnings("ignore:.*could not be evaluated:UserWarning")
def test_means_of_neighbors_are_their_refits(votes):
    model = KNeighborsRegressor(3, weights=votes, p=1)
    ranker = WALKS.set_params(scoring="neg_mean_absolute_error")
    same(*both(ranker, model, Y, REAL), "neighbors")


def test_a_query_that_is_a_row_counts_that_row_alone_by_distance():
    val = {"X_val": X[::2], "y_val": LABELS[::2]}
    model = KNeighborsClassifier(2, weights="distance")
    same(*both(SETS.set_params(scoring=None), model, LABELS, val), "neighbors")


# -- forests that keep their splits -----------------------------------------------

FORESTS = [
    (RandomForestRegressor(4, max_depth=3, random_state=0), Y, REAL, None),
    (ExtraTreesClassifier(4, random_state=0), LABELS, NAMED, "neg_log_loss"),
    (DecisionTreeClassifier(max_depth=3, random_state=0), LABELS, NAMED, None),
]


def leaf_score(forest, y, val, scoring, rows, draws):
    """The score of the leaves' means of some rows: paths by scikit-learn, in loops."""
    trees = getattr(forest, "estimators_", [forest])
    real = not hasattr(forest, "classes_")
    votes = y[:, None] if real else (y[:, None] == forest.classes_).astype(float)
    said = []
    for query in val["X_val"]:
        of_trees = []
        for tree, drawn in zip(trees, draws, strict=True):
            inside, asked = (
                tree.decision_path(part.astype(np.float32)).toarray().astype(bool)
                for part in (X, query[None])
            )
            seen = [row for row in rows if drawn[row]]
            shared = {row: (inside[row] & asked[0]).sum() for row in seen}
            near = [row for row in seen if shared[row] == max(shared.values())]
            if near:
                of_trees.append(
                    np.average(votes[near], axis=0, weights=[drawn[r] for r in near])
                )
        said.append(np.mean(of_trees, axis=0) if of_trees else votes.mean(axis=0))
    said = np.array(said)
    weights = val.get("sample_weight_val", np.ones(30))
    if real:
        left = weights @ (Y_VAL - said[:, 0]) ** 2
        return 1 - left / (weights @ (Y_VAL - np.average(Y_VAL, weights=weights)) ** 2)
    code = np.searchsorted(forest.classes_, LABELS_VAL)
    if scoring == "neg_log_loss":
        given = np.clip(said[np.arange(30), code], np.finfo(float).eps, None)
        return np.mean(np.log(given))
    return np.mean(said.argmax(axis=1) == code)


@pytest.mark.parametrize(
    ("forest", "y", "val", "scoring"), FORESTS, ids=["bagged", "proba", "tree"]
)
def test_leaves_are_means_of_the_rows_of_a_set(forest, y, val, scoring):
    forest.fit(X, y)
    draws = np.ones((len(getattr(forest, "estimators_", [0])), 24))
    if getattr(forest, "bootstrap", False):
        samples = forest.estimators_samples_
        draws = np.array([np.bincount(seen, minlength=24) for seen in samples])
    frozen = FrozenEstimator(forest)
    ranker = LeaveOneOutRanker(frozen, scoring=scoring).fit(X, y, **val)
    assert ranker.closed_form_ == "leaves"
    everyone = np.arange(24)
    whole = get_scorer(scoring)(forest, **_named(val)) if scoring else None
    score = leaf_score(forest, y, val, scoring, everyone, draws)
    if whole is not None:
        assert_allclose(score, whole, rtol=1e-10)
    truth = [
        score - leaf_score(forest, y, val, scoring, np.delete(everyone, row), draws)
        for row in (0, 7, 13)
    ]
    # Log losses of leaves that exclude the truth are near 36.
    assert_allclose(ranker.values_[[0, 7, 13]], truth, rtol=0, atol=1e-10)
    walks = ShapleyRanker(frozen, scoring=scoring, max_evaluations=46, random_state=0)
    assert walks.fit(X, y, **val).closed_form_ == "leaves"
    order = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(0,)))
    order = order.permutation(24)
    truth = _along(order, forest, y, val, scoring, draws, walks)
    assert_allclose(truth[0], truth[1], rtol=0, atol=1e-10)


def _named(val):
    return {"X": val["X_val"], "y_true": val["y_val"]}


def _along(order, forest, y, val, scoring, draws, walks):
    """Some marginals of the only pair of walks: by loops, and by the ranker."""
    pairs = []
    for row in order[[3, 9]]:
        gains = []
        for way in (order, order[::-1]):
            before = way[: list(way).index(row)]
            ends = [before, [*before, row]]
            scores = [
                leaf_score(forest, y, val, scoring, np.array(rows), draws)
                for rows in ends
            ]
            gains.append(scores[1] - scores[0])
        pairs.append((np.mean(gains), walks.values_[row]))
    return np.array(pairs).T


def test_a_frozen_model_without_leaves_is_refused():
    frozen = FrozenEstimator(Ridge().fit(X, Y))
    with pytest.raises(ValueError, match=r"FrozenEstimator\(Ridge\) is never fitted"):
        LeaveOneOutRanker(frozen).fit(X, Y, **REAL)
    medians = DecisionTreeRegressor(criterion="absolute_error", max_depth=1).fit(X, Y)
    with pytest.raises(ValueError, match=r"Regressor\) is never fitted"):
        LeaveOneOutRanker(FrozenEstimator(medians)).fit(X, Y, **REAL)
    forest = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, LABELS)
    with pytest.raises(ValueError, match="are not means of the rows of X"):
        LeaveOneOutRanker(FrozenEstimator(forest)).fit(X, LABELS[::-1], **NAMED)
    ranker = LeaveOneOutRanker(FrozenEstimator(forest)).fit(X, LABELS, **NAMED)
    with pytest.raises(TypeError, match="ForestRanker"):
        ranker.influence(X_VAL, LABELS_VAL)


# -- where there is none ----------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "scoring", "rows"),
    [
        (Ridge(), "neg_mean_absolute_error", X),
        (Ridge(), "neg_max_error", X),
        (Ridge(0.0), None, X),
        (Ridge(positive=True), None, X),
        (Ridge(solver="lsqr"), None, X),
        (Ridge(), None, X.astype(np.float32)),
        (Ridge(), None, 1e10 * X),
        (Ridge(), lambda model, X, y: -np.mean((model.predict(X) - y) ** 2), X),
        (LinearRegression(), None, X),
        (KNeighborsRegressor(3, weights=np.sqrt), None, X),
    ],
)
@pytest.mark.filterwarnings("ignore:.*never measured:UserWarning")
def test_what_has_no_closed_form_is_refitted(estimator, scoring, rows):
    ranker = BanzhafRanker(estimator, scoring=scoring, max_evaluations=2)
    ranker.set_params(random_state=0).fit(rows, Y, X_val=X_VAL, y_val=Y_VAL)
    assert ranker.closed_form_ is None


def test_a_form_that_differs_from_the_fit_is_not_taken():
    """Rows on a grid are equally far: whose votes count, a search does not say."""
    grid = np.indices((5, 5)).reshape(2, -1).T.astype(float)
    labels = np.arange(25) % 3
    val = {"X_val": grid + 0.5, "y_val": labels}
    model = KNeighborsClassifier(1, algorithm="kd_tree")
    refitted = RefittedClassifier(1, algorithm="kd_tree").fit(grid, labels)
    ranker = LeaveOneOutRanker(model).fit(grid, labels, **val)
    distances = ((grid[None] - val["X_val"][:, None]) ** 2).sum(axis=2)
    in_order = np.mean(labels[distances.argmin(axis=1)] == labels)
    differs = refitted.score(val["X_val"], labels) != in_order
    assert ranker.closed_form_ == (None if differs else "neighbors")


def test_r2_of_equal_targets_is_the_scorers():
    val = {"X_val": X_VAL, "y_val": np.ones(30)}
    closed = LeaveOneOutRanker(Ridge()).fit(X, Y, **val)
    assert closed.closed_form_ is None and not closed.values_.any()


# -- bits, journals ---------------------------------------------------------------


@pytest.mark.parametrize("truncation", [0.0, 0.05])
@pytest.mark.parametrize("model", [Ridge(), KNeighborsRegressor(1)], ids=str)
def test_neither_workers_nor_interruptions_change_a_bit(model, truncation, tmp_path):
    path = tmp_path / "journal.jsonl"
    ranker = ShapleyRanker(
        model, truncation=truncation, max_evaluations=46 * 20, random_state=0
    )
    alone = ranker.fit(X, Y, **REAL).values_
    with parallel_config(backend="threading", n_jobs=3):
        assert np.array_equal(alone, ranker.fit(X, Y, **REAL).values_)
    ranker.set_params(journal=str(path)).fit(X, Y, **REAL)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    # The header, no row and all, and one a permutation: twenty, and their reverses.
    assert len(lines) == 1 + 2 + 40
    last = len(content) - len(lines[-1])
    for end in [*range(last, len(content), 40), len(content), last // 2]:
        path.write_bytes(content[:end])
        assert np.array_equal(alone, ranker.fit(X, Y, **REAL).values_)
        assert sorted(path.read_bytes().splitlines()) == sorted(content.splitlines())
    one = json.loads(lines[-1])
    assert one["step"] in (1, 26) and len(one["utilities"]) <= 23


def test_interactions_are_in_closed_form_too():
    few = slice(0, 7)
    found = [
        shapley_interaction(model, X[few], Y[few], **REAL).interactions
        for model in (Ridge(), RefittedRidge())
    ]
    # R2 of few rows reaches -10.
    assert_allclose(*found, rtol=0, atol=1e-10)
