"""Many dampings from one eigendecomposition equal as many fits; the joblib cache."""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import eigh
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.preprocessing import scale

from sklinfluence.curvature import Cholesky, SingularHessianError
from sklinfluence.gradient import InfluenceRanker

DAMPINGS = [0.3, 0.0, 1e-3]


@pytest.fixture
def wine():
    X, y = load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))  # they come sorted by class
    return scale(X)[order], y[order]


@pytest.fixture
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.fixture(params=["softmax", "binary", "one-vs-rest", "ridge", "two targets"])
def task(request, wine, diabetes):
    if request.param in ("ridge", "two targets"):
        X, y = diabetes
        y = np.column_stack([y, X[:, 0]]) if request.param == "two targets" else y
        return Ridge(alpha=0.1), X, y
    X, y = wine
    if request.param == "one-vs-rest":
        return SGDClassifier("log_loss", alpha=1e-2, random_state=0, tol=1e-5), X, y
    return LogisticRegression(), X, y if request.param == "softmax" else y == 1


@pytest.mark.parametrize("method", ["influence", "newton"])
@pytest.mark.parametrize("normalize", [None, "theta", "loss"])
def test_path_is_what_fits_at_each_damping_give(task, method, normalize):
    model, X, y = task
    options = {"method": method, "normalize": normalize}
    ranker = InfluenceRanker(model, damping=0.05, **options).fit(X[:120], y[:120])
    path = ranker.damping_path(DAMPINGS, X[120:140], y[120:140])
    own = ranker.damping_path(DAMPINGS, score="self_influence")
    loo = ranker.damping_path(DAMPINGS, score="loo_score")
    assert path.shape == (3, 20, 120)
    assert own.shape == (3, 120)
    for at, damping in enumerate(DAMPINGS):
        one = InfluenceRanker(model, damping=damping, **options).fit(X[:120], y[:120])
        truth = one.influence(X[120:140], y[120:140])
        # Two factorisations of a matrix of condition number below 1e5.
        assert_allclose(path[at], truth, rtol=1e-7, atol=1e-9 * abs(truth).max())
        truth = one.self_influence_
        assert_allclose(own[at], truth, rtol=1e-7, atol=1e-9 * abs(truth).max())
        assert_allclose(loo[at], one.loo_score_, rtol=1e-8)


def test_path_against_numpy(diabetes):
    X, y = diabetes
    ranker = InfluenceRanker(Ridge(alpha=2.0)).fit(X, y)
    Z = np.column_stack([X, np.ones(len(X))])
    penalty = np.diag([2.0] * 10 + [0.0])
    theta = np.linalg.solve(Z.T @ Z + penalty, Z.T @ y)
    gradients = (Z @ theta - y)[:, None] * Z
    path = ranker.damping_path([0.5], X[:9], y[:9])
    H = Z.T @ Z + penalty + 0.5 * len(X) * np.eye(11)
    truth = gradients[:9] @ np.linalg.solve(H, gradients.T)
    assert_allclose(path[0], truth, rtol=1e-9, atol=1e-9 * abs(truth).max())


@pytest.mark.parametrize("method", ["influence", "newton"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_path_of_a_dependent_column_starts_at_no_damping(n_targets, method, diabetes):
    X, y = diabetes
    X = np.column_stack([X, X[:, 0] + X[:, 1]])
    y = np.column_stack([y, 100 * X[:, 2] + y**0.5]) if n_targets == 2 else y
    train = slice(0, 200)
    ranker = InfluenceRanker(LinearRegression(), method=method).fit(X[train], y[train])
    path = ranker.damping_path([0.0, 0.1], X[200:220], y[200:220])
    truth = ranker.influence(X[200:220], y[200:220])
    assert_allclose(path[0], truth, rtol=1e-6, atol=1e-8 * np.abs(truth).max())
    damped = InfluenceRanker(LinearRegression(), method=method, damping=0.1)
    truth = damped.fit(X[train], y[train]).influence(X[200:220], y[200:220])
    assert_allclose(path[1], truth, rtol=1e-6, atol=1e-8 * np.abs(truth).max())


def test_path_leaves_the_ranker_alone(wine):
    X, y = wine
    ranker = InfluenceRanker().fit(X, y)
    before = ranker.influence(X[:3], y[:3])
    ranker.damping_path([0.1, 10.0], X[:3], y[:3])
    assert_allclose(ranker.influence(X[:3], y[:3]), before, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dampings": [-1.0]}, "none of them negative"),
        ({"dampings": [[1.0]]}, "one-dimensional"),
        ({"dampings": [1.0], "X": None}, "needs queries X"),
        ({"dampings": [1.0], "score": "loss"}, "score='loss' is none of"),
    ],
)
def test_path_names_what_is_wrong(arguments, message, wine):
    X, y = wine
    ranker = InfluenceRanker().fit(X, y)
    with pytest.raises(ValueError, match=message):
        ranker.damping_path(**{"X": X[:3], **arguments})


def test_path_needs_curvature(wine):
    ranker = InfluenceRanker(method="grad_dot").fit(*wine)
    with pytest.raises(ValueError, match="uses no curvature"):
        ranker.damping_path([1.0], wine[0])


def test_path_refuses_a_singular_hessian():
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    model = LogisticRegression(C=np.inf).fit(X, y)
    model.coef_ *= 1e4  # so sure of every row that no curvature is left
    options = {"damping": 0.1, "refit_head": False}
    ranker = InfluenceRanker(FrozenEstimator(model), **options).fit(X, y)
    ranker.damping_path([0.1], X)
    with pytest.raises(SingularHessianError, match="smallest eigenvalue"):
        ranker.damping_path([0.0], X)


@pytest.mark.slow
def test_ten_dampings_cost_less_than_two_decompositions():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 160))
    y = np.argmax(X[:, :10] + 3 * rng.gumbel(size=(4000, 10)), axis=1)
    ranker = InfluenceRanker(LogisticRegression(C=0.1)).fit(X, y)
    H = ranker.reading_.fitted.operator.dense()

    def seconds(call):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    one = seconds(lambda: eigh(H, driver="evd"))
    dampings = np.logspace(-4, 1, 10)
    for m in (1, 16, 64):  # beyond, the ten matrices alone take longer than that
        ten = seconds(lambda m=m: ranker.damping_path(dampings, X[:m], y[:m]))
        assert ten < 2 * one, (m, ten, one)


# -- memory=


@pytest.fixture
def factored(monkeypatch):
    """A list that grows by one with every factorisation."""
    calls, init = [], Cholesky.init

    def counted(self, operator):
        calls.append(operator)
        return init(self, operator)

    monkeypatch.setattr(Cholesky, "init", counted)
    return calls


def test_second_fit_factors_nothing(tmp_path, factored, wine):
    X, y = wine
    first = InfluenceRanker(memory=str(tmp_path)).fit(X, y)
    n_first = len(factored)
    assert n_first > 0
    others = [{"method": "newton"}, {"normalize": "theta"}, {"n_influences": 3}]
    for other in others:
        again = InfluenceRanker(memory=str(tmp_path), **other).fit(X, y)
        assert len(factored) == n_first
        plain = InfluenceRanker(**other).fit(X, y)
        del factored[n_first:]
        assert_allclose(again.influence(X, y), plain.influence(X, y), atol=1e-15)
    assert_allclose(again.self_influence_, first.self_influence_, atol=0)


def test_another_damping_polishes_nothing(tmp_path, factored, wine):
    X, y = wine
    InfluenceRanker(memory=str(tmp_path)).fit(X, y)
    del factored[:]
    damped = InfluenceRanker(memory=str(tmp_path), damping=0.1).fit(X, y)
    assert len(factored) == 1  # the damped factor alone
    InfluenceRanker(memory=str(tmp_path), damping=0.1, method="newton").fit(X, y)
    assert len(factored) == 1
    plain = InfluenceRanker(damping=0.1).fit(X, y)
    assert_allclose(damped.self_influence_, plain.self_influence_, rtol=1e-12)


@pytest.mark.parametrize("change", ["rows", "weights", "labels", "C"])
def test_what_differs_is_computed(change, tmp_path, factored, wine):
    X, y = wine
    weights, model = np.ones(len(y)), LogisticRegression()
    memory = str(tmp_path)
    InfluenceRanker(model, memory=memory).fit(X, y, sample_weight=weights)
    del factored[:]
    if change == "rows":
        X = X + 1e-9
    elif change == "weights":
        weights = weights * 1.5
    elif change == "labels":
        y = np.where(np.arange(len(y)) == 3, 2, y)
    else:
        model = LogisticRegression(C=0.7)
    again = InfluenceRanker(model, memory=memory).fit(X, y, sample_weight=weights)
    assert factored
    plain = InfluenceRanker(model).fit(X, y, sample_weight=weights)
    assert_allclose(again.self_influence_, plain.self_influence_, rtol=1e-12)


@pytest.mark.parametrize("solver", ["cg", "ekfac", "arnoldi", "nystrom", "lissa"])
def test_cached_states_find_their_operator_again(solver, tmp_path):
    X, y = load_digits(return_X_y=True)
    X, y = X[:150, 20:36] / 16, y[:150]
    rankers = [
        InfluenceRanker(LogisticRegression(C=0.1), solver=solver, memory=memory)
        for memory in (str(tmp_path), str(tmp_path), None)
    ]
    values = [ranker.fit(X, y).influence(X[:4], y[:4]) for ranker in rankers]
    assert_allclose(values[0], values[1], atol=0)
    assert_allclose(values[0], values[2], rtol=1e-12)
