"""Rankers of a classifier say that they are one, so that their folds are stratified."""

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    KFold,
    StratifiedKFold,
    check_cv,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.retraining import ExpectedRanker

CLASSIFIERS = [
    InfluenceRanker(),
    InfluenceRanker(LogisticRegression()),
    InfluenceRanker(RidgeClassifier()),
    InfluenceRanker(make_pipeline(StandardScaler(), LogisticRegression())),
    RepresenterRanker(),
    ExpectedRanker(InfluenceRanker()),
    FilteredClassifier(LogisticRegression()),
]
REGRESSORS = [
    InfluenceRanker(Ridge()),
    RepresenterRanker(Ridge()),
    ExpectedRanker(InfluenceRanker(Ridge())),
    FilteredRegressor(Ridge()),
]
y = np.repeat([0, 1, 2], 10)


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_classifiers_are_stratified(model):
    for one in (model, make_pipeline(StandardScaler(), model)):
        assert is_classifier(one) and not is_regressor(one)
        cv = check_cv(3, y, classifier=is_classifier(one))
        assert isinstance(cv, StratifiedKFold)


def test_a_default_that_takes_both_is_stratified_for_classes_alone():
    real = np.linspace(0.0, 1.0, 30)
    cv = check_cv(3, real, classifier=is_classifier(InfluenceRanker()))
    assert isinstance(cv, KFold)


@pytest.mark.parametrize("model", REGRESSORS)
def test_regressors_are_not(model):
    assert is_regressor(model) and not is_classifier(model)


def test_a_fitted_ranker_stays_what_it_was():
    X = np.random.default_rng(0).standard_normal((30, 2))
    ranker = InfluenceRanker(LogisticRegression()).fit(X, y)
    assert is_classifier(ranker) and is_classifier(FrozenEstimator(ranker))
    held_out = cross_val_predict(clone(ranker), X, y, cv=3, method="predict_proba")
    assert held_out.shape == (30, 3)


@pytest.mark.parametrize("detector", [MislabelFilter(), MislabelSampler()])
def test_filters_predict_nothing_and_say_what_to_pass(detector):
    assert not is_classifier(detector)
    assert "``StratifiedKFold``" in type(detector).__doc__
