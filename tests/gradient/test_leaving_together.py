"""Rows that leave with their copies: against refits and dense Newton steps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
)
from sklearn.preprocessing import scale

from sklinfluence._estimators import find_copies
from sklinfluence.gradient import InfluenceRanker, leaving_together, observations

EXACT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}
TOLERANCES = pytest.mark.parametrize("tolerance", [0.0, 0.05])


def with_copies(X, y, tolerance, seed=0):
    """Some rows twice or thrice, some with another target, all shuffled."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([np.arange(len(X)), *[rng.choice(len(X), 15)] * 2])
    rng.shuffle(rows)
    X, y = X[rows], y[rows]
    if tolerance:
        X = X + 1e-3 * rng.standard_normal(X.shape)
    y[:10] = rng.permutation(y[:10])
    return X, y, find_copies(X, tolerance)


def left_out_groups(copies):
    for number in range(copies.n_groups):
        yield copies.of_rows == number


@TOLERANCES
@pytest.mark.parametrize("model", [Ridge(alpha=2.0), LinearRegression()])
def test_least_squares_is_the_refit_without_them(model, tolerance):
    X, y = load_diabetes(return_X_y=True)
    X, y, copies = with_copies(scale(X[:60]), y[:60], tolerance)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(y))
    ranker = InfluenceRanker(model).fit(X, y, sample_weight=weight)
    found = leaving_together(ranker, copies).loo_prediction_
    for group in left_out_groups(copies):
        refit = model.fit(X[~group], y[~group], sample_weight=weight[~group])
        # Two Cholesky solves: relative to the targets' size of 150.
        assert_allclose(found[group], refit.predict(X[group]), atol=1e-7)


@TOLERANCES
def test_codes_of_classes_are_the_refits(tolerance):
    X, y = load_iris(return_X_y=True)
    X, y, copies = with_copies(scale(X), y, tolerance)
    ranker = InfluenceRanker(RidgeClassifier()).fit(X, y)
    found = leaving_together(ranker, copies).loo_decision_function_
    for group in left_out_groups(copies):
        refit = RidgeClassifier().fit(X[~group], y[~group])
        assert_allclose(found[group], refit.decision_function(X[group]), atol=1e-9)


def newton_step_without(model, X, y, group, C):
    """Logits of a group after one dense Newton step for the others' objective."""
    K = len(model.classes_)
    A = np.column_stack([X, np.ones(len(X))])
    penalty = np.diag([*np.full(X.shape[1], 1 / C), 0.0])
    kept = ~group
    if K == 2:
        theta = np.append(model.coef_[0], model.intercept_)
        p = expit(A @ theta)
        gradient = A[kept].T @ (p - y)[kept] + penalty @ theta
        H = (A[kept].T * (p * (1 - p))[kept]) @ A[kept] + penalty
        return A[group] @ (theta - np.linalg.solve(H, gradient))
    theta = np.column_stack([model.coef_, model.intercept_])
    P = softmax(A @ theta.T, axis=1)
    gradient = (P - np.eye(K)[y])[kept].T @ A[kept] + theta @ penalty
    S = np.einsum("ik,kl->ikl", P, np.eye(K)) - np.einsum("ik,il->ikl", P, P)
    H = np.einsum("ikl,ia,ib->kalb", S[kept], A[kept], A[kept])
    H = H.reshape(K * A.shape[1], -1) + np.kron(np.eye(K), penalty)
    step = np.linalg.pinv(H) @ gradient.ravel()
    return A[group] @ (theta - step.reshape(theta.shape)).T


@TOLERANCES
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_heads_are_one_newton_step_from_them(n_classes, tolerance):
    X, y = load_wine(return_X_y=True)
    X, y, copies = with_copies(scale(X[y < n_classes]), y[y < n_classes], tolerance)
    model = LogisticRegression(C=0.5, **EXACT)
    ranker = InfluenceRanker(model).fit(X, y)
    found = leaving_together(ranker, copies).loo_decision_function_
    model.fit(X, y)
    for group in left_out_groups(copies):
        expected = newton_step_without(model, X, y, group, 0.5)
        # Logits of a few units; both from optima with gradients of 1e-8.
        assert_allclose(found[group], expected, atol=1e-6)


@pytest.mark.parametrize("score", ["loo_loss", "loo_margin"])
def test_label_scores_are_of_the_same_predictions(score):
    X, y, copies = with_copies(*load_iris(return_X_y=True), 0.0)
    ranker = leaving_together(InfluenceRanker().fit(X, y), copies)
    rows, proba = np.arange(len(y)), ranker.loo_proba_
    expected = -np.log(proba[rows, y])
    if score == "loo_margin":
        raw = ranker.loo_decision_function_.copy()
        given = raw[rows, y].copy()
        raw[rows, y] = -np.inf
        expected = raw.max(axis=1) - given
    assert_allclose(ranker.label_scores(score), expected, rtol=1e-8, atol=1e-10)


@TOLERANCES
def test_studentized_residuals_are_of_the_refits_own_noise(tolerance):
    X, y = load_diabetes(return_X_y=True)
    X, y, copies = with_copies(scale(X[:60]), y[:60], tolerance)
    ranker = leaving_together(InfluenceRanker(LinearRegression()).fit(X, y), copies)
    found, (n_all, n_own) = ranker.label_scores("studentized"), observations(ranker)
    # Equal rows of one target are one observation of their weight.
    key = np.column_stack([copies.of_rows, y])
    first, inverse, counts = np.unique(
        key, axis=0, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    assert n_all == len(first)
    A = np.column_stack([X, np.ones(len(X))])
    for group in left_out_groups(copies):
        kept, of_group = ~group, np.unique(inverse[group])
        assert np.all(n_own[group] == len(of_group))
        theta = np.linalg.lstsq(A[kept], y[kept], rcond=None)[0]
        n_kept = len(first) - len(of_group)
        variance = np.sum((y - A @ theta)[kept] ** 2) / (n_kept - A.shape[1])
        spread = 1 / counts[inverse[group]] + np.einsum(
            "ia,ab,ib->i", A[group], np.linalg.inv(A[kept].T @ A[kept]), A[group]
        )
        expected = np.abs((y - A @ theta)[group]) / np.sqrt(variance * spread)
        assert_allclose(found[group], expected, rtol=1e-8)


def test_without_copies_they_are_the_rankers_own():
    X, y = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker(Ridge()).fit(np.tile(X[:80], (2, 1)), np.tile(y[:80], 2))
    copies = find_copies(np.tile(X[:80], (2, 1)))
    together = leaving_together(ranker, copies)
    once = InfluenceRanker(Ridge(alpha=0.5)).fit(X[:80], y[:80])
    # J of rows twice at alpha 1 is twice J of rows once at alpha 1/2.
    for name in ("studentized", "loo_loss"):
        found, expected = together.label_scores(name), once.label_scores(name)
        assert_allclose(found, np.tile(expected, 2), rtol=1e-9)
    assert_allclose(together.loo_prediction_, np.tile(once.loo_prediction_, 2))
    # The ranker that came still leaves rows out one by one.
    assert not np.allclose(ranker.loo_prediction_, together.loo_prediction_)
