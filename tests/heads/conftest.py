"""Data, and an oracle: the objective a head describes, differentiated by torch."""

import numpy as np
import pytest
from scipy import sparse

LABELS = np.array(["ant", "bee", "cat"])


def _design(head, X):
    Z = head.embed(X)
    Z = Z.toarray() if sparse.issparse(Z) else np.asarray(Z)
    Z = Z.astype(np.float64)
    if head.fit_intercept:
        Z = np.column_stack([Z, np.ones(len(Z))])
    return Z


def _row_losses(head, raw, targets):
    """torch's own losses, chosen by name: no formula of the package is used."""
    import torch
    from torch.nn import functional

    name = type(head.loss).__name__
    if name == "SquaredLoss":
        return 0.5 * functional.mse_loss(raw, targets, reduction="none").sum(1)
    if name == "SoftmaxLoss":
        return functional.cross_entropy(raw, targets, reduction="none")
    weight = head.loss.positive_weight
    weight = None if weight is None else torch.as_tensor(weight)
    return functional.binary_cross_entropy_with_logits(
        raw, targets, pos_weight=weight, reduction="none"
    ).sum(1)


def _gradient(head, X, theta=None):
    """The gradient of J at ``theta`` (the head's own by default), and its scale.

    The scale is the largest sum of absolute values that cancels in an entry.
    """
    import torch

    Z = torch.as_tensor(_design(head, X))
    if theta is None:
        theta = head.coef
        if head.fit_intercept:
            theta = np.column_stack([head.coef, head.intercept])
    theta = torch.tensor(theta, requires_grad=True)
    weights = torch.as_tensor(head.weights)
    raw = Z @ theta.T
    raw.retain_grad()
    data_term = (weights * _row_losses(head, raw, torch.as_tensor(head.targets))).sum()
    value = data_term + 0.5 * (torch.as_tensor(head.penalty) * theta**2).sum()
    value.backward()
    scale = float((raw.grad.abs().T @ Z.abs()).max())
    return theta.grad.numpy(), scale


@pytest.fixture
def gradient():
    pytest.importorskip("torch")
    return _gradient


@pytest.fixture
def stationarity():
    """The largest entry of the gradient of J, relative to the terms that cancel."""
    pytest.importorskip("torch")

    def largest(head, X):
        grad, scale = _gradient(head, X)
        return np.abs(grad).max() / scale

    return largest


@pytest.fixture
def make_data():
    """Uncentred rows; unequal, overlapping classes with string labels."""

    def make(task, n_outputs, weighted=False, n_rows=90, seed=0):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n_rows, 4)) + [0.5, -1.0, 0.0, 2.0]
        truth = rng.normal(size=(4, max(n_outputs, 1)))
        if task == "classes":
            shares = [0.55, 0.30, 0.15][:n_outputs]
            y = rng.choice(n_outputs, size=n_rows, p=np.divide(shares, sum(shares)))
            X = X + 0.3 * truth[:, y].T  # overlapping: the unpenalised fit is finite
            y = LABELS[y]
        else:
            y = X @ truth + rng.normal(size=(n_rows, n_outputs)) + 3.0
            y = y[:, 0] if n_outputs == 1 else y
        weight = rng.uniform(0.2, 3.0, size=n_rows) if weighted else None
        return X, y, weight

    return make


@pytest.fixture
def class_weights():
    return {
        "none": None,
        "dict": {"ant": 0.5, "bee": 2.0, "cat": 3.0},
        "balanced": "balanced",
    }
