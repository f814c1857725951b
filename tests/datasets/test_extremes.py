"""Legal extremes work, and what cannot work is named: one suite for all corruptions."""

import numpy as np
import pytest
from scipy import sparse

from sklinfluence.datasets import add_backdoor, corrupt_targets, flip_labels

pytestmark = pytest.mark.filterwarnings("error")

Y = np.array(list("abc") * 4)
X = np.random.default_rng(0).normal(size=(12, 2))


def flips(X=X, y=Y, **changes):
    return flip_labels(y, 0.3, kind="instance", X=X, random_state=0, **changes)


def poison(X=X, y=Y, trigger=lambda rows: rows, **changes):
    asked = {"target": "a", "rate": 0.3, "random_state": 0, **changes}
    return add_backdoor(X, y, trigger=trigger, **asked)


# --- extremes that have an answer -----------------------------------------------------


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-600, 2.0**600, 2.0**1000])
def test_targets_of_any_size_are_corrupted_alike(unit):
    y = np.random.default_rng(0).normal(size=50)
    expected, expected_rows = corrupt_targets(y, 0.2, random_state=0)
    found, rows = corrupt_targets(unit * y, 0.2, random_state=0)
    np.testing.assert_array_equal(rows, expected_rows)
    # Powers of two: the same arithmetic to the last digit.
    np.testing.assert_array_equal(found / unit, expected)


def test_the_deviation_of_short_floats_is_taken_in_long_ones():
    y = np.array([1e37, 2e37, 3e37, 4e37] * 5, dtype=np.float32)
    found, rows = corrupt_targets(y, 0.2, random_state=0)
    moved = np.abs(found.astype(float) - y)[rows] / y.astype(float).std()
    # float32 rounds the sum to 6e-8 of itself.
    assert np.all((moved > 3 * (1 - 1e-6)) & (moved < 6 * (1 + 1e-6)))


@pytest.mark.parametrize("unit", [1e-300, 1e-150, 1e150, 1e307])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.coo_array])
def test_features_of_any_size_flip_the_same_rows(unit, form):
    expected = flips()[1]
    np.testing.assert_array_equal(flips(form(unit * X))[1], expected)


def test_sparse_and_dense_features_flip_the_same_rows():
    from sklearn.datasets import load_breast_cancer

    table, y = load_breast_cancer(return_X_y=True)
    for_dense = flips(table, y)
    for_sparse = flips(sparse.csc_array(table), y)
    np.testing.assert_array_equal(for_sparse[0], for_dense[0])


def test_one_huge_row_and_certain_classes_give_flips_without_a_warning():
    table = np.c_[np.repeat([0.0, 1e3, 2e3], 4), np.arange(12.0)]
    y = np.repeat(list("abc"), 4)
    assert flips(table, y)[1].sum() == 4
    table[0] = 1e300
    assert flips(table, y)[1].sum() == 4


# --- containers -----------------------------------------------------------------------


def as_column(y):
    return np.asarray(y)[:, np.newaxis]


def frames():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    return {
        "array": np.asarray,
        "column": as_column,
        "pandas series": lambda y: pd.Series(y, index=range(5, 5 + len(y)), name="y"),
        "pandas frame": lambda y: pd.DataFrame({"y": y}, index=range(5, 5 + len(y))),
        "polars series": lambda y: pl.Series("y", y),
        "polars frame": lambda y: pl.DataFrame({"y": y}),
    }


CONTAINERS = (
    "array", "column", "pandas series", "pandas frame", "polars series", "polars frame",
)  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
def test_targets_come_back_in_their_container(container):
    y = np.arange(20.0)
    given = frames()[container](y)
    found, rows = corrupt_targets(given, 0.2, random_state=0)
    expected, expected_rows = corrupt_targets(y, 0.2, random_state=0)
    assert type(found) is type(given) and np.shape(found) == np.shape(given)
    np.testing.assert_array_equal(np.ravel(found), expected)
    np.testing.assert_array_equal(rows, expected_rows)
    for attribute in ("index", "columns", "name"):
        if hasattr(given, attribute):
            assert list(np.ravel(getattr(found, attribute))) == list(
                np.ravel(getattr(given, attribute))
            )


@pytest.mark.parametrize("table", ["pandas", "polars"])
@pytest.mark.parametrize("dtype", [int, float])
def test_tables_keep_their_kind_and_take_the_dtype_of_the_mark(table, dtype):
    library = pytest.importorskip(table)
    rows = library.DataFrame({"u": np.arange(12, dtype=dtype), "v": list("xy") * 6})

    def mark(chosen):
        marked = chosen.clone() if table == "polars" else chosen.copy()
        if table == "polars":
            return marked.with_columns(u=marked["u"] + 0.5)
        return marked.assign(u=marked["u"] + 0.5)

    marked, _, is_poisoned = poison(rows, trigger=mark)
    assert type(marked) is type(rows) and list(marked.columns) == list(rows.columns)
    np.testing.assert_array_equal(
        np.asarray(marked["u"]), np.arange(12) + 0.5 * is_poisoned
    )
    assert list(marked["v"]) == list(rows["v"])


def test_integer_sparse_rows_take_the_dtype_of_the_mark():
    rows = sparse.csr_array(np.arange(24).reshape(12, 2))
    marked, _, is_poisoned = poison(rows, trigger=lambda chosen: chosen * 0.5)
    expected = rows.toarray() * np.where(is_poisoned, 0.5, 1.0)[:, None]
    np.testing.assert_array_equal(marked.toarray(), expected)


# --- what cannot work -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrupt_targets([], 0.1), "y is empty"),
        (lambda: corrupt_targets(["a", "b"], 0.5), "y must hold real numbers"),
        (
            lambda: corrupt_targets(np.array(["2020-01-01"], "datetime64[D]"), 0.5),
            "y must hold real numbers",
        ),
        (
            lambda: corrupt_targets(np.array([-1e308, 1e308, 1.7e308]), 0.9),
            r"scale=3\.0 makes errors that are too large for float64",
        ),
        (
            lambda: corrupt_targets(np.array([1, 2, 3], np.float32), 0.9, scale=1e300),
            "too large for float32",
        ),
        (
            lambda: corrupt_targets(np.arange(1.0, 9), 0.9, scale=1e-300),
            "lost in rounding to float64",
        ),
        (lambda: flip_labels([np.nan, 1.0], 0.1), "Input y contains NaN"),
        (lambda: flips(y=np.r_[np.nan, np.zeros(11)]), "Input y contains NaN"),
        (lambda: flips(np.where(X > 1, np.inf, X)), "Input X contains infinity"),
        (lambda: flips(np.where(X > 1, np.nan, X)), "Input X contains NaN"),
        (
            lambda: flip_labels(Y, kind="class", transition=[["x", 1], [0, 1]]),
            "transition must be a matrix of numbers",
        ),
        (
            lambda: flip_labels(
                Y, kind="class", transition=[[np.inf, -np.inf, 1], [0, 1, 0], [0, 0, 1]]
            ),
            "Every row of transition must be a distribution",
        ),
        (lambda: poison(y=np.r_[np.nan, np.zeros(11)]), "Input y contains NaN"),
        (lambda: poison(target=["a", "b"]), "target must be one label of y"),
        (lambda: poison(trigger=lambda rows: None), "trigger must return .* None"),
        (lambda: poison(trigger=lambda rows: 3), "trigger must return .* 3"),
    ],
)
def test_what_cannot_work_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
