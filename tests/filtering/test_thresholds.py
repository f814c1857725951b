"""Flag rules and bounds, against hand-made cases."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklinfluence.filtering._thresholds import (
    bound_flags,
    flag_disagreement,
    flag_share,
    log_odds_against,
    worst_first,
)


def test_disagreement_needs_another_class_and_odds_over_one_tenth():
    given = np.array([0, 0, 0, 1, 1])
    predicted = np.array([0, 1, 1, 0, 0])
    # Odds against: any (same class), 1/20, 1/5, certain, unknown.
    quality = np.array([0.2, 20 / 21, 5 / 6, 0.0, np.nan])
    flags = flag_disagreement(given, predicted, log_odds_against(quality))
    assert_array_equal(flags, [False, False, True, True, False])


def test_share_flags_the_worst_allowed_rows():
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    allowed = np.array([True, False, True, True, True])
    flags = flag_share(scores, 0.4, allowed)
    assert_array_equal(np.flatnonzero(flags), [0, 2])


@pytest.mark.parametrize("n_rows", [7, 11, 40, 101])
def test_a_share_is_rounded_to_the_nearest_number_of_rows(n_rows):
    """Half a row and more is a row: fractions on both sides of a half, and on it."""
    scores = np.random.default_rng(0).permutation(n_rows).astype(float)
    allowed = np.ones(n_rows, dtype=bool)
    for whole in range(0, n_rows - 1, 3):
        for fraction, more in [(0.45, 0), (0.499, 0), (0.501, 1), (0.55, 1), (0, 0)]:
            share = (whole + fraction) / n_rows
            flags = flag_share(scores, share, allowed)
            assert flags.sum() == whole + more, (whole, fraction)


def test_half_a_row_is_a_row():
    flags = flag_share(np.arange(10.0), 0.25, np.ones(10, dtype=bool))
    assert_array_equal(np.flatnonzero(flags), [7, 8, 9])


def test_bounds_keep_the_worst_flags_of_each_stratum():
    scores = np.array([1.0, 2.0, 3.0, 4.0, 9.0, 8.0])
    strata = np.array([0, 0, 0, 0, 1, 1])
    flags = np.ones(6, dtype=bool)
    half = bound_flags(flags, scores, strata, min_per_class=1, max_share=0.5)
    assert_array_equal(np.flatnonzero(half), [2, 3, 4])
    most = bound_flags(flags, scores, strata, min_per_class=1, max_share=1.0)
    assert_array_equal(np.flatnonzero(most), [1, 2, 3, 4])
    few = bound_flags(flags, scores, strata, min_per_class=3, max_share=1.0)
    assert_array_equal(np.flatnonzero(few), [3])


def test_bounds_add_no_flags():
    scores = np.arange(10.0)
    flags = scores == 4
    bounded = bound_flags(flags, scores, np.zeros(10), min_per_class=1, max_share=0.9)
    assert_array_equal(bounded, flags)


def test_max_share_is_not_cut_short_by_rounding():
    # 0.7 * 10 is 7.000000000000001 or 6.999999999999999 in floats, and means 7.
    for share, n_rows in [(0.7, 10), (0.29, 100), (0.57, 100)]:
        flags = np.ones(n_rows, dtype=bool)
        bounded = bound_flags(
            flags, np.arange(float(n_rows)), np.zeros(n_rows), 1, share
        )
        assert bounded.sum() == round(share * n_rows)


def test_worst_first_breaks_ties_by_row():
    scores = np.array([1.0, 3.0, 3.0, 2.0])
    assert_array_equal(worst_first(scores, np.arange(4)), [1, 2, 3, 0])
