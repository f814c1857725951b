"""Scores of given labels by name, each by its formula."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier

from sklinfluence.gradient import InfluenceRanker

ROUNDING = {"rtol": 1e-8, "atol": 1e-10}
CLASSIFICATION = [
    "loo_loss",
    "loo_margin",
    "loss",
    "margin",
    "self_influence",
    "cook",
    "gradient_norm",
    "agra",
]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    flipped = y.copy()
    flipped[[3, 60, 110]] = [1, 2, 0]
    # Tight, so that what scikit-learn predicts is what the polished head predicts.
    model = LogisticRegression(solver="newton-cholesky", tol=1e-14, max_iter=1000)
    return X, flipped, model


def test_plain_scores_are_those_of_the_predictions(iris):
    X, y, model = iris
    ranker = InfluenceRanker(model).fit(X, y)
    model = ranker.estimator_
    proba = model.predict_proba(X)
    rows = np.arange(len(y))
    own = proba[rows, y]
    raw = model.decision_function(X)
    rest = np.where(np.eye(3, dtype=bool)[y], -np.inf, raw).max(1)
    residual = proba - np.eye(3)[y]
    gradient = np.einsum("ik,ij->ikj", residual, np.column_stack([X, np.ones(len(X))]))
    gradient = gradient.reshape(len(X), -1)
    mean = gradient.mean(axis=0)
    length = np.linalg.norm(gradient, axis=1)
    agra = -(gradient @ mean) / (length * np.linalg.norm(mean))
    expected = {
        "loss": -np.log(own),
        "margin": rest - raw[rows, y],
        "gradient_norm": length,
        "agra": agra,
        "self_influence": ranker.self_influence_,
        "loo_loss": -np.log(ranker.loo_proba_[rows, y]),
    }
    loo = ranker.loo_decision_function_
    rest = np.where(np.eye(3, dtype=bool)[y], -np.inf, loo).max(1)
    expected["loo_margin"] = rest - loo[rows, y]
    for name, truth in expected.items():
        # The mean gradient nearly cancels: agra carries 1e-10 over its length.
        close = ROUNDING if name != "agra" else {"rtol": 1e-6, "atol": 1e-8}
        assert_allclose(ranker.label_scores(name), truth, err_msg=name, **close)


# Not agra: at a penalised optimum the mean gradient is only the penalty's pull.
@pytest.mark.parametrize("name", CLASSIFICATION[:-1])
def test_flipped_labels_score_high(name, iris):
    X, y, model = iris
    scores = InfluenceRanker(model).fit(X, y).label_scores(name)
    assert scores.shape == y.shape
    # Three flips of 150, two of them far from the border.
    assert scores[3] > np.quantile(scores, 0.9)
    assert scores[110] > np.quantile(scores, 0.9)


@pytest.mark.parametrize(
    ("new", "old"), [("loo_loss", "loss"), ("loo_margin", "margin")]
)
def test_leave_one_out_scores_of_new_rows_are_the_plain_ones(new, old, iris):
    X, y, model = iris
    ranker = InfluenceRanker(model).fit(X[::2], y[::2])
    ours = ranker.label_scores(new, X[1::2], y[1::2])
    assert_allclose(ours, ranker.label_scores(old, X[1::2], y[1::2]))
    own = ranker.predict_proba(X[1::2])[np.arange(75), y[1::2]]
    if old == "loss":
        assert_allclose(ours, -np.log(own), rtol=1e-7)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_every_score_is_given_for_new_rows(name, iris):
    X, y, model = iris
    ranker = InfluenceRanker(model).fit(X[::2], y[::2])
    scores = ranker.label_scores(name, X[1::2], y[1::2])
    assert scores.shape == (75,)
    assert np.all(np.isfinite(scores))
    wrong = ranker.label_scores(name, X[1::2], (y[1::2] + 1) % 3)
    assert np.median(wrong) > np.median(scores)  # a wrong label scores higher


def test_binary_margin_has_the_sign_of_the_given_label(iris):
    X, y, _ = iris
    X, y = X[y < 2], y[y < 2]
    ranker = InfluenceRanker().fit(X, y)
    raw = ranker.decision_function(X)
    # The estimator stops at scikit-learn's default tolerance, the head is polished.
    margin = np.where(y == 1, -raw, raw)
    assert_allclose(ranker.label_scores("margin"), margin, atol=0.05)


def test_new_rows_are_studentised_as_statsmodels_predicts():
    sm = pytest.importorskip("statsmodels.api")
    X, y = load_diabetes(return_X_y=True)
    X = 20 * X
    ranker = InfluenceRanker(Ridge(alpha=0.0)).fit(X[:200], y[:200])
    ours = ranker.label_scores("studentized", X[200:], y[200:])
    fit = sm.OLS(y[:200], sm.add_constant(X[:200])).fit()
    predicted = fit.get_prediction(sm.add_constant(X[200:]))
    # Residual over the standard error of a new observation.
    theirs = np.abs(y[200:] - predicted.predicted_mean) / predicted.se_obs
    assert_allclose(ours, theirs, rtol=1e-8)


def test_new_rows_of_several_targets_have_the_score_of_their_worst():
    X, y = load_diabetes(return_X_y=True)
    Y = np.column_stack([y, np.random.default_rng(0).permutation(y)])

    def scores(targets):
        ranker = InfluenceRanker(Ridge(alpha=0.1)).fit(X[:200], targets[:200])
        return ranker.label_scores("studentized", X[200:], targets[200:])

    apart = scores(Y[:, 0]), scores(Y[:, 1])
    # Targets share a factor and nothing else: rounding.
    assert_allclose(scores(Y), np.maximum(*apart), rtol=1e-10)


def test_unknown_names_list_the_known_ones(iris):
    X, y, model = iris
    ranker = InfluenceRanker(model).fit(X, y)
    with pytest.raises(ValueError, match=r"'studentized' is not one.*'agra'"):
        ranker.label_scores("studentized")
    regression = InfluenceRanker(Ridge()).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"'margin' is not one.*'studentized'"):
        regression.label_scores("margin")
    with pytest.raises(ValueError, match="needs their given labels"):
        ranker.label_scores("loss", X)


def test_least_squares_classifiers_score_too(iris):
    X, y, _ = iris
    ranker = InfluenceRanker(RidgeClassifier()).fit(X, y)
    for name in CLASSIFICATION:
        assert np.all(np.isfinite(ranker.label_scores(name)))
