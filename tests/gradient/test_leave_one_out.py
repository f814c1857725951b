"""Least squares: leaving a row out is exact. Against refits and statsmodels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
)

from sklinfluence.gradient import InfluenceRanker

# Ridge without a row is in closed form: what differs is rounding, on targets near 150.
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def diabetes(n_rows=60, n_targets=1):
    X, y = load_diabetes(return_X_y=True)
    X, y = 20 * X, y / 10
    targets = [y, y * np.sin(X[:, 2]), X[:, 3] ** 2]
    y = np.column_stack(targets[:n_targets]) if n_targets > 1 else y
    return X[:n_rows], y[:n_rows], X[n_rows : n_rows + 15], y[n_rows : n_rows + 15]


def refits(model, X, y, weight):
    """The model fitted afresh without each row."""
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        w = None if weight is None else weight[rest]
        yield clone(model).fit(X[rest], y[rest], sample_weight=w)


MODELS = {
    "ridge": (Ridge(alpha=2.0), 1),
    "no-intercept": (Ridge(alpha=2.0, fit_intercept=False), 1),
    "targets": (Ridge(alpha=2.0), 3),
    "alpha-per-target": (Ridge(alpha=np.array([0.1, 2.0, 50.0])), 3),
    "unpenalised": (LinearRegression(), 1),
    "almost-unpenalised": (Ridge(alpha=1e-6), 2),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_leaving_out_is_refitting(name, weighted):
    model, n_targets = MODELS[name]
    X, y, Xq, yq = diabetes(n_targets=n_targets)
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X)) if weighted else None
    ranker = InfluenceRanker(model, method="newton").fit(X, y, sample_weight=weight)
    full = clone(model).fit(X, y, sample_weight=weight)

    def loss(fitted):
        return 0.5 * ((fitted.predict(Xq) - yq) ** 2).reshape(len(Xq), -1).sum(1)

    others = list(refits(model, X, y, weight))
    truth = np.array([loss(other) - loss(full) for other in others]).T
    left_out = [other.predict(X[[i]])[0] for i, other in enumerate(others)]
    assert_allclose(ranker.influence(Xq, yq), truth, **EXACT)
    assert_allclose(ranker.loo_prediction_, left_out, **EXACT)
    errors = ((np.array(left_out) - y) ** 2).reshape(len(X), -1).mean(axis=1)
    mean = -np.average(errors, weights=weight)
    assert ranker.loo_score_ == pytest.approx(mean, rel=1e-9)
    if n_targets == 1:
        # Without y the influence is on the prediction: f(x) - f(x) without the row.
        drop = np.array([full.predict(Xq) - other.predict(Xq) for other in others]).T
        assert_allclose(ranker.influence(Xq), drop, **EXACT)
        coef = np.array([full.coef_ - other.coef_ for other in others])
        change = ranker.parameter_influence(np.arange(len(X)))[:, 0]
        assert_allclose(change[:, : X.shape[1]], coef, **EXACT)


def test_ridge_classifier_is_exact_too():
    X, y, _, _ = diabetes()
    labels = np.array(["low", "mid", "high"])[np.digitize(y, [10, 18])]
    model = RidgeClassifier(alpha=3.0)
    ranker = InfluenceRanker(model).fit(X, labels)
    truth = [
        other.decision_function(X[[i]])[0]
        for i, other in enumerate(refits(model, X, labels, None))
    ]
    assert_allclose(ranker.loo_decision_function_, truth, **EXACT)
    with pytest.raises(AttributeError, match="least squares"):
        ranker.loo_proba_  # noqa: B018
    with pytest.raises(AttributeError, match="for regression only"):
        ranker.loo_prediction_  # noqa: B018


# -- statsmodels, at no penalty

# Two float64 routes (a QR or SVD there, a Cholesky factor here) at condition 1e2.
STATSMODELS = {"rtol": 1e-8, "atol": 1e-12}


@pytest.mark.parametrize("model", [LinearRegression(), Ridge(alpha=0.0)])
def test_ols_diagnostics_are_statsmodels(model):
    X, y, _, _ = diabetes(n_rows=120)
    ranker = InfluenceRanker(model).fit(X, y)
    sm = pytest.importorskip("statsmodels.api")
    theirs = sm.OLS(y, sm.add_constant(X)).fit().get_influence()
    assert_allclose(ranker.leverage_, theirs.hat_matrix_diag, **STATSMODELS)
    assert_allclose(
        ranker.label_scores("cook"), theirs.cooks_distance[0], **STATSMODELS
    )
    external = np.abs(theirs.resid_studentized_external)
    assert_allclose(ranker.label_scores("studentized"), external, **STATSMODELS)
    press = y - theirs.resid_press
    assert_allclose(ranker.loo_prediction_, press, **STATSMODELS)
    # Cook's vector is DFBETA: theta - theta without the row; the constant comes first.
    dfbeta = np.roll(theirs.dfbeta, -1, axis=1)
    ours = InfluenceRanker(model, method="newton").fit(X, y)
    change = ours.parameter_influence(np.arange(len(X)))[:, 0]
    assert_allclose(change, dfbeta, rtol=1e-8, atol=1e-10)


def test_weighted_least_squares_are_statsmodels():
    X, y, _, _ = diabetes(n_rows=120)
    weight = np.random.default_rng(0).uniform(0.5, 3, len(X))
    ranker = InfluenceRanker(LinearRegression()).fit(X, y, sample_weight=weight)
    # statsmodels' influence measures are those of the whitened least squares.
    sm = pytest.importorskip("statsmodels.api")
    root = np.sqrt(weight)
    whitened = sm.OLS(y * root, sm.add_constant(X) * root[:, None]).fit()
    theirs = whitened.get_influence()
    assert_allclose(ranker.leverage_, theirs.hat_matrix_diag, **STATSMODELS)
    assert_allclose(
        ranker.label_scores("cook"), theirs.cooks_distance[0], **STATSMODELS
    )
    external = np.abs(theirs.resid_studentized_external)
    assert_allclose(ranker.label_scores("studentized"), external, **STATSMODELS)


def test_logit_diagnostics_are_statsmodels_one_step():
    sm = pytest.importorskip("statsmodels.api")
    X, y, _, _ = diabetes(n_rows=200)
    X, y = X[:, :4], (y > np.median(y)).astype(int)
    glm = sm.GLM(y, sm.add_constant(X), family=sm.families.Binomial())
    theirs = glm.fit(tol=1e-14, maxiter=100).get_influence(observed=True)
    # Fitted by Newton's method: a fit that polishing moves by less than 1e-7 keeps the
    # factor of where it was, too far off for what is compared here.
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    ranker = InfluenceRanker(model, method="newton").fit(X, y)
    # Their one step too takes the row out of the Hessian (scale 1): d_params, and the
    # Pearson-residual Cook's distance r^2 h / (p (1 - h)^2).
    assert_allclose(ranker.leverage_, theirs.hat_matrix_diag, **STATSMODELS)
    assert_allclose(
        ranker.label_scores("cook"), theirs.cooks_distance[0], **STATSMODELS
    )
    change = ranker.parameter_influence(np.arange(len(X)))[:, 0]
    dfbeta = np.roll(theirs.d_params, -1, axis=1)
    assert_allclose(change, dfbeta, rtol=1e-7, atol=1e-9)


# -- rows that were never trained on


def with_row(X, y, weight, row, target):
    weight = np.ones(len(X)) if weight is None else weight
    rows, targets = np.vstack([X, row[None]]), np.concatenate([y, target[None]])
    return rows, targets, np.append(weight, 1.0)


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["influence", "newton"])
def test_scores_of_new_rows_are_what_training_on_them_takes_off(
    n_targets, weighted, method
):
    X, y, Xq, yq = diabetes(n_targets)
    weight = np.random.default_rng(0).uniform(0.2, 3, len(X)) if weighted else None
    model = Ridge(alpha=0.7)
    ranker = InfluenceRanker(model, method=method).fit(X, y, sample_weight=weight)
    full = clone(model).fit(X, y, sample_weight=weight)

    def loss(fitted, row, target):
        return 0.5 * np.sum((fitted.predict(row[None])[0] - target) ** 2)

    truth = []
    for row, target in zip(Xq[:8], yq[:8], strict=True):
        rows, targets, own = with_row(X, y, weight, row, target)
        after = clone(model).fit(rows, targets, sample_weight=own)
        before, left = loss(full, row, target), loss(after, row, target)
        # Least squares: residual after = before / (1 + x'H^-1 x); to first order the
        # loss falls by r'Br, of which B is that leverage.
        leverage = np.sqrt(before / left) - 1.0
        first = 2.0 * before * leverage
        truth.append(before - left if method == "newton" else first)
    assert_allclose(ranker.score_samples(Xq[:8], yq[:8]), truth, rtol=1e-8)


@pytest.mark.parametrize("K", [2, 3])
def test_newton_scores_of_new_rows_are_near_refits_with_them(K):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 4))
    y = np.argmax(X @ rng.normal(size=(4, K)) + rng.gumbel(size=(150, K)), axis=1)
    model = LogisticRegression(C=1.0, tol=1e-10, solver="newton-cholesky")
    ranker = InfluenceRanker(model, method="newton").fit(X[:120], y[:120])
    full = clone(model).fit(X[:120], y[:120])
    truth = []
    for i in range(120, 150):
        after = clone(model).fit(np.r_[X[:120], X[[i]]], np.r_[y[:120], y[i]])
        fall = [-m.predict_log_proba(X[[i]])[0, y[i]] for m in (full, after)]
        truth.append(fall[0] - fall[1])
    # One Newton step for the refit: second order in a change of some hundredths.
    assert_allclose(ranker.score_samples(X[120:], y[120:]), truth, rtol=0.2)
    assert np.corrcoef(ranker.score_samples(X[120:], y[120:]), truth)[0, 1] > 0.999
