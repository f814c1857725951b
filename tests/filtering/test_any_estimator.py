"""Any estimator in the ranker's place: which evidence, what it says, how honest."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Lasso, LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, ShuffleSplit
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.filtering._evidence._class_columns import ClassColumns
from sklinfluence.filtering._evidence._steps import see_targets
from sklinfluence.filtering._noise._temperature import calibration
from sklinfluence.gradient import InfluenceRanker

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
codes = (X[:, 0] + 0.5 * rng.normal(size=60) > 0).astype(int) + (X[:, 1] > 0.8)
y = np.array(["ash", "birch", "cedar"])[codes]
target = X @ [2.0, -1.0, 0.5, 0.0] + 0.3 * rng.normal(size=60)
small_boosting = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5)

EVIDENCE = [
    (LogisticRegression(), "leave-one-out"),
    (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()), "leave-one-out"),
    (RidgeClassifier(), "leave-one-out"),
    (KNeighborsClassifier(), "leave-one-out"),
    (make_pipeline(StandardScaler(), KNeighborsClassifier()), "leave-one-out"),
    (RandomForestClassifier(60, random_state=0), "out-of-bag"),
    (ExtraTreesClassifier(60, bootstrap=True, random_state=0), "out-of-bag"),
    (BaggingClassifier(GaussianNB(), 60, random_state=0), "out-of-bag"),
    (BaggingClassifier(GaussianNB(), 60, max_samples=0.5, bootstrap=False,
                       random_state=0), "out-of-bag"),
    (make_pipeline(PCA(2), RandomForestClassifier(60, random_state=0)), "out-of-bag"),
    (ExtraTreesClassifier(12, random_state=0), "cross-fitted"),
    (RandomForestClassifier(12, random_state=0), "cross-fitted"),
    (BaggingClassifier(GaussianNB(), random_state=0), "cross-fitted"),
    (make_pipeline(SelectKBest(k=2), LogisticRegression()), "cross-fitted"),
    (make_pipeline(SelectKBest(k=2), KNeighborsClassifier()), "cross-fitted"),
    (make_pipeline(LinearDiscriminantAnalysis(), LogisticRegression()), "cross-fitted"),
    (LogisticRegression(l1_ratio=1, solver="saga", max_iter=500), "cross-fitted"),
    (LogisticRegression(C=1e6, max_iter=2000), "leave-one-out"),
    (GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2), "cross-fitted"),
    (MLPClassifier((3,), max_iter=20, random_state=0), "cross-fitted"),
    (small_boosting, "cross-fitted"),
    (GaussianNB(), "cross-fitted"),
    (LinearSVC(random_state=0), "cross-fitted"),
    (SVC(), "cross-fitted"),
]  # fmt: skip


def name_of(value):
    return type(value).__name__ if hasattr(value, "fit") else str(value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "evidence"), EVIDENCE, ids=name_of)
def test_the_cheapest_honest_evidence_on_classes(estimator, evidence):
    detector = MislabelFilter(estimator, n_rounds=1, random_state=0).fit(X, y)
    assert detector.evidence_ == evidence
    assert np.isfinite(detector.scores_).all()
    assert_allclose(detector._model.loo_proba_.sum(axis=1), 1.0, rtol=1e-6)
    assert set(detector.suggested_labels_) <= set(y)
    assert detector.score_samples(X[:3], y[:3]).shape == (3,)
    assert detector.score_samples(X[:3]).shape == (3,)
    sampler = MislabelSampler(estimator, n_rounds=1, random_state=0).fit(X, y)
    assert_array_equal(sampler.scores_, detector.scores_)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "evidence"),
    [
        (Ridge(), "leave-one-out"),
        (make_pipeline(StandardScaler(), Ridge()), "leave-one-out"),
        (KNeighborsRegressor(), "leave-one-out"),
        (RandomForestRegressor(60, random_state=0), "out-of-bag"),
        (BaggingRegressor(Ridge(), 60, random_state=0), "out-of-bag"),
        (BaggingRegressor(Ridge(), random_state=0), "cross-fitted"),
        (Lasso(0.01), "cross-fitted"),
        (make_pipeline(SelectKBest(k=2), Ridge()), "cross-fitted"),
        (HistGradientBoostingRegressor(max_iter=30), "cross-fitted"),
        (PLSRegression(2), "cross-fitted"),
    ],
    ids=name_of,
)
def test_the_cheapest_honest_evidence_on_real_targets(estimator, evidence):
    wrong = target.copy()
    wrong[[5, 40]] += [30.0, -30.0]
    detector = MislabelFilter(estimator, random_state=0).fit(X, wrong)
    assert detector.evidence_ == evidence
    assert set(np.argsort(-detector.scores_)[:2]) == {5, 40}
    assert not detector.get_support()[[5, 40]].any()
    kept = FilteredRegressor(Ridge(), MislabelFilter(estimator, random_state=0))
    assert set(kept.fit(X, wrong).sample_indices_).isdisjoint({5, 40})


def test_the_other_kinds_of_evidence_are_named():
    kinds = [
        (MislabelFilter(random_state=0), y, "pooled"),
        (MislabelFilter(InfluenceRanker()), y, "leave-one-out"),
        (MislabelFilter(InfluenceRanker(), cv=3), y, "cross-fitted"),
        (MislabelFilter(InfluenceRanker(Ridge())), target, "leave-one-out"),
        (MislabelFilter(GaussianNB(), cv=3), y, "cross-fitted"),
        (MislabelFilter(LogisticRegression(), cv=3), y, "cross-fitted"),
        (MislabelFilter(KNeighborsClassifier(), cv=3), y, "cross-fitted"),
    ]
    for detector, given, evidence in kinds:
        assert detector.fit(X, given).evidence_ == evidence


def test_a_bare_linear_head_is_judged_as_its_ranker_is():
    bare = MislabelFilter(LogisticRegression()).fit(X, y)
    wrapped = MislabelFilter(InfluenceRanker(LogisticRegression())).fit(X, y)
    # Two fits of lbfgs to its tolerance, and the same polishing.
    assert_allclose(bare.scores_, wrapped.scores_, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("step", "sees"),
    [
        (StandardScaler(), False),
        (PCA(2), False),
        (FunctionTransformer(), False),
        (SelectKBest(k=2), True),
        (SelectKBest(k="all"), True),
        (TargetEncoder(), True),
        (LinearDiscriminantAnalysis(), True),
        (make_pipeline(StandardScaler(), SelectKBest(k=2)), True),
        (make_pipeline(StandardScaler(), PCA(2, svd_solver="randomized")), False),
    ],
    ids=name_of,
)
def test_steps_made_with_targets_are_told_from_others(step, sees):
    assert see_targets([step], X, codes) is sees


def test_steps_on_text_and_steps_of_real_targets():
    texts = [f"word{i % 5} word{i % 3}" for i in range(20)]
    assert not see_targets([TfidfVectorizer()], texts, np.arange(20) % 2)
    assert see_targets([PLSRegression(2)], X, target)


# --- what the evidence says, against refits without the row ---------------------------


def calibrated(detector, proba, fitted=None):
    """Probabilities under the temperatures and biases that a round has found."""
    fitted = detector._model._result.rounds[0] if fitted is None else fitted
    a, *bias = fitted.models[0].parameters
    log_proba = fitted.pool_weights[0] * log_softmax(
        a * np.log(np.maximum(proba, 1e-12)) + bias, axis=1
    )
    return softmax(log_proba, axis=1)


def test_calibration_is_that_of_least_cross_entropy():
    """scikit-learn's logistic regression on log-odds: one slope, one intercept."""
    draw = np.random.default_rng(0)
    log_odds = draw.normal(size=300)
    labels = (draw.random(300) < 1 / (1 + np.exp(0.5 - 2 * log_odds))).astype(int)
    log_proba = np.log(np.c_[1 / (1 + np.exp(log_odds)), 1 / (1 + np.exp(-log_odds))])
    found = calibration(log_proba, np.eye(2)[labels], np.ones(300))
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds[:, None], labels)
    # L-BFGS stops at relative changes of the loss of 2e-9.
    assert_allclose(found[0], model.coef_[0, 0], rtol=1e-3)
    assert_allclose(found[2] - found[1], model.intercept_[0], rtol=1e-3)
    wrong_way = calibration(log_proba, np.eye(2)[1 - labels], np.ones(300))
    assert wrong_way[0] == 0


def without(row):
    return np.arange(len(X)) != row


@pytest.mark.parametrize("weights", ["uniform", "distance", lambda d: 1 / (1 + d)])
def test_nearest_neighbours_are_left_out_exactly(weights):
    """Votes by refits without the row; one more is shared out as all labels are."""
    estimator = KNeighborsClassifier(4, weights=weights)
    classes, codes = np.unique(y, return_inverse=True)
    shares = np.bincount(codes) / len(y)
    refits = np.array([
        clone(estimator).fit(X[without(i)], y[without(i)]).predict_proba(X[[i]])[0]
        for i in range(len(X))
    ])  # fmt: skip
    expected = (4 * refits + shares) / 5
    detector = MislabelFilter(estimator, noise=None).fit(X, y)
    assert_allclose(detector._model.loo_proba_, calibrated(detector, expected))
    assert_array_equal(classes, detector._classes)


def test_nearest_neighbours_of_real_targets_are_left_out_exactly():
    estimator = KNeighborsRegressor(3, weights="distance")
    expected = [
        clone(estimator).fit(X[without(i)], target[without(i)]).predict(X[[i]])[0]
        for i in range(len(X))
    ]
    detector = MislabelFilter(estimator, contamination=0.1).fit(X, target)
    assert_allclose(detector._model.loo_prediction_, expected, rtol=1e-10)


def test_copies_of_points_share_the_vote_by_distance():
    twice = np.r_[X, X]
    labels = np.r_[y, y[::-1]]
    estimator = KNeighborsClassifier(3, weights="distance")
    # As rows of their own: by default, copies leave with the row.
    detector = MislabelFilter(estimator, noise=None, duplicates=None)
    detector.fit(twice, labels)
    refit = clone(estimator).fit(np.delete(twice, 0, axis=0), np.delete(labels, 0))
    votes = refit.predict_proba(twice[:1])[0]
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    expected = calibrated(detector, [(3 * votes + shares) / 4])
    assert_allclose(detector._model.loo_proba_[:1], expected)


def test_out_of_bag_predictions_are_those_of_members_without_the_row():
    """By hand: each member, the rows it drew, the others' mean prediction."""
    estimator = BaggingRegressor(
        Ridge(), 60, max_features=0.75, bootstrap_features=True, random_state=3
    )
    detector = MislabelFilter(estimator, contamination=0.1).fit(X, target)
    ensemble = clone(estimator).fit(X, target)
    samples = ensemble.estimators_samples_
    expected = [
        np.mean([
            member.predict(X[[row]][:, columns])[0]
            for member, drawn, columns in zip(
                ensemble.estimators_,
                samples,
                ensemble.estimators_features_,
                strict=True,
            )
            if row not in drawn
        ])
        for row in range(len(X))
    ]  # fmt: skip
    assert_allclose(detector._model.loo_prediction_, expected, rtol=1e-10)


@pytest.mark.parametrize("member", [GaussianNB(), KNeighborsClassifier(3)])
def test_out_of_bag_probabilities_are_those_of_members_without_the_row(member):
    estimator = BaggingClassifier(member, 60, max_features=0.75, random_state=3)
    detector = MislabelFilter(estimator, noise=None).fit(X, y)
    ensemble = clone(estimator).fit(X, y)
    expected = np.zeros((len(X), 3))
    n_out = np.zeros(len(X))
    for model, drawn, columns in zip(
        ensemble.estimators_,
        ensemble.estimators_samples_,
        ensemble.estimators_features_,
        strict=True,
    ):
        out = np.setdiff1d(np.arange(len(X)), drawn)
        expected[out] += model.predict_proba(X[out][:, columns])
        n_out[out] += 1
    expected /= n_out[:, np.newaxis]
    expected = calibrated(detector, expected)
    # Members are fitted again to counts in place of repeated rows.
    assert_allclose(detector._model.loo_proba_, expected, rtol=1e-6, atol=1e-9)


def test_cross_fitted_probabilities_are_those_of_models_without_the_fold():
    folds = list(GroupKFold(4).split(X, y, np.arange(60) // 3))
    detector = MislabelFilter(GaussianNB(), cv=folds, noise=None).fit(X, y)
    expected = np.zeros((60, 3))
    for train, test in folds:
        expected[test] = GaussianNB().fit(X[train], y[train]).predict_proba(X[test])
    expected = calibrated(detector, expected)
    assert_allclose(detector._model.loo_proba_, expected, rtol=1e-6, atol=1e-11)


def test_groups_are_held_out_whole_without_a_splitter():
    groups = np.arange(60) // 4
    for estimator in [LogisticRegression(), KNeighborsClassifier(), GaussianNB()]:
        by_groups = MislabelFilter(estimator).fit(X, y, groups=groups)
        folds = MislabelFilter(estimator, cv=GroupKFold(5)).fit(X, y, groups=groups)
        assert by_groups.evidence_ == "cross-fitted"
        assert_array_equal(by_groups.scores_, folds.scores_)
    model = FilteredClassifier(GaussianNB(), MislabelFilter(GaussianNB()))
    model.fit(X, y, groups=groups)
    alone = MislabelFilter(GaussianNB()).fit(X, y, groups=groups)
    assert_array_equal(model.filter_.scores_, alone.scores_)


def test_soft_labels_are_rows_repeated_once_a_class():
    """The second round, by hand: weights of the posterior, classes above .01."""
    folds = [(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))]
    detector = MislabelFilter(GaussianNB(), cv=folds, n_rounds=2).fit(X, y)
    first, second = detector._model._result.rounds
    proba = np.zeros((60, 3))
    for train, test in folds:
        proba[test] = GaussianNB().fit(X[train], y[train]).predict_proba(X[test])
    start = np.full((3, 3), 0.05) + 0.85 * np.eye(3)
    joint = calibrated(detector, proba, first)
    soft = joint * start[:, codes].T
    soft /= soft.sum(axis=1, keepdims=True)
    soft[soft <= 0.01] = 0
    soft /= soft.sum(axis=1, keepdims=True)
    models = second.models[0].model.models
    for (train, test), model in zip(folds, models, strict=True):
        rows, labels = np.nonzero(soft[train])
        by_hand = GaussianNB().fit(
            X[train][rows], labels, sample_weight=soft[train][rows, labels]
        )
        assert_allclose(
            np.exp(model.predict_log_proba(X[test])),
            by_hand.predict_proba(X[test]),
            rtol=1e-6,
            atol=2e-12,
        )


# --- honesty --------------------------------------------------------------------------

HONEST = [
    LogisticRegression(),
    make_pipeline(StandardScaler(), RidgeClassifier()),
    make_pipeline(SelectKBest(k=3), LogisticRegression()),
    LogisticRegression(l1_ratio=1, solver="liblinear"),
    KNeighborsClassifier(),
    make_pipeline(StandardScaler(), KNeighborsClassifier(weights="distance")),
    RandomForestClassifier(40, min_samples_leaf=2, random_state=0),
    BaggingClassifier(GaussianNB(), 40, random_state=0),
    ExtraTreesClassifier(10, random_state=0),
    HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=5),
    DecisionTreeClassifier(random_state=0),
]


def right(proba, codes):
    """Share of rows whose label is the likeliest; a tie of k is right 1/k of times."""
    own = proba[np.arange(len(codes)), codes]
    top = proba.max(axis=1)
    n_tied = np.isclose(proba, top[:, np.newaxis], rtol=1e-6, atol=0).sum(axis=1)
    return np.mean(np.isclose(own, top, rtol=1e-6, atol=0) / n_tied)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", HONEST, ids=name_of)
@pytest.mark.parametrize("noise", [None, "class"])
def test_on_pure_noise_no_evidence_is_right_more_often_than_chance(estimator, noise):
    shares, n_rows = [], 80
    for seed in range(6):
        draw = np.random.default_rng(seed)
        columns = draw.normal(size=(n_rows, 12))
        labels = draw.permutation(n_rows) % 2
        detector = MislabelFilter(estimator, noise=noise, random_state=seed)
        proba = detector.fit(columns, labels)._model.loo_proba_
        shares.append(right(proba, labels))
    # Three standard errors of as many fair coins.
    assert np.mean(shares) < 0.5 + 3 * 0.5 / np.sqrt(6 * n_rows)


@pytest.mark.parametrize(
    "estimator",
    [
        KNeighborsRegressor(),
        RandomForestRegressor(40, random_state=0),
        make_pipeline(SelectKBest(k=3), Ridge()),
        Ridge(),
    ],
    ids=name_of,
)
def test_on_pure_noise_no_residual_is_smaller_than_the_spread_of_targets(estimator):
    ratio = []
    for seed in range(6):
        draw = np.random.default_rng(seed)
        columns, given = draw.normal(size=(80, 12)), draw.normal(size=80)
        detector = MislabelFilter(estimator, threshold=3.0, random_state=seed)
        detector.fit(columns, given)
        prediction = detector._model.loo_prediction_
        ratio.append(np.mean((given - prediction) ** 2) / given.var())
    # The mean square of n normal errors has a relative standard error of sqrt(2 / n).
    assert np.mean(ratio) > 1 - 3 * np.sqrt(2 / (6 * 80))


# --- what boosters, nets, folds and weights ask for -----------------------------------


class FromZero(GaussianNB):
    """Takes labels 0 to K - 1 only, as boosters of other libraries do."""

    def fit(self, X, y, sample_weight=None):
        labels = np.unique(y)
        if not np.array_equal(labels, np.arange(len(labels))):
            raise ValueError(f"Invalid classes: {labels}")
        return super().fit(X, y, sample_weight)


def test_labels_are_numbered_for_those_who_want_numbers():
    """Strings, and a class that one fold lacks."""
    given = y.copy()
    given[given == "birch"] = np.where(np.arange(60) < 3, "birch", "ash")[y == "birch"]
    given[:3] = "birch"
    folds = [(np.arange(20, 60), np.arange(20)), (np.arange(20), np.arange(20, 60))]
    with pytest.warns(UserWarning, match="3 of 60 rows are held out by no fold whose"):
        plain = MislabelFilter(GaussianNB(), cv=folds).fit(X, given)
    with pytest.warns(UserWarning, match="they get the lowest score"):
        numbered = MislabelFilter(FromZero(), cv=folds).fit(X, given)
    assert_allclose(numbered.scores_, plain.scores_)
    assert_array_equal(plain.scores_[:3], plain.scores_.min())
    assert plain.get_support()[:3].all()
    assert_array_equal(plain.suggested_labels_[:3], given[:3])


@pytest.mark.parametrize(
    ("package", "name", "parameters"),
    [
        ("lightgbm", "LGBMClassifier", {"verbose": -1, "min_child_samples": 5}),
        ("xgboost", "XGBClassifier", {}),
        ("catboost", "CatBoostClassifier", {"verbose": 0}),
    ],
)
def test_boosters_of_other_libraries(package, name, parameters):
    kind = getattr(pytest.importorskip(package), name)
    # Threads of theirs wait for one another on a machine that is busy.
    booster = kind(n_estimators=5, n_jobs=1, **parameters)
    flowers, species = load_iris(return_X_y=True)
    labels = np.array(["setosa", "versicolor", "virginica"])[species]
    labels[[3, 120]] = "virginica", "setosa"
    detector = MislabelFilter(booster, random_state=0).fit(flowers, labels)
    assert detector.evidence_ == "cross-fitted"
    assert not detector.get_support()[[3, 120]].any()
    assert detector.suggested_labels_[3] == "setosa"


def test_class_weights_that_name_labels_reach_the_estimator():
    named = {"ash": 2, "birch": 1, "cedar": 3}
    forest = RandomForestClassifier(200, class_weight=named, random_state=0)
    assert MislabelFilter(forest).fit(X, y).evidence_ == "out-of-bag"
    svc = SVC(class_weight=named)
    assert MislabelFilter(svc).fit(X, y).evidence_ == "cross-fitted"


@pytest.mark.parametrize(
    "estimator",
    [GaussianNB(), RandomForestClassifier(60, random_state=0), LinearSVC()],
    ids=name_of,
)
def test_rows_of_weight_zero_are_not_there(estimator):
    weight = np.where(np.arange(60) % 6 == 0, 0.0, 1.0)
    used = weight > 0
    every = MislabelFilter(estimator, random_state=0).fit(X, y, sample_weight=weight)
    part = MislabelFilter(estimator, random_state=0)
    part.fit(X[used], y[used], sample_weight=weight[used])
    assert_allclose(every.scores_[used], part.scores_)
    assert_allclose(every.scores_[~used], part.score_samples(X[~used], y[~used]))
    assert every.get_support()[~used].all()


def test_a_net_is_cross_fitted():
    skorch = pytest.importorskip("skorch")
    torch = pytest.importorskip("torch")
    net = skorch.NeuralNetClassifier(
        torch.nn.Sequential(torch.nn.Linear(4, 3)),
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=3,
        lr=0.1,
        train_split=None,
        verbose=0,
    )
    detector = MislabelFilter(net).fit(X.astype(np.float32), codes)
    assert detector.evidence_ == "cross-fitted"
    assert np.isfinite(detector.scores_).all()
    regressor = skorch.NeuralNetRegressor(
        torch.nn.Linear(4, 1), max_epochs=3, train_split=None, verbose=0
    )
    column = target.astype(np.float32).reshape(-1, 1)
    detector = MislabelFilter(regressor, threshold=3.0)
    detector.fit(X.astype(np.float32), column)
    assert detector.scores_.shape == (60,)


def test_fits_at_a_time_change_nothing():
    one = MislabelFilter(GaussianNB(), random_state=0).fit(X, y)
    two = MislabelFilter(GaussianNB(), random_state=0, n_jobs=2).fit(X, y)
    assert_array_equal(one.scores_, two.scores_)


def test_the_filters_seed_fills_random_states_left_open():
    tree = DecisionTreeClassifier(max_features=1)
    first, second = (MislabelFilter(tree, random_state=3).fit(X, y) for _ in range(2))
    assert_array_equal(first.scores_, second.scores_)
    assert tree.random_state is None


def test_rows_that_no_fold_holds_out_are_said_to_be_unknown():
    split = ShuffleSplit(2, test_size=0.3, random_state=0)
    with pytest.warns(UserWarning, match="of 60 rows are held out by no fold"):
        detector = MislabelFilter(GaussianNB(), cv=split).fit(X, y)
    seen = np.zeros(60, dtype=bool)
    for _, test in split.split(X):
        seen[test] = True
    assert_array_equal(detector.scores_[~seen], detector.scores_.min())


# --- errors ---------------------------------------------------------------------------


class OnlyLabels(GaussianNB):
    predict_proba = property()


@pytest.mark.parametrize("door", [MislabelFilter, MislabelSampler])
@pytest.mark.parametrize(
    ("parameters", "data", "message"),
    [
        (
            {"ranker": FrozenEstimator(GaussianNB().fit(X, y))},
            {},
            r"holds a fitted GaussianNB \(FrozenEstimator\).*ranker='precomputed'",
        ),
        (
            {"ranker": VotingClassifier([("f", FrozenEstimator(GaussianNB()))])},
            {},
            r"ranker=VotingClassifier\(...\) holds a fitted GaussianNB",
        ),
        ({"ranker": KMeans()}, {}, "neither a ranker .* nor a classifier or regressor"),
        ({"ranker": GaussianNB}, {}, "is a class: pass an instance, ranker=Gaussian"),
        (
            {"ranker": VotingClassifier([("a", GaussianNB())])},
            {},
            "neither predict_proba nor decision_function.*BaggingClassifier",
        ),
        (
            {"ranker": SVC(decision_function_shape="ovo")},
            {},
            "column for every pair of classes. Set decision_function_shape='ovr'",
        ),
        (
            {"ranker": GaussianNB(), "label_score": "loo_loss"},
            {},
            r"ranker=GaussianNB\(...\) is none. It gives 'auto'",
        ),
        (
            {"ranker": KNeighborsClassifier()},
            {"sample_weight": np.ones(60)},
            "fit of KNeighborsClassifier does not take it",
        ),
        (
            {"ranker": GaussianNB(), "classes": ["ash", "birch", "cedar"]},
            {},
            "is for ranker='precomputed'. Leave classes=None",
        ),
        (
            {"ranker": GaussianNB()},
            {"groups": np.zeros(60)},
            "groups holds one group: no model can be fitted without it",
        ),
        (
            {"ranker": GaussianNB(), "cv": [(1, 2, 3)]},
            {},
            r"must be an int, a splitter or an iterable of pairs",
        ),
        ({"ranker": GaussianNB()}, {"y": np.zeros(60, int)}, "at least two classes"),
        ({"ranker": LogisticRegression()}, {"y": np.zeros(60, int)}, "class"),
        (
            {"ranker": GaussianNB()},
            {"X": np.where(X > 2, np.nan, X)},
            "Input X contains NaN",
        ),
        (
            {"ranker": GaussianNB(), "cv": [(np.flatnonzero(codes == 0),
                                             np.flatnonzero(codes > 0))]},
            {},
            "No row is held out by a fold whose other rows have its class",
        ),
        (
            {"ranker": RandomForestRegressor(60), "cv": 3},
            {"sample_weight": np.eye(60)[0], "y": target},
            "No fold of cv=3 leaves rows of positive weight on both of its sides",
        ),
        (
            {"ranker": RandomForestRegressor(5)},
            {"sample_weight": np.eye(60)[0], "y": target},
            "there is 1 row of positive weight",
        ),
        ({"ranker": "probabilities"}, {}, "'ranker' parameter of Mislabel"),
        ({"n_jobs": 1.5}, {}, "'n_jobs' parameter of Mislabel"),
    ],
)  # fmt: skip
def test_errors(door, parameters, data, message):
    with pytest.raises((ValueError, TypeError), match=message):
        door(**parameters).fit(**{"X": X, "y": y, **data})


# --- containers, routing, saving ------------------------------------------------------


def test_frames_with_categories_and_holes():
    frame = pd.DataFrame(X, columns=list("abcd"), index=[f"row {i}" for i in range(60)])
    frame.loc[frame["c"] > 1, "c"] = np.nan
    frame["kind"] = pd.Categorical(np.where(X[:, 3] > 0, "low", "high"))
    boosting = HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=5)
    detector = MislabelFilter(boosting, random_state=0)
    assert detector.fit_transform(frame, y).index.equals(frame.index)
    assert detector.report().index.isin(frame.index).all()
    assert detector.score_samples(frame.head(3), y[:3]).shape == (3,)
    assert_allclose(
        pickle.loads(pickle.dumps(detector)).score_samples(frame, y),
        detector.score_samples(frame, y),
    )


def test_sparse_rows():
    rows = sparse.csr_matrix(np.maximum(X, 0))
    for estimator in [
        KNeighborsClassifier(),
        RandomForestClassifier(60, random_state=0),
        BaggingClassifier(MultinomialNB(), 60, random_state=0),
        LinearSVC(random_state=0),
        LogisticRegression(),
    ]:
        thin = MislabelFilter(estimator, n_rounds=1, random_state=0).fit(rows, y)
        full = MislabelFilter(estimator, n_rounds=1, random_state=0).fit(
            rows.toarray(), y
        )
        # liblinear goes over sparse columns in another order.
        rtol = 1e-2 if isinstance(estimator, LinearSVC) else 1e-5
        assert_allclose(thin.scores_, full.scores_, rtol=rtol, atol=rtol)


@config_context(enable_metadata_routing=True)
def test_weights_are_routed_and_the_noise_models_own_need_no_request():
    weight = np.where(np.arange(60) % 2 == 0, 2.0, 1.0)
    asks = make_pipeline(StandardScaler(), GaussianNB().set_fit_request(
        sample_weight=True))  # fmt: skip
    silent = make_pipeline(StandardScaler(), GaussianNB())
    plain = MislabelFilter(silent, random_state=0).fit(X, y)
    with config_context(enable_metadata_routing=False):
        expected = MislabelFilter(silent, random_state=0).fit(X, y)
        weighted = MislabelFilter(silent, random_state=0).fit(X, y, weight)
    assert_allclose(plain.scores_, expected.scores_)
    with pytest.raises(ValueError, match="not explicitly set as requested"):
        MislabelFilter(silent, random_state=0).fit(X, y, sample_weight=weight)
    asked = make_pipeline(
        StandardScaler().set_fit_request(sample_weight=False), asks[-1]
    )
    routed = MislabelFilter(asked, random_state=0).fit(X, y, sample_weight=weight)
    assert_allclose(routed.scores_, weighted.scores_)


def test_decision_values_that_are_all_zero_have_a_scale():
    class Undecided(RidgeClassifier):
        def decision_function(self, X):
            return np.zeros(len(X))

    asked = make_pipeline(SelectKBest(k=1), Undecided())
    detector = MislabelFilter(asked, random_state=0).fit(X, y == y[0])
    assert np.isfinite(detector.scores_).all()


def test_a_fold_of_one_class_leaves_the_others_the_rule_of_succession():
    only = ClassColumns(None, np.array([1]), np.array([0, 2]), n_classes=3, n_rows=5)
    proba = np.exp(only.predict_log_proba(np.zeros((2, 4))))
    # Of 5 rows and 3 classes: (0 + 1) / (5 + 3) each, and what is left.
    assert_allclose(proba, [[1 / 8, 6 / 8, 1 / 8]] * 2)
