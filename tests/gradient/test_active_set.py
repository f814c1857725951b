"""Heads with an l1 part: exact to a refit while the active set holds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LogisticRegression,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from sklinfluence.curvature import SOLVERS
from sklinfluence.gradient import InfluenceRanker

TIGHT = {"tol": 1e-12, "max_iter": 100_000}


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), y


REGRESSORS = {
    "lasso": Lasso(alpha=2.0, **TIGHT),
    "elastic net": ElasticNet(alpha=0.5, l1_ratio=0.7, **TIGHT),
    "lasso by cv": LassoCV(alphas=10, **TIGHT),
    "elastic net by cv": ElasticNetCV(alphas=10, l1_ratio=[0.3, 0.9], **TIGHT),
}


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_the_refit_where_the_set_holds(name, weighted):
    X, y = diabetes()
    weight = np.ones(len(y))
    if weighted:
        weight = np.random.default_rng(0).uniform(0.2, 2, len(y))
    ranker = InfluenceRanker(REGRESSORS[name]).fit(X, y, sample_weight=weight)
    model = ranker.estimator_
    alpha = getattr(model, "alpha_", None) or model.alpha
    ratio = getattr(model, "l1_ratio_", getattr(model, "l1_ratio", 1.0))
    changes = ranker.active_set_changes_
    for row in range(0, len(y), 11):
        kept = weight.copy()
        kept[row] = 0.0
        # alpha is relative to the total weight, of which the row takes its part.
        same = alpha * weight.sum() / kept.sum()
        refit = ElasticNet(alpha=same, l1_ratio=ratio, **TIGHT)
        refit.fit(X, y, sample_weight=kept)
        held = np.array_equal(np.sign(refit.coef_), np.sign(model.coef_))
        assert changes[row] == (not held)
        if held:
            loo = refit.predict(X[[row]])[0]
            assert ranker.loo_prediction_[row] == pytest.approx(loo, abs=1e-6)


def noisy(K):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 10))
    raw = X @ (rng.normal(size=(10, K)) * (rng.random((10, K)) < 0.4))
    return X, np.argmax(raw + rng.gumbel(size=(150, K)), axis=1)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("K", [2, 3])
def test_logistic_groups_are_refits_where_the_set_holds(K, share):
    X, y = noisy(K)
    model = LogisticRegression(
        C=0.2, l1_ratio=share, solver="saga", tol=1e-10, max_iter=100_000
    )
    ranker = InfluenceRanker(model).fit(X, y)
    # The rows that pull hardest, and some that do not.
    rows = np.unique([*ranker.self_influence_.argsort()[-4:], 0, 20])
    exact = ranker.group_influence([[row] for row in rows], X, y, order="exact")
    before = ranker.estimator_
    for at, row in enumerate(rows):
        kept = np.ones(len(y))
        kept[row] = 0.0
        model.fit(X, y, sample_weight=kept)
        held = np.array_equal(np.sign(model.coef_), np.sign(before.coef_))
        assert ranker.active_set_changes_[row] == (not held)
        if not held:
            continue
        rise = -model.predict_log_proba(X) + before.predict_log_proba(X)
        # saga's own stopping.
        assert_allclose(exact[:, at], rise[np.arange(len(y)), y], atol=1e-6)


def test_liblinear_penalises_its_intercept_with_l1_too():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    model = LogisticRegression(
        C=0.5, l1_ratio=1.0, solver="liblinear", intercept_scaling=2.0, tol=1e-10
    )
    ranker = InfluenceRanker(model).fit(X, y)
    # At its own optimum: polishing on the set has next to nothing to do.
    assert ranker.stationarity_gap_ < 1e-4
    head = ranker.head_
    residual = ranker.predict_proba(X)[:, 1] - y
    active = np.sign(head.coef[0]) / 0.5
    assert_allclose(head.embed(X).T @ residual, -active, atol=1e-4)
    assert residual.sum() == pytest.approx(
        -np.sign(head.intercept[0]) / 0.5 / 2.0, abs=1e-4
    )


def test_columns_out_of_use_are_dropped_and_pipelines_work():
    X, y = load_diabetes(return_X_y=True)
    X = np.column_stack([X, np.random.default_rng(0).normal(size=(len(y), 30))])
    model = make_pipeline(StandardScaler(), Lasso(alpha=5.0, **TIGHT))
    ranker = InfluenceRanker(model, method="newton").fit(X, y)
    n_used = np.count_nonzero(ranker.estimator_[-1].coef_)
    assert ranker.head_.coef.shape == (1, n_used) and n_used < 12
    assert ranker.influence(X[:4], y[:4]).shape == (4, len(y))
    assert ranker.loo_error_bound_.max() in (0.0, np.inf)
    assert np.array_equal(np.isinf(ranker.loo_error_bound_), ranker.active_set_changes_)


def test_an_empty_model_predicts_the_mean():
    X, y = diabetes()
    ranker = InfluenceRanker(Lasso(alpha=1e4), method="newton").fit(X, y)
    expected = (y.sum() - y) / (len(y) - 1)
    assert_allclose(ranker.loo_prediction_, expected)


@pytest.mark.parametrize("damping", [0.0, 0.1])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", sorted(set(SOLVERS) - {"ekfac"}))
def test_an_empty_model_is_no_matter_which_solver_has(solver, fit_intercept, damping):
    """Nothing in use but the intercept; without one there is no parameter at all."""
    X, y = diabetes()
    model = Lasso(alpha=1e4, fit_intercept=fit_intercept)
    ranker = InfluenceRanker(model, solver=solver, damping=damping).fit(X, y)
    residual = ranker.predict(X) - y
    expected = np.zeros(len(y))
    if fit_intercept:
        expected = residual**2 / (len(y) * (1.0 + damping))
    # One number to divide by; LiSSA's series stops at a residual of its tol, 1e-4.
    close = {"rtol": 1e-4 if solver == "lissa" else 1e-10}
    assert_allclose(ranker.self_influence_, expected, **close)
    assert_allclose(np.diag(ranker.influence(X, y)), expected, **close)
    assert_allclose(ranker.score_samples(X, y), expected, **close)


def test_a_loose_fit_is_named():
    X, y = load_breast_cancer(return_X_y=True)
    model = LogisticRegression(
        C=0.1, l1_ratio=1.0, solver="saga", max_iter=5, random_state=0
    )
    with pytest.warns(ConvergenceWarning) as caught:
        InfluenceRanker(model).fit(scale(X), y)
    assert any("left at zero" in str(warning.message) for warning in caught)


def test_heads_without_an_l1_part_report_no_change():
    X, y = load_wine(return_X_y=True)
    assert not InfluenceRanker().fit(scale(X), y).active_set_changes_.any()


@pytest.mark.parametrize("solver", ["cholesky", "cg", "arnoldi"])
def test_damping_reaches_what_the_rows_do_not_see(solver):
    """Two columns in use that are alike: a new row in which they differ feels it."""
    X, y = diabetes()
    X = np.column_stack([X, X[:, 2]])
    model = Lasso(alpha=2.0, **TIGHT).fit(X, y)
    # Any split of a coefficient between equal columns is as good as the whole.
    model.coef_[[2, -1]] = model.coef_[[2, -1]].sum() * np.array([0.25, 0.75])
    asked = X[:5].copy()
    asked[:, 2] += np.linspace(-1, 1, 5)
    ranker = InfluenceRanker(FrozenEstimator(model), solver=solver, damping=0.1)
    ranker.fit(X, y)
    used = np.append(model.coef_ != 0, True)
    rows, new = (np.column_stack([Z, np.ones(len(Z))])[:, used] for Z in (X, asked))
    H = rows.T @ rows + 0.1 * len(y) * np.eye(used.sum())
    residual = model.predict(asked) - y[:5]
    expected = residual**2 * np.einsum("ij,ij->i", new, np.linalg.solve(H, new.T).T)
    # Of solvers that iterate, their tolerance times a condition number of 100.
    assert_allclose(ranker.score_samples(asked, y[:5]), expected, rtol=1e-6)
