"""Block conjugate gradients: shared search directions, preconditioners, choices."""

import numpy as np
import pytest
from scipy.sparse.linalg import cg as scipy_cg
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sklinfluence.curvature import (
    EKFAC,
    ConjugateGradient,
    LiSSA,
    Nystrom,
    choose_solver,
)
from sklinfluence.curvature._solvers._preconditioner import BlockCholesky
from sklinfluence.gradient import InfluenceRanker

PRECONDITIONERS = ["auto", "block", "ekfac", "nystrom", Nystrom(rank=3), None]


@pytest.fixture
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture
def head(digits):
    """Hessian and 64 training gradients of a logistic head on digits, p = 650."""
    X, y = digits[0][:500], digits[1][:500]
    fitted = InfluenceRanker(LogisticRegression(max_iter=300)).fit(X, y)._fitted
    rows = np.column_stack([X, np.ones(500)])[:64]
    gradients = fitted.residual[:64, :, None] * rows[:, None, :]
    return fitted.operator, gradients.reshape(64, -1).T


@pytest.mark.parametrize("preconditioner", PRECONDITIONERS)
def test_every_preconditioner_solves(preconditioner, head):
    operator, B = head
    dense = operator.matvec(np.eye(operator.shape[0]))
    solver = ConjugateGradient(tol=1e-10, preconditioner=preconditioner)
    X, info = solver.solve(solver.init(operator), B)
    truth = np.linalg.pinv(dense, rcond=1e-11, hermitian=True) @ B
    # The tolerance times a condition number of 2000.
    assert np.max(np.abs(X - truth)) < 1e-6 * np.max(np.abs(truth))
    assert info["residual"].max() <= 1e-10


@pytest.mark.parametrize("preconditioner", ["block", "ekfac", "nystrom"])
def test_preconditioner_saves_iterations(preconditioner, head):
    operator, B = head

    def iterations(solver, m):
        return solver.solve(solver.init(operator), B[:, :m])[1]["n_iter"].max()

    for m in (1, 64):
        plain = iterations(ConjugateGradient(preconditioner=None), m)
        assert iterations(ConjugateGradient(preconditioner=preconditioner), m) <= plain


def test_columns_share_their_directions(head):
    operator, B = head
    solver = ConjugateGradient(preconditioner=None, tol=1e-8)
    together = solver.solve(solver.init(operator), B)[1]["n_iter"].max()
    dense = operator.matvec(np.eye(operator.shape[0]))
    steps = []
    scipy_cg(dense, B[:, 0], rtol=1e-8, maxiter=2000, callback=steps.append)
    # 64 columns draw on 64 directions an iteration.
    assert together < 0.6 * len(steps)


@pytest.mark.parametrize("m", [3, 200, 700])
def test_dependent_right_hand_sides_are_no_breakdown(m, head):
    operator, B = head
    B = np.hstack([B[:, :1], B[:, :1], 0 * B[:, :1], B])[:, np.arange(m) % 67]
    B = B * np.logspace(-8, 8, m)  # lengths have no part in it
    solver = ConjugateGradient()
    X, info = solver.solve(solver.init(operator), B)
    assert info["residual"].shape == (m,)
    assert info["residual"].max() <= 1e-8
    zero = ~B.any(axis=0)
    assert not X[:, zero].any()
    assert not info["n_iter"][zero].any()


def test_automatic_preconditioner_goes_by_memory(head):
    operator, _ = head
    solver = ConjugateGradient()
    assert isinstance(solver.init(operator).preconditioner, BlockCholesky)
    operator.n_columns = 10**5
    with config_context(working_memory=1):
        operator.n_columns = 65
        # 10 blocks of 65 x 65 numbers are 0.3 MiB, still within it.
        assert isinstance(solver.init(operator).preconditioner, BlockCholesky)


def test_rows_by_kronecker_are_ekfacs(digits):
    X, y = digits[0][:400], digits[1][:400]
    exact = InfluenceRanker().fit(X, y)
    both = InfluenceRanker(solver=ConjugateGradient(rows="ekfac")).fit(X, y)
    alone = InfluenceRanker(solver=EKFAC()).fit(X, y)
    np.testing.assert_allclose(both.self_influence_, alone.self_influence_, rtol=1e-6)
    np.testing.assert_allclose(
        both.influence(X[:5], y[:5]), exact.influence(X[:5], y[:5]), atol=1e-8
    )
    assert both.solver_info_["rows"] == "ekfac"
    assert exact.solver_info_["rows"] == "solver"


def test_a_preconditioner_must_have_an_inverse(head):
    with pytest.raises(ValueError, match="no apply_inverse"):
        ConjugateGradient(preconditioner=LiSSA()).init(head[0])


# -- choosing


def test_choice_goes_by_memory_and_right_hand_sides():
    def name(*shape, **more):
        return choose_solver(*shape, **more).name

    assert name(20_000, 10, 257) == "cholesky"
    assert name(10_000, 77, 385) == "cg"
    assert name(10_000, 77, 385, is_block_diagonal=True) == "cholesky"
    assert name(10_000, 1000, 2049, is_block_diagonal=True) == "cg"
    assert (
        name(10_000, 1000, 2049, is_block_diagonal=True, has_equal_blocks=True)
        == "cholesky"
    )
    assert name(20_000, 10, 257, memory=10**8) == "cg"
    # A handful of queries is not worth a factor.
    assert name(20_000, 10, 1000, n_rhs=5) == "cg"
    assert name(20_000, 10, 1000, n_rhs=10_000) == "cholesky"


def test_choice_is_told(digits):
    X, y = digits
    ranker = InfluenceRanker().fit(X[:200], y[:200])
    assert ranker.solver_info_["reason"].startswith("650 parameters in one block")
    wide = choose_solver(10_000, 77, 385)
    assert "EK-FAC" in wide.reason
    assert wide.solver.rows == "ekfac"
    assert (
        InfluenceRanker(solver="cg").fit(X[:200], y[:200]).solver_info_["reason"]
        == "given"
    )
