import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sklinfluence.filtering._votes._ridge_smoother import RidgeSmoother


def make_case(seed=0, n_rows=25, n_features=4):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features)) + 3.0
    return X, rng.standard_normal((n_rows, 2)), rng.uniform(0.5, 2.0, n_rows)


def test_fit_is_scikit_learns_ridge():
    X, Y, weight = make_case()
    smoother = RidgeSmoother(X.copy(), weight)
    smoother.set_penalty(0.7)
    coef, intercept = smoother.coefficients(Y)
    ridge = Ridge(alpha=0.7).fit(X, Y, sample_weight=weight)
    np.testing.assert_allclose(coef, ridge.coef_.T, rtol=1e-8)
    np.testing.assert_allclose(intercept, ridge.intercept_, rtol=1e-8)


def test_leave_one_out_predictions_are_those_of_refits():
    X, Y, weight = make_case()
    smoother = RidgeSmoother(X.copy(), weight)
    penalties = [0.1, 0.7]
    path = list(smoother.loo_path(Y, penalties))
    for penalty, loo in zip(penalties, path, strict=True):
        smoother.set_penalty(penalty)
        np.testing.assert_allclose(smoother.loo_predictions(Y), loo, rtol=1e-10)
        for i in range(len(X)):
            keep = np.arange(len(X)) != i
            refit = Ridge(alpha=penalty).fit(X[keep], Y[keep], weight[keep])
            np.testing.assert_allclose(
                loo[i], refit.predict(X[[i]])[0], rtol=1e-7, atol=1e-9
            )
    errors = [np.average(((Y - loo) ** 2).sum(axis=1), weights=weight) for loo in path]
    np.testing.assert_allclose(smoother.loo_errors(Y, penalties), errors, rtol=1e-10)


@pytest.mark.parametrize("penalty", [0.1, 0.7])
def test_groups_leave_as_in_refits_without_them(penalty):
    X, Y, weight = make_case()
    # Fewer rows than columns, more, and the others one by one.
    groups = [np.array([1, 7]), np.array([0, 2, 3, 4, 5, 6, 20]), np.array([9, 10, 11])]
    smoother = RidgeSmoother(X.copy(), weight, groups)
    smoother.set_penalty(penalty)
    (path,) = smoother.loo_path(Y, [penalty])
    found = smoother.loo_predictions(Y)
    np.testing.assert_allclose(found, path, rtol=1e-10)
    alone = np.setdiff1d(np.arange(25), np.concatenate(groups))
    for rows in [*groups, *alone[:, None]]:
        keep = np.setdiff1d(np.arange(25), rows)
        refit = Ridge(alpha=penalty).fit(X[keep], Y[keep], weight[keep])
        # The refit is by another factorisation, on targets of size 1.
        np.testing.assert_allclose(found[rows], refit.predict(X[rows]), atol=1e-8)


def test_without_all_rows_the_mean_is_left():
    X, Y, weight = make_case()
    smoother = RidgeSmoother(X.copy(), weight, [np.arange(25)])
    smoother.set_penalty(0.5)
    expected = np.tile(np.average(Y, axis=0, weights=weight), (25, 1))
    np.testing.assert_allclose(smoother.loo_predictions(Y), expected)


def test_a_row_that_determines_its_fit_stays_finite():
    X = np.zeros((5, 1))
    X[0] = 1e6
    smoother = RidgeSmoother(X.copy(), np.ones(5))
    smoother.set_penalty(1e-12)
    assert np.isfinite(smoother.loo_predictions(np.eye(5))).all()
