"""Rankers by approximate solvers: exact in the limit, and loud where they are not."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

from sklinfluence.curvature import (
    EKFAC,
    Arnoldi,
    Cholesky,
    ConjugateGradient,
    Nystrom,
    choose_solver,
)
from sklinfluence.gradient import InfluenceRanker, _damping_path


def make_task(name):
    if name == "diabetes":
        return LinearRegression(), *load_diabetes(return_X_y=True)
    if name == "cancer":
        X, y = load_breast_cancer(return_X_y=True)
        return LogisticRegression(), scale(X)[:150], y[:150]
    X, y = load_digits(return_X_y=True)  # some of its pixels are never inked
    if name == "digits, 4 classes":
        return LogisticRegression(max_iter=5000), X[:300, :30] / 16, y[:300] % 4
    return LogisticRegression(), X[y < 2] / 16, y[y < 2]


@pytest.mark.parametrize(
    "name", ["cancer", "digits, 2 classes", "digits, 4 classes", "diabetes"]
)
@pytest.mark.parametrize(
    "solver", [Nystrom(rank=500), Arnoldi(rank=500), Arnoldi(rank=500, tail=None)]
)
def test_full_rank_is_cholesky_with_constant_columns(solver, name):
    model, X, y = make_task(name)
    exact = InfluenceRanker(model, solver=Cholesky()).fit(X, y)
    other = InfluenceRanker(model, solver=solver).fit(X, y)
    pairs = [
        (other.influence(X[:9], y[:9]), exact.influence(X[:9], y[:9])),
        (other.self_influence_, exact.self_influence_),
        (other.reading_.removal.raw, exact.reading_.removal.raw),
    ]
    for ours, truth in pairs:
        # Rounding of a sketch, times a condition number of 1e4.
        assert_allclose(ours, truth, atol=1e-9 * np.abs(truth).max())


@pytest.mark.parametrize("solver", [EKFAC(), Arnoldi(rank=11), Nystrom(rank=11)])
def test_leave_one_out_of_least_squares_is_that_of_refits(solver):
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X)[:60], y[:60]
    ranker = InfluenceRanker(Ridge(1.0), solver=solver).fit(X, y)
    for i in range(0, 60, 7):
        kept = np.arange(60) != i
        refit = Ridge(1.0).fit(X[kept], y[kept]).predict(X[[i]])[0]
        assert ranker.loo_prediction_[i] == pytest.approx(refit, rel=1e-8)


def test_a_useless_inverse_is_named():
    X, y = load_digits(return_X_y=True)
    X, y = scale(X[:400]), y[:400]
    model = LogisticRegression(C=100, max_iter=500)
    with pytest.warns(ConvergenceWarning, match=r"Nystrom\(rank=20\) is no useful"):
        InfluenceRanker(model, solver=Nystrom(rank=20)).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"EKFAC\(\) is no useful .* Penalise"):
        InfluenceRanker(LogisticRegression(C=0.1), solver="ekfac").fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        InfluenceRanker(LogisticRegression(C=0.001), solver="ekfac").fit(X, y)


class FirstCoordinates(ConjugateGradient):
    """Solves for half of the coordinates, and tells how far that leaves it."""

    def solve(self, state, B):
        X, info = super().solve(state, B)
        return 0.0 * X, {**info, "residual": np.ones(B.shape[1])}


def test_polishing_by_a_solver_that_finds_no_step_is_told():
    X, y = load_wine(return_X_y=True)
    model = LogisticRegression(max_iter=3)
    with pytest.warns(ConvergenceWarning, match="stopped before its optimum"):
        InfluenceRanker(model, solver=FirstCoordinates()).fit(scale(X), y)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["cholesky", "cg", "ekfac"])
def test_a_class_without_weight_is_named(solver, n_classes):
    X, y = load_wine(return_X_y=True)
    X, y = scale(X)[y < n_classes], np.array(["a", "b", "c"])[y[y < n_classes]]
    weights = np.where(y == "abc"[n_classes - 1], 0.0, 1.0)
    model = LogisticRegression(max_iter=2000)
    ranker = InfluenceRanker(model, solver=solver)
    if n_classes == 2:
        with pytest.raises(ValueError, match=r"class\(es\) b has weight 0"):
            ranker.fit(X, y, sample_weight=weights)
        return
    with pytest.raises(ValueError, match=r"class\(es\) c has weight 0"):
        ranker.fit(X, y, sample_weight=weights)
    # Without a free intercept its weights have an optimum, at some cost.
    model.set_params(fit_intercept=False)
    InfluenceRanker(model, solver=solver).fit(X, y, sample_weight=weights)


def test_memory_knows_what_preconditioners_go_by(tmp_path):
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    solver = ConjugateGradient(rows="preconditioner")
    ranker = InfluenceRanker(solver=solver, memory=str(tmp_path))
    with config_context(working_memory=0.2):
        assert ranker.fit(X, y).solver_info_["rows"] == "ekfac"
    assert ranker.fit(X, y).solver_info_["rows"] == "block"


@pytest.mark.parametrize("solver", ["cg", "lissa"])
def test_condition_number_of_wide_rows(solver):
    X, y = np.random.default_rng(0).normal(size=(30, 120)), np.arange(30.0)
    ranker = InfluenceRanker(Ridge(1.0, fit_intercept=False), solver=solver).fit(X, y)
    info = ranker.solver_info_
    # What no row sees has the penalty alone; the other end by a power iteration.
    assert info["smallest_eigenvalue"] == pytest.approx(1.0, rel=1e-3)
    largest = np.linalg.eigvalsh(X @ X.T)[-1] + 1.0
    assert info["largest_eigenvalue"] == pytest.approx(largest, rel=0.05)


def test_damping_path_refuses_what_does_not_fit(monkeypatch):
    X, y = load_wine(return_X_y=True)
    ranker = InfluenceRanker().fit(scale(X), y)
    monkeypatch.setattr(_damping_path, "MEMORY", 8 * 28**2 * 3)
    with pytest.raises(ValueError, match="eigenvectors of 1 matrices of 28 rows"):
        ranker.damping_path([0.1], score="loo_score")


def test_solvers_are_objects_with_sound_parameters():
    X, y = load_wine(return_X_y=True)
    with pytest.raises(TypeError, match=r"solver=Cholesky is a class.*Cholesky\("):
        InfluenceRanker(solver=Cholesky).fit(X, y)
    with pytest.raises(InvalidParameterError, match="'tol' parameter of Cholesky"):
        InfluenceRanker(solver=Cholesky(tol=-1.0)).fit(X, y)
    with pytest.raises(ValueError, match="n_rows == 0, must be >= 1"):
        choose_solver(0, 1, 5)
