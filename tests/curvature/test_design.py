"""Blocks of rows, and products that never store the intercept's 1."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn import config_context

from sklinfluence._blocks import block_slices
from sklinfluence.curvature._design import Design


@pytest.fixture(params=["dense", "csr", "float32"])
def X(request):
    X = np.random.default_rng(0).normal(size=(7, 3))
    X[X < -0.5] = 0.0
    if request.param == "csr":
        return sparse.csr_matrix(X)
    return X.astype(np.float32) if request.param == "float32" else X


def explicit(X, fit_intercept):
    X = X.toarray() if sparse.issparse(X) else X
    X = X.astype(float)
    return np.column_stack([X, np.ones(len(X))]) if fit_intercept else X


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_products_are_those_of_the_explicit_matrix(X, fit_intercept):
    rng = np.random.default_rng(1)
    design, Z = Design(X, fit_intercept), explicit(X, fit_intercept)
    # float32 rows times float64 vectors are float64 products: rounding only.
    close = {"rtol": 1e-12, "atol": 1e-12}
    W, U, weights = (
        rng.normal(size=(Z.shape[1], 2)),
        rng.normal(size=(7, 2)),
        rng.uniform(size=7),
    )
    index = slice(2, 6)
    assert design.n_columns == Z.shape[1]
    assert_allclose(design.rows(index), Z[index], **close)
    assert_allclose(design.rows([4, 0]), Z[[4, 0]], **close)
    assert_allclose(design.dot(W), Z @ W, **close)
    assert_allclose(design.dot(W, index), Z[index] @ W, **close)
    assert_allclose(design.transpose_dot(U), Z.T @ U, **close)
    assert_allclose(
        design.transpose_dot(U[index], index), Z[index].T @ U[index], **close
    )
    # Squares of float32 values are float32 in a CSR matrix.
    norms = {"rtol": 1e-6}
    assert_allclose(design.squared_norms(), (Z**2).sum(1), **norms)
    assert_allclose(design.gram(weights), (Z.T * weights) @ Z, **close)
    columns = np.array([0, Z.shape[1] - 1])
    gram = (Z[:, columns].T * weights) @ Z[:, columns]
    assert_allclose(design.gram(weights, columns), gram, **close)
    assert design.rows(index).dtype == np.float64


@pytest.mark.parametrize(("megabytes", "n_blocks"), [(1024, 1), (8e-6 * 16, 100)])
def test_block_slices_cover_all_rows_within_the_budget(megabytes, n_blocks):
    with config_context(working_memory=megabytes):
        blocks = block_slices(100, 16)
    covered = np.concatenate([np.arange(100)[block] for block in blocks])
    assert_allclose(covered, np.arange(100))
    assert len(blocks) == n_blocks


def test_no_rows_make_no_blocks():
    assert block_slices(0, 10) == []
