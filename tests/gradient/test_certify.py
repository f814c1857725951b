"""Certified intervals hold the retrained value; bounds cover the one-step error."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.preprocessing import scale

from sklinfluence._removal._certificate import certify_removal
from sklinfluence._removal._groups import group_changes
from sklinfluence.gradient import InfluenceRanker

EXACT = {"solver": "newton-cholesky", "tol": 1e-13, "max_iter": 1000}
# What refits, stopped by scikit-learn at 1e-13, are themselves off by.
ROOM = 1e-9


def noisy(n=150, K=2, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    raw = X @ rng.normal(size=(d, K)) + rng.gumbel(size=(n, K))
    return X, np.argmax(raw, axis=1)


def losses(model, X, y):
    return -model.predict_log_proba(X)[np.arange(len(y)), y]


def retrained(C, X, y, rows, asked):
    """Rise in each query's loss when scikit-learn refits without each row."""
    model = LogisticRegression(C=C, **EXACT)
    before = losses(model.fit(X, y), *asked)
    out = []
    for row in rows:
        kept = np.delete(np.arange(len(y)), row)
        out.append(losses(model.fit(X[kept], y[kept]), *asked) - before)
    return np.column_stack(out)


def assert_holds(ranker, C, X, y, rows, asked):
    lower, upper = ranker.certify(rows, *asked)
    truth = retrained(C, X, y, rows, asked)
    assert np.all(lower - ROOM <= truth) and np.all(truth <= upper + ROOM)
    return truth, lower, upper


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("C", [0.1, 1.0, 30.0])
def test_intervals_hold_the_retrained_value(K, C):
    # With 150 x 18 pairs in each of six cells and the three data sets below, some
    # 28 000 pairs in all.
    X, y = noisy(K=K)
    ranker = InfluenceRanker(LogisticRegression(C=C)).fit(X, y)
    rows = np.arange(0, 150, 9)
    _, _, upper = assert_holds(ranker, C, X, y, rows, noisy(150, K, seed=1))
    assert np.isfinite(upper).mean() > 0.85


@pytest.mark.parametrize("name", ["cancer", "wine"])
def test_intervals_hold_on_real_rows(name):
    load = {"cancer": load_breast_cancer, "wine": load_wine}[name]
    X, y = load(return_X_y=True)
    X = scale(X)
    ranker = InfluenceRanker().fit(X, y)
    hard = np.argsort(-ranker.self_influence_)[:12]
    _, _, upper = assert_holds(ranker, 1.0, X, y, hard, (X, y))
    # The hardest rows of all, the ones that a step is furthest off for.
    assert np.isfinite(upper).any()


def test_intervals_hold_without_a_penalty_and_with_a_free_intercept():
    X, y = noisy(300)
    ranker = InfluenceRanker(LogisticRegression(C=np.inf)).fit(X, y)
    rows = np.arange(0, 300, 30)
    _, _, upper = assert_holds(ranker, np.inf, X, y, rows, (X, y))
    assert np.isfinite(upper).all()


def test_intervals_of_weighted_one_against_the_rest():
    """Independent logistic problems, bounded one by one, against exact removal."""
    X, y = noisy(200, 3)
    model = SGDClassifier(
        "log_loss", alpha=0.01, class_weight={0: 2.0, 1: 1.0, 2: 0.5}, random_state=0
    )
    weight = np.random.default_rng(0).uniform(0.2, 2, 200)
    ranker = InfluenceRanker(model).fit(X, y, sample_weight=weight)
    rows = np.arange(0, 200, 20)
    lower, upper = ranker.certify(rows, X, y)
    exact = ranker.group_influence(rows[:, None].tolist(), X, y, order="exact")
    assert np.all(lower - ROOM <= exact) and np.all(exact <= upper + ROOM)
    assert np.isfinite(upper).all() and np.all(upper - lower < 0.1)


def test_approximate_solvers_are_certified_by_a_factor_of_their_own():
    X, y = noisy(200, 3)
    ranker = InfluenceRanker(solver="ekfac").fit(X, y)
    rows = np.arange(0, 200, 40)
    _, _, upper = assert_holds(ranker, 1.0, X, y, rows, (X, y))
    assert np.isfinite(upper).all()


def test_a_single_row_and_its_shapes():
    X, y = noisy()
    ranker = InfluenceRanker().fit(X, y)
    lower, upper = ranker.certify(4, X[:6], y[:6])
    assert lower.shape == upper.shape == (6,)
    both = ranker.certify([4, 5], X[:6], y[:6])
    assert_allclose(both[0][:, 0], lower)
    predicted = ranker.certify(4, X[:6], ranker.predict(X[:6]))
    assert_allclose(ranker.certify(4, X[:6]), predicted)


def test_least_squares_are_certain():
    X, y = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker(Ridge(alpha=0.1), method="newton").fit(X, y)
    lower, upper = ranker.certify([0, 3], X, y)
    assert np.array_equal(lower, upper)
    assert_allclose(lower, ranker.influence(X, y)[:, [0, 3]], rtol=1e-8, atol=1e-8)
    assert np.all(ranker.loo_error_bound_ == 0)


@pytest.mark.parametrize("K", [2, 3])
@pytest.mark.parametrize("C", [0.1, 1.0, 30.0])
def test_error_bounds_cover_the_error_of_one_step(K, C):
    X, y = noisy(400, K)
    ranker = InfluenceRanker(LogisticRegression(C=C), method="newton").fit(X, y)
    bound = ranker.loo_error_bound_
    rows = np.arange(0, 400, 16)
    exact = ranker.group_influence(rows[:, None].tolist(), order="exact")
    error = np.abs(ranker.influence(X, y)[:, rows] - exact).max(axis=0)
    assert np.all(error <= bound[rows] + ROOM)
    # C = 30 is beyond what the bounds are asked for.
    assert np.isfinite(bound).mean() >= 0.65 or C > 1


def test_refine_visits_the_rows_of_a_large_bound():
    X, y = noisy(200, 3)
    plain = InfluenceRanker(LogisticRegression(C=10), method="newton").fit(X, y)
    fine = InfluenceRanker(LogisticRegression(C=10), method="newton", refine=1e-3)
    fine.fit(X, y)
    visited = np.flatnonzero(plain.loo_error_bound_ > 1e-3)
    assert 0 < len(visited) < 200
    assert np.array_equal(fine.reading_.refined.index, visited)
    exact = fine.group_influence([[row] for row in visited], order="exact")
    assert_allclose(fine.influence(X, y)[:, visited], exact, atol=1e-5)


def test_radius_is_infinite_where_nothing_is_certified():
    """Separable classes without the row that keeps them apart from being so."""
    X = np.r_[np.linspace(-2, -1, 10), np.linspace(1, 2, 10), 3.0][:, None]
    y = np.r_[np.zeros(10), np.ones(10), 0].astype(int)
    ranker = InfluenceRanker(LogisticRegression(C=np.inf, max_iter=1000)).fit(X, y)
    lower, upper = ranker.certify(20, X, y)
    assert np.all(np.isneginf(lower)) and np.all(np.isposinf(upper))
    assert np.isposinf(ranker.loo_error_bound_[20])


def test_certificate_is_never_below_the_distance_it_bounds():
    """Points ever nearer to the optimum: the bound covers, and closes in."""
    X, y = noisy(200, 3)
    fitted = InfluenceRanker(LogisticRegression(C=0.5)).fit(X, y).reading_.fitted
    rng = np.random.default_rng(0)
    direction = rng.normal(size=fitted.theta.shape)
    # Off the softmax's kernel, along which nothing is defined.
    direction[:, -1] -= direction[:, -1].mean()
    radii = []
    for step in (1e-2, 1e-3, 1e-5):
        theta = fitted.theta + step * direction
        certificate = certify_removal(fitted.objective, theta)
        away = (theta - fitted.theta).reshape(-1, 1)
        H = fitted.objective.hessian(fitted.objective.raw(theta))
        distance = np.sqrt((away * H.matvec(away)).sum())
        assert distance <= certificate.rho[0]
        radii.append(certificate.rho[0] / distance)
    assert radii[-1] == pytest.approx(1.0, abs=1e-3)


def test_refusals_give_the_reason():
    X, y = noisy()
    damped = InfluenceRanker(damping=0.1).fit(X, y)
    for ask in (lambda: damped.certify(0, X, y), lambda: damped.loo_error_bound_):
        with pytest.raises(ValueError, match="damping=0"):
            ask()
    rough = InfluenceRanker(solver="ekfac").fit(X, y)
    with pytest.raises(ValueError, match=r"EKFAC.* approximates"):
        rough.loo_error_bound_  # noqa: B018
    lasso = InfluenceRanker(Lasso(alpha=0.05)).fit(X, X[:, 0] + y)
    with pytest.raises(ValueError, match="l1 penalty"):
        lasso.certify(0, X)


def test_undefined_rows_are_not_certified():
    X = np.column_stack([np.r_[np.zeros(30), 1.0], np.arange(31) % 5])
    y = (np.arange(31) % 3 > 0).astype(int)
    with np.errstate(all="ignore"):
        changes = group_changes(
            InfluenceRanker(LogisticRegression()).fit(X, y).reading_.fitted,
            [np.array([30])],
        )
    assert np.isfinite(changes).all()
    certificate = certify_removal(
        InfluenceRanker().fit(X, y).reading_.fitted.objective, np.full((1, 3), np.nan)
    )
    assert np.isposinf(certificate.rho).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cancer", "digits", "noisy"])
@pytest.mark.parametrize("C", [0.1, 1.0])
def test_figures_of_the_bounds(name, C):
    if name == "cancer":
        X, y = load_breast_cancer(return_X_y=True)
        X = scale(X)
    elif name == "digits":
        X, y = load_digits(return_X_y=True)
        X, y = X[:600, ::2] / 16, y[:600]
        X = X[:, X.std(axis=0) > 0]
    else:
        X, y = noisy(500, 3, 6)
    ranker = InfluenceRanker(LogisticRegression(C=C)).fit(X, y)
    n = len(y)
    rows = np.arange(0, n, max(1, n // 60))
    truth, lower, upper = assert_holds(ranker, C, X, y, rows, (X, y))
    # Finite or not is asked of every row.
    all_rows = np.arange(n) if name != "digits" else rows
    own = [ranker.certify(int(i), X[[i]], y[[i]]) for i in all_rows]
    width = np.array([high[0] - low[0] for low, high in own])
    effect = np.abs(
        InfluenceRanker(LogisticRegression(C=C), method="newton")
        .fit(X, y)
        .self_influence_[all_rows]
    )
    bound = ranker.loo_error_bound_
    narrow = np.mean(width < effect)
    over_queries = np.mean(upper - lower < np.abs(truth))
    print(
        f"{name} C={C}: {truth.size} pairs held; certify finite "
        f"{np.isfinite(width).mean():.3f}, loo_error_bound_ finite "
        f"{np.isfinite(bound).mean():.3f}; narrower than the effect: own loss "
        f"{narrow:.3f}, all queries {over_queries:.3f}"
    )
    assert np.isfinite(width).mean() >= 0.85
    assert np.isfinite(bound).mean() >= 0.65
    assert narrow >= 0.8


@pytest.mark.parametrize("solver", ["lissa", "cg"])
def test_least_squares_are_certified_whatever_the_solver(solver):
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X[:80]), scale(y[:80])
    ranker = InfluenceRanker(Ridge(), solver=solver).fit(X, y)
    lower, upper = ranker.certify([0, 5], X[:10], y[:10])
    for at, row in enumerate([0, 5]):
        left = Ridge().fit(np.delete(X, row, 0), np.delete(y, row))
        full = Ridge().fit(X, y)
        rise = 0.5 * (left.predict(X[:10]) - y[:10]) ** 2
        rise -= 0.5 * (full.predict(X[:10]) - y[:10]) ** 2
        # Rounding of two exact solutions.
        assert np.all(lower[:, at] <= rise + 1e-9)
        assert np.all(rise - 1e-9 <= upper[:, at])


def test_a_head_away_from_its_optimum_has_no_error_bound_of_zero():
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X[:80]), scale(y[:80])
    model = SGDRegressor(max_iter=1, tol=None, random_state=0)
    ranker = InfluenceRanker(model, refit_head=False).fit(X, y)
    assert np.all(np.isinf(ranker.loo_error_bound_))


def test_nothing_is_certain_of_least_squares_without_a_row_of_leverage_one():
    X = np.column_stack([np.r_[np.zeros(30), 1.0], np.arange(31) % 5])
    y = np.arange(31) % 3 - 0.5
    with pytest.warns(UserWarning, match="Row\\(s\\) 30 have leverage 1"):
        ranker = InfluenceRanker(LinearRegression()).fit(X, y)
    lower, upper = ranker.certify([30, 0], X[[0, 30]], y[[0, 30]])
    assert np.isneginf(lower[:, 0]).all() and np.isposinf(upper[:, 0]).all()
    assert np.array_equal(lower[:, 1], upper[:, 1]) and np.isfinite(lower[:, 1]).all()
    for order in ("newton", "exact"):
        groups = [[30], [30, 4], [4]]
        found = ranker.group_influence(groups, X[[0, 30]], y[[0, 30]], order=order)
        assert np.isnan(found[:, :2]).all() and np.isfinite(found[:, 2]).all()
