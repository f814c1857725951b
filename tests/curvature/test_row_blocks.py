"""Blocks of n_outputs numbers a row, against the matrices that they stand for."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklinfluence._removal._error_bound import _spread
from sklinfluence.curvature._losses import LogisticLoss, SoftmaxLoss
from sklinfluence.curvature._row_blocks import (
    ContrastBlocks,
    KroneckerBlocks,
    RowCurvature,
    solve_added,
)

N_ROWS, K = 30, 5
LOSSES = {"softmax": SoftmaxLoss(), "one-vs-rest": LogisticLoss()}


def dense_curvature(name, raw, weights):
    """s_i S_i written out."""
    if name == "one-vs-rest":
        proba = 1 / (1 + np.exp(-raw))
        return weights[:, None, None] * np.eye(K) * (proba * (1 - proba))[:, None]
    proba = np.exp(raw)
    proba /= proba.sum(axis=1, keepdims=True)
    full = np.eye(K) * proba[:, None] - proba[:, :, None] * proba[:, None]
    return weights[:, None, None] * full


@pytest.fixture(params=["identity", "basis", "contrast"])
def blocks(request):
    """Blocks of rows from tiny to so large that the curvature is all that counts."""
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 3.0, size=(N_ROWS, K))
    values *= np.geomspace(1e-3, 1e3, N_ROWS)[:, None]
    basis = None
    if request.param == "basis":
        basis = np.linalg.qr(rng.normal(size=(K, K)))[0]
    kind = ContrastBlocks if request.param == "contrast" else KroneckerBlocks
    return kind(basis, values)


@pytest.fixture(params=LOSSES)
def curvature(request):
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(N_ROWS, K)) * 1.5
    targets = np.eye(K)[rng.integers(K, size=N_ROWS)]
    weights = rng.uniform(0.2, 3.0, N_ROWS)
    ours = RowCurvature(LOSSES[request.param], targets, raw, weights)
    return ours, dense_curvature(request.param, raw, weights)


def dense_of(blocks):
    """basis diag basis^T, the mean taken off on both sides for contrasts."""
    basis = np.eye(K) if blocks.basis is None else blocks.basis
    dense = np.stack([basis @ np.diag(own) @ basis.T for own in blocks.values])
    if isinstance(blocks, ContrastBlocks):
        center = np.eye(K) - 1 / K
        dense = center @ dense @ center
    return dense


def residuals(blocks):
    residual = np.random.default_rng(2).normal(size=(N_ROWS, K))
    if isinstance(blocks, ContrastBlocks):
        # What meets these blocks sums to zero.
        residual -= residual.mean(axis=1, keepdims=True)
    return residual


def each(matrices, vectors):
    return np.einsum("ikm,im->ik", matrices, vectors)


def test_blocks_are_the_matrices_that_they_stand_for(blocks):
    residual, dense = residuals(blocks), dense_of(blocks)
    size = np.abs(dense).max(axis=(1, 2))[:, None]
    assert_allclose(blocks.apply(residual) / size, each(dense, residual) / size)
    assert_allclose(blocks.dense() / size[:, None], dense / size[:, None], atol=1e-14)
    if not isinstance(blocks, ContrastBlocks):
        part = blocks.take(slice(3, 9)).dense() / size[3:9, None]
        assert_allclose(part, dense[3:9] / size[3:9, None], atol=1e-14)


def test_curvature_is_the_matrix_that_it_stands_for(curvature, blocks):
    ours, S = curvature
    vectors = np.random.default_rng(3).normal(size=(N_ROWS, K))
    assert_allclose(ours.apply(vectors), each(S, vectors), rtol=1e-10, atol=1e-12)
    assert_allclose((-ours).apply(vectors), -ours.apply(vectors))
    assert_allclose(ours.diagonal(), np.einsum("ikk->ik", S))
    # Other blocks than the outputs' own are for a softmax, which couples them.
    is_plain = type(blocks) is KroneckerBlocks and blocks.basis is None
    if is_plain or isinstance(ours.loss, SoftmaxLoss):
        trace = np.einsum("ikm,imk->i", S, dense_of(blocks))
        assert_allclose(ours.trace_with(blocks), trace, rtol=1e-10)


def test_a_row_added_is_the_dense_solution(curvature, blocks):
    ours, S = curvature
    if isinstance(blocks, ContrastBlocks) and isinstance(ours.loss, LogisticLoss):
        pytest.skip("blocks of contrasts are those of a softmax")
    residual = residuals(blocks)
    added = np.eye(K) + S @ dense_of(blocks)
    truth = np.linalg.solve(added, residual[:, :, None])[:, :, 0]
    solved = solve_added(ours, blocks, residual)
    # Residuals of 1e-13 in the symmetric form, times leverages up to a thousand.
    size = np.abs(truth).max(axis=1, keepdims=True)
    assert_allclose(solved / size, truth / size, atol=1e-9)
    # The largest rows cannot do with one step: the first is far off.
    once = residual / (1 + np.einsum("ikk->i", S @ dense_of(blocks)) / K)[:, None]
    assert np.max(np.abs(once - truth) / size) > 0.1


def test_a_row_taken_out_of_blocks_that_hardly_know_it(curvature, blocks):
    ours, S = curvature
    residual = residuals(blocks)
    truth = residual + each(S, each(dense_of(blocks), residual))
    left = blocks.residual_without(ours, residual)
    assert_allclose(left, truth, rtol=1e-9, atol=1e-9 * np.abs(truth).max())


def test_a_row_taken_out_of_blocks_that_hold_it():
    """Each output's block becomes v / (1 - S_kk v), the value in its own Hessian."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(N_ROWS, K))
    weights = rng.uniform(0.2, 3.0, N_ROWS)
    targets = np.eye(K)[rng.integers(K, size=N_ROWS)]
    S = dense_curvature("softmax", raw, weights)
    own = np.einsum("ikk->ik", S)
    # Of a row's leverage in each block, 1/3 to 2/3.
    values = rng.uniform(1 / 3, 2 / 3, size=(N_ROWS, K)) / own
    blocks = ContrastBlocks(None, values, holds_row=True)
    residual = residuals(blocks)
    without = ContrastBlocks(None, 1 / (1 / values - own))
    truth = residual + each(S, each(dense_of(without), residual))
    curvature = RowCurvature(SoftmaxLoss(), targets, raw, weights)
    left = blocks.residual_without(curvature, residual)
    assert_allclose(left, truth, rtol=1e-9, atol=1e-12)


def test_spread_bounds_the_lengths_of_differences(blocks):
    """Twice the largest eigenvalue, which is reached where all outputs are alike."""
    dense = dense_of(KroneckerBlocks(blocks.basis, blocks.values))
    pairs = np.eye(K)[:, None] - np.eye(K)
    lengths = np.einsum("abk,ikl,abl->iab", pairs, dense, pairs).max(axis=(1, 2))
    spread = _spread(blocks)
    assert np.all(spread >= lengths * (1 - 1e-12))
    assert_allclose(spread, 2 * np.linalg.eigvalsh(dense)[:, -1], rtol=1e-10)
    alike = type(blocks)(blocks.basis, np.repeat(blocks.values[:, :1], K, axis=1))
    assert_allclose(_spread(alike), 2 * alike.values[:, 0], rtol=1e-12)
