"""Cholesky and conjugate gradients against numpy on the dense Hessian."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from sklinfluence.curvature import (
    Cholesky,
    ConjugateGradient,
    SingularHessianError,
)
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._losses import LogisticLoss, SoftmaxLoss
from sklinfluence.curvature._objective import Objective
from sklinfluence.curvature._solvers._auto import resolve_solver, solver_name
from sklinfluence.curvature._solvers._cholesky import _Factor

NAMES = ["squared", "binary", "one-vs-rest", "softmax"]
# name of the solver: (solver, how far its solution may be from numpy's, relative).
# Cholesky: rounding times a condition number below 1e3. CG: its tolerance times that.
SOLVERS = {
    "cholesky": (Cholesky(), 1e-11),
    "cg": (ConjugateGradient(tol=1e-11), 1e-8),
    "plain-cg": (ConjugateGradient(tol=1e-11, preconditioner=None), 1e-8),
}
# Directions below this share of the largest singular value are the kernel.
RCOND = 1e-11


@pytest.fixture(params=list(SOLVERS))
def solver(request):
    return SOLVERS[request.param]


def operator_of(objective, seed=5, scale=0.5):
    theta = scale * np.random.default_rng(seed).normal(size=objective.shape)
    return objective.hessian(objective.raw(theta)), theta


def right_hand_sides(p, m, seed=6):
    return np.random.default_rng(seed).normal(size=(p, m))


def relative(ours, truth):
    return np.max(np.abs(ours - truth)) / np.max(np.abs(truth))


@pytest.mark.parametrize("penalty", [0.7, 0.0])
@pytest.mark.parametrize("name", NAMES)
def test_solution_is_the_pseudo_inverses(
    name, penalty, solver, make_objective, torch_hessian
):
    solver, tolerance = solver
    objective = make_objective(name, penalty=penalty)
    operator, theta = operator_of(objective)
    inverse = np.linalg.pinv(torch_hessian(name, objective, theta), rcond=RCOND)
    p = len(inverse)
    # More right-hand sides than parameters, one of them zero, one in the kernel's way.
    B = right_hand_sides(p, p + 4)
    B[:, 2] = 0.0
    X, info = solver.solve(solver.init(operator), B)
    assert relative(X, inverse @ B) < tolerance
    assert_allclose(X[:, 2], 0.0, atol=0)
    assert info["residual"].shape == (p + 4,)
    assert info["residual"][2] == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_dependent_columns_are_no_error(name, solver, make_objective, torch_hessian):
    solver, tolerance = solver
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(40), np.zeros(40)])
    objective = make_objective(name, X=X, penalty=0.0)
    operator, theta = operator_of(objective)
    inverse = np.linalg.pinv(torch_hessian(name, objective, theta), rcond=RCOND)
    B = right_hand_sides(len(inverse), 4)
    solved, _ = solver.solve(solver.init(operator), B)
    assert relative(solved, inverse @ B) < tolerance


def test_more_columns_than_rows(solver, make_objective, torch_hessian):
    solver, tolerance = solver
    X = np.random.default_rng(0).normal(size=(8, 12))
    for penalty in (0.0, 0.5):
        objective = make_objective("binary", X=X, penalty=penalty)
        operator, theta = operator_of(objective)
        inverse = np.linalg.pinv(torch_hessian("binary", objective, theta), rcond=RCOND)
        B = right_hand_sides(len(inverse), 30)
        solved, _ = solver.solve(solver.init(operator), B)
        assert relative(solved, inverse @ B) < 10 * tolerance  # condition up to 1e4


@pytest.mark.parametrize("name", NAMES)
def test_residual_reported_is_the_solutions_own(name, make_objective, torch_hessian):
    objective = make_objective(name)
    operator, theta = operator_of(objective)
    H = torch_hessian(name, objective, theta)
    range_ = H @ np.linalg.pinv(H, rcond=RCOND)
    B = right_hand_sides(len(H), 6)
    for solver in (Cholesky(), ConjugateGradient(tol=1e-3), ConjugateGradient()):
        X, info = solver.solve(solver.init(operator), B)
        error = np.linalg.norm(H @ X - range_ @ B, axis=0)
        true = error / np.linalg.norm(range_ @ B, axis=0)
        # Two float64 evaluations of a residual differ by rounding of H x.
        assert_allclose(info["residual"], true, rtol=1e-5, atol=1e-13)
    assert np.all(info["residual"] <= 1e-8)


def test_residual_tells_a_factor_that_does_not_fit(make_objective):
    operator, _ = operator_of(make_objective("binary"))
    solver = Cholesky()
    state = solver.init(operator)
    state.factors[0].packed[1, 1] *= 1.001  # one entry of the factor off
    B = right_hand_sides(operator.shape[0], 3)
    assert np.all(solver.solve(state, B)[1]["residual"] > 1e-6)


@pytest.mark.parametrize("name", ["softmax", "squared", "binary"])
def test_kernel_shift_is_in_nothing(name, make_objective):
    X = np.random.default_rng(0).normal(size=(40, 3))
    X = np.column_stack([X, X[:, 0] - X[:, 1]])
    objective = make_objective(name, X=X, penalty=0.0)
    operator, _ = operator_of(objective)
    rows = objective.design.rows(slice(None))
    B = right_hand_sides(operator.shape[0], 5)
    found = []
    for shift in (1.0, 37.0):
        solver = Cholesky()
        solver._kernel_shift = shift
        state = solver.init(operator)
        # Every row of the objective lies in the range of its Hessian's blocks.
        found.append((solver.solve(state, B)[0], state.row_blocks(rows)))
    # Rounding at a condition number of some hundreds.
    for one, other in zip(*found, strict=True):
        assert relative(one, other) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_row_blocks_are_those_of_the_dense_inverse(name, make_objective, torch_hessian):
    objective = make_objective(name)
    operator, theta = operator_of(objective)
    inverse = np.linalg.pinv(torch_hessian(name, objective, theta), rcond=RCOND)
    rows = objective.design.rows(slice(None))
    blocks = Cholesky().init(operator).row_blocks(rows)
    for i, x in enumerate(rows):
        E = np.kron(np.eye(objective.shape[0]), x).T
        truth = E.T @ inverse @ E
        ours = blocks[i] if blocks.ndim == 3 else np.diag(blocks[i])
        assert_allclose(ours, truth, atol=1e-11 * np.abs(inverse).max() * (x @ x))


@pytest.mark.parametrize("name", NAMES)
def test_eigenvalue_estimates_are_within_a_tenth(name, make_objective, torch_hessian):
    objective = make_objective(name)
    operator, theta = operator_of(objective)
    values = np.linalg.eigvalsh(torch_hessian(name, objective, theta))
    low, high = Cholesky().init(operator).eigenvalue_range()
    smallest = values[values > RCOND * values[-1]][0]
    assert high == pytest.approx(values[-1], rel=0.1)
    assert low == pytest.approx(smallest, rel=0.1)
    low, high = ConjugateGradient().init(operator).eigenvalue_range()
    assert high == pytest.approx(values[-1], rel=0.1)
    assert low == pytest.approx(smallest, rel=0.1)


# -- refusals


def separable(K=1):
    X = np.random.default_rng(0).normal(size=(60, 3)) + [4.0, 0.0, 0.0]
    X[::2] *= [-1, 1, 1]
    labels = np.arange(60) % 2 if K == 1 else np.arange(60) % 2 * 2
    targets = labels[:, None].astype(float) if K == 1 else np.eye(3)[labels]
    loss = LogisticLoss() if K == 1 else SoftmaxLoss()
    penalty = np.zeros((K, 4))
    return Objective(Design(X, True), loss, targets, np.ones(60), penalty)


@pytest.mark.parametrize("K", [1, 3])
def test_vanished_curvature_is_named(K):
    objective = separable(K)
    theta = np.zeros(objective.shape)
    theta[-1, 0], theta[0, 0] = 400.0, -400.0 if K == 3 else 400.0
    with pytest.raises(SingularHessianError, match="not positive definite") as caught:
        Cholesky().init(objective.hessian(objective.raw(theta)))
    for word in ("separates", "Penalise", "damping", "dependent"):
        assert word in str(caught.value)
    # Both names under which callers may look for it.
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, np.linalg.LinAlgError)


@pytest.mark.parametrize(("at", "beside"), [(1, 0), (2, 1)])
def test_the_pivot_that_vanishes_is_named(at, beside):
    """Two columns that differ by rounding: the later one's pivot is lost."""
    H = np.eye(3)
    H[at, beside] = H[beside, at] = 1.0
    H[at, at] = 1.0 + 2 * np.finfo(float).eps
    with pytest.raises(SingularHessianError, match=rf"\(pivot {at + 1} of 3 vanishes"):
        _Factor(np.asfortranarray(H), np.zeros((3, 0)), Cholesky())


def test_nearly_dependent_columns_are_refused_not_silently_wrong(make_objective):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X = np.column_stack([X, X[:, 0] + 1e-7 * rng.normal(size=40)])
    objective = make_objective("squared", X=X, penalty=0.0)
    operator, _ = operator_of(objective)
    try:
        Cholesky().init(operator)
    except SingularHessianError as error:
        assert "dependent" in str(error)
    else:
        # Not refused: then the pair is taken for exactly dependent.
        assert objective.null_space().shape[1] == 2


# -- conjugate gradients


def real_problem(name):
    X, y = {"breast_cancer": load_breast_cancer, "wine": load_wine}[name](
        return_X_y=True
    )
    X = StandardScaler().fit_transform(X)
    K = len(np.unique(y))
    targets = np.eye(K)[y] if K > 2 else y[:, None].astype(float)
    loss = SoftmaxLoss() if K > 2 else LogisticLoss()
    penalty = np.full((targets.shape[1], X.shape[1] + 1), 0.1)
    penalty[:, -1] = 0.0
    return Objective(Design(X, True), loss, targets, np.ones(len(X)), penalty)


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_preconditioner_never_costs_iterations(name, scale):
    objective = real_problem(name)
    operator, _ = operator_of(objective, scale=scale)
    B = right_hand_sides(operator.shape[0], 8)
    steps = {}
    for kind in ("block", None):
        solver = ConjugateGradient(preconditioner=kind)
        _, info = solver.solve(solver.init(operator), B)
        steps[kind] = info["n_iter"]
        assert np.all(info["residual"] <= solver.tol)
    assert np.all(steps["block"] <= steps[None])
    assert steps["block"].max() < steps[None].max()


def test_right_hand_sides_advance_alone(make_objective):
    # What one of them gets does not depend on its company.
    operator, _ = operator_of(make_objective("softmax"))
    solver = ConjugateGradient(tol=1e-6)
    state = solver.init(operator)
    B = right_hand_sides(operator.shape[0], 6) * [1e-8, 1, 1e8, 1, 1, 1]
    together = solver.solve(state, B)[0]
    alone = np.hstack([solver.solve(state, B[:, [j]])[0] for j in range(6)])
    # Products of one column and of six round differently; a recursion amplifies it.
    scale = np.abs(alone).max(axis=0)
    assert_allclose(together / scale, alone / scale, atol=1e-5)


def test_budget_of_iterations_is_kept_and_told(make_objective):
    operator, _ = operator_of(make_objective("softmax"))
    solver = ConjugateGradient(max_iter=2, preconditioner=None)
    B = right_hand_sides(operator.shape[0], 3)
    _, info = solver.solve(solver.init(operator), B)
    assert np.all(info["n_iter"] == 2)
    assert np.all(info["residual"] > solver.tol)


def test_a_missed_tolerance_warns():
    from sklinfluence.gradient import InfluenceRanker

    # More parameters than three iterations of 64 right-hand sides span.
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16, y[:300]
    ranker = InfluenceRanker(solver=ConjugateGradient(max_iter=3, preconditioner=None))
    with pytest.warns(ConvergenceWarning, match=r"tolerance: the largest relative"):
        ranker.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        InfluenceRanker(solver=ConjugateGradient()).fit(X, y)


@pytest.mark.parametrize(
    "wrong", [{"tol": 0.0}, {"tol": 2.0}, {"max_iter": 0}, {"preconditioner": "ilu"}]
)
def test_parameters_are_checked(wrong, make_objective):
    operator, _ = operator_of(make_objective("binary"))
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        ConjugateGradient(**wrong).init(operator)


# -- choosing


def test_auto_factors_while_it_can():
    def kind(shape, block):
        return solver_name(resolve_solver("auto", shape, is_block_diagonal=block))

    assert kind((10, 257), False) == "cholesky"
    assert kind((10, 2000), False) == "cg"
    assert kind((10, 2000), True) == "cholesky"  # factored an output at a time
    assert kind((1, 20_000), True) == "cg"


def test_solver_objects_pass_through_and_clone():
    mine = ConjugateGradient(tol=1e-3)
    assert resolve_solver(mine, (1, 2), is_block_diagonal=True) is mine
    assert clone(mine).get_params() == mine.get_params()
    assert solver_name(mine) == "cg"
