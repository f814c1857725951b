"""Fewer rows than columns: factors over the rows equal factors over the columns."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier

from sklinfluence.curvature import Cholesky, ConjugateGradient, choose_solver
from sklinfluence.curvature._preconditioners._block_preconditioners import BlockCholesky
from sklinfluence.curvature._solvers import _row_space
from sklinfluence.curvature._solvers._row_space import RowSpaceFactor
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker

N, D = 60, 150
WEIGHTS = np.where(np.arange(N) < 3, 0.0, np.random.default_rng(1).random(N))
TASKS = {
    "binary": (LogisticRegression(), 2, {}),
    "no intercept": (LogisticRegression(fit_intercept=False), 2, {}),
    "weak penalty": (LogisticRegression(C=1e3, max_iter=500), 2, {}),
    "weights": (LogisticRegression(class_weight="balanced"), 2, {"weighted": True}),
    "damping": (LogisticRegression(), 2, {"damping": 0.1}),
    "one-vs-rest": (SGDClassifier("log_loss", alpha=0.01, random_state=0), 3, {}),
    "ridge": (Ridge(alpha=2.0), 0, {}),
    "two penalties": (Ridge(alpha=[1.0, 3.0]), 0, {}),
}


def make_rows(kind="dense"):
    X = np.random.default_rng(0).standard_normal((N, D))
    if kind == "sparse":
        return sparse.csr_array(np.where(np.abs(X) > 1.5, X, 0.0))
    return X.astype(np.float32) if kind == "float32" else X


def fit(name, X, **kwargs):
    model, n_classes, options = TASKS[name]
    rng = np.random.default_rng(2)
    y = rng.integers(n_classes, size=N) if n_classes else rng.standard_normal((N, 2))
    weights = WEIGHTS if options.get("weighted") else None
    ranker = InfluenceRanker(model, damping=options.get("damping", 0.0), **kwargs)
    return ranker.fit(X, y, sample_weight=weights)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["dense", "sparse", "float32"])
@pytest.mark.parametrize("name", list(TASKS))
def test_factors_over_rows_are_the_inverse(name, kind):
    fitted = fit(name, make_rows(kind), solver="cholesky").reading_.fitted
    state, K = fitted.state, len(fitted.theta)
    assert all(isinstance(factor, RowSpaceFactor) for factor in state.factors)
    H = fitted.operator.matvec(np.eye(fitted.theta.size))
    inverse = np.linalg.inv(H)
    B = np.random.default_rng(3).standard_normal((len(H), 4))
    X, info = fitted.solver.solve(state, B)
    # Condition numbers up to 1e6.
    assert_allclose(X, inverse @ B, atol=1e-9 * np.abs(X).max())
    assert_allclose(state.apply_inverse(B), X, atol=1e-12 * np.abs(X).max())
    assert info["residual"].max() < 1e-9
    rows = fitted.objective.design.rows(slice(0, 7))
    blocks = inverse.reshape(K, -1, K, rows.shape[1])
    truth = np.einsum("iq,kqkl,il->ik", rows, blocks, rows)
    assert_allclose(state.row_blocks(rows), truth, rtol=1e-8)
    low, high = state.eigenvalue_range()
    values = np.linalg.eigvalsh(H)
    assert_allclose([low, high], values[[0, -1]], rtol=0.05)  # power iteration's
    least = min(factor.penalty.min() for factor in state.factors)
    if abs(values[0] - least) < 1e-9 * least:
        # No iteration's: the penalty alone holds what no row sees.
        assert_allclose(low, least, rtol=1e-9)


@pytest.mark.parametrize("name", ["binary", "ridge"])
def test_influence_is_that_over_columns(name, monkeypatch):
    X = make_rows("sparse")
    options = {"method": "newton", "normalize": "theta", "solver": "cholesky"}
    ours = fit(name, X, **options)
    monkeypatch.setattr(_row_space, "FEW_ROWS", 0.0)
    theirs = fit(name, X, **options)
    assert not isinstance(theirs.reading_.fitted.state.factors[0], RowSpaceFactor)
    queries, targets = X[:5], ours.reading_.fitted.objective.targets[:5]
    targets = targets.ravel() if name == "binary" else targets
    truth = theirs.influence(queries, targets)
    assert_allclose(
        ours.influence(queries, targets), truth, atol=1e-9 * np.abs(truth).max()
    )
    assert_allclose(ours.self_influence_, theirs.self_influence_, rtol=1e-8)
    assert_allclose(ours.leverage_, theirs.leverage_, rtol=1e-8)


def test_columns_are_factored_where_rows_cannot_be():
    X, y = make_rows(), np.arange(N) % 2
    wide = InfluenceRanker(LogisticRegression(), solver="cholesky")
    narrow = X[:, :70]  # 60 rows are more than .8 of 71 columns
    assert not isinstance(
        wide.fit(narrow, y).reading_.fitted.state.factors[0], RowSpaceFactor
    )
    weak = InfluenceRanker(Ridge(alpha=1e-7), solver="cholesky").fit(X, y)
    assert not isinstance(weak.reading_.fitted.state.factors[0], RowSpaceFactor)


def test_blocks_of_a_wide_softmax_are_factored_over_rows(monkeypatch):
    X, y = make_rows(), np.random.default_rng(2).integers(3, size=N)
    operator = InfluenceRanker(LogisticRegression(max_iter=500)).fit(X, y)
    operator = operator.reading_.fitted.operator
    over_rows = BlockCholesky(operator)
    assert isinstance(over_rows.factors[0], RowSpaceFactor)
    monkeypatch.setattr(_row_space, "FEW_ROWS", 0.0)
    over_columns = BlockCholesky(operator)
    B = np.random.default_rng(3).standard_normal((operator.shape[0], 4))
    truth = over_columns.apply_inverse(B)
    # The other way lifts diagonals by 1e-10 of their mean.
    atol = 1e-7 * np.abs(truth).max()
    assert_allclose(over_rows.apply_inverse(B), truth, atol=atol)
    rows = operator.objective.design.rows(slice(0, 7))
    truth = over_columns.row_blocks(rows).values
    assert_allclose(over_rows.row_blocks(rows).values, truth, rtol=1e-7)


def test_conjugate_gradients_of_a_wide_softmax():
    X, y = make_rows("sparse"), np.random.default_rng(2).integers(3, size=N)
    model = LogisticRegression(max_iter=500)
    exact = InfluenceRanker(model, solver=Cholesky()).fit(X, y)
    other = InfluenceRanker(model, solver=ConjugateGradient()).fit(X, y)
    truth = exact.influence(X[:5], y[:5])
    assert_allclose(
        other.influence(X[:5], y[:5]), truth, atol=1e-7 * np.abs(truth).max()
    )


def test_filter_of_wide_rows(monkeypatch):
    X, y = load_digits(return_X_y=True)
    few = np.flatnonzero(y < 2)[:200]
    # Thirty copies of noise beside the pixels: 1984 columns, 200 rows.
    noise = np.random.default_rng(0).normal(scale=0.3, size=(200, 1920))
    X, y = np.hstack([X[few] / 16, noise]), y[few]
    y = np.where(np.arange(200) % 10 == 0, 1 - y, y)
    ranker = InfluenceRanker(LogisticRegression(C=0.1))
    ours = MislabelFilter(ranker).fit(X, y)
    monkeypatch.setattr(_row_space, "FEW_ROWS", 0.0)
    theirs = MislabelFilter(ranker).fit(X, y)
    assert_allclose(ours.scores_, theirs.scores_, rtol=1e-4)


def test_memory_keeps_no_rows(tmp_path):
    X, y = make_rows(), np.arange(N) % 2
    model = LogisticRegression()
    first = InfluenceRanker(model, memory=str(tmp_path)).fit(X, y)
    again = InfluenceRanker(model, memory=str(tmp_path), method="newton").fit(X, y)
    assert_allclose(again.self_influence_.shape, (N,))
    plain = InfluenceRanker(model, method="newton").fit(X, y)
    assert_allclose(again.influence(X, y), plain.influence(X, y), atol=1e-12)
    assert_allclose(again.leverage_, first.leverage_, atol=0)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*.pkl"))
    assert X[:1, :20].tobytes() not in kept


def test_choice_counts_rows_where_they_are_fewer():
    wide = {"n_rows": 2000, "n_outputs": 1, "n_columns": 50_000}
    assert choose_solver(**wide, is_block_diagonal=True).name == "cg"
    choice = choose_solver(**wide, is_block_diagonal=True, is_penalized=True)
    assert choice.name == "cholesky"
    assert choice.reason.startswith("2000 rows in one block")
