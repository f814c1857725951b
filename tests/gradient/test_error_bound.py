"""The bound on what one Newton step leaves, against true retraining."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.gradient._error_bound import newton_error_bound

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETS = {
    "breast_cancer": (load_breast_cancer, slice(0, 150), slice(0, 8)),
    "wine": (load_wine, slice(0, None, 2), slice(0, None)),
    "iris": (load_iris, slice(0, None, 2), slice(0, None)),
}


def data(name):
    load, rows, columns = SETS[name]
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X[rows, columns])
    weight = np.random.default_rng(0).uniform(0.2, 2.0, size=len(X))
    return X, y[rows], weight


def differences(raw):
    """Logit differences that the loss compares: (n, n_pairs)."""
    if raw.ndim == 1:
        return raw[:, None]
    K = raw.shape[1]
    return np.stack([raw[:, a] - raw[:, b] for a in range(K) for b in range(a)], axis=1)


def newton_raw(ranker, i, X):
    theta = np.column_stack([ranker.head_.coef, ranker.head_.intercept])
    theta = theta - ranker.parameter_influence(i)
    raw = X @ theta[:, :-1].T + theta[:, -1]
    return raw[:, 0] if raw.shape[1] == 1 else raw


def refit_raw(C, X, y, weight, i):
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=9999)
    weight = weight.copy()
    weight[i] = 0.0
    return model.fit(X, y, sample_weight=weight).decision_function(X)


@pytest.mark.parametrize("C", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("name", SETS)
def test_the_refit_lies_within_the_bound(name, C):
    X, y, weight = data(name)
    model = LogisticRegression(C=C, max_iter=1000)
    ranker = InfluenceRanker(model, method="newton").fit(X, y, sample_weight=weight)
    bound = newton_error_bound(ranker._fitted, ranker._removal)
    assert np.all(bound >= 0)
    checked = np.flatnonzero(np.isfinite(bound))
    if C <= 0.1:
        assert len(checked) > 0.9 * len(X)  # it says something about most rows
    for i in checked[::4]:
        others = np.arange(len(X)) != i
        one_step = differences(newton_raw(ranker, i, X))[others]
        refit = differences(refit_raw(C, X, y, weight, i))[others]
        # 1e-9: what the refit itself is off by.
        assert np.max(np.abs(one_step - refit)) <= bound[i] + 1e-9


def test_least_squares_have_no_error():
    X, y = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker(Ridge()).fit(X[:50], y[:50])
    bound = newton_error_bound(ranker._fitted, ranker._removal)
    assert_allclose(bound, 0.0, atol=0)


def test_rows_without_weight_have_no_error():
    X, y, weight = data("iris")
    weight[5] = 0.0
    ranker = InfluenceRanker().fit(X, y, sample_weight=weight)
    assert newton_error_bound(ranker._fitted, ranker._removal)[5] == 0.0


@pytest.mark.parametrize("tol", [1e-3, 1e-8])
def test_refining_solves_to_tolerance(tol):
    C = 10.0
    X, y, weight = data("wine")
    model = LogisticRegression(C=C, max_iter=1000)
    plain = InfluenceRanker(model, method="newton").fit(X, y, sample_weight=weight)
    bound = newton_error_bound(plain._fitted, plain._removal)
    ranker = InfluenceRanker(model, method="newton", refine=tol)
    ranker.fit(X, y, sample_weight=weight)
    refined = np.flatnonzero(bound > tol)
    assert 0 < len(refined)
    for i in range(0, len(X), 5):
        others = np.arange(len(X)) != i
        ours = differences(newton_raw(ranker, i, X))[others]
        refit = differences(refit_raw(C, X, y, weight, i))[others]
        # Either its bound is below tol or it was taken to the optimum; the refit's
        # own error is 1e-7 at this C.
        assert np.max(np.abs(ours - refit)) <= tol + 1e-7
    untouched = np.setdiff1d(np.arange(len(X)), refined)
    assert_allclose(
        ranker.parameter_influence(untouched), plain.parameter_influence(untouched)
    )


def test_refined_rows_are_refined_everywhere():
    # The matrix, its mean, the vectors, the leave-one-out predictions: one answer.
    X, y, weight = data("wine")
    ranker = InfluenceRanker(method="newton", refine=1e-9)
    ranker.fit(X, y, sample_weight=weight)
    matrix = ranker.influence(X, y)
    assert_allclose(ranker.mean_influence(X, y), matrix.mean(axis=0), atol=1e-12)
    assert_allclose(ranker.self_influence_, np.diag(matrix), rtol=1e-8, atol=1e-12)
    i = int(np.argmax(ranker.self_influence_))
    raw = newton_raw(ranker, i, X)
    centred = raw[i] - raw[i].mean()
    ours = ranker.loo_decision_function_[i]
    assert_allclose(ours - ours.mean(), centred, rtol=1e-8)
    lengths = np.linalg.norm(ranker.parameter_influence(np.arange(len(X))), axis=(1, 2))
    by_theta = InfluenceRanker(method="newton", refine=1e-9, normalize="theta")
    by_theta.fit(X, y, sample_weight=weight)
    assert_allclose(by_theta.influence(X, y), matrix / lengths, rtol=1e-6, atol=1e-9)
