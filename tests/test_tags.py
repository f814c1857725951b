"""Rankers of a classifier say that they are one, so that their folds are stratified."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    KFold,
    StratifiedKFold,
    check_cv,
    cross_val_predict,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sklinfluence import gradient, neighbors, retraining
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.neighbors import KNNLeaveOneOutRanker, KNNShapleyRanker
from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DataOOBRanker,
    DownsamplingRanker,
    ExpectedRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)

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


@pytest.mark.parametrize(
    "ranker", [InfluenceRanker, RepresenterRanker, ShapleyRanker, LeaveOneOutRanker]
)
def test_rankers_take_one_label_a_row_of_models_that_take_many(ranker):
    model = KNeighborsClassifier()
    assert get_tags(model).classifier_tags.multi_label
    tags = get_tags(ranker(model))
    assert not tags.classifier_tags.multi_label
    assert not tags.target_tags.multi_output


OF_REAL_TARGETS = [
    InfluenceRanker(Ridge()),
    RepresenterRanker(Ridge()),
    ExpectedRanker(InfluenceRanker(Ridge()), n_estimators=2),
    KNNShapleyRanker(),
    KNNLeaveOneOutRanker(),
    LeaveOneOutRanker(Ridge()),
    DataOOBRanker(RandomForestRegressor(3)),
    *(
        sampled(Ridge(), max_evaluations=10)
        for sampled in (ShapleyRanker, BanzhafRanker, AMERanker, DownsamplingRanker)
    ),
]


def test_every_public_ranker_is_in_the_list():
    public = {
        kind
        for package in (gradient, neighbors, retraining)
        for kind in map(vars(package).get, package.__all__)
        if isinstance(kind, type) and issubclass(kind, BaseEstimator)
    }
    assert public == {type(ranker) for ranker in OF_REAL_TARGETS}


@pytest.mark.parametrize("ranker", OF_REAL_TARGETS, ids=lambda r: type(r).__name__)
def test_rankers_take_as_many_targets_as_they_say(ranker):
    X = np.random.default_rng(0).standard_normal((20, 3))
    Y = X[:, :2]
    if get_tags(ranker).target_tags.multi_output:
        ranker.fit(X, Y)
        return
    with pytest.raises(ValueError, match=r"should be a 1d array.*\(20, 2\)"):
        ranker.fit(X, Y)


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
