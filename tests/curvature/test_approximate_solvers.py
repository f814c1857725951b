"""LiSSA, Arnoldi, EK-FAC and Nyström against numpy on torch's dense Hessian."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

from sklinfluence.curvature import (
    EKFAC,
    Arnoldi,
    ConjugateGradient,
    DivergenceError,
    LiSSA,
    Nystrom,
)
from sklinfluence.gradient import InfluenceRanker

NAMES = ["squared", "binary", "one-vs-rest", "softmax"]
# Directions below this share of the largest singular value are the kernel.
RCOND = 1e-11


def operator_of(objective, seed=5):
    theta = 0.5 * np.random.default_rng(seed).normal(size=objective.shape)
    return objective.hessian(objective.raw(theta)), theta


def right_hand_sides(p, m, seed=6):
    return np.random.default_rng(seed).normal(size=(p, m))


def relative(ours, truth):
    return np.max(np.abs(ours - truth)) / np.max(np.abs(truth))


def inverse_of(hessian):
    return np.linalg.pinv(hessian, rcond=RCOND, hermitian=True)


# -- what becomes exact in a limit

EXACT = {
    "lissa": (LiSSA(tol=1e-11, depth=50_000), 1e-8),
    "arnoldi": (Arnoldi(rank=10_000), 1e-10),
    "nystrom": (Nystrom(rank=10_000), 1e-8),
}


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", list(EXACT))
def test_exact_in_the_limit(solver, name, damping, make_objective, torch_hessian):
    solver, tolerance = EXACT[solver]
    objective = make_objective(name)
    center = np.zeros(objective.shape)
    operator, theta = operator_of(objective.damped(damping, center))
    H = torch_hessian(name, objective, theta)
    # Damping is on the mean Hessian: in sum form, times the sum of the weights.
    H = H + damping * objective.weights.sum() * np.eye(len(H))
    B = right_hand_sides(len(H), len(H) + 3)
    B[:, 1] = 0.0
    X, info = solver.solve(solver.init(operator), B)
    assert relative(X, inverse_of(H) @ B) < tolerance
    assert info["residual"].shape == (len(H) + 3,)
    assert info["residual"].max() < 1e-7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "solver", [Arnoldi(rank=4), Arnoldi(rank=4, tail=None), EKFAC(), Nystrom(rank=6)]
)
def test_residual_is_the_true_one(solver, name, make_objective, torch_hessian):
    objective = make_objective(name)
    operator, theta = operator_of(objective)
    H = torch_hessian(name, objective, theta)
    B = right_hand_sides(len(H), 5)
    right = H @ inverse_of(H) @ B
    X, info = solver.solve(solver.init(operator), B)
    true = np.linalg.norm(H @ X - right, axis=0) / np.linalg.norm(right, axis=0)
    # Rounding of H x in two float64 evaluations.
    assert_allclose(info["residual"], true, rtol=1e-8, atol=1e-11)
    if name == "softmax":
        assert info["residual"].min() > 1e-3  # approximations, and they say so


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "solver",
    [Arnoldi(rank=5), EKFAC(), Nystrom(rank=6), ConjugateGradient(rows="ekfac")],
)
def test_row_blocks_are_those_of_the_inverse(solver, name, make_objective):
    operator, _ = operator_of(make_objective(name))
    state = solver.init(operator)
    K, q = operator.n_outputs, operator.n_columns
    if isinstance(solver, ConjugateGradient):
        state = state.source
    inverse = state.apply_inverse(np.eye(K * q)).reshape(K, q, K, q)
    rows = right_hand_sides(3, q)
    truth = np.einsum("iq,kqml,il->ikm", rows, inverse, rows)
    blocks = state.row_blocks(rows)
    if operator.is_block_diagonal:
        truth = np.einsum("ikk->ik", truth)
    else:
        blocks = getattr(blocks, "dense", lambda: blocks)()
        # A softmax does not feel a shift of all outputs: blocks differ by it.
        center = np.eye(K) - 1 / K
        blocks, truth = center @ blocks @ center, center @ truth @ center
    assert_allclose(blocks, truth, rtol=1e-9, atol=1e-12)


# -- Arnoldi


def test_arnoldi_keeps_the_dominant_eigenpairs(make_objective, torch_hessian):
    objective = make_objective("softmax", penalty=0.05)
    operator, theta = operator_of(objective)
    values, vectors = np.linalg.eigh(torch_hessian("softmax", objective, theta))
    rank = 5
    state = Arnoldi(rank=rank, n_iter=14, tail=None).init(operator)
    top = vectors[:, -rank:]
    truth = (top / values[-rank:]) @ top.T
    assert relative(state.apply_inverse(np.eye(len(values))), truth) < 1e-9
    # The tail is the mean of the eigenvalues that are left, the kernel's apart.
    left = values[1:-rank].mean()
    state = Arnoldi(rank=rank, n_iter=14).init(operator)
    beside = vectors[:, 1:-rank]
    assert relative(state.apply_inverse(beside), beside / left) < 1e-9


def test_arnoldi_goes_on_where_eigenvalues_repeat(make_objective, torch_hessian):
    # Two outputs with one block: every eigenvalue twice, the Krylov space half.
    objective = make_objective("squared")
    operator, theta = operator_of(objective)
    H = torch_hessian("squared", objective, theta)
    state = Arnoldi(rank=len(H)).init(operator)
    assert relative(state.apply_inverse(np.eye(len(H))), inverse_of(H)) < 1e-10


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("kind", [Arnoldi, Nystrom])
def test_rounding_is_told_from_curvature_at_any_scale(kind, length, make_objective):
    # A column stands twice, the last one is a thousandth of its length.
    X = np.random.default_rng(0).normal(size=(40, 4))[:, [0, 1, 2, 1, 3]]
    X *= length * np.array([1.0, 1.0, 1.0, 1.0, 1e-3])
    objective = make_objective("squared", X=X, fit_intercept=False, penalty=0.0)
    operator, _ = operator_of(objective)
    H = operator.matvec(np.eye(operator.shape[0]))
    state = kind(rank=len(H), tail=None).init(operator)
    # The condition is 1e6 beside the kernel: ten digits of sixteen are left.
    assert relative(state.apply_inverse(H), np.linalg.pinv(H) @ H) < 1e-8


def test_nystrom_beside_a_penalty_that_is_all_but_none():
    """The intercepts' own directions are small beside the rest, and no rounding."""
    X, y = load_iris(return_X_y=True)
    # Labels at random, so that no plane separates the classes.
    thrown = np.random.default_rng(0).random(len(y)) < 0.3
    y = np.where(thrown, (y + 1) % 3, y)
    model = LogisticRegression(C=1e9, max_iter=5000)
    exact = InfluenceRanker(model, solver="cholesky").fit(X, y).self_influence_
    ours = InfluenceRanker(model, solver=Nystrom(rank=20)).fit(X, y).self_influence_
    # The condition is 3e12: rounding leaves three digits.
    assert relative(ours, exact) < 1e-2


def test_arnoldi_refuses_fewer_steps_than_pairs(make_objective):
    operator, _ = operator_of(make_objective("binary"))
    with pytest.raises(ValueError, match="n_iter=3 steps find at most 3"):
        Arnoldi(rank=4, n_iter=3).init(operator)


# -- EK-FAC


def test_ekfac_is_exact_where_h_is_a_kronecker_product(make_objective, torch_hessian):
    # Equal raw predictions give every row the same curvature: H = S (x) X^T X + Lambda.
    objective = make_objective("softmax")
    theta = np.zeros(objective.shape)
    theta[:, -1] = [0.3, -1.0, 0.4]
    operator = objective.hessian(objective.raw(theta))
    H = torch_hessian("softmax", objective, theta)
    inverse = EKFAC().init(operator).apply_inverse(np.eye(len(H)))
    # Same basis for all: rounding times a condition number below 1e3.
    assert relative(inverse, inverse_of(H)) < 1e-10


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("name", ["squared", "binary"])
def test_ekfac_of_least_squares_or_one_output(
    name, penalty, fit_intercept, make_objective, torch_hessian
):
    objective = make_objective(name, penalty=penalty, fit_intercept=fit_intercept)
    if name == "binary":  # one curvature for all rows, as least squares has
        objective = make_objective(
            name, penalty=penalty, fit_intercept=fit_intercept, X=np.eye(7)[:, :5]
        )
        theta = np.zeros(objective.shape)
    else:
        theta = operator_of(objective)[1]
    operator = objective.hessian(objective.raw(theta))
    H = torch_hessian(name, objective, theta)
    inverse = EKFAC().init(operator).apply_inverse(np.eye(len(H)))
    assert relative(inverse, inverse_of(H)) < 1e-10


def test_ekfac_diagonal_is_corrected(make_objective, torch_hessian):
    objective = make_objective("softmax")
    operator, theta = operator_of(objective)
    factors = EKFAC().init(operator).factors
    P = np.kron(factors.outputs, factors.columns)
    diagonal = np.diag(P.T @ torch_hessian("softmax", objective, theta) @ P)
    assert_allclose(factors.outputs.T @ factors.outputs, np.eye(3), atol=1e-14)
    inverse = np.where(diagonal > 1e-12 * diagonal.max(), 1 / diagonal, 0.0)
    assert_allclose(factors.inverse.ravel(), inverse, rtol=1e-10)


def test_ekfac_leave_one_out_takes_its_blocks_for_those_without_the_row():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    ranker = InfluenceRanker(LogisticRegression(max_iter=300), solver="ekfac").fit(X, y)
    fitted = ranker.reading_.fitted
    rows = fitted.objective.design.rows(slice(None))
    B = fitted.row_blocks(rows).dense()
    raw, Y = fitted.raw, fitted.objective.targets
    proba = np.exp(raw - raw.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    for i in range(0, 300, 7):
        S = np.diag(proba[i]) - np.outer(proba[i], proba[i])
        left = (np.eye(10) + S @ B[i]) @ (proba[i] - Y[i])
        truth = raw[i] + B[i] @ left
        own = ranker.loo_decision_function_[i]
        assert_allclose(own - own.mean(), truth - truth.mean(), atol=1e-9)
        own = (proba[i] - Y[i]) @ B[i] @ (proba[i] - Y[i])
        assert_allclose(ranker.self_influence_[i], own, rtol=1e-10)


def test_ekfac_refuses_active_sets_that_differ():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 6)), rng.normal(size=(60, 2))
    Y[:, 0] += X[:, 0]
    Y[:, 1] += X[:, 1]
    with pytest.raises(ValueError, match="EK-FAC needs one set of columns"):
        InfluenceRanker(Lasso(alpha=0.4), solver="ekfac").fit(X, Y)


# -- LiSSA


def test_lissa_reaches_its_tolerance_or_says_so():
    X, y = load_digits(return_X_y=True)
    X, y = X[:200, 20:32] / 16, y[:200]
    model = LogisticRegression(C=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        ranker = InfluenceRanker(model, solver=LiSSA(tol=1e-5)).fit(X, y)
    assert ranker.solver_info_["residual"].max() <= 1e-5
    with pytest.warns(ConvergenceWarning, match="stopped short.*solver='cg'"):
        InfluenceRanker(model, solver=LiSSA(depth=5)).fit(X, y)


@pytest.mark.parametrize("name", ["binary", "softmax"])
def test_lissas_own_depth_is_that_of_its_slowest_direction(
    name, make_objective, torch_hessian
):
    objective = make_objective(name)
    operator, theta = operator_of(objective)
    values = np.linalg.eigvalsh(torch_hessian(name, objective, theta))
    low, high = values[values > 1e-9 * values[-1]][[0, -1]]
    state = LiSSA(tol=1e-4).init(operator)
    rate = max(abs(1.0 - low / state.scale), abs(1.0 - high / state.scale))
    # Half as many steps on top; a few Lanczos steps give the spectrum's ends.
    assert_allclose(state.depth, 1.5 * np.log(1e-4) / np.log(rate), rtol=0.05)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("scale", [None, 1.0, 2.0])
def test_lissa_of_no_active_column_has_nothing_to_solve(scale):
    # At any scale and at any rate, that of one step included.
    X, y = np.eye(6)[:, :3], np.arange(6.0)
    model = Lasso(alpha=1e3, fit_intercept=False)
    ranker = InfluenceRanker(model, solver=LiSSA(scale=scale, tol=0.1)).fit(X, y)
    assert_allclose(ranker.influence(X, y), np.zeros((6, 6)))


@pytest.mark.parametrize("batch_size", [None, 10])
def test_lissa_names_divergence(batch_size, make_objective):
    operator, _ = operator_of(make_objective("binary"))
    solver = LiSSA(scale=0.1, depth=500, batch_size=batch_size)
    with pytest.raises(DivergenceError, match=r"scale=0.1 is too small"):
        solver.solve(solver.init(operator), right_hand_sides(5, 2))


@pytest.mark.parametrize("name", ["binary", "softmax"])
def test_lissa_by_batches_is_right_on_average(name, make_objective, torch_hessian):
    objective = make_objective(name, penalty=2.0)
    operator, theta = operator_of(objective)
    truth = inverse_of(torch_hessian(name, objective, theta))
    B = right_hand_sides(len(truth), 3)
    solver = LiSSA(batch_size=20, depth=3000)
    X, info = solver.solve(solver.init(operator), B)
    # The noise of 1500 averaged steps.
    assert relative(X, truth @ B) < 0.05
    again, _ = clone(solver).solve(solver.init(operator), B)
    assert_allclose(again, X, atol=0)
    assert np.all(info["residual"] > 0)


# -- all of them


@pytest.mark.parametrize(
    "solver", [LiSSA(), Arnoldi(rank=30), EKFAC(), Nystrom(rank=30)]
)
def test_ranker_polishes_with_a_solver_that_converges(solver):
    X, y = load_digits(return_X_y=True)
    X, y = X[:200, 20:40] / 16, y[:200]
    model = LogisticRegression(C=0.1, tol=1e-2)
    exact = InfluenceRanker(model).fit(X, y)
    ranker = InfluenceRanker(model, solver=solver).fit(X, y)
    assert_allclose(ranker.head_.coef, exact.head_.coef, atol=1e-8)
    ours = ranker.influence(X[:20], y[:20])
    assert spearmanr(ours.ravel(), exact.influence(X[:20], y[:20]).ravel())[0] > 0.8
    assert ranker.solver_info_["residual"].shape == (64,)


@pytest.mark.parametrize(
    ("solver", "wrong"),
    [
        (LiSSA, {"scale": 0.0}),
        (LiSSA, {"depth": 0}),
        (LiSSA, {"batch_size": 0}),
        (LiSSA, {"tol": 1.0}),
        (Arnoldi, {"rank": 0}),
        (Arnoldi, {"tail": "zero"}),
        (Nystrom, {"rank": 1.5}),
        (Nystrom, {"tail": "zero"}),
        (ConjugateGradient, {"rows": "some"}),
    ],
)
def test_parameters_are_checked(solver, wrong, make_objective):
    operator, _ = operator_of(make_objective("binary"))
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        solver(**wrong).init(operator)


# -- real sets


def real_head(data, C, n_rows):
    """A logistic head on a shuffled real set: operator and training gradients."""
    order = np.random.default_rng(0).permutation(len(data["y"]))[:n_rows]
    X, y = scale(data["X"].astype(float))[order], data["y"][order]
    model = LogisticRegression(C=C, max_iter=500)
    fitted = InfluenceRanker(model, solver="cholesky").fit(X, y).reading_.fitted
    rows = np.column_stack([X, np.ones(len(X))])[:1000]
    gradients = fitted.residual[:1000, :, None] * rows[:, None, :]
    return fitted.operator, gradients.reshape(len(rows), -1).T


def inverse_by_numpy(operator, B):
    kernel = operator.null_space()
    return np.linalg.solve(operator.dense() + kernel @ kernel.T, B)


def row_by_row(ours, truth):
    return np.mean([spearmanr(*pair)[0] for pair in zip(ours, truth, strict=True)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["satimage", "usps", "letter", "covertype10k", "spambase"]
)
def test_ekfac_ranks_self_influence_of_real_sets(name, shared_data):
    operator, G = real_head(shared_data(name), C=1.0, n_rows=3000)
    exact = np.einsum("ij,ij->j", G, inverse_by_numpy(operator, G))
    ours = np.einsum("ij,ij->j", G, EKFAC().init(operator).apply_inverse(G))
    lengths = np.einsum("ij,ij->j", G, G)
    ranks = spearmanr(ours, exact)[0]
    assert ranks >= 0.95
    assert ranks > spearmanr(lengths, exact)[0]
    # What no curvature at all cannot have: the baseline is constant here.
    assert spearmanr(ours / lengths, exact / lengths)[0] >= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["letter", "usps"])
def test_arnoldi_with_tail_on_real_sets(name, shared_data):
    operator, G = real_head(shared_data(name), C=1.0, n_rows=3000)
    assert operator.shape[0] > 400
    Q = G[:, ::10]
    truth = inverse_by_numpy(operator, Q).T @ G

    def figure(solver):
        return row_by_row(solver.init(operator).apply_inverse(Q).T @ G, truth)

    with_tail = figure(Arnoldi(rank=200))
    assert with_tail >= row_by_row(Q.T @ G, truth) + 0.2
    assert with_tail > figure(Arnoldi(rank=200, tail=None))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spambase", "satimage"])
def test_lissa_on_real_sets(name, shared_data):
    operator, G = real_head(shared_data(name), C=0.1, n_rows=2000)
    eigenvalues = np.linalg.eigvalsh(operator.dense())
    seen = eigenvalues[eigenvalues > 1e-9 * eigenvalues[-1]]
    assert seen[-1] / seen[0] < 3000
    Q = G[:, ::50]
    solver = LiSSA(tol=1e-2)
    X, info = solver.solve(solver.init(operator), Q)
    assert info["residual"].max() <= 1e-2
    assert row_by_row(X.T @ G, inverse_by_numpy(operator, Q).T @ G) >= 0.95
