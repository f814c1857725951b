"""Newton's method against scikit-learn's tightest fits and torch's gradient."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from sklinfluence.curvature import Cholesky, ConjugateGradient
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._losses import LogisticLoss, SoftmaxLoss
from sklinfluence.curvature._newton import minimize, read_as_is
from sklinfluence.curvature._objective import Objective

NAMES = ["squared", "binary", "one-vs-rest", "softmax"]


def gradient_of(torch_objective, name, objective, theta):
    import torch

    flat = torch.tensor(theta.ravel(), requires_grad=True)
    torch_objective(name, objective)(flat).backward()
    return flat.grad.numpy().reshape(theta.shape)


@pytest.mark.parametrize("start", ["zero", "rough", "far"])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_vanishes_from_any_start(name, start, make_objective, torch_objective):
    objective = make_objective(name)
    scale = {"zero": 0.0, "rough": 1.0, "far": 30.0}[start]
    theta = scale * np.random.default_rng(1).normal(size=objective.shape)
    end = minimize(objective, theta, Cholesky())
    gradient = gradient_of(torch_objective, name, objective, end.theta)
    # Relative to the terms that cancel in it; tol=1e-11 is on raw predictions.
    rows = np.abs(objective.design.rows(slice(None)))
    scale = (np.abs(objective.residual(end.raw)) * objective.weights[:, None]).T @ rows
    assert np.max(np.abs(gradient)) < 1e-8 * np.max(scale)
    assert end.converged
    # Updated step by step: its rounding is that of the largest value on the way.
    start = np.abs(objective.raw(theta)).max()
    assert_allclose(end.raw, objective.raw(end.theta), atol=1e-13 * (1 + start))
    # Of the rows that are there: one of weight 0 is not.
    there = objective.weights > 0
    moved = np.max(np.abs(end.raw - objective.raw(theta))[there])
    assert end.gap == pytest.approx(moved)


def test_least_squares_take_one_step(make_objective):
    objective = make_objective("squared")
    end = minimize(objective, np.zeros(objective.shape), Cholesky())
    assert end.n_iter <= 2  # the step, and at most the one that confirms it
    X, Y = objective.design.X, objective.targets
    ridge = Ridge(alpha=0.7).fit(X, Y, sample_weight=objective.weights)
    assert_allclose(end.theta[:, :-1], ridge.coef_, rtol=1e-9)
    assert_allclose(end.theta[:, -1], ridge.intercept_, rtol=1e-9)


@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris, load_wine])
def test_optimum_is_the_one_of_scikit_learns_newton_cholesky(load, C):
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    model.fit(X, y)
    K = len(model.coef_)
    targets = np.eye(K)[y] if K > 1 else y[:, None].astype(float)
    penalty = np.full((K, X.shape[1] + 1), 1 / C)
    penalty[:, -1] = 0.0
    loss = SoftmaxLoss() if K > 1 else LogisticLoss()
    objective = Objective(Design(X, True), loss, targets, np.ones(len(X)), penalty)
    for solver in (Cholesky(), ConjugateGradient()):
        end = minimize(objective, np.zeros(objective.shape), solver)
        # Both stop within rounding of a gradient that is the sum of n terms, at
        # condition numbers up to 1e4.
        close = {"rtol": 1e-7, "atol": 1e-8}
        assert_allclose(end.theta[:, :-1], model.coef_, **close)
        shift = end.theta[:, -1].mean() - model.intercept_.mean() if K > 1 else 0.0
        assert_allclose(end.theta[:, -1] - shift, model.intercept_, **close)


def test_polishing_stays_on_the_side_of_the_kernel_it_was_given():
    # A softmax is blind to a common shift of the intercepts: polishing adds none.
    X, y = load_iris(return_X_y=True)
    penalty = np.ones((3, 5))
    penalty[:, -1] = 0.0
    objective = Objective(
        Design(X, True), SoftmaxLoss(), np.eye(3)[y], np.ones(150), penalty
    )
    end = minimize(objective, np.zeros((3, 5)), Cholesky())
    assert end.theta[:, -1].sum() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("K", [1, 2])
def test_separable_classes_with_a_penalty_settle(K, torch_objective):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = rng.normal(size=(80, 3)) + 8.0 * np.outer(y - 0.5, [1, 1, 0])
    targets = np.eye(2)[y] if K == 2 else y[:, None].astype(float)
    loss = SoftmaxLoss() if K == 2 else LogisticLoss()
    penalty = np.full((K, 4), 1e-4)
    penalty[:, -1] = 0.0
    objective = Objective(Design(X, True), loss, targets, np.ones(80), penalty)
    end = minimize(objective, np.zeros((K, 4)), Cholesky())
    name = "softmax" if K == 2 else "binary"
    gradient = gradient_of(torch_objective, name, objective, end.theta)
    assert end.converged
    # Absolute: what is left of the residuals here is of size 1e-3.
    assert np.max(np.abs(gradient)) < 1e-10


def test_reading_as_is_leaves_the_head_where_it_stands(make_objective):
    objective = make_objective("softmax")
    theta = np.random.default_rng(2).normal(size=objective.shape)
    end = read_as_is(objective, theta, Cholesky())
    assert np.array_equal(end.theta, theta)
    assert end.gap > 0.1  # a random head is far from its optimum, and it says so
    settled = minimize(objective, theta, Cholesky())
    assert read_as_is(objective, settled.theta, Cholesky()).gap < 1e-9
