"""Copies of rows in LeaveOneOutSearch: what is left out is all of them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.preprocessing import scale

from sklinfluence.datasets import flip_labels
from sklinfluence.model_selection import LeaveOneOutSearch

ALPHAS = {"alpha": [0.01, 0.1, 1.0, 10.0, 100.0]}
CS = {"C": [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0]}


def doubled(X, y):
    rows = np.random.default_rng(0).permutation(np.tile(np.arange(len(y)), 2))
    return X[rows], y[rows], rows


def small_diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X[:80]), y[:80]


@pytest.mark.parametrize("jitter", [0.0, 1e-4])
def test_ridge_scores_are_those_of_leaving_each_group_out(jitter):
    X, y, groups = doubled(*small_diabetes())
    X = X + jitter * np.random.default_rng(1).standard_normal(X.shape)
    search = LeaveOneOutSearch(Ridge(), ALPHAS, duplicates=0.01 if jitter else 0.0)
    search.fit(X, y)
    cv = GroupKFold(n_splits=80)
    grid = GridSearchCV(Ridge(), ALPHAS, cv=cv, scoring="neg_mean_squared_error")
    grid.fit(X, y, groups=groups)
    # A fold is a row and its copy, so that the mean over folds is that over rows.
    expected = grid.cv_results_["mean_test_score"]
    assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-8)
    assert search.best_params_ == grid.best_params_


@pytest.mark.parametrize("data", [load_breast_cancer, load_wine])
def test_the_same_c_as_by_folds_of_groups(data):
    X, y = data(return_X_y=True)
    y, _ = flip_labels(y, 0.2, random_state=0)
    X, y, groups = doubled(scale(X), y)
    model = LogisticRegression(max_iter=5000)
    search = LeaveOneOutSearch(model, CS).fit(X, y)
    grid = GridSearchCV(model, CS, cv=GroupKFold(10), scoring="neg_log_loss")
    grid.fit(X, y, groups=groups)
    assert search.best_params_ == grid.best_params_
    # One by one, rows are vouched for by their copies: the weakest penalty looks best.
    alone = LeaveOneOutSearch(model, CS, duplicates=None).fit(X, y)
    assert alone.best_params_["C"] > search.best_params_["C"]


@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(C=0.1)])
def test_a_weight_of_four_is_four_copies(model):
    X, y = small_diabetes()
    y = y > 150 if isinstance(model, LogisticRegression) else y
    name = "C" if isinstance(model, LogisticRegression) else "alpha"
    grid = {name: [0.1, 1.0, 10.0]}
    weighted = LeaveOneOutSearch(model, grid).fit(X, y, np.full(80, 4.0))
    copied = LeaveOneOutSearch(model, grid).fit(np.tile(X, (4, 1)), np.tile(y, 4))
    # Heads are polished to a relative move of 1e-7, and steps square what is left.
    found, expected = (s.cv_results_["mean_test_score"] for s in (copied, weighted))
    assert_allclose(found, expected, rtol=1e-6)


def test_distinct_rows_come_out_as_if_nobody_had_asked():
    X, y = small_diabetes()
    asked = LeaveOneOutSearch(Ridge(), ALPHAS).fit(X, y)
    unasked = LeaveOneOutSearch(Ridge(), ALPHAS, duplicates=None).fit(X, y)
    scores = [s.cv_results_["mean_test_score"] for s in (asked, unasked)]
    assert np.array_equal(*scores)


def test_tolerances_that_are_none_are_refused():
    X, y = small_diabetes()
    with pytest.raises(ValueError, match="'duplicates' parameter of LeaveOneOutSearch"):
        LeaveOneOutSearch(Ridge(), ALPHAS, duplicates=-1.0).fit(X, y)
