"""One suite for every exact solver and for those that a user writes.

A user's own keeps the two documented methods; it need not inherit, and its state may be
anything. The numbers are held against Cholesky's, which other tests hold against dense
algebra and refits.
"""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import scale

import sklinfluence
from sklinfluence.curvature import (
    EKFAC,
    Arnoldi,
    Cholesky,
    ConjugateGradient,
    LiSSA,
    Nystrom,
    Sketch,
    Solver,
    SolverState,
    solutions,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import diagnostics


class Inverse(BaseEstimator):
    """The state is an array, and solutions come without a report."""

    def init(self, operator):
        return np.linalg.pinv(operator.dense(), rcond=1e-11, hermitian=True)

    def solve(self, state, B):
        return state @ B, {}


class Bare:
    """No estimator, and its state, a tuple, holds the operator and so the rows."""

    def init(self, operator):
        return operator, Inverse().init(operator)

    def solve(self, state, B):
        operator, inverse = state
        X = inverse @ B
        residual = np.linalg.norm(operator.matvec(X) - B, axis=0)
        return X, {"residual": residual / np.maximum(np.linalg.norm(B, axis=0), 1e-300)}


class InverseState(SolverState):
    def __init__(self, operator):
        self.operator = operator
        self.inverse = Inverse().init(operator)

    def apply_inverse(self, B):
        return self.inverse @ B


class Declared(Solver):
    exact = True

    def init(self, operator):
        return InverseState(operator)

    def solve(self, state, B):
        return state.apply_inverse(B), {"residual": np.zeros(B.shape[1])}


class Diagonal:
    """An approximation: one over the diagonal of H."""

    def init(self, operator):
        return np.diag(operator.dense())

    def solve(self, state, B):
        return B / state[:, None], {}


OWN = {"inverse": Inverse(), "bare": Bare(), "declared": Declared()}
EXACT = {
    **OWN,
    "cholesky": Cholesky(),
    "cg": ConjugateGradient(tol=1e-11),
    "cg, own preconditioner": ConjugateGradient(tol=1e-11, preconditioner=Inverse()),
}
# They are H^-1 here, but do not say so of themselves.
FULL = {
    "arnoldi": Arnoldi(rank=10_000),
    "nystrom": Nystrom(rank=10_000),
    "sketch": Sketch(n_components=10_000),
    "lissa": LiSSA(tol=1e-11, depth=50_000),
    "ekfac, every direction": EKFAC(n_directions=10_000),
}
EVERY = {**EXACT, **FULL}
HEADS = ["ridge", "logistic", "softmax"]
# Tolerances of 1e-11 times a condition number below 1e4.
RTOL = 1e-7


def make_head(name):
    if name == "ridge":
        X, y = load_diabetes(return_X_y=True)
        return Ridge(1.0), scale(X)[:40], y[:40] / 100
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    if name == "logistic":
        X, y = X[50:], y[50:]
    return LogisticRegression(C=0.5), X[::3], y[::3]


def assert_close(ours, truth):
    assert_allclose(ours, truth, atol=RTOL * np.abs(truth).max())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", EVERY)
def test_numbers_are_those_of_cholesky(name, head):
    model, X, y = make_head(head)
    groups = [[0, 1], [4, 7, 9]]

    def numbers(solver):
        ranker = InfluenceRanker(model, solver=solver).fit(X, y)
        newton = InfluenceRanker(model, solver=solver, method="newton").fit(X, y)
        representer = RepresenterRanker(model, solver=solver).fit(X, y)
        return [
            ranker.influence(X[:3], y[:3]),
            ranker.self_influence_,
            ranker.mean_influence(X[:3], y[:3]),
            ranker.group_influence(groups, X[:3], y[:3]),
            ranker.group_influence(groups, X[:3], y[:3], order="exact"),
            ranker.damping_path([0.1, 1.0], X[:3], y[:3]),
            newton.influence(X[:3], y[:3]),
            newton.self_influence_,
            representer.influence(X[:3], y[:3]),
        ]

    for ours, truth in zip(numbers(EVERY[name]), numbers("cholesky"), strict=True):
        assert_close(ours, truth)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", EXACT)
def test_what_asks_for_the_inverse_itself(name, head):
    """Diagnostics, refinement and certificates, each refused to approximations."""
    model, X, y = make_head(head)

    def numbers(solver):
        ranker = InfluenceRanker(model, solver=solver, refine=1e-9).fit(X, y)
        return [
            diagnostics(InfluenceRanker(model, solver=solver).fit(X, y)).to_numpy(),
            ranker.self_influence_,
            np.array(ranker.loo_score_),
            np.array(ranker.certify([0, 5], X[:3], y[:3])),
        ]

    pytest.importorskip("pandas")
    for ours, truth in zip(numbers(EXACT[name]), numbers("cholesky"), strict=True):
        assert_close(ours.astype(float), truth.astype(float))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("damping", [0.0, 0.1])
@pytest.mark.parametrize("name", EVERY)
def test_memory_finds_the_same_numbers(name, damping, head, tmp_path):
    model, X, y = make_head(head)

    def fit(memory):
        ranker = InfluenceRanker(
            model, solver=EVERY[name], damping=damping, memory=memory
        )
        return ranker.fit(X, y)

    truth = fit(None)
    for _ in range(2):
        ranker = fit(str(tmp_path))
        # Where the optimum is kept it is kept to the last bit.
        assert_allclose(ranker.self_influence_, truth.self_influence_, rtol=1e-12)
        assert_allclose(
            ranker.influence(X[:3], y[:3]), truth.influence(X[:3], y[:3]), rtol=1e-9
        )


@pytest.mark.parametrize("name", EVERY)
def test_a_cached_state_holds_no_rows(name):
    model, X, y = make_head("softmax")
    fitted = InfluenceRanker(model, solver=EVERY[name]).fit(X, y).reading_.fitted
    marker = fitted.raw.tobytes()
    assert marker in pickle.dumps(fitted.operator)
    assert marker not in pickle.dumps(fitted.state.attached(None))
    back = fitted.state.attached(None).attached(fitted.operator)
    B = np.random.default_rng(0).normal(size=(fitted.operator.shape[0], 2))
    ours, truth = (solutions(fitted.solver, at, B)[0] for at in (back, fitted.state))
    assert_allclose(ours, truth, rtol=1e-12)


def test_a_cached_preconditioner_over_rows_holds_none():
    """Factors over the rows refer to them from inside the preconditioner."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 90)), rng.integers(2, size=30)
    solver = ConjugateGradient(preconditioner="block")
    fitted = (
        InfluenceRanker(LogisticRegression(), solver=solver).fit(X, y).reading_.fitted
    )
    kept = pickle.dumps(fitted.state.attached(None))
    assert fitted.raw.tobytes() not in kept


@pytest.mark.parametrize("name", EVERY)
def test_a_ranker_is_pickled_with_its_solver(name):
    model, X, y = make_head("softmax")
    ranker = InfluenceRanker(model, solver=EVERY[name]).fit(X, y)
    again = pickle.loads(pickle.dumps(ranker))
    assert_allclose(again.influence(X[:2]), ranker.influence(X[:2]), rtol=1e-12)


@pytest.mark.parametrize("name", OWN)
def test_solver_info_names_the_class(name):
    model, X, y = make_head("softmax")
    info = InfluenceRanker(model, solver=OWN[name]).fit(X, y).solver_info_
    assert info["solver"] == type(OWN[name]).__name__
    assert np.all(info["residual"] < 1e-8)


def test_an_approximation_is_told_by_its_residuals():
    model, X, y = make_head("ridge")
    ranker = InfluenceRanker(model, solver=Diagonal()).fit(X, y)
    truth = InfluenceRanker(model, solver="cholesky").fit(X, y)
    H = truth.reading_.fitted.operator.dense()
    # The optimum is the exact one, whatever the solver finds.
    assert_close(ranker.reading_.fitted.theta, truth.reading_.fitted.theta)
    G = truth.reading_.fitted.coefficients * np.column_stack([X, np.ones(len(X))])
    ours = np.einsum("ij,ij->i", G, G / np.diag(H))
    assert_close(ranker.self_influence_, ours)
    with pytest.raises(ValueError, match=r"Diagonal object .* approximates it"):
        diagnostics(ranker)
    exact = [r.group_influence([[0, 1]], order="exact") for r in (ranker, truth)]
    assert_close(*exact)


class RowByRow(Declared):
    """Says that a row takes more than there is, and misses a tolerance of its own."""

    tol = 1e-3

    def init(self, operator):
        state = super().init(operator)
        state.values_per_row = 10**12
        return state

    def solve(self, state, B):
        X, info = super().solve(state, B)
        return X, {"residual": info["residual"] + 0.01}


def test_what_is_declared_is_heeded():
    """tol warns, with the class's remedy; values_per_row changes no number."""
    model, X, y = make_head("softmax")
    with pytest.warns(ConvergenceWarning, match=r"RowByRow left .* tol=1.0e-03"):
        ranker = InfluenceRanker(model, solver=RowByRow()).fit(X, y)
    truth = InfluenceRanker(model, solver="cholesky").fit(X, y)
    assert_close(ranker.loo_decision_function_, truth.loo_decision_function_)


class OneValue(Inverse):
    def solve(self, state, B):
        return state @ B


class Ravelled(Inverse):
    def solve(self, state, B):
        return (state @ B).ravel(), {}


class PlainState(Solver):
    def init(self, operator):
        return operator.dense()

    def solve(self, state, B):
        return np.linalg.solve(state, B), {}


@pytest.mark.parametrize(
    "solver, error, message",
    [
        (OneValue(), TypeError, r"OneValue.solve returned ndarray.*\(X, info\)"),
        (Ravelled(), ValueError, r"Ravelled.solve returned solutions of shape"),
        (PlainState(), TypeError, r"PlainState.init returned ndarray.*SolverState"),
    ],
)
def test_what_does_not_keep_the_protocol_is_named(solver, error, message):
    model, X, y = make_head("ridge")
    with pytest.raises(error, match=message):
        InfluenceRanker(model, solver=solver).fit(X, y)


@pytest.mark.parametrize("name", OWN)
def test_networks_take_it_too(name):
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    from sklinfluence.deep import DeepInfluenceRanker

    _, X, y = make_head("softmax")
    torch.manual_seed(0)
    net = skorch.NeuralNetClassifier(
        torch.nn.Sequential(
            torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
        ),
        criterion=torch.nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        max_epochs=3,
    ).fit(X.astype("float32"), y)
    ours, truth = (
        DeepInfluenceRanker(net, solver=solver, dtype="float64", damping=0.1)
        for solver in (OWN[name], "cholesky")
    )
    for ranker in (ours, truth):
        torch.manual_seed(1)
        ranker.fit(X.astype("float32"), y)
    assert_close(ours.self_influence_, truth.self_influence_)


# -- what solvers, states and operators can is declared, not probed for

ROOMS = ("curvature", "_removal", "inspection", "deep/_net")
PROBED = {"solver", "state", "operator", "preconditioner", "source", "made"}


@pytest.mark.parametrize(
    "path",
    [
        path
        for room in ROOMS
        for path in (Path(sklinfluence.__file__).parent / room).rglob("*.py")
    ],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_nothing_is_probed(path):
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id in ("hasattr", "getattr"):
            words = ast.unparse(call.args[0]).split(".")
            assert not PROBED & set(words), ast.unparse(call)
