"""Outputs that do not see the same: each is answered as it would be alone.

One target without a penalty beside one with: what the rows determine of the two, and
which row alone determines something, is not the same. Oracle: lstsq and Ridge refits.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Ridge

from sklinfluence.gradient import InfluenceRanker

ALPHA = [0.0, 2.0]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    return X, X @ rng.standard_normal((4, 2)) + rng.standard_normal((30, 2))


def by_refits(X, y, weights, asked):
    """Predictions of rows ``asked`` without each of them, target by target."""
    out = np.empty((len(asked), 2))
    for at, row in enumerate(asked):
        kept = np.arange(len(X)) != row
        A, b = X[kept], y[kept]
        root = np.sqrt(weights[kept])[:, None]
        for k, alpha in enumerate(ALPHA):
            stacked = np.vstack([root * A, np.sqrt(alpha) * np.eye(X.shape[1])])
            wanted = np.append(root[:, 0] * b[:, k], np.zeros(X.shape[1]))
            out[at, k] = X[row] @ np.linalg.lstsq(stacked, wanted, rcond=1e-10)[0]
    return out


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
        fitted = ranker.predict(X)
        rise = 0.5 * np.sum((refitted - y) ** 2 - (fitted - y) ** 2, axis=1)
        assert_allclose(ranker.self_influence_, rise, rtol=0, atol=1e-9)


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
