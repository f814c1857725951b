"""Losses against torch's, differentiated by torch."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklinfluence.curvature._losses import LogisticLoss, PredictionDrop

NAMES = ["squared", "binary", "one-vs-rest", "softmax"]
# Two float64 evaluations of the same closed form: rounding only.
ROUNDING = {"rtol": 1e-12, "atol": 1e-14}


def autodiff(row_losses, name, targets, raw):
    """Loss, gradient and full curvature of every row."""
    import torch

    Y = torch.as_tensor(targets)
    values, gradients, curvatures = [], [], []
    for i in range(len(raw)):
        f = torch.tensor(raw[i : i + 1], requires_grad=True)

        def loss(f, i=i):
            return row_losses(name, f, Y[i : i + 1]).sum()

        values.append(loss(f).item())
        gradients.append(torch.autograd.functional.jacobian(loss, f)[0].numpy())
        H = torch.autograd.functional.hessian(loss, f)[0, :, 0]
        curvatures.append(H.numpy())
    return np.array(values), np.array(gradients), np.array(curvatures)


def as_full(curvature):
    if curvature.ndim == 3:
        return curvature
    return curvature[:, :, None] * np.eye(curvature.shape[1])


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_autodiff(
    name, soft, losses, row_losses, make_targets
):
    loss = losses[name]
    targets = make_targets(name, 12, soft=soft)
    raw = np.random.default_rng(1).normal(size=targets.shape) * 3
    value, gradient, curvature = autodiff(row_losses, name, targets, raw)
    assert_allclose(loss.loss(targets, raw), value, **ROUNDING)
    assert_allclose(loss.gradient(targets, raw), gradient, **ROUNDING)
    assert_allclose(as_full(loss.curvature(targets, raw)), curvature, **ROUNDING)
    assert loss.separable == (loss.curvature(targets, raw).ndim == 2)


def test_small_shifts_of_several_outputs_add_up():
    """By a series; beside it the losses themselves in extended precision."""
    rng = np.random.default_rng(0)
    raw, targets = rng.normal(size=(4, 3)), np.eye(3)[[0, 1, 2, 0]]
    shift = 1e-3 * rng.normal(size=(4, 5, 3))

    def losses_at(raw):
        raw = raw.astype(np.longdouble)
        return np.log1p(np.exp(raw)) - targets[:, None, :] * raw

    before = np.broadcast_to(raw[:, None, :], shift.shape)
    truth = (losses_at(before + shift) - losses_at(before)).sum(axis=2)
    # Rises of 1e-3 as differences of losses near 1, of which 16 digits are known.
    found = LogisticLoss().rise(targets, raw, shift)
    assert_allclose(found, truth.astype(float), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", NAMES[1:])
def test_extreme_logits_neither_overflow_nor_lose_the_loss(name, losses, make_targets):
    loss, targets = losses[name], make_targets(name, 40)
    raw = np.random.default_rng(0).choice([-800.0, 800.0, 0.0], size=targets.shape)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = loss.loss(targets, raw)
        gradient = loss.gradient(targets, raw)
        curvature = loss.curvature(targets, raw)
    for array in (value, gradient, curvature):
        assert np.all(np.isfinite(array))
    assert np.all(value >= 0)
    # A row that is wrong by 800 or 1600 nats says so.
    assert value.max() >= 800.0


def test_logistic_curvature_keeps_its_relative_precision_in_the_far_tail():
    # d2/df2 of log(1 + e^f) is e^-|f| to first order out there; p (1 - p) would be 0.
    raw = np.array([[-300.0], [300.0], [-40.0], [40.0]])
    curvature = LogisticLoss().curvature(np.zeros_like(raw), raw)
    assert_allclose(curvature, np.exp(-np.abs(raw)), rtol=1e-12)


def test_softmax_curvature_is_blind_to_a_common_shift(losses, make_targets):
    targets = make_targets("softmax", 9)
    raw = np.random.default_rng(2).normal(size=targets.shape)
    S = losses["softmax"].curvature(targets, raw)
    assert_allclose(S.sum(axis=1), 0.0, atol=1e-15)  # rounding of a sum of three
    assert_allclose(S, losses["softmax"].curvature(targets, raw + 5.0), **ROUNDING)


def test_two_class_softmax_is_the_logistic_loss_of_the_difference(losses):
    rng = np.random.default_rng(3)
    raw, y = rng.normal(size=(20, 2)), rng.integers(2, size=20)
    logistic = losses["binary"].loss(y[:, None].astype(float), raw[:, 1:] - raw[:, :1])
    assert_allclose(losses["softmax"].loss(np.eye(2)[y], raw), logistic, **ROUNDING)


def test_unweighted_loss_drops_the_positive_weight_alone(losses, make_targets):
    targets = make_targets("one-vs-rest", 10)
    raw = np.random.default_rng(4).normal(size=targets.shape)
    plain = losses["one-vs-rest"].unweighted()
    # By hand: -y log p - (1 - y) log (1 - p) with p = 1 / (1 + e^-f).
    p = 1 / (1 + np.exp(-raw))
    value = -np.log(np.where(targets == 1, p, 1 - p)).sum(axis=1)
    assert_allclose(plain.loss(targets, raw), value, rtol=1e-12)
    for name in ("squared", "binary", "softmax"):
        assert losses[name].unweighted() is losses[name]


def test_prediction_drop_is_minus_the_prediction():
    raw = np.array([[1.5], [-2.0]])
    drop = PredictionDrop()
    assert_allclose(drop.loss(None, raw), [-1.5, 2.0])
    assert_allclose(drop.gradient(None, raw), -np.ones((2, 1)))
    assert_allclose(drop.curvature(None, raw), np.zeros((2, 1)))


@pytest.mark.parametrize("margin", [5.0, 20.0, 40.0, 300.0])
@pytest.mark.parametrize("name", NAMES[1:])
def test_rows_right_by_a_wide_margin_keep_their_relative_precision(
    name, margin, losses
):
    # The log odds of the given label are `margin`, so that by hand, with t = e^-margin:
    # loss log(1 + t), residual t / (1 + t), curvature t / (1 + t)^2.
    t = np.exp(-margin)
    raw, targets = np.array([[0.0, -margin, -2000.0]]), np.array([[1.0, 0.0, 0.0]])
    weight = 1.0
    if name != "softmax":
        raw, targets, weight = np.array([[margin]]), np.ones((1, 1)), 0.5
        raw = np.array([[margin, -2000.0, -2000.0]]) if name == "one-vs-rest" else raw
        targets = np.eye(3)[:1] if name == "one-vs-rest" else targets
        weight = 1.0 if name == "binary" else weight  # that of the first problem
    loss = losses[name]
    close = {"rtol": 1e-12}
    assert_allclose(loss.loss(targets, raw), weight * np.log1p(t), **close)
    gradient = loss.gradient(targets, raw)[0, 0]
    assert_allclose(gradient, -weight * t / (1 + t), **close)
    curvature = loss.curvature(targets, raw).ravel()[0]
    assert_allclose(curvature, weight * t / (1 + t) ** 2, **close)
