"""Block conjugate gradients: shared search directions, preconditioners, choices."""

import numpy as np
import pytest
from scipy.sparse.linalg import cg as scipy_cg
from scipy.stats import spearmanr
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, SGDClassifier

from sklinfluence.curvature import (
    EKFAC,
    ConjugateGradient,
    LiSSA,
    Nystrom,
    choose_solver,
)
from sklinfluence.curvature._operator import Operator
from sklinfluence.curvature._preconditioners._block_preconditioners import (
    BlockCholesky,
    BlockNystrom,
)
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import diagnostics

NAMES = ["block", "block_nystrom", "ekfac", "nystrom"]
PRECONDITIONERS = ["auto", *NAMES, Nystrom(rank=3), None]


@pytest.fixture
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture
def head(digits):
    """Hessian and 64 training gradients of a logistic head on digits, p = 650."""
    X, y = digits[0][:500], digits[1][:500]
    fitted = InfluenceRanker(LogisticRegression(max_iter=300)).fit(X, y).reading_.fitted
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


@pytest.mark.parametrize("preconditioner", NAMES)
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


def test_automatic_preconditioner_goes_by_memory():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 199)), rng.integers(3, size=300)
    operator = InfluenceRanker(LogisticRegression()).fit(X, y).reading_.fitted.operator

    def chosen(mib):
        with config_context(working_memory=mib):
            return ConjugateGradient().init(operator).preconditioner

    # 3 blocks of 200 x 200 numbers are .92 MiB, 2 x 3 x 200 x 32 numbers .29 MiB.
    assert isinstance(chosen(0.95), BlockCholesky)
    made = chosen(0.9)
    assert isinstance(made, BlockNystrom)
    assert made.vectors.shape == (3, 199, 98)
    assert hasattr(chosen(0.25), "factors")  # EK-FAC's


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["softmax", "one-vs-rest"])
def test_nystrom_blocks_of_full_rank_are_the_blocks(kind, fit_intercept, digits):
    if kind == "softmax":
        model = LogisticRegression(fit_intercept=fit_intercept, max_iter=300)
    else:
        model = SGDClassifier("log_loss", alpha=1e-3, fit_intercept=fit_intercept)
    X, y = digits[0][:500, 10:40], digits[1][:500]
    operator = InfluenceRanker(model).fit(X, y).reading_.fitted.operator
    B = np.random.default_rng(0).standard_normal((operator.shape[0], 7))
    truth = BlockCholesky(operator).apply_inverse(B)
    whole = BlockNystrom(operator, rank=operator.n_columns).apply_inverse(B)
    # Blocks of condition number 1e3 or less, their 1e-10 lift included.
    np.testing.assert_allclose(whole, truth, atol=1e-7 * np.abs(truth).max())


def test_nystrom_blocks_of_low_rank_are_definite_and_symmetric(head):
    operator, _ = head
    P = BlockNystrom(operator, rank=5).apply_inverse(np.eye(operator.shape[0]))
    assert np.allclose(P, P.T, atol=1e-12 * np.abs(P).max())
    values = np.linalg.eigvalsh(P)
    # The common intercept is kernel and stays it; all else is positive.
    assert np.sum(values < 1e-9 * values[-1]) == 1


def test_nystrom_blocks_need_a_linear_head():
    with pytest.raises(ValueError, match="needs a linear head"):
        ConjugateGradient(preconditioner="block_nystrom").init(Operator())


def test_preconditioners_of_an_l1_head(digits):
    X, y = digits[0][:300], digits[1][:300]
    model = LogisticRegression(
        l1_ratio=1.0, C=1.0, solver="saga", max_iter=5000, tol=1e-8, random_state=0
    )
    exact = InfluenceRanker(model, solver="cholesky").fit(X, y)
    solver = ConjugateGradient(preconditioner="block_nystrom")
    with pytest.raises(ValueError, match="one set of columns"):
        InfluenceRanker(model, solver=solver).fit(X, y)
    solver = ConjugateGradient(tol=1e-10)
    other = InfluenceRanker(model, solver=solver).fit(X, y)
    truth = exact.influence(X[:5], y[:5])
    np.testing.assert_allclose(
        other.influence(X[:5], y[:5]), truth, atol=1e-6 * np.abs(truth).max()
    )


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


# Rank correlation of leverage, and mean error of leave-one-out losses over their mean
# distance to the fitted losses: figures of 600 rows of digits, a little rounded off.
ROWS = [("block", 0.995, 0.12), ("block_nystrom", 0.99, 0.15), ("ekfac", 0.97, 0.6)]


@pytest.mark.parametrize(("preconditioner", "at_least", "at_most"), ROWS)
def test_rows_by_the_preconditioner(preconditioner, at_least, at_most, digits):
    X, y = digits[0][:600], digits[1][:600]
    y = np.where(np.arange(600) % 10 == 3, (y + 1) % 10, y)
    exact = InfluenceRanker(method="newton").fit(X, y)
    solver = ConjugateGradient(preconditioner=preconditioner, rows="preconditioner")
    with config_context(working_memory=0.35):  # Nyström's rank is 35 of 64
        other = InfluenceRanker(solver=solver, method="newton").fit(X, y)
    assert other.solver_info_["rows"] == preconditioner
    assert spearmanr(exact.leverage_, other.leverage_)[0] > at_least
    truth, fitted = exact.label_scores("loo_loss"), exact.label_scores("loss")
    error = np.abs(other.label_scores("loo_loss") - truth)
    assert error.mean() < at_most * np.abs(fitted - truth).mean()


def test_rows_of_a_block_are_its_quadratic_forms(digits):
    X, y = digits[0][:300, 10:30], digits[1][:300]
    operator = InfluenceRanker().fit(X, y).reading_.fitted.operator
    K, q = operator.n_outputs, operator.n_columns
    rows = np.column_stack([X[:6], np.ones(6)])
    low = BlockNystrom(operator, rank=7)
    low.solving = low.standing  # of its two, the one that stands for H
    for made in (BlockCholesky(operator), low):
        inverse = made.apply_inverse(np.eye(K * q)).reshape(K, q, K, q)
        truth = np.einsum("iq,kqml,il->ikm", rows, inverse, rows)
        center = np.eye(K) - 1 / K  # the mean over the outputs meets no residual
        truth = center @ truth @ center
        blocks = made.row_blocks(rows)
        np.testing.assert_allclose(blocks.dense(), truth, atol=1e-9 * truth.max())
        contrasts = np.random.default_rng(0).standard_normal((6, K)) @ center
        product = np.einsum("ikm,im->ik", truth, contrasts)
        np.testing.assert_allclose(blocks.apply(contrasts), product, atol=1e-8)


def test_rows_of_outputs_that_do_not_interact_are_exact(digits):
    X, y = digits[0][:300], digits[1][:300]
    model = SGDClassifier("log_loss", alpha=1e-3, random_state=0)
    exact = InfluenceRanker(model).fit(X, y)
    solver = ConjugateGradient(rows="preconditioner", tol=1e-12)
    other = InfluenceRanker(model, solver=solver).fit(X, y)
    # The blocks' lift of 1e-10, times a condition number of 1e3.
    np.testing.assert_allclose(other.self_influence_, exact.self_influence_, rtol=1e-6)


def test_bounds_refuse_approximate_rows(digits):
    solver = ConjugateGradient(rows="preconditioner")
    ranker = InfluenceRanker(solver=solver).fit(digits[0][:200], digits[1][:200])
    with pytest.raises(ValueError, match=r"rows='preconditioner'.* approximates it"):
        ranker.loo_error_bound_  # noqa: B018
    with pytest.raises(ValueError, match=r"rows='preconditioner'.* approximates it"):
        diagnostics(ranker)


def test_rows_by_the_preconditioner_need_one(digits):
    solver = ConjugateGradient(rows="preconditioner", preconditioner=None)
    with pytest.raises(ValueError, match="has none"):
        InfluenceRanker(solver=solver).fit(digits[0][:200], digits[1][:200])


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
    # Few rows: 1e9 operations to factor, 1e7 to form, 1.6e6 a right-hand side.
    # Many rows: forming the Hessian, n q^2, is what factoring takes.
    assert name(10**6, 1, 1000, n_rhs=5) == "cg"
    assert name(10**6, 1, 1000, n_rhs=7) == "cholesky"
    assert name(10, 1, 1000, n_rhs=500) == "cg"
    assert name(10, 1, 1000, n_rhs=1000) == "cholesky"


@pytest.mark.parametrize(
    ("what", "size", "n_blocks"),
    [
        ({}, 11 * 30, 1),
        ({"shares_penalty": False}, 12 * 30, 1),
        ({"n_outputs": 1}, 30, 1),
        ({"is_block_diagonal": True}, 30, 12),
        ({"is_block_diagonal": True, "has_equal_blocks": True}, 30, 1),
        # Over the rows where these are fewer, which takes a penalty.
        ({"is_block_diagonal": True, "is_penalized": True, "n_rows": 9}, 9, 12),
        ({"is_block_diagonal": True, "n_rows": 9}, 30, 12),
    ],
)
def test_choice_counts_the_bytes_of_the_factors(what, size, n_blocks):
    """Each block's factor and inverse in float64, and one temporary."""
    n_bytes = 8 * size**2 * (2 * n_blocks + 1)
    shape = {"n_rows": 5000, "n_outputs": 12, "n_columns": 30, **what}
    assert choose_solver(**shape, memory=n_bytes).name == "cholesky"
    beyond = choose_solver(**shape, memory=n_bytes - 1)
    assert beyond.name == "cg" and f"{size} " in beyond.reason


def test_choice_is_told(digits):
    X, y = digits
    ranker = InfluenceRanker().fit(X[:200], y[:200])
    assert ranker.solver_info_["reason"].startswith("585 parameters in one block")
    wide = choose_solver(10_000, 77, 385)
    assert "blocks of single outputs" in wide.reason
    assert wide.solver.rows == "preconditioner"
    assert (
        InfluenceRanker(solver="cg").fit(X[:200], y[:200]).solver_info_["reason"]
        == "given"
    )
