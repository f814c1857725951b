"""Scores by rankers that never saw the row's fold, against scikit-learn's own folds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
)
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker

model = LogisticRegression()


def given_probability(probabilities, y):
    return probabilities[np.arange(len(y)), np.searchsorted(np.unique(y), y)]


@pytest.mark.parametrize(
    "cv", [3, StratifiedKFold(4, shuffle=True, random_state=0), KFold(5)]
)
def test_scores_are_those_of_cross_validation(noisy_blobs, cv):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(
        InfluenceRanker(model), label_score="loo_loss", cv=cv
    ).fit(X, y)
    probabilities = cross_val_predict(model, X, y, cv=cv, method="predict_proba")
    quality = given_probability(probabilities, y)
    # The ranker polishes each fold's model to its optimum; scikit-learn stops early.
    assert_allclose(detector.label_quality_, quality, atol=1e-3)
    assert_allclose(detector.scores_, -np.log(quality), atol=1e-2)


def test_groups_are_kept_together(noisy_blobs):
    X, y, _ = noisy_blobs
    groups = np.arange(len(y)) % 7
    ranker = InfluenceRanker(model)
    detector = MislabelFilter(ranker, label_score="loo_loss", cv=GroupKFold(3))
    detector.fit(X, y, groups=groups)
    probabilities = cross_val_predict(
        model, X, y, cv=GroupKFold(3), groups=groups, method="predict_proba"
    )
    quality = given_probability(probabilities, y)
    assert_allclose(detector.label_quality_, quality, atol=1e-3)


def test_splits_given_as_an_iterable(noisy_blobs):
    X, y, _ = noisy_blobs
    splits = list(KFold(3).split(X))
    by_list = MislabelFilter(cv=splits, random_state=0).fit(X, y)
    by_splitter = MislabelFilter(cv=KFold(3), random_state=0).fit(X, y)
    assert_array_equal(by_list.scores_, by_splitter.scores_)


def test_repeated_folds_are_averaged(noisy_blobs):
    X, y, _ = noisy_blobs
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    quality = np.zeros(len(y))
    for train, test in cv.split(X, y):
        fold = clone(model).fit(X[train], y[train])
        quality[test] += given_probability(fold.predict_proba(X[test]), y[test]) / 2
    detector = MislabelFilter(
        InfluenceRanker(model), label_score="loo_loss", cv=cv
    ).fit(X, y)
    assert_allclose(detector.label_quality_, quality, atol=1e-3)


def test_rows_that_no_fold_holds_out_keep_their_leave_one_out_score(noisy_blobs):
    X, y, _ = noisy_blobs
    cv = ShuffleSplit(n_splits=1, test_size=0.3, random_state=0)
    ((_, test),) = cv.split(X)
    by_folds = MislabelFilter(cv=cv, random_state=0).fit(X, y)
    leave_one_out = MislabelFilter(random_state=0).fit(X, y)
    rest = np.setdiff1d(np.arange(len(y)), test)
    assert_array_equal(by_folds.scores_[rest], leave_one_out.scores_[rest])
    assert np.all(by_folds.scores_[test] != leave_one_out.scores_[test])


def test_rows_of_a_class_that_their_fold_never_saw(noisy_blobs):
    X, y, _ = noisy_blobs
    y = y.copy()
    y[:3] = "yew"
    cv = [(np.arange(3, 60), np.arange(6)), (np.arange(6), np.arange(6, 60))]
    by_folds = MislabelFilter(cv=cv, random_state=0).fit(X, y)
    leave_one_out = MislabelFilter(random_state=0).fit(X, y)
    # The first fold's ranker knows nothing of yews; the other labels it knows.
    assert_array_equal(by_folds.scores_[:3], leave_one_out.scores_[:3])
    assert np.all(by_folds.scores_[3:6] != leave_one_out.scores_[3:6])


def test_folds_of_one_class_leave_all_rows_to_leave_one_out(noisy_blobs):
    X, y, _ = noisy_blobs
    X, y = X[y != "cedar"], y[y != "cedar"]
    groups = (y == "ash").astype(int)
    by_class = MislabelFilter(cv=LeaveOneGroupOut(), random_state=0)
    by_class.fit(X, y, groups=groups)
    leave_one_out = MislabelFilter(random_state=0).fit(X, y)
    assert_array_equal(by_class.scores_, leave_one_out.scores_)


def test_sample_weight_reaches_every_fold(noisy_blobs):
    X, y, _ = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
    quality = np.zeros(len(y))
    for train, test in KFold(3).split(X):
        fold = clone(model).fit(X[train], y[train], weight[train])
        quality[test] = given_probability(fold.predict_proba(X[test]), y[test])
    detector = MislabelFilter(
        InfluenceRanker(model), label_score="loo_loss", cv=KFold(3)
    )
    detector.fit(X, y, sample_weight=weight)
    assert_allclose(detector.label_quality_, quality, atol=1e-3)


def test_regression_folds_are_prediction_intervals(noisy_line):
    X, y, _ = noisy_line
    # A number as threshold: no gross errors are taken out first.
    ranker = InfluenceRanker(LinearRegression())
    detector = MislabelFilter(ranker, threshold=3.0, cv=KFold(4)).fit(X, y)
    predicted = cross_val_predict(LinearRegression(), X, y, cv=KFold(4))
    assert_allclose(detector.suggested_labels_, predicted, rtol=1e-9)
    train, test = next(KFold(4).split(X))
    frame = (
        OLS(y[train], add_constant(X[train]))
        .fit()
        .get_prediction(add_constant(X[test]))
    )
    studentized = np.abs(y[test] - frame.predicted_mean) / frame.se_obs
    assert_allclose(detector.scores_[test], studentized, rtol=1e-8)


def test_flags_by_folds_find_the_wrong_rows(noisy_blobs):
    X, y, wrong = noisy_blobs
    detector = MislabelFilter(label_score="loo_loss", cv=5).fit(X, y)
    assert_array_equal(~detector.get_support(), wrong)
