"""TREX against its definition, written as loops over training rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from sklinfluence.trees import LeafEmbedding, TrexRanker

FEW = {"n_estimators": 6, "max_depth": 3, "random_state": 0}
HIST = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5, random_state=0)
CASES = {
    "three": (RandomForestClassifier(**FEW), "three", {}),
    "two": (HIST, "two", {"kernel": "leaf_output"}),
    "paths": (GradientBoostingClassifier(**FEW), "three", {"kernel": "feature_path"}),
    "values": (RandomForestRegressor(**FEW), "real", {"power": 0.5}),
    "trees": (RandomForestRegressor(**FEW), "real", {"kernel": "tree_output"}),
    "intercept": (HIST, "two", {"surrogate": LogisticRegression(C=0.5)}),
    "ridge": (RandomForestRegressor(**FEW), "real", {"surrogate": Ridge(3.0)}),
}


@pytest.fixture(params=CASES)
def fitted(request, data):
    model, targets, options = CASES[request.param]
    y = getattr(data, targets)
    ranker = TrexRanker(model, **options).fit(data.X, y, data.weights)
    return ranker, data, y


def head_at_optimum(ranker, X):
    """Raw predictions of the surrogate, (n_rows, n_outputs), at the optimum."""
    head = ranker.reading_.head
    embedding = ranker.surrogate_[0].transform(X)
    return np.asarray(embedding @ head.coef.T) + head.intercept


def coded(ranker, y):
    if not hasattr(ranker, "classes_"):
        return np.asarray(y, dtype=float)[:, None]
    hot = (np.asarray(y)[:, None] == ranker.classes_).astype(float)
    return hot[:, 1:] if hot.shape[1] == 2 else hot


def loss(ranker, targets, raw):
    if not hasattr(ranker, "classes_"):
        return 0.5 * (raw[:, 0] - targets[:, 0]) ** 2
    if raw.shape[1] == 1:
        return np.logaddexp(0.0, raw[:, 0]) - targets[:, 0] * raw[:, 0]
    return -np.log(np.sum(softmax(raw, axis=1) * targets, axis=1))


def test_terms_sum_to_the_surrogates_decision(fitted):
    ranker, data, _ = fitted
    terms = ranker.contributions(data.queries)
    raw = head_at_optimum(ranker, data.queries) - ranker.reading_.head.intercept
    summed = terms.sum(axis=1).reshape(raw.shape)
    assert_allclose(summed, raw, rtol=0, atol=1e-6 * np.abs(raw).max())
    assert ranker.decomposition_gap_ < 1e-6


def test_representer_values_are_residuals_over_the_penalty(fitted):
    ranker, data, y = fitted
    raw, targets = head_at_optimum(ranker, data.X), coded(ranker, y)
    said = raw
    if hasattr(ranker, "classes_"):
        said = expit(raw) if raw.shape[1] == 1 else softmax(raw, axis=1)
    linear = ranker.surrogate_[-1]
    strength = linear.alpha if hasattr(linear, "alpha") else 1 / linear.C
    truth = data.weights[:, None] * (targets - said) / strength
    assert_allclose(ranker.alpha_, truth, rtol=0, atol=1e-6 * np.abs(truth).max())
    if ranker.surrogate is None:
        assert_allclose(strength, 2 * 0.003 * data.weights.sum())


def test_influence_is_the_loss_without_a_rows_term(fitted):
    ranker, data, y = fitted
    asked = np.asarray(y)[:12]
    raw, targets = head_at_optimum(ranker, data.queries), coded(ranker, asked)
    terms = ranker.contributions(data.queries).reshape(12, len(y), -1)
    influence = ranker.influence(data.queries, asked)
    scale = np.abs(influence).max()
    for row in range(0, len(y), 9):
        truth = loss(ranker, targets, raw - terms[:, row]) - loss(ranker, targets, raw)
        assert_allclose(influence[:, row], truth, rtol=0, atol=1e-9 * scale)
    absent = data.weights == 0
    assert not influence[:, absent].any()


def test_terms_are_representer_values_times_the_kernel(fitted):
    ranker, data, y = fitted
    embedding = ranker.surrogate_[0]
    Z, asked = embedding.transform(data.X), embedding.transform(data.queries)
    kernel = asked @ Z.T
    kernel = kernel.toarray() if hasattr(kernel, "toarray") else kernel
    truth = kernel[:, :, None] * ranker.alpha_
    terms = ranker.contributions(data.queries).reshape(truth.shape)
    assert_allclose(terms, truth, rtol=1e-9, atol=1e-12 * np.abs(truth).max())
    assert terms.shape[1] == len(y)


def test_default_kernel_is_the_papers(data):
    model = RandomForestClassifier(**FEW).fit(data.X, data.two)
    ranker = TrexRanker(FrozenEstimator(model)).fit(data.X, data.two)
    embedding = LeafEmbedding(FrozenEstimator(model), power=1.0)
    truth = embedding.fit(data.X, data.two).transform(data.queries)
    ours = ranker.surrogate_[0].transform(data.queries)
    assert_allclose(ours.toarray(), truth.toarray())


def test_predictions_on_targets_of_the_models_own(data):
    model = RandomForestRegressor(**FEW).fit(data.X, data.real)
    said = model.predict(data.X)
    ranker = TrexRanker(FrozenEstimator(model), surrogate=Ridge(1e-3))
    ranker.fit(data.X, said)
    near = head_at_optimum(ranker, data.X)[:, 0]
    # A sum over trees is a linear function of their leaves.
    assert np.corrcoef(near, said)[0, 1] > 0.999


def test_a_surrogate_without_a_penalty_is_refused(data):
    model = RandomForestRegressor(**FEW)
    ranker = TrexRanker(model, surrogate=LinearRegression())
    with pytest.raises(ValueError, match="needs an l2 penalty"):
        ranker.fit(data.X, data.real)
