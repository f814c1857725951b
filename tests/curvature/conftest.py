"""Small problems of every loss, and torch's own losses as their oracle."""

import numpy as np
import pytest

from sklinfluence.curvature._design import Design
from sklinfluence.curvature._losses import LogisticLoss, SoftmaxLoss, SquaredLoss
from sklinfluence.curvature._objective import Objective

POSITIVE_WEIGHT = np.array([0.5, 2.0, 3.0])
LOSSES = {
    "squared": SquaredLoss(),
    "binary": LogisticLoss(),
    "one-vs-rest": LogisticLoss(positive_weight=POSITIVE_WEIGHT),
    "softmax": SoftmaxLoss(),
    # So many that the products of a row's columns are formed once for all pairs.
    "softmax of 17": SoftmaxLoss(),
}
N_OUTPUTS = {"squared": 2, "binary": 1, "softmax of 17": 17}


def _row_losses(name, raw, targets):
    """Losses of rows by torch's own functions."""
    from torch import as_tensor
    from torch.nn import functional

    if name == "squared":
        return 0.5 * functional.mse_loss(raw, targets, reduction="none").sum(1)
    if name.startswith("softmax"):
        return functional.cross_entropy(raw, targets, reduction="none")
    weight = as_tensor(POSITIVE_WEIGHT) if name == "one-vs-rest" else None
    return functional.binary_cross_entropy_with_logits(
        raw, targets, pos_weight=weight, reduction="none"
    ).sum(1)


@pytest.fixture
def row_losses():
    pytest.importorskip("torch")
    return _row_losses


@pytest.fixture
def losses():
    """Loss objects of the package by the names that `row_losses` takes."""
    return LOSSES


@pytest.fixture
def make_targets():
    """Coded targets of n rows: hard labels, or soft ones."""

    def make(name, n_rows, soft=False, seed=0):
        rng = np.random.default_rng(seed)
        K = N_OUTPUTS.get(name, 3)
        if name == "squared":
            return rng.normal(size=(n_rows, K)) * 3
        if soft:
            values = rng.uniform(size=(n_rows, K))
            return values / values.sum(1, keepdims=True) if K > 1 else values
        if K == 1:
            return rng.integers(2, size=(n_rows, 1)).astype(float)
        return np.eye(K)[rng.integers(K, size=n_rows)]

    return make


@pytest.fixture
def make_objective(make_targets):
    """An Objective with random rows, weights (one of them 0) and penalty."""

    def make(name, *, X=None, n_rows=40, fit_intercept=True, penalty=0.7, seed=0):
        rng = np.random.default_rng(seed)
        if X is None:
            X = rng.normal(size=(n_rows, 4)) + [0.5, -1.0, 0.0, 2.0]
        n_rows, d = X.shape
        targets = make_targets(name, n_rows, seed=seed)
        weights = rng.uniform(0.2, 3.0, size=n_rows)
        weights[3] = 0.0
        diagonal = np.full((targets.shape[1], d + fit_intercept), float(penalty))
        if fit_intercept:
            diagonal[:, -1] = 0.0
        design = Design(X, fit_intercept)
        return Objective(design, LOSSES[name], targets, weights, diagonal)

    return make


@pytest.fixture
def torch_objective(row_losses):
    """The same J as a function of a flat torch vector."""
    import torch

    def make(name, objective):
        X = objective.design.X
        X = np.asarray(X.todense() if hasattr(X, "todense") else X, dtype=float)
        if objective.design.fit_intercept:
            X = np.column_stack([X, np.ones(len(X))])
        Z, Y, s, penalty = map(
            torch.as_tensor,
            (X, objective.targets, objective.weights, objective.penalty),
        )

        def J(flat):
            theta = flat.reshape(penalty.shape)
            value = (s * row_losses(name, Z @ theta.T, Y)).sum()
            value = value + 0.5 * (penalty * theta**2).sum()
            if objective.proximal:
                away = theta - torch.as_tensor(objective.center)
                value = value + 0.5 * objective.proximal * (away**2).sum()
            return value

        return J

    return make


@pytest.fixture
def torch_hessian(torch_objective):
    """The dense Hessian of J at theta, by automatic differentiation."""
    import torch

    def hessian(name, objective, theta):
        J = torch_objective(name, objective)
        at = torch.tensor(np.ravel(theta), dtype=torch.float64)
        return torch.autograd.functional.hessian(J, at).numpy()

    return hessian
