"""One clear error for each mistake, told by its message."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklinfluence._removal import warn_about_offset
from sklinfluence.curvature import SingularHessianError
from sklinfluence.gradient import InfluenceRanker

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = np.arange(30) % 3


def corrupted(value):
    out = X.copy()
    out[4, 1] = value
    return out


FIT = {
    "NaN in X": ({}, (corrupted(np.nan), Y), "contains NaN"),
    "inf in X": ({}, (corrupted(np.inf), Y), "infinity"),
    "NaN in y": ({}, (X, np.where(Y > 1, np.nan, Y)), "Input y contains NaN"),
    "wrong length": ({}, (X, Y[:-1]), "inconsistent numbers of samples"),
    "one class": ({}, (X, np.zeros(30, dtype=int)), "at least 2 classes|one class"),
    "y missing": ({}, (X, None), "requires y to be passed, but the target y is None"),
    "unknown method": ({"method": "magic"}, (X, Y), "The 'method' parameter of Inf"),
    "unknown normalize": ({"normalize": "l9"}, (X, Y), "The 'normalize' parameter"),
    "unknown solver": ({"solver": "lu"}, (X, Y), "The 'solver' parameter"),
    "damping < 0": ({"damping": -1.0}, (X, Y), "The 'damping' parameter"),
    "refine = 0": ({"refine": 0.0}, (X, Y), "The 'refine' parameter"),
    "refine < 0": ({"refine": -1e-3}, (X, Y), "The 'refine' parameter"),
    "n_influences = 0": ({"n_influences": 0}, (X, Y), "The 'n_influences' parameter"),
    "multilabel": (
        {},
        (X, np.eye(3, dtype=int)[Y] | [1, 0, 0]),
        "multilabel-indicator",
    ),
    "negative weight": ({}, (X, Y, np.where(Y == 1, -1.0, 1.0)), "[Nn]egative values"),
    "weight length": ({}, (X, Y, np.ones(29)), "inconsistent|sample_weight.shape"),
    "no weight": ({}, (X, Y, np.zeros(30)), "(?i)weight.*zero"),
    "NaN weight": ({}, (X, Y, np.full(30, np.nan)), "sample_weight contains NaN"),
    "1-D X": ({}, (X[:, 0], Y), "Expected 2D array"),
}


@pytest.mark.parametrize("name", FIT)
def test_fit_refuses(name):
    parameters, arguments, message = FIT[name]
    with pytest.raises(ValueError, match=message):
        InfluenceRanker(**parameters).fit(*arguments)


def test_multilabel_is_refused_by_name():
    with pytest.raises(ValueError, match=r"multilabel-indicator.*one ranker for each"):
        InfluenceRanker().fit(X, np.column_stack([Y == 0, Y > 0]).astype(int))


@pytest.mark.parametrize(
    "estimator",
    [RandomForestClassifier(5), GaussianNB(), SVC(), make_pipeline(SVC())],
    ids=lambda e: type(e).__name__,
)
def test_an_estimator_without_a_linear_head_is_told_what_to_do(estimator):
    with pytest.raises(TypeError, match="No linear head is known for") as caught:
        InfluenceRanker(estimator).fit(X, Y)
    for words in ("LogisticRegression", "linear_head.register"):
        assert words in str(caught.value)


def test_unseen_labels_are_named():
    ranker = InfluenceRanker().fit(X, np.array(["a", "b", "c"])[Y])
    for ask in (
        ranker.influence,
        ranker.mean_influence,
        ranker.score_samples,
        ranker.proponents,
    ):
        with pytest.raises(ValueError, match=r"not fitted on: \['zebra'\]"):
            ask(X[:2], ["a", "zebra"])


def test_queries_are_checked():
    ranker = InfluenceRanker().fit(X, Y)
    with pytest.raises(ValueError, match="y has 3 rows, X has 2"):
        ranker.influence(X[:2], Y[:3])
    with pytest.raises(ValueError, match="y has 3 rows, X has 2"):
        ranker.mean_influence(X[:2], Y[:3])
    with pytest.raises(ValueError, match="y has 3 rows, X has 2"):
        ranker.score_samples(X[:2], Y[:3])
    with pytest.raises(ValueError, match="features"):
        ranker.influence(X[:2, :2], Y[:2])
    with pytest.raises(ValueError, match="contains NaN"):
        ranker.transform(corrupted(np.nan))


@pytest.mark.parametrize("n", [0, -1, 31, 2.5])
def test_as_many_rows_as_there_are_can_be_asked_for(n):
    ranker = InfluenceRanker().fit(X, Y)
    for ask in (ranker.proponents, ranker.opponents):
        with pytest.raises(ValueError, match=f"n={n} must be an int from 1"):
            ask(X[:2], Y[:2], n=n)
    assert ranker.proponents(X[:2], n=30)[0].shape == (2, 30)


def test_regression_targets_need_all_their_columns():
    ranker = InfluenceRanker(Ridge()).fit(X, X[:, :2])
    with pytest.raises(ValueError, match="fitted on 2 target"):
        ranker.influence(X, X[:, 0])


def test_unfitted_rankers_say_so():
    ranker = InfluenceRanker(LogisticRegression())
    for name in ("influence", "transform", "mean_influence", "proponents", "predict"):
        with pytest.raises(NotFittedError):
            getattr(ranker, name)(X)
    for name in ("self_influence_", "ranking_", "loo_decision_function_"):
        with pytest.raises(AttributeError):
            getattr(ranker, name)


def test_integer_targets_with_many_values_name_ridge():
    with pytest.warns(UserWarning, match=r"InfluenceRanker\(Ridge\(\)\)"):
        InfluenceRanker().fit(X, np.arange(30) // 1 * 7)


def test_separable_classes_without_a_penalty_are_refused():
    separable = np.column_stack([X, 9.0 * (Y == 0) - 4.0])
    model = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-12)
    with (
        pytest.raises(SingularHessianError, match="separates"),
    ):
        InfluenceRanker(model).fit(np.round(separable * 50), (Y == 0).astype(int))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_damping_is_the_way_out_that_the_message_names():
    separable = np.column_stack([X, 9.0 * (Y == 0) - 4.0])
    model = LogisticRegression(C=np.inf, max_iter=5000)
    ranker = InfluenceRanker(model, damping=1e-3)
    ranker.fit(np.round(separable * 50), (Y == 0).astype(int))
    assert np.all(np.isfinite(ranker.self_influence_))


def test_weights_for_an_estimator_that_takes_none():
    from sklearn.linear_model import OrthogonalMatchingPursuit

    with pytest.raises(ValueError, match="does not take it"):
        InfluenceRanker(OrthogonalMatchingPursuit()).fit(X, X[:, 0], np.ones(30))


def test_a_positive_least_squares_is_refused():
    model = make_pipeline(StandardScaler(), LinearRegression(positive=True))
    with pytest.raises(ValueError, match="positive=True is not supported"):
        InfluenceRanker(model).fit(X, X[:, 0])


def test_a_mean_over_no_queries_is_refused():
    ranker = InfluenceRanker(method="newton").fit(X, Y)
    with pytest.raises(ValueError, match="X has no rows"):
        ranker.mean_influence(X[:0], Y[:0])


def test_whole_floats_of_many_values_are_real_targets():
    # scikit-learn's diabetes: 214 different whole numbers, stored as floats.
    diabetes, target = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker().fit(diabetes, target)
    assert isinstance(ranker.estimator_, Ridge)
    assert not hasattr(ranker, "classes_")


def test_several_whole_number_targets_are_regression_for_a_regressor():
    exercise, physiology = load_linnerud(return_X_y=True)
    ranker = InfluenceRanker(Ridge()).fit(exercise, physiology)
    assert ranker.loo_prediction_.shape == physiology.shape
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        InfluenceRanker(LogisticRegression()).fit(exercise, physiology)


# From 1e5 standard deviations on the Gram matrix hardly tells the column from the
# intercept: at 1e7 influences would be off by 25 % with no sign of it.
@pytest.mark.parametrize("offset, is_named", [(3e4, False), (2e5, True), (1e7, True)])
@pytest.mark.parametrize("n_rows", [60, 5_000])  # fewer and more than settle it for all
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_columns_far_from_zero_are_warned_about(offset, is_named, n_rows, dtype):
    X = np.random.default_rng(0).standard_normal((n_rows, 3))
    target = X[:, 0] + np.random.default_rng(1).standard_normal(n_rows)
    X[:, 2] *= 64.0  # what float32 tells apart at 64 * 1e7
    far = (X + [0.0, 0.0, 64 * offset]).astype(dtype)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        InfluenceRanker(Ridge()).fit(far, target)
    said = [str(warning.message) for warning in caught]
    assert any("column 2 " in s and "StandardScaler" in s for s in said) == is_named


@pytest.mark.parametrize("far_every", [1, 7, 60])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-3])
def test_whether_a_column_is_far_is_that_of_all_rows(far_every, spread):
    rng = np.random.default_rng(0)
    embedding = rng.standard_normal((6_000, 1)) * spread
    embedding[::far_every] += 1.0
    exact = embedding.astype(np.longdouble)
    deviation = exact.std()
    is_far = bool(deviation > 0 and abs(exact.mean()) > 1e5 * deviation)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about_offset(embedding, True)
    assert bool(caught) == is_far
