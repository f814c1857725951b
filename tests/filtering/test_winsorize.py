import numpy as np
import pytest
from scipy import sparse
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.filtering._columns._winsorize import Winsorizer, value_range


def held(column, weight=None):
    """The range of one column."""
    column = np.asarray(column, dtype=float)
    weight = np.ones(len(column)) if weight is None else np.asarray(weight, float)
    lowest, highest = value_range(column[:, None], weight)
    return lowest[0], highest[0]


def columns():
    rng = np.random.default_rng(0)
    yield "normal", rng.standard_normal(2000)
    yield "uniform", rng.uniform(size=2000)
    yield "exponential", rng.exponential(size=2000)
    yield "log-normal", rng.lognormal(size=500)
    yield "two far clusters", np.repeat([0.0, 1e6], 50) + rng.uniform(size=100)
    yield "a rare category", np.arange(1000) == 3
    yield "rare counts", np.r_[np.zeros(980), rng.poisson(3, 20)]
    yield "constant", np.full(10, 7.0)
    yield "one row", [3.0]
    yield "two rows", [0.0, 1e9]


@pytest.mark.parametrize(
    "column", [pytest.param(column, id=name) for name, column in columns()]
)
def test_columns_as_they_come_are_left_alone(column):
    assert held(column) == (np.min(column), np.max(column))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("far", [1e3, 1e8, -1e30, 1.7e308, -1.7e308])
@pytest.mark.parametrize("n_rows", [20, 150, 5000])
@pytest.mark.parametrize("scale", [1.0, 1e-150])
def test_an_outlier_is_held_at_the_nearest_value_that_is_none(far, n_rows, scale):
    column = scale * np.random.default_rng(0).standard_normal(n_rows)
    outlying = column.copy()
    outlying[n_rows // 2] = far
    rest = np.delete(column, n_rows // 2)
    assert held(outlying) == (rest.min(), rest.max())


def test_a_hundredth_of_the_rows_may_be_outliers_on_either_side():
    column = np.random.default_rng(0).standard_normal(1000)
    rest = column[10:].copy()
    column[:5], column[5:10] = 1e6, -1e6
    assert held(column) == (rest.min(), rest.max())


def test_a_row_of_weight_two_is_two_rows_and_units_of_weight_are_nobodys():
    rng = np.random.default_rng(0)
    column, weight = rng.standard_cauchy(400), rng.integers(1, 4, 400)
    expected = held(np.repeat(column, weight))
    assert expected[1] < column.max()
    assert held(column, weight) == expected
    assert held(column, 1e150 * weight) == expected


@parametrize_with_checks([Winsorizer()])
def test_the_transformer_is_scikit_learns(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_and_dense_columns_are_held_alike(dtype):
    X = sparse.random(200, 6, 0.3, random_state=0, format="csr", dtype=dtype)
    X[3, 2] = 1e30
    dense = Winsorizer().fit_transform(X.toarray())
    assert dense.dtype == dtype and dense.max() <= 1
    held = Winsorizer().fit_transform(X)
    assert held.dtype == dtype
    np.testing.assert_array_equal(held.toarray(), dense)
    assert X.max() > 1e29
