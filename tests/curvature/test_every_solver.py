"""Every solver on every kind of head, against dense numpy algebra on torch's Hessian.

Solutions and rows' blocks where a solver is exact, what it is defined to be where it
approximates (a rank below the number of parameters), and the figures that it reports.
The heads: one output and several, coupled and not, with an l1 penalty (outputs that use
different columns) and without.
"""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

import sklinfluence.curvature
from sklinfluence.curvature import (
    EKFAC,
    Arnoldi,
    Cholesky,
    ConjugateGradient,
    LiSSA,
    Nystrom,
    Sketch,
    Solver,
)
from sklinfluence.curvature._active_set import ActiveSetObjective
from sklinfluence.curvature._losses import LogisticLoss
from sklinfluence.curvature._preconditioners._block_preconditioners import (
    BlockCholesky,
    BlockNystrom,
)
from sklinfluence.curvature._solvers._nystrom import _directions
from sklinfluence.curvature._solvers._spectral import Spectral

# Directions below this share of the largest singular value are the kernel.
RCOND = 1e-11
# Columns that each output of an l1 head uses; the intercept, last, is always used.
ACTIVE = np.array([[1, 1, 0, 1, 1], [0, 1, 1, 0, 1], [1, 0, 1, 0, 1]], dtype=bool)

PLAIN = ["squared", "binary", "one-vs-rest", "softmax"]
HEADS = [*PLAIN, *(f"l1 {name}" for name in PLAIN)]

# name: (solver, how far its solutions may be from numpy's, relative to the largest).
# Rounding times a condition number of a few hundred; of those that iterate, their
# tolerance times that.
EXACT = {
    "cholesky": (Cholesky(), 1e-11),
    "spectral": (Spectral(), 1e-11),
    "arnoldi": (Arnoldi(rank=10_000), 1e-8),
    "nystrom": (Nystrom(rank=10_000), 1e-8),
    "sketch": (Sketch(n_components=10_000), 1e-10),
    "lissa": (LiSSA(tol=1e-11, depth=50_000), 1e-8),
    "cg": (ConjugateGradient(tol=1e-11), 1e-8),
    "cg, plain": (ConjugateGradient(tol=1e-11, preconditioner=None), 1e-8),
    "cg, nystrom": (ConjugateGradient(tol=1e-11, preconditioner="nystrom"), 1e-8),
}
APPROXIMATE = {
    "arnoldi, rank 4": Arnoldi(rank=4),
    "arnoldi, no tail": Arnoldi(rank=4, tail=None),
    "nystrom, rank 6": Nystrom(rank=6),
    "nystrom, no tail": Nystrom(rank=6, tail=None),
    "sketch, 2 directions": Sketch(n_components=2),
    "ekfac": EKFAC(),
    "lissa, few steps": LiSSA(depth=5),
    "lissa, batches": LiSSA(batch_size=20, depth=40),
    "cg, few steps": ConjugateGradient(max_iter=2, preconditioner=None),
}
# Reports nothing about its solutions, by its docstring.
REPORTS = {name: pair[0] for name, pair in EXACT.items() if name != "spectral"}
REPORTS |= APPROXIMATE


@pytest.fixture
def problem(make_objective, torch_hessian):
    """Operator of a head and its dense Hessian by automatic differentiation."""

    def make(head):
        name = head.removeprefix("l1 ")
        objective = make_objective(name)
        theta = 0.5 * np.random.default_rng(5).normal(size=objective.shape)
        H = torch_hessian(name, objective, theta)
        raw = objective.raw(theta)
        if head == name:
            return objective.hessian(raw), H
        active = ACTIVE[: objective.shape[0]]
        objective = ActiveSetObjective(
            **vars(objective), active=active, linear=np.zeros(active.shape)
        )
        H = H * np.outer(active, active)
        return objective.hessian(raw), H

    return make


def right_hand_sides(H, m):
    """Short and long ones, a zero, and more than there are parameters if asked."""
    B = np.random.default_rng(6).normal(size=(len(H), m))
    B *= np.resize([1.0, 1e-6, 1e6], m)
    B[:, 3] = 0.0
    return B


def inverse_of(H):
    return np.linalg.pinv(H, rcond=RCOND, hermitian=True)


def skip_if_refused(solver, head):
    if isinstance(solver, EKFAC) and head.startswith("l1"):
        pytest.skip("EK-FAC refuses columns that are not used, as a test of it says")


def test_every_public_solver_is_in_the_lists():
    solvers = {
        kind
        for kind in map(
            vars(sklinfluence.curvature).get, sklinfluence.curvature.__all__
        )
        if inspect.isclass(kind) and issubclass(kind, Solver) and kind is not Solver
    }
    tested = [solver for solver, _ in EXACT.values()] + list(APPROXIMATE.values())
    assert solvers <= {type(solver) for solver in tested}
    assert solvers <= {type(solver) for solver in REPORTS.values()}


@pytest.mark.parametrize("m", [4, 25])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", EXACT)
def test_solutions_are_the_pseudo_inverses(name, head, m, problem):
    solver, tolerance = EXACT[name]
    operator, H = problem(head)
    B = right_hand_sides(H, m)
    X, _ = solver.solve(solver.init(operator), B)
    truth = inverse_of(H) @ B
    # Column by column: a long right-hand side may not hide a short one's error.
    size = np.linalg.norm(truth, axis=0)
    error = np.linalg.norm(X - truth, axis=0)
    assert np.all(error <= tolerance * size)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", [n for n in EXACT if "cg" not in n and n != "lissa"])
def test_row_blocks_are_the_pseudo_inverses(name, head, problem):
    operator, H = problem(head)
    rows = np.random.default_rng(7).normal(size=(6, operator.n_columns))
    assert_row_blocks(
        EXACT[name][0].init(operator).row_blocks(rows), inverse_of(H), rows, 1e-8
    )


def assert_row_blocks(blocks, inverse, rows, rtol):
    """(I (x) x)^T H^+ (I (x) x) of each row; its diagonal for uncoupled outputs."""
    K = len(inverse) // rows.shape[1]
    for x, block in zip(rows, blocks, strict=True):
        E = np.kron(np.eye(K), x).T
        truth = E.T @ inverse @ E
        # A sketch of all outputs couples them, and what it says of that is dropped.
        truth = np.diag(truth) if block.ndim == 1 else truth
        assert_allclose(block, truth, atol=rtol * np.abs(truth).max())


# -- what an approximation is defined to be


@pytest.mark.parametrize("tail", ["identity", None])
@pytest.mark.parametrize("head", HEADS)
def test_arnoldi_below_full_rank(head, tail, problem):
    """1 / value on the kept eigenvectors, 1 / the mean of the others beside them."""
    operator, H = problem(head)
    values, vectors = np.linalg.eigh(H)
    n_kernel = np.count_nonzero(values < RCOND * values[-1])
    # Even: least squares of two outputs has every eigenvalue twice.
    rank = 2
    state = Arnoldi(rank=rank, n_iter=len(H), tail=tail).init(operator)
    inverse = np.zeros(len(H))
    inverse[-rank:] = 1 / values[-rank:]
    if tail is not None:
        inverse[n_kernel:-rank] = 1 / values[n_kernel:-rank].mean()
    truth = (vectors * inverse) @ vectors.T
    ours = state.apply_inverse(np.eye(len(H)))
    # As many steps as parameters: Ritz pairs are eigenpairs to rounding.
    assert_allclose(ours, truth, atol=1e-9 * np.abs(truth).max())
    rows = np.random.default_rng(7).normal(size=(6, operator.n_columns))
    assert_row_blocks(state.row_blocks(rows), truth, rows, 1e-9)


@pytest.mark.parametrize("tail", ["identity", None])
@pytest.mark.parametrize("head", HEADS)
def test_nystrom_below_full_rank(head, tail, problem):
    """R Q (Q^T R Q)^+ Q^T R for the rows' part R, the penalty exact, the rest level."""
    operator, H = problem(head)
    K, q, rank = operator.n_outputs, operator.n_columns, 4
    terms = np.full((K, q), 0.7)
    terms[:, -1] = 0.0
    if head.startswith("l1"):
        terms *= ACTIVE[:K]
    terms, free = terms.ravel(), np.arange(1, K + 1) * q - 1
    # The random directions themselves are no result.
    Q = _directions(K * q, rank, free, np.random.RandomState(0))
    R = H - np.diag(terms)
    sketched = R @ Q @ np.linalg.pinv(Q.T @ R @ Q, rcond=1e-13, hermitian=True)
    sketched = sketched @ Q.T @ R
    if tail is not None:
        terms = terms + (np.trace(R) - np.trace(sketched)) / (K * q)
    terms[free] = 0.0
    # Coefficients that are not used are no parameters; the kernel is projected off.
    range_ = H @ inverse_of(H)
    used = np.flatnonzero(np.diag(H))
    truth = np.zeros_like(H)
    inner = np.ix_(used, used)
    truth[inner] = inverse_of((sketched + np.diag(terms))[inner])
    truth = range_ @ truth @ range_
    state = Nystrom(rank=rank, tail=tail).init(operator)
    ours = state.apply_inverse(np.eye(len(H)))
    assert_allclose(ours, truth, atol=1e-7 * np.abs(truth).max())
    rows = np.random.default_rng(7).normal(size=(6, q))
    assert_row_blocks(state.row_blocks(rows), truth, rows, 1e-7)


@pytest.mark.parametrize("nystrom", [False, True])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_blocks_of_outputs_that_are_hardly_curved(nystrom, unit, make_objective):
    """One output sure of all rows beside two that are not; columns in any unit."""
    rng = np.random.default_rng(0)
    X, asked = rng.normal(size=(60, 4)), rng.normal(size=(6, 4))
    objective = make_objective("one-vs-rest", X=unit * X, penalty=0.0)
    raw = rng.normal(size=(60, 3)) + [0.0, 30.0, 0.0]
    operator = replace(objective, loss=LogisticLoss()).hessian(raw)
    rows = np.column_stack([unit * asked, np.ones(6)])
    blocks = BlockNystrom(operator, rank=4) if nystrom else BlockCholesky(operator)
    values = blocks._row_values(rows)
    # The unit cancels: without a penalty it is one of the parameters' alone.
    Z, z = np.column_stack([X, np.ones(60)]), np.column_stack([asked, np.ones(6)])
    curvature = expit(raw) * expit(-raw) * objective.weights[:, None]
    for k in range(3):
        own = (Z.T * curvature[:, k]) @ Z
        expected = np.einsum("ij,ij->i", z, np.linalg.solve(own, z.T).T)
        # What is lifted by 1e-10 cancels, in Nystrom's sum but for six digits.
        assert_allclose(values[:, k], expected, rtol=1e-4 if nystrom else 1e-7)


@pytest.mark.parametrize("head", PLAIN)
def test_nystrom_blocks_below_full_rank(head, make_objective, torch_hessian):
    """Each output's block, its last column eliminated, with a level of its own."""
    X = np.random.default_rng(0).normal(size=(60, 7)) * np.arange(1, 8)
    objective = make_objective(head, X=X)
    theta = 0.2 * np.random.default_rng(5).normal(size=objective.shape)
    H = torch_hessian(head, objective, theta)
    operator = objective.hessian(objective.raw(theta))
    K, q, d, rank = *objective.shape, 7, 3
    made = BlockNystrom(operator, rank)
    probes = np.linalg.qr(np.random.default_rng(0).standard_normal((d, rank)))[0]
    rows = np.random.default_rng(7).normal(size=(6, q))
    values = made._row_values(rows)
    blocks = [H[k * q : (k + 1) * q, k * q : (k + 1) * q] for k in range(K)]
    stretch = np.ones(K)
    if head == "softmax":
        proba = np.exp(operator.raw)
        proba /= proba.sum(axis=1, keepdims=True)
        total = np.diag(objective.weights @ proba)
        total = total - (proba.T * objective.weights) @ proba
        stretch = np.sum((total / np.diag(total)[:, None]) ** 2, axis=1)
    for k in range(K):
        A = stretch[k] * (blocks[k] - np.diag(objective.penalty[k]))
        schur = A[:d, :d] - np.outer(A[:d, d], A[:d, d]) / A[d, d]
        seen = schur @ probes
        found = seen @ np.linalg.inv(probes.T @ seen) @ seen.T
        left = (np.trace(schur) - np.trace(found)) / (d - rank)
        vectors = np.linalg.svd(found)[0][:, :rank]
        rest = np.eye(d) - vectors @ vectors.T
        inverse = np.linalg.inv(found + 0.7 * np.eye(d) + left * rest)
        # The last column back in.
        lift = np.eye(q)[:, :d] - np.outer(np.eye(q)[:, d], A[:d, d] / A[d, d])
        whole = lift @ inverse @ lift.T
        whole[d, d] += 1 / A[d, d]
        truth = np.einsum("ij,jk,ik->i", rows, whole, rows)
        # Two orthonormalisations of one sketch, at a condition number below 1e4.
        assert_allclose(values[:, k], truth, rtol=1e-8)


# -- reported figures


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", REPORTS)
def test_residuals_reported_are_the_solutions_own(name, head, problem):
    solver = REPORTS[name]
    skip_if_refused(solver, head)
    operator, H = problem(head)
    B = right_hand_sides(H, 6)
    X, info = solver.solve(solver.init(operator), B)
    right = H @ inverse_of(H) @ B
    lengths = np.linalg.norm(right, axis=0)
    error = np.linalg.norm(H @ X - right, axis=0)
    true = np.divide(error, lengths, out=np.zeros(6), where=lengths > 0)
    # Two float64 evaluations of a residual differ by rounding of H x.
    assert_allclose(info["residual"], true, rtol=1e-5, atol=1e-12)
    assert info["residual"][3] == 0.0


@pytest.mark.parametrize("head", ["squared", "binary", "one-vs-rest", "softmax"])
@pytest.mark.parametrize("length", [1e-8, 1e-3, 1.0, 1e8])
def test_a_factor_that_does_not_fit_is_told_at_any_length(head, length, problem):
    operator, H = problem(head)
    solver = Cholesky()
    state = solver.init(operator)
    state.factors[0].packed[1, 1] *= 1.001  # one entry of the factor off
    B = np.random.default_rng(6).normal(size=(len(H), 3))
    X, info = solver.solve(state, length * B)
    right = H @ inverse_of(H) @ B
    error = np.linalg.norm(H @ X / length - right, axis=0)
    true = error / np.linalg.norm(right, axis=0)
    assert true.max() > 1e-6
    assert_allclose(info["residual"], true, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("head", ["binary", "softmax", "l1 one-vs-rest"])
def test_lissa_takes_the_steps_that_it_reports(head, problem):
    operator, H = problem(head)
    B = np.random.default_rng(6).normal(size=(len(H), 4)) * [1e-3, 1.0, 1e3, 0.0]
    solver = LiSSA(tol=1e-4)
    X, info = solver.solve(solver.init(operator), B)
    right = H @ inverse_of(H) @ B
    for j, (b, n_iter) in enumerate(zip(right.T, info["n_iter"], strict=True)):
        x, residuals = np.zeros(len(b)), []
        for _ in range(n_iter):
            residuals.append(np.linalg.norm(b - H @ x))
            x = x + (b - H @ x) / info["scale"]
        assert_allclose(X[:, j], x, atol=1e-10 * np.abs(x).max(initial=1e-300))
        # Not one step more than the tolerance asks for.
        assert all(length > 1e-4 * np.linalg.norm(b) for length in residuals)
    assert info["n_iter"][3] == 0 and np.all(info["n_iter"][:3] > 5)


def test_lissa_by_batches_takes_all_of_its_depth(problem):
    operator, H = problem("binary")
    solver = LiSSA(batch_size=20, depth=40)
    _, info = solver.solve(solver.init(operator), right_hand_sides(H, 5))
    assert np.array_equal(info["n_iter"], np.full(5, 40))


@pytest.mark.parametrize("head", HEADS)
def test_a_sketch_is_the_inverse_on_projected_columns(head, problem):
    """W (W^T H W)^+ W^T, W the random columns and the intercept for every output."""
    operator, H = problem(head)
    K, q = operator.n_outputs, operator.n_columns
    drawn = np.zeros((q, 3))
    drawn[: q - 1, :2] = np.random.RandomState(0).standard_normal((q - 1, 2))
    drawn[-1, 2] = 1.0
    W = np.kron(np.eye(K), drawn)
    if head.startswith("l1"):
        W *= ACTIVE[:K].reshape(-1, 1)
    truth = W @ inverse_of(W.T @ H @ W) @ W.T
    range_ = H @ inverse_of(H)
    truth = range_ @ truth @ range_
    state = Sketch(n_components=2).init(operator)
    ours = state.apply_inverse(np.eye(len(H)))
    assert_allclose(ours, truth, atol=1e-8 * np.abs(truth).max())
    rows = np.random.default_rng(7).normal(size=(6, q))
    assert_row_blocks(state.row_blocks(rows), truth, rows, 1e-8)
    # A part of the exact inverse: no row's own influence is larger in it.
    gap = np.linalg.eigvalsh(inverse_of(H) - truth)
    assert gap.min() > -1e-9 * gap.max()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("preconditioner", [None, "auto"])
def test_conjugate_gradients_take_the_steps_that_they_report(
    head, preconditioner, problem
):
    operator, H = problem(head)
    solver = ConjugateGradient(tol=1e-6, preconditioner=preconditioner)
    state = solver.init(operator)
    for length in (1e-6, 1.0, 1e6):
        b = length * np.random.default_rng(6).normal(size=(len(H), 1))
        _, info = solver.solve(state, b)
        (n_iter,) = info["n_iter"]
        assert info["residual"][0] <= 1e-6
        # With one step less it is not there.
        if n_iter > 1:
            solver.set_params(max_iter=int(n_iter) - 1)
            _, short = solver.solve(state, b)
            assert short["residual"][0] > 1e-6 and short["n_iter"][0] == n_iter - 1
            solver.set_params(max_iter=None)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["cholesky", "cg", "lissa", "arnoldi", "nystrom"])
def test_extreme_eigenvalues_are_those_of_the_range(name, head, problem):
    operator, H = problem(head)
    values = np.linalg.eigvalsh(H)
    low, high = EXACT[name][0].init(operator).eigenvalue_range()
    smallest = values[values > RCOND * values[-1]][0]
    # A power iteration that stops at changes of a tenth of a percent.
    assert high == pytest.approx(values[-1], rel=0.1)
    assert low == pytest.approx(smallest, rel=0.1)


@pytest.mark.parametrize("head", PLAIN)
@pytest.mark.parametrize("shift", [0.0, 0.3, 50.0])
def test_spectrum_shifted_with_a_dependent_column(
    head, shift, make_objective, torch_hessian
):
    """H + shift on the range that H has: the kernel of every output stays out."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    X = np.column_stack([X, X[:, 0] - X[:, 1]])
    objective = make_objective(head, X=X, penalty=0.0)
    theta = 0.5 * np.random.default_rng(5).normal(size=objective.shape)
    H = torch_hessian(head, objective, theta)
    operator = objective.hessian(objective.raw(theta))
    state = Spectral().init(operator)
    state = state.at(replace(objective, penalty=objective.penalty + shift), shift)
    values, vectors = np.linalg.eigh(H)
    seen = values > 1e-10 * values[-1]
    truth = (vectors[:, seen] / (values[seen] + shift)) @ vectors[:, seen].T
    ours = state.apply_inverse(np.eye(len(H)))
    # Rounding at a condition number of a few hundred.
    assert_allclose(ours, truth, atol=1e-10 * np.abs(truth).max())
