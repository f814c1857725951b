"""The figure's shares against means written out."""

import numpy as np
import pytest

from sklinfluence.metrics import poisoning_ratio


def test_shares_of_means():
    rng = np.random.default_rng(0)
    influence = rng.standard_normal((5, 30))
    y = np.repeat(["a", "b", "c"], 10)
    is_poisoned = np.isin(np.arange(30), [10, 11, 25])
    by_query = []
    for row in influence:
        groups = [[10, 11, 25], list(range(10)), list(range(12, 20))]
        groups.append([*range(20, 25), *range(26, 30)])
        by_query.append([np.mean([row[i] for i in group]) for group in groups])
    means = np.mean(by_query, axis=0)
    expected = means / np.abs(means).sum()
    share = poisoning_ratio(influence, is_poisoned, y)
    assert share["poisoned"] == pytest.approx(expected[0])
    assert list(share["clean"]) == ["a", "b", "c"]
    assert list(share["clean"].values()) == pytest.approx(expected[1:].tolist())


def test_scale_does_not_matter():
    influence = np.array([[4.0, 1.0, -1.0]])
    one = poisoning_ratio(influence, [1, 0, 0], [1, 1, 0])
    assert one == poisoning_ratio(8 * influence, [1, 0, 0], [1, 1, 0])
    assert one["poisoned"] == pytest.approx(4 / 6)


def test_nothing_poisoned_or_no_influence():
    with pytest.raises(ValueError, match="marks no row"):
        poisoning_ratio(np.ones((1, 2)), [0, 0], [0, 1])
    share = poisoning_ratio(np.zeros((1, 2)), [1, 0], [0, 1])
    assert share == {"poisoned": 0.0, "clean": {1: 0.0}}
