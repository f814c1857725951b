"""Outputs that do not see the same: each is answered as it would be alone.

One target without a penalty beside one with: what the rows determine of the two, and
which row alone determines something, is not the same. Oracle: lstsq and Ridge refits.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from sklinfluence.gradient import InfluenceRanker

ALPHA = [0.0, 2.0]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    return X, X @ rng.standard_normal((4, 2)) + rng.standard_normal((30, 2))


def coefficients(X, y, weights):
    """By lstsq, target by target: of many optima the shortest."""
    root = np.sqrt(weights)[:, None]
    out = np.empty((X.shape[1], 2))
    for k, alpha in enumerate(ALPHA):
        stacked = np.vstack([root * X, np.sqrt(alpha) * np.eye(X.shape[1])])
        wanted = np.append(root[:, 0] * y[:, k], np.zeros(X.shape[1]))
        out[:, k] = np.linalg.lstsq(stacked, wanted, rcond=1e-10)[0]
    return out


def by_refits(X, y, weights, asked):
    """Predictions of rows ``asked`` without each of them."""
    kept = ~np.eye(len(X), dtype=bool)
    return np.array(
        [X[i] @ coefficients(X[kept[i]], y[kept[i]], weights[kept[i]]) for i in asked]
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["influence", "newton"])
def test_columns_that_depend_on_each_other(data, method, weighted):
    """Free in one target: all columns have a part in the direction it cannot see."""
    X, y = data
    X[:, 3] = X[:, 0] - 2 * X[:, 1] + X[:, 2]
    weights = np.linspace(0.5, 2.0, 30) if weighted else np.ones(30)
    model = Ridge(alpha=ALPHA, fit_intercept=False, solver="cholesky")
    ranker = InfluenceRanker(model, method=method).fit(X, y, sample_weight=weights)
    refitted = by_refits(X, y, weights, range(30))
    # Least squares is exact; of near 1 in size, over curvatures near 10.
    assert_allclose(ranker.loo_prediction_, refitted, rtol=0, atol=1e-9)
    if method == "newton":
        # Not the model's own: it may have gone through the singular matrix.
        fitted = X @ coefficients(X, y, weights)
        rise = 0.5 * np.sum((refitted - y) ** 2 - (fitted - y) ** 2, axis=1)
        assert_allclose(ranker.self_influence_, rise, rtol=0, atol=1e-9)


# How far raw predictions are off is what rounding leaves of 1e14: luck of the machine.
@pytest.mark.filterwarnings("ignore:The head .* is far from the optimum:UserWarning")
def test_a_part_that_no_row_sees_is_no_part_of_the_fit(data):
    """What solving with a singular matrix may leave: any multiple of the unseen."""
    X, y = data
    X[:, 3] = X[:, 0] - 2 * X[:, 1] + X[:, 2]
    model = Ridge(alpha=0.0, fit_intercept=False, solver="svd").fit(X, y)
    model.coef_ = model.coef_ + 1e14 * np.array([1.0, -2.0, 1.0, -1.0])
    ranker = InfluenceRanker(FrozenEstimator(model)).fit(X, y)
    plain = InfluenceRanker(Ridge(0.0, fit_intercept=False, solver="svd")).fit(X, y)
    # Least squares is exact, over curvatures near 10.
    assert_allclose(ranker.loo_prediction_, plain.loo_prediction_, rtol=0, atol=1e-9)
    assert_allclose(ranker.self_influence_, plain.self_influence_, rtol=0, atol=1e-9)


def test_a_row_that_one_target_hangs_on(data):
    """The only row with a fourth column: without it the free target has no optimum."""
    X, y = data
    X[:, 3] = 0.0
    X[7, 3] = 1.0
    model = Ridge(alpha=ALPHA, fit_intercept=False, solver="cholesky")
    with pytest.warns(UserWarning, match=r"Row\(s\) 7 have leverage 1"):
        ranker = InfluenceRanker(model).fit(X, y)
        found = ranker.loo_prediction_
    others = np.delete(np.arange(30), 7)
    assert np.isnan(found[7, 0]) and not np.isnan(found[others]).any()
    refitted = by_refits(X, y, np.ones(30), range(30))
    assert_allclose(found[others], refitted[others], rtol=0, atol=1e-9)
    assert_allclose(found[7, 1], refitted[7, 1], rtol=0, atol=1e-9)
    # A score of all but that row.
    errors = np.sum((refitted - y)[others] ** 2, axis=1)
    assert ranker.loo_score_ == pytest.approx(-errors.mean() / 2, rel=1e-9)
