"""detection_curve: by counting."""

import numpy as np
import pytest

from sklinfluence.metrics import detection_curve


def test_curve_is_what_counting_gives():
    rng = np.random.RandomState(0)
    truth = rng.uniform(size=200) < 0.15
    scores = np.round(truth + rng.normal(size=200), 1)  # many ties
    inspected, found = detection_curve(truth, scores)
    for at, share in zip(inspected[1:], found[1:], strict=True):
        threshold = np.sort(scores)[::-1][round(at * 200) - 1]
        seen = scores >= threshold
        # Ratios of counts below 200, by two routes: rounding.
        assert seen.mean() == pytest.approx(at, abs=1e-14)
        assert truth[seen].sum() / truth.sum() == pytest.approx(share, abs=1e-14)
    assert (inspected[0], found[0]) == (0.0, 0.0)


def test_truth_must_say_both():
    with pytest.raises(ValueError, match="marks no row"):
        detection_curve([0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="True or False"):
        detection_curve([0, 2], [1.0, 2.0])


@pytest.mark.parametrize("scores", [["a", "b", "c"], [0.1, np.nan, 0.3]])
def test_scores_that_are_no_numbers_are_named(scores):
    with pytest.raises(ValueError, match=r"numeric|scores contains NaN"):
        detection_curve([True, False, True], scores)
