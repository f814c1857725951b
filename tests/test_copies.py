"""Rows that are copies of one another: found in any container, by X alone."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.preprocessing import scale

from sklinfluence._estimators import find_copies

# Rows 0, 2, 5 are equal, and so are 1 and 4.
NUMBERS = np.array(
    [[1.0, 0.0], [2.0, np.nan], [1.0, -0.0], [2.0, 1.0], [2.0, np.nan], [1.0, 0.0]]
)
GROUPS = [0, 1, 0, 2, 1, 0]
TEXTS = ["a b", "c", "a b", "d", "c", "a b"]
FRAME = {
    "number": NUMBERS[:, 1],
    "word": ["x", None, "x", "y", None, "x"],
    "day": np.array(["2020-01-01", "NaT", "2020-01-01"] * 2, dtype="datetime64[ns]"),
    "flag": [True, False, True, False, False, True],
}
FRAME["day"][[1, 3, 4, 5]] = np.array(
    ["NaT", "2021-01-01", "NaT", "2020-01-01"], dtype="datetime64[ns]"
)
NO_HOLES = np.where(np.isnan(NUMBERS), 7.0, NUMBERS)
CONTAINERS = {
    "array": NUMBERS,
    "float32": NUMBERS.astype(np.float32),
    "integers": NO_HOLES.astype(int),
    "images": NUMBERS.reshape(6, 1, 2),
    "objects": NUMBERS.astype(object),
    "CSR": sparse.csr_matrix(NUMBERS),
    "CSC array": sparse.csc_array(NO_HOLES),
    "list of rows": NUMBERS.tolist(),
    "list of texts": TEXTS,
    "array of texts": np.array(TEXTS),
    "series of texts": pd.Series(TEXTS, index=list("uvwxyz")),
    "pandas": pd.DataFrame(FRAME, index=list("uvwxyz")),
    "pandas categories": pd.DataFrame(FRAME).astype({"word": "category"}),
    "pandas nullable": pd.DataFrame({"n": NUMBERS[:, 1]}).assign(
        n=lambda frame: frame["n"].astype("Float64"), word=FRAME["word"]
    ),
    "polars": pl.DataFrame(FRAME),
    "list of dicts": [{"word": text, "tags": ["a", "b"]} for text in TEXTS],
    "dict of columns": {"numbers": NUMBERS, "texts": np.array(TEXTS)},
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_equal_rows_are_found_in_any_container(container):
    copies = find_copies(CONTAINERS[container])
    assert copies.of_rows.tolist() == GROUPS
    assert copies.first.tolist() == [0, 1, 3]
    assert copies.n_copied == 5


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_distinct_rows_have_no_copies(tolerance):
    X = np.random.default_rng(0).standard_normal((50, 3))
    for rows in (X, sparse.csr_matrix(X), pd.DataFrame(X)):
        assert find_copies(rows, tolerance) is None
    assert find_copies(np.zeros((4, 2)), None) is None


def test_explicit_zeros_and_order_of_indices_are_no_difference():
    X = sparse.csr_matrix(([1.0, 2.0, 0.0, 2.0, 1.0], [0, 2, 1, 2, 0], [0, 3, 5]))
    assert find_copies(X).of_rows.tolist() == [0, 0]


def chained(X, tolerance):
    """Components of rows within the tolerance in every column, by all pairs."""
    Z = scale(X)
    near = np.abs(Z[:, None] - Z[None]).max(axis=2) <= tolerance
    return connected_components(near)[1]


@pytest.mark.parametrize("tolerance", [0.1, 0.3, 0.6])
def test_near_rows_are_chained(tolerance):
    # scipy's components of all pairs; the numbering may differ, the partition not.
    X = np.random.default_rng(1).standard_normal((120, 3)) * [1.0, 50.0, 1e-4]
    X[X < 0] = 0.0
    expected = chained(np.unique(X, axis=0), tolerance)
    X = np.unique(X, axis=0)
    for rows in (X, sparse.csr_matrix(X), pd.DataFrame(X), pl.DataFrame(X)):
        copies = find_copies(rows, tolerance)
        pairs = np.unique(np.column_stack([copies.of_rows, expected]), axis=0)
        assert len(pairs) == copies.n_groups == expected.max() + 1


def test_what_is_no_number_must_be_equal():
    frame = pd.DataFrame(
        {"n": [1.0, 1.0 + 1e-6, 1.0, 5.0, np.nan], "word": ["x", "x", "y", "x", "x"]}
    )
    assert find_copies(frame, 0.1).of_rows.tolist() == [0, 0, 1, 2, 3]


def test_copies_of_a_part_are_those_within_it():
    copies = find_copies(NUMBERS)
    part = copies.take(np.array([5, 4, 3, 2]))
    assert part.of_rows.tolist() == [0, 1, 2, 0]
    assert copies.take(np.array([0, 1, 3])) is None
    # Rows that share nothing with rows 0 and 3.
    assert copies.apart(np.array([1, 2, 4, 5]), np.array([0, 3])).tolist() == [1, 4]


def test_sums_and_means_by_distinct_row():
    copies = find_copies(NUMBERS)
    weight = np.array([1.0, 0.0, 2.0, 4.0, 0.0, 1.0])
    assert copies.total(weight).tolist() == [4.0, 0.0, 4.0]
    values = np.arange(12.0).reshape(6, 2)
    expected = [
        np.average(values[[0, 2, 5]], axis=0, weights=[1, 2, 1]),
        values[[1, 4]].mean(axis=0),
        values[3],
    ]
    np.testing.assert_allclose(copies.mean(values, weight), expected)
