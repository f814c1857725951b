"""ForestRanker against loops over trees, leaves and rows, and scikit-learn."""

import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklinfluence.base import RawChange
from sklinfluence.filtering import MislabelFilter
from sklinfluence.trees import ForestRanker
from sklinfluence.trees._forest import read_forest

FEW = {"n_estimators": 7, "random_state": 0}
FORESTS = {
    "bags": (RandomForestClassifier(min_samples_leaf=3, **FEW), "three", False),
    "pure": (RandomForestClassifier(**FEW), "two", False),
    "entropy": (
        RandomForestClassifier(criterion="entropy", max_depth=3, **FEW),
        "two",
        True,
    ),
    "no bags": (ExtraTreesClassifier(min_samples_leaf=3, **FEW), "three", True),
    "balanced": (
        ExtraTreesClassifier(min_samples_leaf=3, class_weight="balanced", **FEW),
        "three",
        True,
    ),
    "balanced bags": (
        RandomForestClassifier(max_depth=3, class_weight="balanced_subsample", **FEW),
        "three",
        False,
    ),
    "class weights": (
        RandomForestClassifier(
            max_depth=3, class_weight={"no": 1, "yes": 3}, max_samples=0.4, **FEW
        ),
        "two",
        False,
    ),
    "values": (RandomForestRegressor(min_samples_leaf=3, **FEW), "real", False),
    "weighted values": (ExtraTreesRegressor(min_samples_leaf=2, **FEW), "real", True),
    "poisson": (
        RandomForestRegressor(criterion="poisson", max_depth=4, **FEW),
        "counts",
        True,
    ),
}


@pytest.fixture(params=FORESTS)
def fitted(request, data):
    forest, targets, is_weighted = FORESTS[request.param]
    y, weights = getattr(data, targets), data.weights if is_weighted else None
    ranker = ForestRanker(forest).fit(data.X, y, sample_weight=weights)
    return ranker, data, y, weights


def one_hot(ranker, y):
    y = np.asarray(y)
    if not hasattr(ranker, "classes_"):
        return y[:, None].astype(float)
    return (y[:, None] == ranker.classes_).astype(float)


# Since scikit-learn 1.9 bags are drawn by weight and "balanced" counts weights; before,
# rows were drawn alike and weighed what they were drawn, and "balanced" counted rows.
DRAWS_BY_WEIGHT = parse_version(sklearn.__version__) >= parse_version("1.9")


def own_weights(forest, y, weights):
    own = np.ones(len(y)) if weights is None else weights.copy()
    given = getattr(forest, "class_weight", None)
    if given == "balanced":
        counted = own if DRAWS_BY_WEIGHT else np.ones(len(y))
        totals = {label: counted[y == label].sum() for label in forest.classes_}
        given = {k: counted.sum() / len(totals) / total for k, total in totals.items()}
    if isinstance(given, dict):
        own = own * np.array([given[label] for label in y])
    return own


def bag_weights(forest, y, weights):
    """How much each row weighs in each tree, from the forest's own samples."""
    own = own_weights(forest, y, weights)
    if not forest.bootstrap:
        return [own] * len(forest.estimators_)
    counted = []
    for drawn in forest.estimators_samples_:
        count = np.array([np.sum(drawn == row) for row in range(len(y))], dtype=float)
        if getattr(forest, "class_weight", None) == "balanced_subsample":
            for label in forest.classes_:
                of_label = y == label
                count[of_label] *= len(drawn) / (3 * count[of_label].sum())
        counted.append(count if DRAWS_BY_WEIGHT else count * own)
    return counted


def said_without(ranker, data, y, weights, queries, row):
    """What the forest says when a row is deleted from the statistics of its leaves."""
    forest, targets = ranker.estimator_, one_hot(ranker, y)
    bags = bag_weights(forest, np.asarray(y), weights)
    said = np.zeros((len(queries), targets.shape[1]))
    for tree, bag in zip(forest.estimators_, bags, strict=True):
        at, asked = tree.apply(data.X), tree.apply(queries)
        for query, leaf in enumerate(asked):
            rows = [i for i in np.flatnonzero(at == leaf) if bag[i] > 0]
            left = [i for i in rows if i != row] or rows
            total = sum(bag[i] for i in left)
            said[query] += sum(bag[i] * targets[i] for i in left) / total
    return said / len(forest.estimators_)


def loss(ranker, y, said):
    if y is None:
        return -said[:, 0]
    if hasattr(ranker, "classes_"):
        given = np.sum(one_hot(ranker, y) * said, axis=1)
        return -np.log(np.clip(given, np.finfo(float).eps, 1.0))
    return 0.5 * (said[:, 0] - y) ** 2


def test_influence_is_the_rise_when_a_row_leaves_its_leaves(fitted):
    ranker, data, y, weights = fitted
    queries, asked = data.queries[:5], np.asarray(y)[:5]
    now = said_without(ranker, data, y, weights, queries, None)
    for given in (asked, None):
        label = given
        if given is None and hasattr(ranker, "classes_"):
            label = ranker.predict(queries)
        influence = ranker.influence(queries, given)
        for row in range(0, len(y), 7):
            after = said_without(ranker, data, y, weights, queries, row)
            truth = loss(ranker, label, after) - loss(ranker, label, now)
            # Sums over trees in another order; logarithms near 0 carry it on.
            scale = 1e-12 * max(1.0, np.abs(influence).max(), np.max(np.abs(now)))
            assert_allclose(influence[:, row], truth, rtol=1e-9, atol=scale)


def test_self_influence_is_a_row_deleted_from_its_own_leaves(fitted):
    ranker, data, y, weights = fitted
    for row in range(0, len(y), 11):
        queries, asked = data.X[[row]], np.asarray(y)[[row]]
        now = said_without(ranker, data, y, weights, queries, None)
        after = said_without(ranker, data, y, weights, queries, row)
        truth = loss(ranker, asked, after) - loss(ranker, asked, now)
        assert_allclose(ranker.self_influence_[row], truth[0], rtol=1e-9, atol=1e-11)


def test_predictions_are_sums_over_training_rows(fitted):
    ranker, data, y, _ = fitted
    weights = ranker.representer_weights(data.queries)
    assert sparse.issparse(weights) and weights.min() >= 0
    assert_allclose(np.asarray(weights.sum(axis=1)).ravel(), 1.0, rtol=1e-12)
    if hasattr(ranker, "classes_"):
        truth = ranker.estimator_.predict_proba(data.queries)
    else:
        truth = ranker.estimator_.predict(data.queries)[:, None]
    assert_allclose(weights @ one_hot(ranker, y), truth, rtol=1e-12, atol=1e-13)


def test_rows_of_weight_zero_are_absent(data):
    forest = ExtraTreesClassifier(min_samples_leaf=3, **FEW)
    ranker = ForestRanker(forest).fit(data.X, data.three, data.weights)
    absent = data.weights == 0
    assert absent.any()
    assert not ranker.influence(data.queries)[:, absent].any()
    assert not ranker.self_influence_[absent].any()


def test_a_row_twice_is_a_row_of_weight_two(data):
    model = ExtraTreesRegressor(min_samples_leaf=3, max_depth=4, **FEW)
    weights = np.ones(len(data.X))
    weights[5] = 2.0
    X, y = np.vstack([data.X, data.X[[5]]]), np.append(data.real, data.real[5])
    # One structure: the same splits whichever way the row is counted.
    model.fit(data.X, data.real, sample_weight=weights)
    frozen = FrozenEstimator(model)
    once = ForestRanker(frozen).fit(data.X, data.real, sample_weight=weights)
    model._n_samples = len(X)
    twice = ForestRanker(frozen).fit(X, y)
    both = twice.representer_weights(data.queries).toarray()
    alone = once.representer_weights(data.queries).toarray()
    assert_allclose(both[:, [5, -1]].sum(axis=1), alone[:, 5], atol=1e-15)
    assert_allclose(
        twice.influence(data.queries)[:, :5],
        once.influence(data.queries)[:, :5],
        rtol=1e-12,
        atol=1e-12,
    )


def test_a_leaf_that_empties_keeps_its_value(data):
    # Every leaf holds one row: none can leave it.
    forest = ExtraTreesRegressor(3, random_state=0)
    ranker = ForestRanker(forest).fit(data.X, data.real)
    assert_allclose(ranker.influence(data.queries, data.real[:12]), 0.0, atol=1e-9)
    assert_allclose(ranker.self_influence_, 0.0, atol=1e-12)


def test_out_of_bag_is_scikit_learns(data):
    options = {"n_estimators": 60, "min_samples_leaf": 2, "oob_score": True}
    for kind, y in (
        (RandomForestClassifier, data.three),
        (RandomForestRegressor, data.real),
        (ExtraTreesClassifier, data.two),
    ):
        forest = kind(bootstrap=True, random_state=0, **options)
        ranker = ForestRanker(forest).fit(data.X, y)
        of_forest = ranker.estimator_
        if hasattr(ranker, "classes_"):
            assert_allclose(ranker.loo_proba_, of_forest.oob_decision_function_)
            given = np.sum(one_hot(ranker, y) * of_forest.oob_decision_function_, 1)
            truth = -np.log(np.clip(given, np.finfo(float).eps, 1.0))
            with pytest.raises(AttributeError, match="regression only"):
                _ = ranker.loo_prediction_
        else:
            assert_allclose(ranker.loo_prediction_, of_forest.oob_prediction_)
            truth = 0.5 * (of_forest.oob_prediction_ - y) ** 2
            with pytest.raises(AttributeError, match="classification only"):
                _ = ranker.loo_proba_
        assert_allclose(ranker.label_scores("oob_loss"), truth, rtol=1e-9, atol=1e-14)


def test_rows_that_every_tree_saw_are_unknown(data):
    forest = RandomForestClassifier(2, random_state=0)
    ranker = ForestRanker(forest).fit(data.X, data.two)
    seen = [set(drawn) for drawn in ranker.estimator_.estimators_samples_]
    in_all = [all(row in bag for bag in seen) for row in range(len(data.X))]
    with pytest.warns(UserWarning, match=rf"saw row\(s\) \[{in_all.index(True)}, "):
        proba = ranker.loo_proba_
    assert_array_equal(np.isnan(proba).all(axis=1), in_all)
    with pytest.warns(UserWarning, match="Grow more trees"):
        scores = ranker.label_scores("oob_loss")
    assert_array_equal(np.isnan(scores), in_all)


def test_without_bags_there_is_nothing_out_of_them(data):
    ranker = ForestRanker(ExtraTreesClassifier(**FEW)).fit(data.X, data.two)
    assert not hasattr(ranker, "loo_proba_")
    assert ranker.label_score_names_ == ("loss", "self_influence")


def test_label_scores_are_losses(fitted):
    ranker, data, y, weights = fitted
    now = said_without(ranker, data, y, weights, data.X[:20], None)
    truth = loss(ranker, np.asarray(y)[:20], now)
    assert_allclose(ranker.label_scores("loss")[:20], truth, rtol=1e-9, atol=1e-12)
    for score in set(ranker.label_score_names_) - {"self_influence"}:
        asked = ranker.label_scores(score, data.queries, np.asarray(y)[:12])
        said = said_without(ranker, data, y, weights, data.queries, None)
        truth = loss(ranker, np.asarray(y)[:12], said)
        assert_allclose(asked, truth, rtol=1e-9, atol=1e-12)
        with pytest.raises(ValueError, match="needs their given labels"):
            ranker.label_scores(score, data.queries)


def test_new_rows_are_put_into_leaves_and_taken_out(fitted):
    ranker, data, y, weights = fitted
    asked = np.asarray(y)[:12]
    forest, targets = ranker.estimator_, one_hot(ranker, y)
    bags = bag_weights(forest, np.asarray(y), weights)
    weigh = np.mean([bag[np.any(bags, axis=0)].mean() for bag in bags])
    new = one_hot(ranker, asked)
    now, joined = np.zeros_like(new), np.zeros_like(new)
    for tree, bag in zip(forest.estimators_, bags, strict=True):
        same = tree.apply(data.queries)[:, None] == tree.apply(data.X)
        total, sums = same @ bag, same @ (bag[:, None] * targets)
        now += sums / total[:, None] / len(bags)
        joined += (sums + weigh * new) / (total + weigh)[:, None] / len(bags)
    truth = loss(ranker, asked, now) - loss(ranker, asked, joined)
    scores = ranker.score_samples(data.queries, asked)
    assert_allclose(scores, truth, rtol=1e-9, atol=1e-11)
    unlabelled = ranker.score_samples(data.queries)
    if hasattr(ranker, "classes_"):
        label = ranker.predict(data.queries)
        assert_allclose(unlabelled, ranker.score_samples(data.queries, label))
    else:
        above = now[:, 0] + 1.0
        pulled = ranker.score_samples(data.queries, above)
        # Of half the square of 1: pull - pull ** 2 / 2.
        assert_allclose(pulled, unlabelled - unlabelled**2 / 2, rtol=1e-9)


@pytest.mark.parametrize("name", ["bags", "no bags", "balanced", "entropy"])
def test_rows_found_flip_the_prediction_and_none_is_idle(name, data):
    forest, targets, is_weighted = FORESTS[name]
    y, weights = getattr(data, targets), data.weights if is_weighted else None
    ranker = ForestRanker(forest).fit(data.X, y, sample_weight=weights)
    X = np.vstack([data.queries, data.X[:20]])
    predicted = ranker.predict(X)
    found = ranker.most_damaging(X, n=12)
    assert sum(rows is not None for rows in found) >= 3
    bags = bag_weights(ranker.estimator_, np.asarray(y), weights)

    def without(query, rows):
        said, kept = np.zeros(len(ranker.classes_)), np.ones(len(y), dtype=bool)
        kept[rows] = False
        for tree, bag in zip(ranker.estimator_.estimators_, bags, strict=True):
            same = (tree.apply(data.X) == tree.apply(query[None])) & (bag > 0)
            left = same & kept if np.any(same & kept) else same
            said += bag[left] @ one_hot(ranker, y)[left] / bag[left].sum()
        return ranker.classes_[said.argmax()]

    for query, label, rows in zip(X, predicted, found, strict=True):
        if rows is None:
            continue
        assert 1 <= len(rows) <= 12 and len(set(rows)) == len(rows)
        assert without(query, rows) != label
        for row in rows:
            assert without(query, rows[rows != row]) == label


def test_one_row_that_is_enough_is_found(data):
    forest = RandomForestClassifier(5, min_samples_leaf=4, random_state=0)
    ranker = ForestRanker(forest).fit(data.X, data.three)
    alone = ranker._forest
    X, found = data.X[:60], ranker.most_damaging(data.X[:60], n=15)
    influence = np.stack(
        [ranker.influence(X, np.full(len(X), label)) for label in range(3)], axis=2
    )
    proba = ranker.predict_proba(X)
    # exp of minus the loss: the probability without each row, of each class.
    after = proba[:, None, :] * np.exp(-influence)
    flips = after.argmax(axis=2) != proba.argmax(axis=1)[:, None]
    margin = np.sort(after, axis=2)
    is_close = np.any(margin[:, :, -1] - margin[:, :, -2] < 1e-9, axis=1)
    assert alone.n_trees == 5 and flips.any(axis=1).sum() >= 3
    for row, one_is_enough in enumerate(flips.any(axis=1)):
        if not is_close[row]:
            assert one_is_enough == (found[row] is not None and len(found[row]) == 1)


def test_most_damaging_asks_of_the_class_given(data):
    forest = RandomForestClassifier(min_samples_leaf=3, **FEW)
    ranker = ForestRanker(forest).fit(data.X, data.three)
    other = (ranker.predict(data.queries) + 1) % 3
    assert [len(rows) for rows in ranker.most_damaging(data.queries, other)] == [0] * 12
    values = ForestRanker(RandomForestRegressor(**FEW)).fit(data.X, data.real)
    with pytest.raises(ValueError, match="a regressor has none"):
        values.most_damaging(data.queries)
    with pytest.raises(ValueError, match="n=0"):
        ranker.most_damaging(data.queries, n=0)


def test_frozen_piped_and_sparse(data):
    forest = RandomForestClassifier(min_samples_leaf=3, **FEW)
    plain = ForestRanker(forest).fit(data.X, data.three)
    truth = plain.influence(data.queries)
    pipe = make_pipeline(StandardScaler(), forest).fit(data.X, data.three)
    for given in (pipe, FrozenEstimator(pipe), make_pipeline(FrozenEstimator(pipe))):
        ranker = ForestRanker(given).fit(data.X, data.three)
        assert_allclose(ranker.influence(data.queries), truth, atol=1e-12)
    rows = sparse.csr_matrix(data.X)
    ranker = ForestRanker(forest).fit(rows, data.three)
    assert_allclose(ranker.influence(sparse.csr_matrix(data.queries)), truth)


def test_missing_values(data):
    forest = RandomForestClassifier(min_samples_leaf=3, **FEW)
    ranker = ForestRanker(forest).fit(data.holes, data.three)
    weights = ranker.representer_weights(data.holes[:5])
    truth = ranker.predict_proba(data.holes[:5])
    assert_allclose(weights @ one_hot(ranker, data.three), truth, atol=1e-13)


@pytest.mark.parametrize(
    "forest, targets, reason",
    [
        (RandomForestRegressor(2, criterion="absolute_error"), "real", "medians"),
        (RandomForestRegressor(2, monotonic_cst=[1, 0, 0, 0, 0]), "real", "monotonic"),
        (ExtraTreesClassifier(2, monotonic_cst=[0, 0, -1, 0, 0]), "two", "monotonic"),
    ],
)
def test_leaves_that_are_no_means_are_refused(forest, targets, reason, data):
    with pytest.raises(ValueError, match=reason):
        ForestRanker(forest).fit(data.X, getattr(data, targets))


def test_other_rows_than_those_trained_on_are_refused(data):
    forest = RandomForestClassifier(**FEW).fit(data.X, data.three)
    ranker = ForestRanker(FrozenEstimator(forest))
    with pytest.raises(ValueError, match="not what it was trained on"):
        ranker.fit(data.X, np.roll(data.three, 1))
    with pytest.raises(ValueError, match="trained on 160 rows, and X has 150"):
        ranker.fit(data.X[:150], data.three[:150])
    with pytest.raises(ValueError, match="y has 2 columns"):
        both = np.c_[data.real, data.counts]
        ForestRanker(RandomForestRegressor(**FEW)).fit(data.X, both)
    with pytest.raises(TypeError, match="GradientBoostingClassifier is no forest"):
        ForestRanker(GradientBoostingClassifier()).fit(data.X, data.two)


def test_samples_are_drawn_once(data, monkeypatch):
    forest = RandomForestClassifier(**FEW).fit(data.X, data.three)
    read = []
    of_class = type(forest).estimators_samples_
    monkeypatch.setattr(
        type(forest),
        "estimators_samples_",
        property(lambda self: read.append(1) or of_class.fget(self)),
    )
    read_forest(forest, data.X, data.three)
    assert len(read) == 1


def test_filter_takes_out_of_bag_losses(data):
    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    y = data.two.copy()
    flipped = np.arange(0, 160, 16)
    y[flipped] = np.where(y[flipped] == "yes", "no", "yes")
    ranker = ForestRanker(forest).fit(data.X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = MislabelFilter(ForestRanker(forest), noise=None).fit(data.X, y)
    assert_allclose(found.scores_, ranker.label_scores("oob_loss"))


def test_raw_change_is_the_prediction_when_a_row_leaves_its_leaves(fitted):
    ranker, data, y, weights = fitted
    queries = data.queries[:5]
    now = said_without(ranker, data, y, weights, queries, None)
    change = ranker.raw_change(queries)
    scale = np.abs(now).max()
    assert isinstance(change, RawChange) and change.link == "identity"
    assert_allclose(change.raw, now, rtol=0, atol=1e-12 * scale)
    moved = np.hstack([shift for _, shift in change.without()])
    gradient = np.random.default_rng(0).normal(size=now.shape)
    along = change.along(gradient)
    for row in range(0, len(y), 9):
        truth = said_without(ranker, data, y, weights, queries, row) - now
        # Sums over trees in another order.
        assert_allclose(moved[:, row], truth, rtol=0, atol=1e-12 * scale)
        total = np.sum(gradient * truth)
        assert_allclose(along[row], total, rtol=0, atol=1e-11 * scale)
