"""Fitted boosted ensembles as arrays, against what the library itself says of them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklinfluence.trees._ensemble import read_ensemble
from sklinfluence.trees._leaves import values_at

FEW = {"max_iter": 6, "min_samples_leaf": 5, "random_state": 0}
FEW_GB = {"n_estimators": 6, "random_state": 0}
EARLY = {"early_stopping": True, "n_iter_no_change": 2}


def hist(**options):
    return HistGradientBoostingClassifier(**FEW | options)


def hist_values(**options):
    return HistGradientBoostingRegressor(**FEW | options)


def plain(**options):
    return GradientBoostingClassifier(**FEW_GB | options)


def plain_values(**options):
    return GradientBoostingRegressor(**FEW_GB | options)


# name: model, rows, targets, weighted, loss
SCIKIT_LEARN = {
    "hist, binary": (hist(), "X", "two", False, "binary"),
    "hist, softmax": (hist(), "X", "three", False, "softmax"),
    "hist, holes and weights": (hist(), "holes", "two", True, "binary"),
    "hist, categories": (
        hist(categorical_features=[4]),
        "holes",
        "three",
        True,
        "softmax",
    ),
    "hist, class weights": (
        hist(class_weight="balanced", l2_regularization=2.0),
        "X",
        "two",
        True,
        "binary",
    ),
    "hist, early": (hist(**EARLY), "X", "three", False, "softmax"),
    "hist, early and weights": (hist(**EARLY), "X", "two", True, "binary"),
    "hist, early, no seed": (
        hist(random_state=None, **EARLY),
        "X",
        "two",
        False,
        "binary",
    ),
    "hist, early, values": (hist_values(**EARLY), "X", "real", True, "squared"),
    "hist, squared": (hist_values(learning_rate=0.5), "X", "real", False, "squared"),
    "hist, poisson": (hist_values(loss="poisson"), "holes", "counts", True, "poisson"),
    "hist, gamma": (hist_values(loss="gamma"), "X", "positive", False, "gamma"),
    "plain, binary": (plain(), "X", "two", False, "binary"),
    "plain, softmax": (plain(), "X", "three", True, "softmax"),
    "plain, deep": (
        plain(max_depth=12, learning_rate=0.5),
        "X",
        "two",
        False,
        "binary",
    ),
    "plain, early": (plain(n_iter_no_change=2), "X", "three", True, "softmax"),
    "plain, zero": (plain(init="zero"), "X", "two", False, "binary"),
    "plain, squared": (plain_values(ccp_alpha=0.01), "X", "real", True, "squared"),
}


def light(kind, **options):
    lightgbm = pytest.importorskip("lightgbm")
    options = {"n_estimators": 6, "min_child_samples": 5, "verbose": -1} | options
    return getattr(lightgbm, kind)(**options)


def extreme(kind, **options):
    xgboost = pytest.importorskip("xgboost")
    return getattr(xgboost, kind)(**{"n_estimators": 6, "max_depth": 3} | options)


# name: library, class, options, rows, targets, weighted, loss
OTHERS = {
    "light, binary": (light, "LGBMClassifier", {}, "holes", "two", True, "binary"),
    "light, softmax": (
        light,
        "LGBMClassifier",
        {"class_weight": "balanced", "reg_lambda": 2.0},
        "X",
        "three",
        False,
        "softmax",
    ),
    "light, no average": (
        light,
        "LGBMClassifier",
        {"boost_from_average": False, "scale_pos_weight": 3.0},
        "X",
        "two",
        False,
        "binary",
    ),
    "light, squared": (light, "LGBMRegressor", {}, "X", "real", True, "squared"),
    "light, poisson": (
        light,
        "LGBMRegressor",
        {"objective": "poisson"},
        "X",
        "counts",
        True,
        "poisson",
    ),
    "light, gamma": (
        light,
        "LGBMRegressor",
        {"objective": "gamma"},
        "X",
        "positive",
        False,
        "gamma",
    ),
    "extreme, binary": (
        extreme,
        "XGBClassifier",
        {"scale_pos_weight": 2.0},
        "holes",
        "codes",
        True,
        "binary",
    ),
    "extreme, softmax": (
        extreme,
        "XGBClassifier",
        {"reg_lambda": 0.0},
        "X",
        "three",
        False,
        "softmax",
    ),
    "extreme, base score": (
        extreme,
        "XGBClassifier",
        {"base_score": 0.3},
        "X",
        "codes",
        False,
        "binary",
    ),
    "extreme, squared": (extreme, "XGBRegressor", {}, "X", "real", True, "squared"),
    "extreme, poisson": (
        extreme,
        "XGBRegressor",
        {"objective": "count:poisson", "max_delta_step": 5.0},
        "X",
        "counts",
        False,
        "poisson",
    ),
    "extreme, gamma": (
        extreme,
        "XGBRegressor",
        {"objective": "reg:gamma"},
        "X",
        "positive",
        False,
        "gamma",
    ),
}


def taken(data, rows, targets, is_weighted):
    y = (
        (data.two == "yes").astype(int)
        if targets == "codes"
        else getattr(data, targets)
    )
    return getattr(data, rows), y, data.weights if is_weighted else None


@pytest.fixture(params=SCIKIT_LEARN)
def ours(request, data):
    """A fitted model, its rows, and the arrays."""
    model, rows, targets, is_weighted, loss = SCIKIT_LEARN[request.param]
    X, y, weights = taken(data, rows, targets, is_weighted)
    model.fit(X, y, sample_weight=weights)
    trees = read_ensemble(model, X, y, weights)
    assert trees.loss == loss
    return model, X, y, weights, trees


@pytest.fixture(params=OTHERS)
def theirs(request, data):
    library, kind, options, rows, targets, is_weighted, loss = OTHERS[request.param]
    model = library(kind, **options)
    X, y, weights = taken(data, rows, targets, is_weighted)
    model.fit(X, y, sample_weight=weights)
    trees = read_ensemble(model, X, y, weights)
    assert trees.loss == loss
    return model, X, y, weights, trees


def staged(model, X):
    """What each stage adds to raw predictions, by the library."""
    if hasattr(model, "staged_decision_function"):
        stages = list(model.staged_decision_function(X))
    elif hasattr(model, "staged_predict"):
        stages = list(model.staged_predict(X))
        if getattr(model, "loss", None) in ("poisson", "gamma"):
            stages = np.log(stages)
    elif hasattr(model, "booster_"):
        n = model.booster_.current_iteration()
        stages = [
            model.predict(X, raw_score=True, num_iteration=at + 1) for at in range(n)
        ]
    else:
        n = model.get_booster().num_boosted_rounds()
        stages = [
            model.predict(X, output_margin=True, iteration_range=(0, at + 1))
            for at in range(n)
        ]
    return np.reshape(np.array(stages, dtype=float), (len(stages), len(X), -1))


def assert_stages_are_the_models(model, X, trees, tolerance):
    truth = staged(model, X)
    found = [
        values_at(values, leaves)
        for values, leaves in zip(trees.leaf_values, trees.leaf_indices(X), strict=True)
    ]
    assert all(leaves.dtype == np.int32 for leaves in trees.leaf_indices(X))
    raw = trees.baseline + np.cumsum(found, axis=0)
    assert_allclose(raw, truth, rtol=0, atol=tolerance * max(1.0, np.abs(truth).max()))
    assert_allclose(trees.raw_predict(X), raw[-1], rtol=1e-12)


def test_every_stage_is_the_models(ours):
    model, X, _, _, trees = ours
    # Logarithms of what a log link predicts lose a digit.
    assert_stages_are_the_models(model, X, trees, 1e-12)


def test_every_stage_is_the_other_librarys(theirs):
    model, X, _, _, trees = theirs
    assert_stages_are_the_models(model, X, trees, 1e-5)


def derivatives(loss, y, raw):
    """First and second derivative of textbook losses, by hand."""
    if loss == "squared":
        return raw[:, 0] - y, np.ones(len(y))
    if loss == "binary":
        p = expit(raw[:, 0])
        return p - y, p * (1 - p)
    mean = np.exp(raw[:, 0])
    if loss == "poisson":
        return mean - y, mean
    return 1 - y / mean, y / mean


def of_output(trees, raw, k):
    if trees.loss != "softmax":
        return derivatives(trees.loss, trees.targets, raw)
    p = softmax(raw, axis=1)[:, k]
    return p - (trees.targets == k), p * (1 - p)


def assert_leaves_are_newton_steps(trees, X, tolerance):
    """Leaf by leaf, over its rows, in a loop."""
    raw = np.tile(trees.baseline, (len(X), 1))
    largest = max(np.abs(v).max() for stage in trees.leaf_values for v in stage)
    stages = zip(trees.leaf_values, trees.leaf_indices(X), trees.penalties, strict=True)
    for values, leaves, penalties in stages:
        for k, stored in enumerate(values):
            g, h = of_output(trees, raw, k)
            for leaf, value in enumerate(stored):
                of_leaf = (leaves[:, k] == leaf) & (trees.weights > 0)
                w = trees.weights[of_leaf]
                total = trees.hessian_scale * (w @ h[of_leaf]) + trees.l2
                total += penalties[k][leaf]
                again = -trees.step * (w @ g[of_leaf]) / total
                assert abs(again - value) <= tolerance * largest
        raw = raw + values_at(values, leaves)


def test_leaves_are_newton_steps(ours):
    model, X, _, _, trees = ours
    is_hist = type(model).__name__.startswith("Hist")
    # Gradients in float32, or sums in another order: as the house measured.
    assert_leaves_are_newton_steps(trees, X, 1e-6 if is_hist else 1e-10)


def test_leaves_of_other_libraries_are_newton_steps(theirs):
    _, X, _, _, trees = theirs
    assert_leaves_are_newton_steps(trees, X, 1e-5)


def test_rows_held_out_by_early_stopping(ours):
    model, _X, y, weights, trees = ours
    stops = getattr(model, "do_early_stopping_", None)
    if stops is None:
        stops = model.n_iter_no_change is not None
    n_held_out = int(np.ceil(0.1 * len(y))) if stops else 0
    assert np.sum(~trees.in_fit) == n_held_out
    assert not trees.weights[~trees.in_fit].any()
    if weights is None and getattr(model, "class_weight", None) is None:
        assert_array_equal(trees.weights[trees.in_fit], 1.0)


def test_split_of_early_stopping_is_scikit_learns(data):
    model = plain(n_iter_no_change=2).fit(data.X, data.three)
    trees = read_ensemble(model, data.X, data.three)
    rows, _ = train_test_split(
        np.arange(len(data.X)), test_size=0.1, stratify=data.three, random_state=0
    )
    assert_array_equal(np.flatnonzero(trees.in_fit), np.sort(rows))


def test_validation_rows_of_ones_own_leave_all_in(data):
    model = hist(**EARLY)
    kept = np.arange(len(data.X)) >= 40
    X, y = data.X[kept], data.two[kept]
    model.fit(X, y, X_val=data.X[~kept], y_val=data.two[~kept])
    assert read_ensemble(model, X, y).in_fit.all()


def test_frozen_models_pipelines_and_pickles(data):
    frozen = make_pipeline(StandardScaler(), FunctionTransformer(), hist())
    frozen.fit(data.X, data.two)
    trees = read_ensemble(FrozenEstimator(frozen), data.X, data.two)
    truth = frozen.decision_function(data.queries)
    for it in (trees, pickle.loads(pickle.dumps(trees))):
        assert_allclose(it.raw_predict(data.queries)[:, 0], truth, rtol=1e-12)
    alone = make_pipeline(hist()).fit(data.X, data.two)
    assert read_ensemble(alone, data.X, data.two).in_fit.all()


def test_sparse_rows(data):
    X = sparse.csr_matrix(np.where(np.abs(data.X) > 1, data.X, 0.0))
    model = plain().fit(X, data.three)
    trees = read_ensemble(model, X, data.three)
    assert_allclose(trees.raw_predict(X), model.decision_function(X), atol=1e-12)


def test_frames_with_categories(data):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(data.holes, columns=list("abcde"))
    X["e"] = pandas.Categorical(np.array(list("uvwxyz"))[data.X[:, 4].astype(int)])
    model = hist_values(categorical_features="from_dtype").fit(X, data.real)
    trees = read_ensemble(model, X, data.real)
    assert_allclose(trees.raw_predict(X)[:, 0], model.predict(X), rtol=1e-12)
    categorical = extreme("XGBRegressor", enable_categorical=True)
    for made in (light("LGBMRegressor"), categorical):
        made.fit(X, data.real)
        raw = read_ensemble(made, X, data.real).raw_predict(X)[:, 0]
        assert_allclose(raw, made.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    "options, has_penalty",
    [
        # Six categories, and a place for those that are missing.
        pytest.param({"cat_l2": 0.0}, False, id="no penalty"),
        pytest.param({"max_cat_to_onehot": 6}, True, id="two sets"),
        pytest.param({"max_cat_to_onehot": 7}, False, id="one against the rest"),
        pytest.param({"cat_l2": 30.0, "reg_lambda": 2.0}, True, id="much"),
    ],
)
@pytest.mark.parametrize("targets", ["real", "three"])
def test_leaves_below_sets_of_categories_have_their_penalty(
    options, has_penalty, targets, data
):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(data.holes, columns=list("abcde"))
    X["e"] = pandas.Categorical(data.X[:, 4].astype(int))
    options = {"min_data_per_group": 1, "num_leaves": 4} | options
    kind = "LGBMRegressor" if targets == "real" else "LGBMClassifier"
    y = getattr(data, targets)
    model = light(kind, **options).fit(X, y)
    trees = read_ensemble(model, X, y)
    penalties = np.concatenate([of for stage in trees.penalties for of in stage])
    assert penalties.any() == has_penalty
    assert_leaves_are_newton_steps(trees, X, 1e-5)
    truth = model.predict(X, raw_score=True).reshape(len(X), -1)
    assert_allclose(trees.raw_predict(X), truth, rtol=0, atol=1e-5 * truth.max())


REFUSED = {
    "monotonic_cst": hist(monotonic_cst=[1, 0, 0, 0, 0]),
    "monotonic_cst by name": hist_values(monotonic_cst=[0, -1, 0, 0, 0]),
    "loss='absolute_error'": hist_values(loss="absolute_error"),
    "loss='quantile'": hist_values(loss="quantile", quantile=0.5),
    "loss='huber'": plain_values(loss="huber"),
    "loss='exponential'": plain(loss="exponential"),
    "subsample=0.5": plain(subsample=0.5),
    "init=": plain(init=LogisticRegression()),
    "cannot be redone": plain(n_iter_no_change=2, random_state=None),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_newton_steps_is_refused(reason, data):
    model = REFUSED[reason]
    y = data.real if hasattr(model, "loss") and "Regressor" in str(model) else data.two
    model.fit(data.X, y)
    with pytest.raises(ValueError, match=reason.partition(" by")[0]):
        read_ensemble(model, data.X, y)


@pytest.mark.parametrize(
    "made, reason",
    [
        (lambda: light("LGBMClassifier", reg_alpha=1.0), "reg_alpha=1.0"),
        (lambda: light("LGBMClassifier", boosting_type="dart"), "boosting_type='dart'"),
        (
            lambda: light("LGBMClassifier", subsample=0.5, subsample_freq=1),
            "subsample=",
        ),
        (lambda: light("LGBMClassifier", objective="multiclassova"), "multiclassova"),
        (
            lambda: light("LGBMClassifier", monotone_constraints=[1, 0, 0, 0, 0]),
            "monotone_constraints",
        ),
        (lambda: extreme("XGBClassifier", reg_alpha=1.0), "alpha=1"),
        (lambda: extreme("XGBClassifier", booster="dart"), "booster='dart'"),
        (lambda: extreme("XGBClassifier", subsample=0.5), "subsample=0.5"),
        (lambda: extreme("XGBClassifier", num_parallel_tree=2), "num_parallel_tree"),
        (lambda: extreme("XGBClassifier", max_delta_step=0.1), "max_delta_step=0.1"),
        (
            lambda: extreme("XGBClassifier", monotone_constraints=(1, 0, 0, 0, 0)),
            "monotone_constraints",
        ),
    ],
)
def test_settings_of_other_libraries_are_refused_by_name(made, reason, data):
    model = made()
    y = data.three if "ova" in reason else (data.two == "yes").astype(int)
    model.fit(data.X, y)
    with pytest.raises(ValueError, match=reason):
        read_ensemble(model, data.X, y)


def test_leaves_of_rows_that_are_all_but_certain(data):
    # p (1 - p) is down to its rounding there, and the leaves with it.
    X = np.random.default_rng(0).normal(size=(200, 4))
    sure = (X[:, 0] > 0).astype(int)
    model = plain(learning_rate=1.0, n_estimators=200).fit(X, sure)
    raw = model.decision_function(X)
    assert np.abs(raw).max() > 15
    trees = read_ensemble(model, X, sure)
    assert_allclose(trees.raw_predict(X)[:, 0], raw, rtol=1e-12)
    y = (data.X[:, 0] > 0).astype(int)
    y[:10] = 1 - y[:10]
    # Further on rounding is all that there is.
    beyond = plain(learning_rate=1.0, n_estimators=120).fit(data.X, y)
    with pytest.raises(ValueError, match="second derivatives are rounding"):
        read_ensemble(beyond, data.X, y)


@pytest.mark.parametrize("model", [hist(), plain()], ids=["hist", "plain"])
def test_other_rows_targets_or_weights_are_refused(model, data):
    model.fit(data.X, data.three)
    moved = data.X.copy()
    moved[0] = moved[1]
    for X, y, weights in (
        (moved, data.three, None),
        (data.X, np.roll(data.three, 1), None),
        (data.X, data.three, data.weights),
        (data.X[1:], data.three[1:], None),
    ):
        with pytest.raises(ValueError, match="not what it was trained on"):
            read_ensemble(model, X, y, weights)


def test_early_stopping_of_other_libraries_keeps_the_best_stages(data):
    y = (data.two == "yes").astype(int)
    kept = np.arange(len(y)) >= 40
    held_out = [(data.X[~kept], 1 - y[~kept])]
    lightgbm = pytest.importorskip("lightgbm")
    stopping = [lightgbm.early_stopping(1, verbose=False)]
    made = light("LGBMClassifier")
    made.fit(data.X[kept], y[kept], eval_set=held_out, callbacks=stopping)
    other = extreme("XGBClassifier", early_stopping_rounds=1)
    other.fit(data.X[kept], y[kept], eval_set=held_out, verbose=False)
    for model in (made, other):
        trees = read_ensemble(model, data.X[kept], y[kept])
        assert len(trees.leaf_values) < 6


def test_models_without_known_trees_are_named(data):
    for model in (LogisticRegression(), RandomForestClassifier(2)):
        model.fit(data.X, data.two)
        with pytest.raises(TypeError, match=type(model).__name__):
            read_ensemble(model, data.X, data.two)


def test_no_other_library_is_loaded_before_its_models_come():
    asked = "{'lightgbm', 'xgboost'} & {*sys.modules}"
    code = f"import sys, sklinfluence.trees; print({asked})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"
