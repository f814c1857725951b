import numpy as np
from scipy.special import softmax
from sklearn.linear_model import Ridge

from sklinfluence.curvature import Cholesky
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._losses import SoftmaxLoss, SquaredLoss
from sklinfluence.curvature._newton import minimize
from sklinfluence.curvature._objective import Objective
from sklinfluence.filtering._votes._leave_one_out import (
    leave_groups_out,
    loo_raw_by_output,
    loo_raw_coupled,
)


def make_objective(loss, targets, X, C, weight=None):
    penalty = np.full((targets.shape[1], X.shape[1] + 1), 1.0 / C)
    penalty[:, -1] = 0.0
    weight = np.ones(len(X)) if weight is None else weight
    return Objective(Design(X, True), loss, targets, weight, penalty)


def test_least_squares_is_exact():
    rng = np.random.default_rng(0)
    X, targets = rng.standard_normal((30, 4)), rng.standard_normal((30, 2))
    weight = rng.uniform(0.5, 2.0, 30)
    objective = make_objective(SquaredLoss(), targets, X, 2.0, weight)
    end = minimize(objective, np.zeros((2, 5)), Cholesky())
    found = loo_raw_coupled(objective, end.raw, end.state)
    for i in range(30):
        keep = np.arange(30) != i
        refit = Ridge(alpha=0.5).fit(X[keep], targets[keep], weight[keep])
        np.testing.assert_allclose(found[i], refit.predict(X[[i]])[0], rtol=1e-7)


def test_output_by_output_is_exact_where_all_classes_are_alike():
    rng = np.random.default_rng(0)
    X, targets = rng.standard_normal((40, 3)), np.eye(4)[rng.integers(4, size=40)]
    objective = make_objective(SoftmaxLoss(), targets, X, C=1e9)
    found = loo_raw_by_output(objective, np.zeros((40, 4)))
    rows = np.column_stack([X, np.ones(40)])
    h = np.einsum("ij,ij->i", rows @ np.linalg.inv(rows.T @ rows), rows)
    # S = (I - 11'/K)/K, B = K h (I - 11'/K): the step is K h r / (1 - h).
    exact = 4 * (h / (1 - h))[:, None] * (0.25 - targets)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-8)


def test_groups_leave_in_one_newton_step():
    rng = np.random.default_rng(0)
    X, targets = rng.standard_normal((30, 4)), rng.standard_normal((30, 2))
    objective = make_objective(SquaredLoss(), targets, X, 2.0)
    end = minimize(objective, np.zeros((2, 5)), Cholesky())
    found = loo_raw_coupled(objective, end.raw, end.state)
    groups = [np.array([1, 2]), np.arange(10, 22)]
    alone = found.copy()
    leave_groups_out(found, objective, end, groups)
    for rows in groups:
        keep = np.setdiff1d(np.arange(30), rows)
        refit = Ridge(alpha=0.5).fit(X[keep], targets[keep])
        np.testing.assert_allclose(found[rows], refit.predict(X[rows]), atol=1e-8)
    others = np.setdiff1d(np.arange(30), np.concatenate(groups))
    np.testing.assert_array_equal(found[others], alone[others])


def test_output_by_output_groups_leave_each_output_by_its_own_block():
    # By dense algebra: output k is a logistic problem of its own, its step shrunk.
    rng = np.random.default_rng(0)
    X, targets = rng.standard_normal((40, 3)), np.eye(4)[rng.integers(4, size=40)]
    weight = rng.uniform(0.5, 2.0, 40)
    objective = make_objective(SoftmaxLoss(), targets, X, 2.0, weight)
    raw = rng.standard_normal((40, 4))
    groups = [np.array([1, 2]), np.arange(10, 22)]
    found = loo_raw_by_output(objective, raw, groups)
    A, P = np.column_stack([X, np.ones(40)]), softmax(raw, axis=1)
    for rows in groups:
        keep = np.setdiff1d(np.arange(40), rows)
        for k in range(4):
            curvature = weight * P[:, k] * (1 - P[:, k])
            H = (A[keep].T * curvature[keep]) @ A[keep] + np.diag([0.5] * 3 + [0.0])
            pull = A[rows].T @ (weight * (P - targets)[:, k])[rows]
            step = 3 / 4 * A[rows] @ np.linalg.solve(H, pull)
            # The factors' diagonals are raised by 1e-10 of their mean.
            np.testing.assert_allclose(
                found[rows, k], raw[rows, k] + step, rtol=1e-6, atol=1e-7
            )


def test_output_by_output_risk_of_an_overfitted_head_stays_high():
    # More columns than rows and hardly a penalty: the labels are random, so the risk
    # of leaving rows out cannot be below that of knowing nothing.
    rng = np.random.default_rng(1)
    X, codes = rng.standard_normal((60, 80)), rng.integers(4, size=60)
    targets = np.eye(4)[codes]
    for C in (1.0, 100.0):
        objective = make_objective(SoftmaxLoss(), targets, X, C)
        end = minimize(objective, np.zeros((4, 81)), Cholesky(), tol=1e-6)
        found = loo_raw_by_output(objective, end.raw)
        assert SoftmaxLoss().loss(targets, found).mean() > np.log(4)
