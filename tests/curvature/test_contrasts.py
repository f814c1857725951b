"""A softmax in K - 1 contrasts says what it says in K outputs.

The oracle solves with a dense pseudo-inverse of the Hessian of all K outputs, in the
textbook's form; 1e-10 of the largest entry is what both lose to rounding at the
condition numbers here.
"""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sklinfluence._removal import NORMALIZATIONS, outer_rows
from sklinfluence.curvature import Solver, SolverState
from sklinfluence.curvature._contrasts import (
    apart,
    contract,
    contrasts_of,
    expand,
    whole_of,
)
from sklinfluence.curvature._losses import LogisticLoss, SoftmaxLoss
from sklinfluence.curvature._solvers._in_contrasts import init_state, solutions
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.heads import LinearHead, linear_head
from sklinfluence.inspection import diagnostics


class OfOutputs(SolverState):
    """H^+ of all outputs, and the rows' blocks cut out of it."""

    def __init__(self, operator):
        self.operator = operator
        self.inverse = np.linalg.pinv(operator.dense(), rcond=1e-13, hermitian=True)

    def apply_inverse(self, B):
        return self.inverse @ B

    def row_blocks(self, rows):
        shape = self.operator.n_outputs, self.operator.n_columns
        return np.einsum("iq,kqmr,ir->ikm", rows, self.inverse.reshape(2 * shape), rows)


class KOutputs(Solver):
    """The route of K outputs."""

    exact = keeps_outputs = True

    def init(self, operator):
        return OfOutputs(operator)

    def solve(self, state, B):
        return state.apply_inverse(B), {"residual": np.zeros(B.shape[1])}


class TwoOutputs(ClassifierMixin, BaseEstimator):
    """A softmax over two outputs, as nets have it."""

    def fit(self, X, y):
        self.model_ = LogisticRegression(tol=1e-8).fit(X, y)
        self.classes_, self.coef_ = self.model_.classes_, self.model_.coef_
        return self


@linear_head.register(TwoOutputs)
def _two_outputs(estimator, y, sample_weight=None):
    half = estimator.coef_ / 2
    encode = np.eye(2).__getitem__
    return LinearHead(
        loss=SoftmaxLoss(),
        coef=np.vstack([-half, half]),
        intercept=np.array([0.3, 0.1]),
        fit_intercept=True,
        penalty=np.tile([2.0] * half.shape[1] + [0.0], (2, 1)),
        targets=encode(y),
        weights=np.ones(len(y)) if sample_weight is None else sample_weight,
        classes=estimator.classes_,
        embed=np.asarray,
        encode=encode,
    )


def problem(n_classes, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4)) + [0.5, 0.0, -1.0, 0.0]
    raw = X @ rng.normal(size=(4, n_classes)) + rng.gumbel(size=(60, n_classes))
    y = np.argmax(raw, axis=1)
    y[: 2 * n_classes] = np.tile(np.arange(n_classes), 2)
    weights = rng.uniform(0.5, 2.0, size=60)
    weights[[3 * n_classes, 50]] = 0.0
    return X, y, weights


def fitted(model, solver, more, n_classes):
    X, y, weights = problem(n_classes)
    sample_weight = weights if "weights" in more else None
    more = {k: v for k, v in more.items() if k != "weights"}
    return InfluenceRanker(FrozenEstimator(model), solver=solver, **more).fit(
        X, y, sample_weight
    )


def logistic(n_classes, weights=None, **parameters):
    X, y, _ = problem(n_classes)
    model = LogisticRegression(tol=1e-8, max_iter=5000, **parameters)
    return model.fit(X, y, sample_weight=weights)


HEADS = {
    "two outputs": (2, {}, {}),
    "two, weights": (2, {}, {"weights": True, "damping": 0.01}),
    "K=3": (3, {}, {}),
    "K=10": (10, {}, {}),
    "K=17": (17, {}, {}),
    "weak": (3, {"C": 100.0}, {}),
    "weights": (3, {}, {"weights": True}),
    "no intercept": (3, {"fit_intercept": False}, {}),
    "C=inf": (3, {"C": np.inf}, {}),
    "damping": (3, {}, {"damping": 0.01}),
    "as it is": (3, {"C": 10.0}, {"refit_head": False, "damping": 0.01}),
}
INNER = "internally_studentized"
ASKED = {
    "self_influence_": lambda r, X, y: r.self_influence_,
    "leverage_": lambda r, X, y: r.leverage_,
    "loo_decision_function_": lambda r, X, y: r.loo_decision_function_,
    "loo_proba_": lambda r, X, y: r.loo_proba_,
    "loo_error_bound_": lambda r, X, y: np.minimum(r.loo_error_bound_, 1e3),
    "influence": lambda r, X, y: r.influence(X, y),
    "mean_influence": lambda r, X, y: r.mean_influence(X, y),
    "score_samples": lambda r, X, y: r.score_samples(X, y),
    "parameter_influence": lambda r, X, y: r.parameter_influence([1, 5, 7]),
    "group": lambda r, X, y: r.group_influence([[1, 5], [7, 8, 9]], X, y),
    "second": lambda r, X, y: r.group_influence([[1, 5]], X, y, order="second"),
    "exact": lambda r, X, y: r.group_influence([[1, 5]], X, y, order="exact"),
    "cook": lambda r, X, y: r.label_scores("cook"),
    "damping_path": lambda r, X, y: r.damping_path([0.01, 0.3], X, y),
    "path of itself": lambda r, X, y: r.damping_path([0.1], score="self_influence"),
    "diagnostics": lambda r, X, y: diagnostics(r).drop(columns=INNER).to_numpy(),
    INNER: lambda r, X, y: diagnostics(r)[INNER].to_numpy(),
}
# What needs the optimum of the estimator's own objective.
UNDAMPED = ("loo_error_bound_", "diagnostics", INNER)
# It inverts each residual's covariance, of a condition up to 1e10.
LOOSE = {INNER: 1e-8}


def model_of(name):
    n_classes, parameters, more = HEADS[name]
    if n_classes == 2:
        return TwoOutputs().fit(*problem(2)[:2]), n_classes, more
    weights = problem(n_classes)[2] if "weights" in more else None
    return logistic(n_classes, weights, **parameters), n_classes, more


def agree(ours, truth, tol=1e-10):
    """To 1e-10 of the largest entry; not a number, and infinite, in the same places."""
    largest = np.max(np.abs(truth[np.isfinite(truth)]), initial=0.0)
    assert_allclose(ours, truth, rtol=0, atol=tol * largest)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", HEADS)
def test_every_number_is_that_of_k_outputs(name):
    model, n_classes, more = model_of(name)
    ours = fitted(model, "cholesky", more, n_classes)
    truth = fitted(model, KOutputs(), more, n_classes)
    X, y, _ = problem(n_classes, seed=1)
    for asked, ask in ASKED.items():
        if not (more.get("damping") and asked in UNDAMPED):
            found = ask(ours, X[:7], y[:7])
            agree(found, ask(truth, X[:7], y[:7]), LOOSE.get(asked, 1e-10))
    agree(ours.head_.coef, truth.head_.coef)
    assert ours.solver_info_["n_parameters"] == truth.solver_info_["n_parameters"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", ["influence", "newton"])
@pytest.mark.parametrize("name", HEADS)
def test_every_normalization_is_that_of_k_outputs(name, method):
    model, n_classes, more = model_of(name)
    X, y, _ = problem(n_classes, seed=1)
    for normalize in (None, *NORMALIZATIONS):
        more = {**more, "method": method, "normalize": normalize}
        ours = fitted(model, "cholesky", more, n_classes)
        truth = fitted(model, KOutputs(), more, n_classes)
        agree(ours.influence(X[:7], y[:7]), truth.influence(X[:7], y[:7]))
        agree(ours.self_influence_, truth.self_influence_)


def test_certificates_are_those_of_k_outputs(monkeypatch):
    model, n_classes, more = model_of("K=3")
    ranker = fitted(model, "cholesky", more, n_classes)
    X, y, _ = problem(n_classes, seed=1)
    ours = ranker.certify([1, 5], X, y)
    place = "sklinfluence._removal._certificate.Cholesky"
    monkeypatch.setattr(place, KOutputs)
    agree(np.stack(ours), np.stack(ranker.certify([1, 5], X, y)))


@pytest.mark.parametrize("damping", [0.0, 0.01])
def test_raw_logits_have_a_part_common_to_all_outputs(damping):
    model, n_classes, _ = model_of("K=3")
    ranker = fitted(model, "cholesky", {"damping": damping}, n_classes)
    head = ranker.reading_.fitted
    asked = outer_rows(head.objective.design.rows(slice(7)), n_classes)
    agree(head.solve(asked), OfOutputs(head.operator).apply_inverse(asked))
    agree(head.state.apply_inverse(asked), head.solve(asked))


def test_the_reflection_is_the_contrasts():
    C = expand(np.eye(4))
    assert_allclose(C.T @ C, np.eye(4), atol=1e-15)
    assert_allclose(C.sum(axis=0), 0, atol=1e-15)
    V, W = np.random.default_rng(0).normal(size=(2, 5, 3))
    assert_allclose(contract(V), C.T @ V, atol=1e-15)
    assert_allclose(expand(W[1:]), C @ W[1:], atol=1e-15)
    assert_allclose(apart(W[1:]), (C[:-1] - C[-1]) @ W[1:], atol=1e-15)


@pytest.mark.parametrize("K", [2, 3, 5])
def test_the_smaller_operator_is_the_larger_in_contrasts(K):
    head = fitted(logistic(3), "cholesky", {}, 3).reading_.fitted
    rng = np.random.default_rng(0)
    objective = replace(
        head.objective,
        targets=np.eye(K)[rng.integers(K, size=60)],
        penalty=np.tile(head.objective.penalty[:1], (K, 1)),
    )
    whole = objective.hessian(rng.normal(size=(60, K)))
    inside, C = contrasts_of(whole), np.kron(expand(np.eye(K - 1)), np.eye(5))
    truth = C.T @ whole.dense() @ C
    V = rng.normal(size=(len(truth), 2))
    close = {"rtol": 1e-12, "atol": 1e-12 * np.max(truth)}
    assert_allclose(inside.dense(), truth, **close)
    assert_allclose(inside.matvec(V), truth @ V, **close)
    assert_allclose(whole_of(inside).dense(), whole.dense(), **close)
    assert_allclose(inside.trace(), np.trace(truth), rtol=1e-12)
    blocks = truth.reshape(K - 1, 5, K - 1, 5)
    own = blocks[range(K - 1), :, range(K - 1)]
    assert_allclose(inside.diagonal_blocks(), own, **close)
    loss, raw, targets = inside.objective.loss, inside.raw, objective.targets
    total = loss.curvature(targets, raw).reshape(60, K - 1, -1).sum(axis=0)
    assert_allclose(loss.curvature_sum(targets, raw, np.ones(60)), total, **close)
    assert_allclose(loss.loss(targets, raw), SoftmaxLoss().loss(targets, whole.raw))
    gradient = SoftmaxLoss().gradient(targets, whole.raw)
    assert_allclose(expand(loss.gradient(targets, raw).T).T, gradient, **close)


class Asked(Solver):
    """Remembers what it was shown."""

    exact = True

    def __init__(self, keeps_outputs=False):
        self.keeps_outputs = keeps_outputs

    def init(self, operator):
        self.shape = operator.shape
        return OfOutputs(operator)

    def solve(self, state, B):
        return state.apply_inverse(B), {}


@pytest.mark.parametrize("keeps_outputs", [False, True])
def test_a_users_solver_gets_the_operator_that_it_takes(keeps_outputs):
    operator = fitted(logistic(3), "cholesky", {}, 3).reading_.fitted.operator
    solver = Asked(keeps_outputs)
    state = init_state(solver, operator)
    assert solver.shape == ((15, 15) if keeps_outputs else (10, 10))
    B = np.random.default_rng(0).normal(size=(15, 2))
    agree(solutions(solver, state, B)[0], OfOutputs(operator).apply_inverse(B))


def test_l1_unlike_penalties_and_one_vs_rest_keep_their_outputs():
    head = fitted(logistic(3), "cholesky", {}, 3).reading_.fitted
    penalty = head.objective.penalty.copy()
    penalty[0] *= 2
    unlike = replace(head.objective, penalty=penalty).hessian(head.raw)
    one_vs_rest = replace(head.objective, loss=LogisticLoss()).hessian(head.raw)
    lasso = logistic(3, l1_ratio=1.0, solver="saga", C=0.3)
    l1 = fitted(lasso, "cholesky", {}, 3).reading_.fitted.operator
    assert all(contrasts_of(operator) is None for operator in (unlike, one_vs_rest, l1))
