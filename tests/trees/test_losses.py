"""Losses of boosted ensembles against scikit-learn's own, and their slopes by step."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn._loss.loss import (
    HalfBinomialLoss,
    HalfGammaLoss,
    HalfMultinomialLoss,
    HalfPoissonLoss,
    HalfSquaredError,
)

from sklinfluence.trees._losses import LOSSES

THEIRS = {
    "squared": HalfSquaredError(),
    "binary": HalfBinomialLoss(),
    "softmax": HalfMultinomialLoss(n_classes=4),
    "poisson": HalfPoissonLoss(),
    "gamma": HalfGammaLoss(),
}
N = 40
# Central differences of steps this long: the square of it, relative, is lost.
STEP, OF_STEP = 1e-5, 1e-8


@pytest.fixture(params=LOSSES)
def case(request):
    """A loss, scikit-learn's, targets plain and coded, raw predictions, weights."""
    name, rng = request.param, np.random.default_rng(0)
    ours, theirs = LOSSES[name], THEIRS[name]
    n_outputs = 4 if name == "softmax" else 1
    targets = {
        "squared": rng.normal(size=N),
        "binary": rng.integers(2, size=N).astype(float),
        "softmax": rng.integers(4, size=N).astype(float),
        "poisson": rng.poisson(2.0, size=N).astype(float),
        "gamma": rng.gamma(2.0, size=N),
    }[name]
    raw = rng.normal(scale=2.0, size=(N, n_outputs))
    weights = rng.uniform(0.5, 2.0, size=N)
    return ours, theirs, targets, ours.code(targets, n_outputs), raw, weights


def test_derivatives_are_scikit_learns(case):
    ours, theirs, targets, coded, raw, _ = case
    expected = theirs.gradient_hessian(targets, raw if raw.shape[1] > 1 else raw[:, 0])
    found = ours.at(coded, raw)
    for part, truth in zip((found.g, found.h), expected, strict=True):
        truth = np.broadcast_to(truth.reshape(len(truth), -1), raw.shape)
        assert_allclose(part, truth, rtol=1e-13, atol=1e-15)
    assert_allclose(ours.gradient(coded, raw), found.g, atol=1e-15)


def test_losses_are_scikit_learns_up_to_a_constant(case):
    ours, theirs, targets, coded, raw, _ = case
    other = np.zeros_like(raw)
    truth = [
        theirs.loss(targets, F if F.shape[1] > 1 else F[:, 0]) for F in (raw, other)
    ]
    difference = ours.loss(coded, raw) - ours.loss(coded, other)
    assert_allclose(difference, truth[0] - truth[1], rtol=1e-12, atol=1e-14)
    assert np.all(ours.loss(coded, raw) >= 0)


def test_deviances_are_none_where_the_prediction_is_right(case):
    ours, _, targets, coded, _, _ = case
    if ours.is_classification or ours is LOSSES["squared"]:
        pytest.skip("no deviance")
    keep = targets > 0
    assert_allclose(ours.loss(coded[keep], np.log(coded[keep])), 0.0, atol=1e-14)


def test_rises_are_differences_of_losses(case):
    ours, _, _, coded, raw, _ = case
    rng = np.random.default_rng(1)
    for measured in (ours, getattr(ours, "drop", ours)):
        for size in (1e-3, 1.0):
            shift = size * rng.normal(size=(N, 5, raw.shape[1]))
            truth = np.stack(
                [
                    measured.loss(coded, raw + shift[:, b]) - measured.loss(coded, raw)
                    for b in range(5)
                ],
                axis=1,
            )
            assert_allclose(
                measured.rise(coded, raw, shift), truth, rtol=1e-9, atol=1e-12
            )


def test_push_and_pull_are_the_slopes_of_the_derivatives(case):
    ours, _, _, coded, raw, _ = case
    rng = np.random.default_rng(2)
    change = rng.normal(size=raw.shape)
    ends = [ours.at(coded, raw + sign * STEP * change) for sign in (1, -1)]
    pushed = ours.at(coded, raw).push(change)
    for part, name in zip(pushed, "gh", strict=True):
        truth = (getattr(ends[0], name) - getattr(ends[1], name)) / (2 * STEP)
        assert_allclose(part, truth, rtol=OF_STEP, atol=OF_STEP)
    of_g, of_h = rng.normal(size=(2, *raw.shape, 3))
    pulled = np.einsum("ikm,ik->im", ours.at(coded, raw).pull(of_g, of_h), change)
    truth = sum(
        np.einsum("ikm,ik->im", of, part)
        for of, part in zip((of_g, of_h), pushed, strict=True)
    )
    assert_allclose(pulled, truth, rtol=1e-12, atol=1e-12)


def test_derivatives_of_many_raw_predictions_of_a_row(case):
    ours, _, _, coded, raw, _ = case
    many = np.stack([raw, raw[::-1], 0.5 * raw], axis=2)
    found = ours.at(coded[:, :, None], many)
    for b in range(3):
        alone = ours.at(coded, many[:, :, b])
        assert_allclose(found.g[:, :, b], alone.g, rtol=1e-14, atol=1e-16)
        assert_allclose(found.h[:, :, b], alone.h, rtol=1e-14, atol=1e-16)


def test_best_constant_is_scikit_learns_and_where_the_gradient_is_none(case):
    ours, theirs, targets, coded, _, weights = case
    mean = weights @ coded / weights.sum()
    constant = ours.best_constant(mean[None])[0]
    truth = np.ravel(theirs.fit_intercept_only(targets, weights))
    assert_allclose(constant, truth, rtol=1e-12, atol=1e-14)
    gradient = ours.gradient(coded, np.tile(constant, (N, 1)))
    assert_allclose(weights @ gradient, 0.0, atol=1e-12)


def test_slope_of_the_best_constant(case):
    ours, _, _, coded, _, weights = case
    ends = []
    for sign in (1, -1):
        moved = weights + sign * STEP * np.eye(N)
        mean = moved @ coded / moved.sum(axis=1, keepdims=True)
        ends.append(ours.best_constant(mean))
    truth = (ends[0] - ends[1]) / (2 * STEP)
    mean = weights @ coded / weights.sum()
    slope = ours.constant_slope(mean, coded) / weights.sum()
    assert_allclose(slope, truth, rtol=OF_STEP, atol=OF_STEP)


def test_predictions_are_scikit_learns(case):
    ours, theirs, _, _, raw, _ = case
    if ours.is_classification:
        truth = theirs.predict_proba(raw if raw.shape[1] > 1 else raw[:, 0])
    else:
        truth = theirs.link.inverse(raw[:, 0])
    assert_allclose(ours.predict(raw), truth, rtol=1e-12, atol=1e-300)
