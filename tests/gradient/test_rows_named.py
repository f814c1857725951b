"""Arguments that name training rows, and counts of rows: one check for all."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.preprocessing import scale

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import select_diverse

X, Y = load_iris(return_X_y=True)
X = scale(X)


@pytest.fixture(scope="module")
def ranker():
    return InfluenceRanker(method="newton").fit(X, Y)


ASK = {
    "parameter_influence": lambda ranker, rows: ranker.parameter_influence(rows),
    "certify": lambda ranker, rows: np.stack(ranker.certify(rows, X[:3], Y[:3])).T,
    "group_influence": lambda ranker, rows: ranker.group_influence([rows], X[:3]),
}
WRONG = {
    "above": ([150], "names row 150, of 150 training rows"),
    "below": ([3, -151], "names row -151, of 150"),
    "huge": ([10**18], "names row 1000000000000000000"),
    "unsigned": (np.array([200], dtype=np.uint8), "names row 200"),
    "float": ([1.0], "dtype float64"),
    "string": (["3"], "dtype <U1"),
    "short mask": (np.ones(149, dtype=bool), r"shape \(149,\) and dtype bool"),
    "booleans": ([True, False], "dtype bool"),
    "matrix": ([[1, 2]], r"shape \(1, 2\)"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("ask", ["parameter_influence", "certify"])
def test_what_names_no_row_is_named(ranker, ask, wrong):
    rows, message = WRONG[wrong]
    with pytest.raises(ValueError, match=f"index .*{message}"):
        ASK[ask](ranker, rows)


@pytest.mark.parametrize("wrong", [w for w in WRONG if w != "matrix"])
def test_so_are_the_rows_of_groups(ranker, wrong):
    rows, message = WRONG[wrong]
    with pytest.raises(ValueError, match=f"Group 0 .*{message}"):
        ASK["group_influence"](ranker, list(rows) if wrong == "float" else rows)


@pytest.mark.parametrize("ask", ["parameter_influence", "certify"])
@pytest.mark.parametrize("row", [True, np.True_, 1.5, "3", None, 150, -151])
def test_a_single_index_is_an_int_in_range(ranker, ask, row):
    with pytest.raises(ValueError, match=r"index (must hold training rows|names row)"):
        ASK[ask](ranker, row)


@pytest.mark.parametrize("ask", ASK)
def test_rows_are_named_as_numpy_indexes(ranker, ask):
    mask = np.zeros(150, dtype=bool)
    mask[[4, 149]] = True
    expected = ASK[ask](ranker, [4, 149])
    for rows in ([4, -1], (4, 149), np.array([4, 149], dtype=np.uint8), mask):
        assert np.array_equal(ASK[ask](ranker, rows), expected)
    if ask != "group_influence":
        assert np.array_equal(ASK[ask](ranker, -1), ASK[ask](ranker, 149))
        assert len(ASK[ask](ranker, [])) == 0
        assert len(ASK[ask](ranker, range(3))) == len(ASK[ask](ranker, slice(3))) == 3


COUNTS = {
    "most_damaging": lambda ranker, n: ranker.most_damaging(X[:1], n=n),
    "candidates": lambda ranker, n: ranker.influence(X[:1], candidates=n),
    "n of candidates": lambda ranker, n: ranker.proponents(X[:1], n=n, candidates=9),
    "select_diverse": lambda ranker, n: select_diverse(ranker, n),
}


@pytest.mark.parametrize("count", [0, -1, True, 2.0, "3", None])
@pytest.mark.parametrize("ask", COUNTS)
def test_counts_of_rows_are_ints_above_zero(ranker, ask, count):
    if ask == "candidates" and count is None:
        return  # all rows
    with pytest.raises(ValueError, match=f"={count!r} must be an int"):
        COUNTS[ask](ranker, count)
