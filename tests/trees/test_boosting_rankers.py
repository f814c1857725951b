"""Influence on boosted ensembles against boosting by hand with rows taken out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.base import RawChange
from sklinfluence.filtering import MislabelFilter
from sklinfluence.trees import BoostInRanker, LeafInfluenceRanker, LeafRefitRanker
from tests.trees.boosting import MODELS, N_QUERIES, N_TRAIN, ByHand, data, fitted


def close(ours, truth, tolerance):
    """Within a tolerance, relative to the largest of what is compared."""
    assert_allclose(ours, truth, rtol=0, atol=tolerance * np.abs(truth).max())


class Case:
    def __init__(self, name):
        self.model, *rows = fitted(name)
        self.X, self.y, self.weights, self.Xq, self.yq = rows
        self.hand = ByHand(self.model, self.X, self.y, self.weights, self.Xq, self.yq)

    def fit(self, kind, **options):
        ranker = kind(FrozenEstimator(self.model), **options)
        return ranker.fit(self.X, self.y, sample_weight=self.weights)


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return Case(request.param)


@pytest.fixture(params=[False, True], ids=["held", "refitted"])
def refit_baseline(request):
    return request.param


# --- the refit ---


def test_leaf_refit_is_boosting_without_the_row(case, refit_baseline):
    hand = case.hand
    whole = hand.losses_of_queries(hand.weights, refit_baseline)
    truth = np.array(
        [
            hand.losses_of_queries(hand.without(i), refit_baseline) - whole
            for i in range(N_TRAIN)
        ]
    ).T
    ranker = case.fit(LeafRefitRanker, refit_baseline=refit_baseline)
    close(ranker.influence(case.Xq, case.yq), truth, 1e-10)


def test_own_rise_in_the_refit(case, refit_baseline):
    hand, truth = case.hand, np.empty(N_TRAIN)
    _, said = hand.boost(hand.weights)
    for i in range(N_TRAIN):
        weights = hand.without(i)
        baseline = hand.best_constant(weights) if refit_baseline else hand.baseline
        _, without = hand.boost(weights, baseline)
        losses = [hand.losses(hand.y, raw[-1])[i] for raw in (without, said)]
        truth[i] = losses[0] - losses[1]
    ranker = case.fit(LeafRefitRanker, refit_baseline=refit_baseline)
    close(ranker.self_influence_, truth, 1e-10)


def test_new_rows_in_the_refit(case, refit_baseline):
    # The row joins with weight 1: boosting by hand on one more row, in its leaves.
    hand, truth = case.hand, np.empty(N_QUERIES)
    values, _ = hand.boost(hand.weights)
    before = hand.losses(hand.y_asked, hand.say(values, hand.asked)[-1])
    for q in range(N_QUERIES):
        more = ByHand.__new__(ByHand)
        vars(more).update(vars(hand))
        more.y = np.r_[hand.y, hand.y_asked[q]]
        more.weights = np.r_[hand.weights, 0.0]
        more.leaves = [
            np.vstack([own, asked[q : q + 1]])
            for own, asked in zip(hand.leaves, hand.asked, strict=True)
        ]
        weights = np.r_[hand.weights, 1.0]
        baseline = more.best_constant(weights) if refit_baseline else hand.baseline
        _, said = more.boost(weights, baseline)
        truth[q] = before[q] - more.losses(more.y, said[-1])[-1]
    ranker = case.fit(LeafRefitRanker, refit_baseline=refit_baseline)
    close(ranker.score_samples(case.Xq, case.yq), truth, 1e-10)


def test_one_tree_of_squares_gives_leave_one_out_means_of_leaves():
    X, y, _, Xq, yq = data("values", False)
    model = GradientBoostingRegressor(
        n_estimators=1, learning_rate=1.0, min_samples_leaf=3, random_state=0
    )
    ranker = LeafRefitRanker(model, refit_baseline=True).fit(X, y)
    tree = ranker.estimator_.estimators_[0, 0]
    own, asked = tree.apply(X), tree.apply(Xq)
    truth = np.zeros((N_QUERIES, N_TRAIN))
    for q, i in np.ndindex(truth.shape):
        kept = (own == asked[q]) & (np.arange(N_TRAIN) != i)
        whole = y[own == asked[q]].mean()
        truth[q, i] = 0.5 * (yq[q] - y[kept].mean()) ** 2 - 0.5 * (yq[q] - whole) ** 2
    close(ranker.influence(Xq, yq), truth, 1e-12)
    truth = [
        y[(own == own[i]) & (np.arange(N_TRAIN) != i)].mean() for i in range(N_TRAIN)
    ]
    close(ranker.loo_prediction_, np.array(truth), 1e-12)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("kind", ["binary", "classes", "counts"])
def test_other_libraries(library, kind):
    # Where each has factors of its own: on second derivatives, and on leaves.
    module = pytest.importorskip(library)
    X, y, weights, Xq, yq = data(kind, True)
    if kind == "binary":
        y, yq = y == "yes", yq == "yes"
    small = {"n_estimators": 4, "learning_rate": 0.3, "reg_lambda": 0.5}
    if library == "lightgbm":
        name, objective = "LGBM", "poisson"
        small |= {"num_leaves": 5, "min_child_samples": 3, "verbose": -1, "n_jobs": 1}
    else:
        name, objective = "XGB", "count:poisson"
        small |= {"max_depth": 2, "n_jobs": 1, "max_delta_step": 0}
    if kind == "counts":
        small["objective"] = objective
    made = getattr(module, name + ("Regressor" if kind == "counts" else "Classifier"))
    model = made(**small).fit(X, y, sample_weight=weights)
    hand = ByHand(model, X, y, weights, Xq, yq)
    frozen = FrozenEstimator(model)
    whole = hand.losses_of_queries(hand.weights)
    truth = np.array(
        [hand.losses_of_queries(hand.without(i)) - whole for i in range(N_TRAIN)]
    ).T
    refit = LeafRefitRanker(frozen).fit(X, y, weights).influence(Xq, yq)
    close(refit, truth, 1e-10)
    slope = LeafInfluenceRanker(frozen).fit(X, y, weights).influence(Xq, yq)
    close(slope, forward(hand, False), 1e-10)


# --- the derivative ---


def test_derivative_is_the_central_difference_of_weights(case, refit_baseline):
    hand, step = case.hand, 1e-4
    truth = np.zeros((N_QUERIES, N_TRAIN))
    for i in range(N_TRAIN):
        ends = []
        for sign in (1, -1):
            weights = hand.weights.copy()
            weights[i] += sign * step
            ends.append(hand.losses_of_queries(weights, refit_baseline))
        truth[:, i] = -hand.weights[i] * (ends[0] - ends[1]) / (2 * step)
    ranker = case.fit(LeafInfluenceRanker, refit_baseline=refit_baseline)
    close(ranker.influence(case.Xq, case.yq), truth, 1e-7)


def forward(hand, single_point):
    """The same forwards: the raw predictions of all rows along each row's weight."""
    values, before = hand.boost(hand.weights)
    step, scale = hand.trees.step, hand.trees.hessian_scale
    of_queries = np.zeros((N_TRAIN, N_QUERIES, hand.K))
    for i in range(N_TRAIN):
        moved = np.zeros((N_TRAIN, hand.K))
        for t, leaves in enumerate(hand.leaves):
            g, h = hand.derivatives(hand.y, before[t])
            of_g, of_h = hand.slopes(hand.y, before[t])
            grown = np.zeros_like(moved)
            for k in range(hand.K):
                for leaf in range(len(hand.trees.leaf_values[t][k])):
                    rows = np.flatnonzero(leaves[:, k] == leaf)
                    through = scale * values[t, k, leaf] / step
                    H = np.sum(hand.weights[rows] * h[rows, k])
                    total = 0.0
                    if i in rows:
                        total += g[i, k] + through * h[i, k]
                    for j in rows:
                        if j == i or not single_point:
                            by_raw = of_g[j, k] + through * of_h[j, k]
                            total += hand.weights[j] * by_raw @ moved[j]
                    change = -step * total / hand.bends(H, t, k, leaf)
                    grown[rows, k] = change
                    of_queries[i, hand.asked[t][:, k] == leaf, k] += change
            moved += grown
    raw = hand.say(values, hand.asked)[-1]
    slope, _ = hand.derivatives(hand.y_asked, raw)
    rise = np.einsum("qk,iqk->qi", slope, of_queries)
    return -hand.weights * rise


def removal_forward(hand):
    """A row's own leaves without it, exactly; the others of them move, and so on."""
    values, before = hand.boost(hand.weights)
    step, scale = hand.trees.step, hand.trees.hessian_scale
    of_queries = np.zeros((N_TRAIN, N_QUERIES, hand.K))
    for i in range(N_TRAIN):
        others = np.arange(N_TRAIN) != i
        moved = np.zeros((N_TRAIN, hand.K))
        for t, leaves in enumerate(hand.leaves):
            g, h = hand.derivatives(hand.y, before[t])
            of_g, of_h = hand.slopes(hand.y, before[t])
            grown = np.zeros_like(moved)
            for k in range(hand.K):
                for leaf in range(len(hand.trees.leaf_values[t][k])):
                    rows = np.flatnonzero(leaves[:, k] == leaf)
                    w, kept = hand.weights[rows], rows[others[rows]]
                    through = scale * values[t, k, leaf] / step
                    by_raw = of_g[rows, k] + through * of_h[rows, k]
                    total = w @ np.sum(by_raw * moved[rows], axis=1)
                    bends = hand.bends(w @ h[rows, k], t, k, leaf)
                    change = -step * total / bends
                    grown[rows, k] += change
                    if i in rows:
                        w = hand.weights[kept]
                        own = hand.value(w @ g[kept, k], w @ h[kept, k], t, k, leaf)
                        own -= values[t, k, leaf]
                        grown[kept, k] += own
                        change += own
                    of_queries[i, hand.asked[t][:, k] == leaf, k] += change
            moved += grown
    slope, _ = hand.derivatives(hand.y_asked, hand.say(values, hand.asked)[-1])
    return np.einsum("qk,iqk->qi", slope, of_queries)


def test_removal_backwards_is_forwards(case):
    ranker = case.fit(LeafInfluenceRanker, method="removal")
    close(ranker.influence(case.Xq, case.yq), removal_forward(case.hand), 1e-10)


@pytest.mark.parametrize("method", ["derivative", "single_point"])
def test_backwards_is_forwards(case, method):
    truth = forward(case.hand, method == "single_point")
    ranker = case.fit(LeafInfluenceRanker, method=method)
    close(ranker.influence(case.Xq, case.yq), truth, 1e-10)


def test_single_point_moves_the_start(case):
    # Of the start, rows and queries alike follow: the difference of the two options
    # of one tree is what its row's own start does, by a step of its weight.
    hand = case.hand
    held, moved = (
        case.fit(
            LeafInfluenceRanker, method="single_point", refit_baseline=refit
        ).influence(case.Xq, case.yq)
        for refit in (False, True)
    )
    step, start = 1e-5, np.zeros((N_TRAIN, hand.K))
    for i in range(N_TRAIN):
        ends = []
        for sign in (1, -1):
            weights = hand.weights.copy()
            weights[i] += sign * step
            ends.append(hand.best_constant(weights))
        start[i] = -hand.weights[i] * (ends[0] - ends[1]) / (2 * step)
    values, before = hand.boost(hand.weights)
    rise = np.zeros_like(held)
    slope, _ = hand.derivatives(hand.y_asked, hand.say(values, hand.asked)[-1])
    for i in range(N_TRAIN):
        own, change = start[i].copy(), np.tile(start[i], (N_QUERIES, 1))
        for t, leaves in enumerate(hand.leaves):
            _, h = hand.derivatives(hand.y, before[t])
            of_g, of_h = hand.slopes(hand.y, before[t])
            grown = np.zeros(hand.K)
            for k in range(hand.K):
                leaf = leaves[i, k]
                through = (
                    hand.trees.hessian_scale * values[t, k, leaf] / hand.trees.step
                )
                H = np.sum((hand.weights * h[:, k])[leaves[:, k] == leaf])
                bends = hand.bends(H, t, k, leaf)
                by_raw = of_g[i, k] + through * of_h[i, k]
                grown[k] = -hand.trees.step * hand.weights[i] * by_raw @ own / bends
                change[hand.asked[t][:, k] == leaf, k] += grown[k]
            own += grown
        rise[:, i] = np.sum(slope * change, axis=1)
    close(moved - held, rise, 1e-7)


@pytest.mark.parametrize(
    ("model", "load", "least"),
    [
        (HistGradientBoostingClassifier, load_breast_cancer, 0.99),
        (GradientBoostingClassifier, load_breast_cancer, 0.99),
        (HistGradientBoostingRegressor, load_diabetes, 0.99),
        (GradientBoostingRegressor, load_diabetes, 0.99),
        (HistGradientBoostingClassifier, load_iris, 0.94),
    ],
)
def test_removal_is_near_the_refit(model, load, least):
    X, y = load(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:150]
    X, y = X[rows], y[rows]
    options = {"max_iter": 30, "min_samples_leaf": 5, "max_leaf_nodes": 8}
    if model.__name__.startswith("Grad"):
        options = {"n_estimators": 30, "min_samples_leaf": 5, "random_state": 0}
    fitted = FrozenEstimator(model(**options).fit(X[:120], y[:120]))
    truth = LeafRefitRanker(fitted).fit(X[:120], y[:120]).influence(X[120:], y[120:])
    estimates = [
        LeafInfluenceRanker(fitted, method=method)
        .fit(X[:120], y[:120])
        .influence(X[120:], y[120:])
        for method in ("removal", "derivative")
    ]
    r = [np.corrcoef(truth.ravel(), each.ravel())[0, 1] for each in estimates]
    assert r[0] >= least
    assert r[0] > r[1]


def test_removal_sees_rows_that_are_alone_in_a_leaf():
    # Of squares such a row has leverage 1, and its derivative is 0.
    X, y = np.arange(6.0)[:, None], np.array([0.0, 0.1, 0.2, 0.1, 0.0, 9.0])
    model = GradientBoostingRegressor(n_estimators=1, max_depth=1, learning_rate=1.0)
    model.fit(X, y)
    truth = LeafRefitRanker(FrozenEstimator(model)).fit(X, y).self_influence_[5]
    own = [
        LeafInfluenceRanker(FrozenEstimator(model), method=method)
        .fit(X, y)
        .self_influence_[5]
        for method in ("derivative", "removal")
    ]
    assert truth > 10 and own[0] == pytest.approx(0.0, abs=1e-12)
    # The loss is linear in what it estimates, at a residual of 0.
    assert own[1] == pytest.approx(0.0, abs=1e-12)
    X_new = X[5:]
    change = LeafInfluenceRanker(FrozenEstimator(model), method="removal").fit(X, y)
    assert change.influence(X_new)[0, 5] == pytest.approx(9.0 - y.mean())


@pytest.mark.parametrize("name", ["HGB binary", "HGB classes", "GB values"])
def test_a_row_that_joins_one_tree(name):
    # Its leaf's value with it and without, by hand, times the slope of its loss.
    model, kind, weighted = MODELS[name]
    X, y, weights, Xq, yq = data(kind, weighted)
    one = {"max_iter": 1} if name.startswith("H") else {"n_estimators": 1}
    fitted = clone(model).set_params(**one).fit(X, y, sample_weight=weights)
    hand = ByHand(fitted, X, y, weights, Xq, yq)
    start = np.tile(hand.baseline, (N_QUERIES, 1))
    g, h = hand.derivatives(hand.y_asked, start)
    own_g, own_h = hand.derivatives(hand.y, np.tile(hand.baseline, (N_TRAIN, 1)))
    truth = np.zeros(N_QUERIES)
    values, _ = hand.boost(hand.weights)
    slope, _ = hand.derivatives(hand.y_asked, hand.say(values, hand.asked)[-1])
    for q, k in np.ndindex(N_QUERIES, hand.K):
        rows = hand.leaves[0][:, k] == hand.asked[0][q, k]
        G, H = (hand.weights[rows] @ part[rows, k] for part in (own_g, own_h))
        joined = hand.value(G + g[q, k], H + h[q, k])
        truth[q] += slope[q, k] * (hand.value(G, H) - joined)
    ranker = LeafInfluenceRanker(FrozenEstimator(fitted), method="removal")
    close(ranker.fit(X, y, weights).score_samples(Xq, yq), truth, 1e-12)


def test_trees_without_a_split_say_nothing_with_or_without_a_row(make):
    # Fewer rows than two leaves take: each tree is a root that adds 0.
    X, y, _, Xq, yq = data("classes", False)
    ranker = make(HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=30))
    ranker.fit(X, y)
    if not getattr(ranker, "refit_baseline", False):
        assert_array_equal(ranker.influence(Xq, yq), 0.0)
        assert_array_equal(ranker.self_influence_, 0.0)
        assert_array_equal(ranker.score_samples(Xq, yq), 0.0)
    assert_allclose(ranker.loo_proba_, ranker.predict_proba(X), rtol=1e-12)


# --- BoostIn ---


@pytest.mark.parametrize("power", [0, 1, 2])
def test_boostin_is_the_sum_over_stages(case, power):
    hand = case.hand
    values, before = hand.boost(hand.weights)
    asked = hand.say(values, hand.asked)
    step, scale = hand.trees.step, hand.trees.hessian_scale
    truth = np.zeros((N_QUERIES, N_TRAIN))
    for t, leaves in enumerate(hand.leaves):
        g, h = hand.derivatives(hand.y, before[t])
        slope, _ = hand.derivatives(hand.y_asked, asked[t])
        for q, i, k in np.ndindex(N_QUERIES, N_TRAIN, hand.K):
            leaf = leaves[i, k]
            if hand.asked[t][q, k] != leaf:
                continue
            rows = leaves[:, k] == leaf
            bends = hand.bends(np.sum((hand.weights * h[:, k])[rows]), t, k, leaf)
            through = scale * values[t, k, leaf] / step
            part = step * (g[i, k] + through * h[i, k]) / bends
            shared = np.sum(hand.weights[rows]) ** power
            truth[q, i] += slope[q, k] * hand.weights[i] * part / shared
    ranker = case.fit(BoostInRanker, power=power)
    close(ranker.influence(case.Xq, case.yq), truth, 1e-12)


# --- what a row's own leaves say without it ---


def own_leaf(hand):
    """Raw predictions of each row after each stage, its own leaves without it."""
    _, before = hand.boost(hand.weights)
    said = [np.tile(hand.baseline, (N_TRAIN, 1))]
    for t, leaves in enumerate(hand.leaves):
        g, h = hand.derivatives(hand.y, before[t])
        added = np.empty((N_TRAIN, hand.K))
        for i, k in np.ndindex(added.shape):
            rows = (leaves[:, k] == leaves[i, k]) & (np.arange(N_TRAIN) != i)
            weights = hand.weights[rows]
            added[i, k] = hand.value(
                weights @ g[rows, k], weights @ h[rows, k], t, k, leaves[i, k]
            )
        said.append(said[-1] + added)
    return said


def test_label_scores(case):
    hand = case.hand
    said = own_leaf(hand)
    losses = np.array([hand.losses(hand.y, raw) for raw in said])
    # scikit-learn's deviances leave out what does not depend on predictions.
    offset = 0.0
    if hand.trees.loss in ("poisson", "gamma"):
        at_best = hand.losses(
            np.maximum(hand.y, 1e-300), np.log(np.c_[hand.y] + 1e-300)
        )
        offset = np.where(hand.y > 0, at_best, 0.0)
    ranker = case.fit(LeafRefitRanker)
    close(
        ranker.label_scores("staged_loo_loss"), losses[1:].mean(axis=0) - offset, 1e-10
    )
    close(ranker.label_scores("loo_loss"), losses[-1] - offset, 1e-10)
    _, whole = hand.boost(hand.weights)
    close(ranker.label_scores("loss"), hand.losses(hand.y, whole[-1]) - offset, 1e-10)
    boostin = case.fit(BoostInRanker)
    close(ranker.label_scores("boostin"), boostin.self_influence_, 1e-12)


def test_leave_one_out_predictions(case):
    hand = case.hand
    raw = own_leaf(hand)[-1]
    ranker = case.fit(LeafInfluenceRanker)
    if not hasattr(case.model, "classes_"):
        truth = hand.loss.link.inverse(raw[:, 0])
        close(ranker.loo_prediction_, truth, 1e-10)
        assert not hasattr(ranker, "loo_proba_")
        assert not hasattr(ranker, "loo_decision_function_")
        return
    plain = raw if hand.K > 1 else raw[:, 0]
    close(ranker.loo_decision_function_, plain, 1e-10)
    close(ranker.loo_proba_, hand.loss.predict_proba(plain), 1e-10)
    assert not hasattr(ranker, "loo_prediction_")


@pytest.mark.parametrize("name", MODELS)
def test_own_leaves_of_one_tree_are_the_refit(name):
    model, X, y, weights, _, _ = fitted(name)
    one = {"max_iter": 1} if name.startswith("H") else {"n_estimators": 1}
    ranker = LeafRefitRanker(clone(model).set_params(**one)).fit(X, y, weights)
    rise = ranker.label_scores("loo_loss") - ranker.label_scores("loss")
    close(rise, ranker.self_influence_, 1e-12)


def test_what_is_left_of_a_leaf_beside_a_giant_row():
    # Differences of sums would leave nothing of the others' 6 beside 1e17.
    X = np.arange(8.0)[:, None]
    y = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 1e17])
    model = GradientBoostingRegressor(
        n_estimators=1,
        learning_rate=1.0,
        max_leaf_nodes=2,
        min_samples_leaf=4,
        init="zero",
    )
    frozen = FrozenEstimator(model.fit(X, y))
    assert LeafRefitRanker(frozen).fit(X, y).loo_prediction_[7] == pytest.approx(2.0)


# --- invariances ---

RANKERS = {
    "refit": lambda model: LeafRefitRanker(model),
    "refit, baseline": lambda model: LeafRefitRanker(model, refit_baseline=True),
    "derivative": lambda model: LeafInfluenceRanker(model),
    "derivative, baseline": lambda model: LeafInfluenceRanker(
        model, refit_baseline=True
    ),
    "removal": lambda model: LeafInfluenceRanker(model, method="removal"),
    "removal, baseline": lambda model: LeafInfluenceRanker(
        model, method="removal", refit_baseline=True
    ),
    "single point": lambda model: LeafInfluenceRanker(model, method="single_point"),
    "boostin": lambda model: BoostInRanker(model),
    "boostin, 1": lambda model: BoostInRanker(model, power=1),
}
FAMILIES = ["HGB binary", "HGB classes", "GB classes", "HGB poisson", "GB values"]


@pytest.fixture(params=RANKERS)
def make(request):
    return RANKERS[request.param]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_repeated_row_is_a_row_of_weight_2(make, name):
    model, kind, _ = MODELS[name]
    X, y, _, Xq, yq = data(kind, False)
    weights = np.ones(N_TRAIN)
    weights[:10] = 2.0
    fitted = FrozenEstimator(clone(model).fit(X, y, sample_weight=weights))
    heavy = make(fitted).fit(X, y, weights)
    twice = make(fitted).fit(np.vstack([X, X[:10]]), np.r_[y, y[:10]])
    ours, truth = (ranker.influence(Xq, yq) for ranker in (heavy, twice))
    tolerance = 1e-12 * np.abs(truth).max()
    assert_allclose(ours[:, 10:], truth[:, 10:N_TRAIN], rtol=0, atol=tolerance)
    assert_allclose(truth[:, :10], truth[:, N_TRAIN:], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", FAMILIES)
def test_weight_0_is_absence(make, name):
    model, kind, _ = MODELS[name]
    X, y, _, Xq, yq = data(kind, False)
    weights = np.ones(N_TRAIN)
    weights[5::9] = 0.0
    fitted = FrozenEstimator(clone(model).fit(X, y, sample_weight=weights))
    whole = make(fitted).fit(X, y, weights)
    kept = weights > 0
    less = make(fitted).fit(X[kept], y[kept])
    ours, truth = whole.influence(Xq, yq), less.influence(Xq, yq)
    assert_array_equal(ours[:, ~kept], 0.0)
    close(ours[:, kept], truth, 1e-12)
    assert_array_equal(whole.self_influence_[~kept], 0.0)
    close(whole.self_influence_[kept], less.self_influence_, 1e-12)


def test_rows_that_early_stopping_held_out_have_no_influence(make):
    X, y = load_breast_cancer(return_X_y=True)
    X, y, Xq, yq = X[:120], y[:120], X[120:125], y[120:125]
    model = HistGradientBoostingClassifier(
        max_iter=5, max_leaf_nodes=4, early_stopping=True, random_state=0
    )
    ranker = make(model).fit(X, y)
    assert 0 < np.sum(~ranker.in_fit_) < 30
    out = ~ranker.in_fit_
    influence = ranker.influence(Xq, yq)
    assert_array_equal(influence[:, out], 0.0)
    assert np.all(np.any(influence[:, ~out] != 0, axis=0))
    assert_array_equal(ranker.self_influence_[out], 0.0)
    # What is said of them without them is what the model says.
    proba = ranker.predict_proba(X[out])
    assert_allclose(ranker.loo_proba_[out], proba, rtol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_blocks_of_rows_and_queries_change_nothing(make, name):
    model, kind, weighted = MODELS[name]
    X, y, weights, Xq, yq = data(kind, weighted)
    ranker = make(clone(model)).fit(X, y, weights)
    again = make(FrozenEstimator(ranker.estimator_)).fit(X, y, weights)
    whole, own = ranker.influence(Xq, yq), ranker.self_influence_
    new, mean = ranker.score_samples(Xq, yq), ranker.mean_influence(Xq, yq)
    with config_context(working_memory=1e-4):
        close(again.influence(Xq, yq), whole, 1e-12)
        close(again.self_influence_, own, 1e-12)
        close(again.score_samples(Xq, yq), new, 1e-12)
        close(again.mean_influence(Xq, yq), mean, 1e-12)
    close(mean, whole.mean(axis=0), 1e-12)


def test_weighted_means_over_queries(make):
    model, kind, _ = MODELS["HGB classes"]
    X, y, _, Xq, yq = data(kind, False)
    ranker = make(clone(model)).fit(X, y)
    shares = np.arange(N_QUERIES) % 3
    truth = np.average(ranker.influence(Xq, yq), axis=0, weights=shares)
    close(ranker.mean_influence(Xq, yq, sample_weight=shares), truth, 1e-12)
    with pytest.raises(ValueError, match="zero"):
        ranker.mean_influence(Xq, yq, sample_weight=np.zeros(N_QUERIES))


@pytest.mark.parametrize("name", ["HGB poisson", "GB values"])
def test_without_targets_influence_is_on_the_prediction(name):
    case = Case(name)
    hand = case.hand
    values, _ = hand.boost(hand.weights)
    link = hand.loss.link.inverse
    whole = link(hand.say(values, hand.asked)[-1][:, 0])
    truth = np.empty((N_QUERIES, N_TRAIN))
    for i in range(N_TRAIN):
        without, _ = hand.boost(hand.without(i))
        truth[:, i] = whole - link(hand.say(without, hand.asked)[-1][:, 0])
    close(case.fit(LeafRefitRanker).influence(case.Xq), truth, 1e-10)
    near = case.fit(LeafInfluenceRanker, method="removal").influence(case.Xq)
    assert np.corrcoef(near.ravel(), truth.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("method", ["derivative", "removal", "single_point"])
def test_new_rows_without_targets_lie_one_above_their_prediction(method):
    # Of squares, the slope of the loss there is that of minus the prediction.
    model, kind, _ = MODELS["GB values"]
    X, y, _, Xq, _ = data(kind, False)
    ranker = LeafInfluenceRanker(clone(model), method=method).fit(X, y)
    truth = ranker.score_samples(Xq, ranker.predict(Xq) + 1.0)
    close(ranker.score_samples(Xq), truth, 1e-12)


# --- models, and what is refused ---


def test_a_start_that_is_not_the_best_constant_is_not_refitted():
    X, y, _, _, _ = data("values", False)
    model = GradientBoostingRegressor(n_estimators=3, init="zero")
    for kind in (LeafRefitRanker, LeafInfluenceRanker):
        kind(model).fit(X, y)
        with pytest.raises(ValueError, match="Set refit_baseline=False"):
            kind(model, refit_baseline=True).fit(X, y)


def test_other_models_are_refused():
    X, y, _, _, _ = data("binary", False)
    with pytest.raises(TypeError, match="StandardScaler are not known"):
        BoostInRanker(StandardScaler()).fit(X, y)


def test_default_models_and_pipelines(make):
    X, y, _, Xq, yq = data("binary", False)
    model = make(None).fit(X, y).estimator_
    assert isinstance(model, HistGradientBoostingClassifier)
    X, y, _, Xq, yq = data("values", False)
    ranker = make(None).fit(X, y)
    assert isinstance(ranker.estimator_, HistGradientBoostingRegressor)
    piped = make(make_pipeline(StandardScaler(), clone(ranker.estimator_))).fit(X, y)
    truth = make(clone(ranker.estimator_)).fit(StandardScaler().fit_transform(X), y)
    scaled = StandardScaler().fit(X).transform(Xq)
    close(piped.influence(Xq, yq), truth.influence(scaled, yq), 1e-12)


def test_parameters_count_as_they_were_in_fit():
    X, y, _, Xq, yq = data("binary", False)
    ranker = LeafInfluenceRanker(GradientBoostingClassifier(n_estimators=3)).fit(X, y)
    truth = ranker.influence(Xq, yq)
    ranker.set_params(method="removal", refit_baseline=True)
    assert_array_equal(ranker.influence(Xq, yq), truth)


@pytest.mark.parametrize("kind", [BoostInRanker, LeafInfluenceRanker, LeafRefitRanker])
@pytest.mark.parametrize("score", ["auto", "boostin", "loo_loss"])
def test_filters_take_them(kind, score):
    X, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    flipped = rng.choice(len(y), 12, replace=False)
    given = y.copy()
    given[flipped] = (given[flipped] + 1) % 3
    model = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=4, l2_regularization=1.0
    )
    found = MislabelFilter(kind(model), label_score=score).fit(X, given)
    name = "staged_loo_loss" if score == "auto" else score
    assert_array_equal(found.scores_, found.ranker_.label_scores(name))
    flagged = ~found.get_support()
    assert flagged[flipped].mean() > 0.8 and flagged.sum() < 25
    fresh = found.score_samples(X[:5], given[:5])
    assert fresh.shape == (5,)


# --- raw predictions ---


def test_raw_predictions_without_a_row_are_the_refits(case, refit_baseline):
    hand = case.hand
    ranker = case.fit(LeafRefitRanker, refit_baseline=refit_baseline)
    change = ranker.raw_change(case.Xq)
    assert isinstance(change, RawChange)
    values, _ = hand.boost(hand.weights)
    whole = hand.say(values, hand.asked)[-1]
    close(change.raw, whole, 1e-12)
    truth = np.empty((N_QUERIES, N_TRAIN, hand.K))
    for i in range(N_TRAIN):
        weights = hand.without(i)
        start = hand.best_constant(weights) if refit_baseline else hand.baseline
        values, _ = hand.boost(weights, start)
        truth[:, i] = hand.say(values, hand.asked, start)[-1] - whole
    close(np.hstack([shift for _, shift in change.without()]), truth, 1e-10)
    gradient = np.random.default_rng(0).normal(size=whole.shape)
    close(change.along(gradient), np.einsum("qk,qik->i", gradient, truth), 1e-10)


@pytest.mark.parametrize("method", ["derivative", "removal", "single_point"])
def test_raw_predictions_change_as_losses_say(case, method):
    # Of which there is an oracle each: the slope of a loss times the change.
    hand = case.hand
    ranker = case.fit(LeafInfluenceRanker, method=method)
    change = ranker.raw_change(case.Xq)
    slope, _ = hand.derivatives(hand.y_asked, change.raw)
    moved = np.hstack([shift for _, shift in change.without()])
    truth = ranker.influence(case.Xq, case.yq)
    close(np.einsum("qk,qik->qi", slope, moved), truth, 1e-12)
    close(change.along(slope), truth.sum(axis=0), 1e-12)


def test_links_of_raw_predictions(case):
    change = case.fit(LeafRefitRanker).raw_change(case.Xq)
    says = {
        "identity": lambda raw: raw[:, 0],
        "exp": lambda raw: np.exp(raw[:, 0]),
        "sigmoid": lambda raw: case.hand.loss.predict_proba(raw[:, 0]),
        "softmax": lambda raw: np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True),
    }[change.link]
    truth = getattr(case.model, "predict_proba", case.model.predict)(case.Xq)
    said = says(change.raw)
    # Libraries of trees keep leaves in single precision.
    assert_allclose(said, truth, rtol=1e-5)
