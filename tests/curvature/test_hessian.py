"""The Hessian operator against automatic differentiation of the objective."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn import config_context

NAMES = ["squared", "binary", "one-vs-rest", "softmax", "softmax of 17"]
# Sums of 40 products in another order: rounding, relative to the largest entry.
ROUNDING = 1e-12


def relative(ours, truth):
    return np.max(np.abs(ours - truth)) / np.max(np.abs(truth))


def at_random(objective, seed=5):
    return np.random.default_rng(seed).normal(size=objective.shape)


@pytest.mark.parametrize("damping", [0.0, 0.03])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_every_form_is_autodiffs_hessian(
    name, fit_intercept, damping, make_objective, torch_hessian
):
    objective = make_objective(name, fit_intercept=fit_intercept)
    theta = at_random(objective)
    objective = objective.damped(damping, theta)
    truth = torch_hessian(name, objective, theta)
    operator = objective.hessian(objective.raw(theta))
    V = np.random.default_rng(6).normal(size=(len(truth), 5))

    assert operator.shape == truth.shape
    assert relative(operator.dense(), truth) < ROUNDING
    assert relative(operator.matvec(V), truth @ V) < ROUNDING
    K, q = objective.shape
    blocks = np.broadcast_to(operator.diagonal_blocks(), (K, q, q))
    for k in range(K):
        at = slice(k * q, (k + 1) * q)
        assert relative(blocks[k], truth[at, at]) < ROUNDING


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_autodiffs(name, make_objective, torch_objective):
    import torch

    objective = make_objective(name)
    theta = at_random(objective)
    objective = objective.damped(0.1, at_random(objective, seed=8))
    J = torch_objective(name, objective)
    flat = torch.tensor(theta.ravel(), requires_grad=True)
    value = J(flat)
    value.backward()
    assert_allclose(objective.value(theta), value.item(), rtol=1e-12)
    gradient = flat.grad.numpy().reshape(theta.shape)
    assert relative(objective.gradient(theta), gradient) < ROUNDING
    raw = objective.raw(theta)
    assert relative(objective.gradient(theta, raw), gradient) < ROUNDING


@pytest.mark.parametrize("name", NAMES)
def test_sparse_and_float32_rows_give_the_same_hessian(name, make_objective):
    X = np.random.default_rng(0).normal(size=(40, 4))
    X[X < 0.3] = 0.0
    X = X.astype(np.float32)
    dense = make_objective(name, X=X.astype(float))
    theta = at_random(dense)
    truth = dense.hessian(dense.raw(theta)).dense()
    for rows in (X, sparse.csr_matrix(X), sparse.csr_array(X)):
        objective = make_objective(name, X=rows)
        operator = objective.hessian(objective.raw(theta))
        # The rows are the same float32 numbers; sums over them are float64.
        assert relative(operator.dense(), truth) < ROUNDING
        V = np.eye(len(truth))[:, :3]
        assert relative(operator.matvec(V), truth[:, :3]) < ROUNDING


@pytest.mark.parametrize("name", NAMES)
def test_blocks_of_any_size_give_the_same_hessian(name, make_objective):
    objective = make_objective(name)
    theta = at_random(objective)
    operator = objective.hessian(objective.raw(theta))
    V = np.random.default_rng(6).normal(size=(operator.shape[0], 3))
    whole, product = operator.dense(), operator.matvec(V)
    with config_context(working_memory=1e-4):  # a hundred bytes: single rows
        assert relative(operator.dense(), whole) < ROUNDING
        assert relative(operator.matvec(V), product) < ROUNDING


def test_equal_blocks_are_computed_once(make_objective):
    squared = make_objective("squared")
    operator = squared.hessian(squared.raw(at_random(squared)))
    assert operator.has_equal_blocks
    assert operator.diagonal_blocks().shape[0] == 1
    squared.penalty[1] *= 2  # a penalty an output: blocks differ
    assert not operator.has_equal_blocks
    assert operator.diagonal_blocks().shape[0] == 2


# -- the null space


def rank_deficiency(H):
    """Directions that H does not see, by singular values."""
    singular = np.linalg.svd(H, compute_uv=False)
    return int(np.sum(singular < 1e-10 * singular[0]))


def with_columns(kind, n_rows=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 4))
    if kind == "collinear":
        X = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
    elif kind == "constant":  # dependent on the intercept
        X = np.column_stack([X, np.full(n_rows, 3.0), np.zeros(n_rows)])
    elif kind == "wide":  # more columns than rows
        X = rng.normal(size=(8, 12))
    elif kind == "scales":
        X = X * [1e-4, 1.0, 1e3, 1e5]
    elif kind == "one-hot":
        codes = rng.integers(3, size=n_rows)
        X = np.column_stack([X, np.eye(3)[codes]])
    return X


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("kind", ["plain", "collinear", "constant", "wide", "one-hot"])
@pytest.mark.parametrize("name", NAMES)
def test_null_space_is_orthonormal_and_whole(
    name, kind, penalty, make_objective, torch_hessian
):
    objective = make_objective(name, X=with_columns(kind), penalty=penalty)
    theta = 0.1 * at_random(objective)
    H = torch_hessian(name, objective, theta)
    basis = objective.null_space()
    assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    assert np.max(np.abs(H @ basis), initial=0.0) < 1e-12 * np.abs(H).max()
    assert basis.shape[1] == rank_deficiency(H)


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_very_different_scale_are_not_mistaken_for_dependent(
    name, make_objective
):
    objective = make_objective(name, X=with_columns("scales"), penalty=0.0)
    assert objective.null_space().shape[1] == (
        1 + 4 if name.startswith("softmax") else 0
    )


def test_rows_of_weight_zero_are_not_seen(make_objective):
    X = with_columns("plain")
    X = np.column_stack([X, np.zeros(len(X))])
    X[3, -1] = 1.0  # the row whose weight is 0 is the only one to use the column
    objective = make_objective("squared", X=X, penalty=0.0)
    assert objective.null_space().shape[1] == 2  # one for each of two targets


def test_damping_leaves_no_null_space(make_objective, torch_hessian):
    objective = make_objective("softmax", X=with_columns("collinear"), penalty=0.0)
    theta = at_random(objective)
    objective = objective.damped(0.01, theta)
    assert objective.null_space().shape[1] == 0
    assert objective.proximal == pytest.approx(0.01 * objective.weights.sum())
    assert np.linalg.eigvalsh(torch_hessian("softmax", objective, theta))[0] > 0
