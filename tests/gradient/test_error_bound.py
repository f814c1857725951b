"""The bound on what one Newton step leaves, against true retraining."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler, scale

from sklinfluence._removal._error_bound import newton_error_bound
from sklinfluence.gradient import InfluenceRanker

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
    bound = newton_error_bound(ranker.reading_.fitted, ranker.reading_.removal)
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
    bound = newton_error_bound(ranker.reading_.fitted, ranker.reading_.removal)
    assert_allclose(bound, 0.0, atol=0)


def test_rows_without_weight_have_no_error():
    X, y, weight = data("iris")
    weight[5] = 0.0
    ranker = InfluenceRanker().fit(X, y, sample_weight=weight)
    assert newton_error_bound(ranker.reading_.fitted, ranker.reading_.removal)[5] == 0.0


@pytest.mark.parametrize("tol", [1e-3, 1e-8])
def test_refining_solves_to_tolerance(tol):
    C = 10.0
    X, y, weight = data("wine")
    model = LogisticRegression(C=C, max_iter=1000)
    plain = InfluenceRanker(model, method="newton").fit(X, y, sample_weight=weight)
    bound = newton_error_bound(plain.reading_.fitted, plain.reading_.removal)
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


@pytest.mark.parametrize("seed", range(4))
def test_refining_never_takes_a_finite_step_away(seed):
    """Weights over 16 orders of magnitude: without some row there is no optimum."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, 3))
    weights = rng.random(20) * 10.0 ** rng.integers(-8, 8, 20)
    plain, refined = (
        InfluenceRanker(method="newton", refit_head=False, refine=tol)
        for tol in (None, 1.0)
    )
    y = np.arange(20) % 3
    plain.fit(X, y, sample_weight=weights)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refined.fit(X, y, sample_weight=weights)
    finite = np.isfinite(plain.self_influence_)
    assert np.all(np.isfinite(refined.self_influence_[finite]))
    kept = np.flatnonzero(refined.self_influence_ == plain.self_influence_)
    told = [
        str(w.message) for w in caught if "refine found no optimum" in str(w.message)
    ]
    # What could not be refined is named, and keeps the one step.
    visited = refined.reading_.refined.index
    bound = newton_error_bound(plain.reading_.fitted, plain.reading_.removal)
    left = np.setdiff1d(np.flatnonzero(bound > 1.0), visited)
    assert bool(told) == bool(left.size)
    if told:
        assert all(f"{row}" in told[0] for row in left[:10])
        assert np.all(np.isin(left, kept))


@pytest.mark.parametrize("model", ["logistic", "lasso"])
def test_refine_names_the_rows_that_hold_an_active_set(model):
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    tight = {"tol": 1e-12, "max_iter": 10**6}
    if model == "logistic":
        y = (y == 1).astype(int)
        estimator = LogisticRegression(l1_ratio=1.0, solver="liblinear", **tight)
    else:
        y = X[:, 0] + 0.5 * np.random.default_rng(0).normal(size=150)
        estimator = Lasso(alpha=0.0505, **tight)
    ranker = InfluenceRanker(estimator, method="newton", refine=1e-6)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranker.fit(X, y)
    changed = np.flatnonzero(ranker.active_set_changes_)
    told = [str(w.message) for w in caught if "other coefficients" in str(w.message)]
    assert bool(told) == bool(changed.size)
    if changed.size:
        assert f"row(s) {', '.join(map(str, changed[:10]))}" in told[0]
    # The oracle: who is not named, a refit without them finds where we are.
    weights, base = np.ones(150), estimator.fit(X, y).coef_.ravel().copy()
    for row in [*changed[:4], *np.setdiff1d(np.arange(150), changed)[::40]]:
        weights[row] = 0.0
        if model == "lasso":  # its alpha is of the mean: W alpha stays
            estimator.set_params(alpha=0.0505 * 150 / 149)
        refit = estimator.fit(X, y, sample_weight=weights).coef_.ravel()
        weights[row] = 1.0
        moved = np.zeros_like(refit)
        change = ranker.parameter_influence(int(row))[0]
        used = np.flatnonzero(base)
        moved[used] = base[used] - change[: len(used)]
        close = np.allclose(moved, refit, rtol=0, atol=1e-5)
        assert close == (row not in changed)
