"""corrupt_targets: how many, how far, containers, and what it refuses."""

import numpy as np
import pytest

from sklinfluence.datasets import corrupt_targets


@pytest.mark.parametrize("rate", [0.0, 0.055, 0.3])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_the_asked_share_moves_by_one_to_two_times_the_scale(rate, scale):
    y = np.random.RandomState(0).normal(5.0, 2.0, size=200)
    before = y.copy()
    y_noisy, is_corrupted = corrupt_targets(y, rate, scale=scale, random_state=0)
    np.testing.assert_array_equal(y, before)
    assert is_corrupted.sum() == round(rate * 200)
    np.testing.assert_array_equal(y_noisy[~is_corrupted], y[~is_corrupted])
    moved = np.abs(y_noisy - y)[is_corrupted] / (scale * np.std(y))
    # Adding and subtracting again rounds: 1e-12.
    assert np.all((moved > 1 - 1e-12) & (moved < 2 + 1e-12))


def test_errors_go_both_ways_and_follow_the_seed():
    y = np.arange(1000.0)
    y_noisy, is_corrupted = corrupt_targets(y, 0.4, random_state=0)
    up = np.mean((y_noisy > y)[is_corrupted])
    # 400 fair coins: five standard deviations are 0.125.
    assert abs(up - 0.5) < 0.125
    again = corrupt_targets(y, 0.4, random_state=0)
    np.testing.assert_array_equal(y_noisy, again[0])
    assert np.any(corrupt_targets(y, 0.4, random_state=1)[1] != is_corrupted)


@pytest.mark.parametrize(
    ("given", "returned"),
    [(np.int64, np.float64), (np.float32, np.float32), (np.float64, np.float64)],
)
def test_integers_become_floats_and_floats_keep_their_width(given, returned):
    y_noisy, is_corrupted = corrupt_targets(np.arange(20, dtype=given), 0.2)
    assert y_noisy.dtype == returned
    assert is_corrupted.sum() == 4


def test_a_pandas_series_keeps_index_and_name():
    pd = pytest.importorskip("pandas")
    y = pd.Series(range(10), index=list("abcdefghij"), name="price")
    y_noisy, is_corrupted = corrupt_targets(y, 0.2, random_state=0)
    pd.testing.assert_index_equal(y_noisy.index, y.index)
    assert y_noisy.name == "price"
    np.testing.assert_array_equal((y_noisy != y).to_numpy(), is_corrupted)


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        ([1.0, 2.0], {"rate": 1.0}, "The 'rate' parameter of corrupt_targets must be"),
        ([1.0, 2.0], {"rate": 0.1, "scale": 0}, "The 'scale' parameter of"),
        ([1.0, 1.0], {"rate": 0.1}, "y is constant"),
        ([1.0, np.nan], {"rate": 0.1}, "Input y contains NaN"),
        ([[1.0, 2.0], [3.0, 4.0]], {"rate": 0.1}, "y should be a 1d array"),
    ],
)
def test_bad_input_is_named(y, arguments, message):
    with pytest.raises(ValueError, match=message):
        corrupt_targets(y, **arguments)
