"""Donors of dropped rows: same label, kept, evenly used, seeded."""

import numpy as np
from numpy.testing import assert_array_equal

from sklinfluence.filtering._donors import assign_donors


def make_case(n_dropped=15):
    rng = np.random.default_rng(0)
    given = np.array(["a", "b"])[(np.arange(40) >= 10).astype(int)]
    support = np.ones(40, dtype=bool)
    support[rng.choice(np.arange(10, 40), n_dropped, replace=False)] = False
    support[:7] = False
    return support, given


def test_donors_are_kept_rows_of_the_same_label():
    support, given = make_case()
    indices = assign_donors(support, given, random_state=0)
    assert_array_equal(indices[support], np.flatnonzero(support))
    assert support[indices].all()
    assert_array_equal(given[indices], given)


def test_donors_are_taken_in_turn():
    support, given = make_case(n_dropped=20)
    indices = assign_donors(support, given, random_state=0)
    # 7 dropped rows over 3 donors of "a", 20 over 10 of "b".
    for label, least, most in [("a", 2, 3), ("b", 2, 2)]:
        dropped = (given == label) & ~support
        _, copies = np.unique(indices[dropped], return_counts=True)
        assert copies.min() == least
        assert copies.max() == most


def test_donors_are_seeded():
    support, given = make_case()
    first, again, other = (assign_donors(support, given, seed) for seed in (0, 0, 1))
    assert_array_equal(first, again)
    assert np.any(first != other)
