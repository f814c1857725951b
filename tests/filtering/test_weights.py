"""Weights: named in every fit, None as absent, refused by name where none are taken."""

import inspect

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, RANSACRegressor
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.validation import has_fit_parameter

from sklinfluence import filtering, gradient, model_selection
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)

PUBLIC = [
    getattr(topic, name)
    for topic in (filtering, gradient, model_selection)
    for name in topic.__all__
    if hasattr(getattr(topic, name), "fit")
]


@pytest.mark.parametrize("method", ["fit", "fit_resample", "fit_transform"])
@pytest.mark.parametrize("cls", PUBLIC)
def test_sample_weight_is_named(cls, method):
    function = getattr(cls, method, None)
    if function is None or not function.__module__.startswith("sklinfluence"):
        pytest.skip(f"no {method} of its own")
    assert "sample_weight" in inspect.signature(function).parameters


def test_meta_estimators_of_scikit_learn_pass_weights_on(noisy_blobs):
    X, y, _ = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 5, 60)
    seen = []

    class Tree(DecisionTreeClassifier):
        def fit(self, X, y, sample_weight=None):
            seen.append(sample_weight)
            return super().fit(X, y, sample_weight)

    tree = Tree(max_depth=1, random_state=0)
    detector = MislabelSampler(action="relabel", random_state=0)
    model = FilteredClassifier(tree, detector)
    assert has_fit_parameter(model, "sample_weight")
    MultiOutputClassifier(model).fit(X, np.c_[y, y], sample_weight=weight)
    assert_allclose(seen, [weight, weight])
    seen.clear()
    CalibratedClassifierCV(model, cv=3).fit(X, y, sample_weight=weight)
    assert len(seen) == 3 and all(np.isin(given, weight).all() for given in seen)
    AdaBoostClassifier(model, n_estimators=3, random_state=0).fit(X, y)


def test_ransac_takes_a_filtered_regressor(noisy_line):
    X, y, _ = noisy_line
    quick = MislabelFilter(pool=("linear",))
    inner = FilteredRegressor(DecisionTreeRegressor(random_state=0), quick)
    model = RANSACRegressor(inner, min_samples=40, random_state=0)
    assert model.fit(X, y, sample_weight=np.ones(80)).n_trials_ >= 1


@pytest.mark.parametrize("data", ["noisy_blobs", "noisy_line"])
def test_none_is_the_same_as_absent(data, request):
    X, y, _ = request.getfixturevalue(data)
    is_real = data == "noisy_line"
    neighbors = KNeighborsRegressor(1) if is_real else KNeighborsClassifier(1)
    door = FilteredRegressor if is_real else FilteredClassifier
    expected = door(neighbors).fit(X, y).predict(X)
    model = door(neighbors).fit(X, y, sample_weight=None, groups=None)
    assert np.array_equal(model.predict(X), expected)
    assert model.score(X, y, sample_weight=None) == door(neighbors).fit(X, y).score(
        X, y
    )


@pytest.mark.parametrize(
    "estimator",
    [
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), KNeighborsClassifier()),
    ],
    ids=["alone", "in a Pipeline"],
)
@pytest.mark.parametrize("detector", [None, MislabelSampler()])
def test_an_estimator_that_takes_no_weights_is_refused_by_name(
    noisy_blobs, estimator, detector
):
    X, y, _ = noisy_blobs
    model = FilteredClassifier(estimator, detector)
    with pytest.raises(ValueError, match="fit of KNeighborsClassifier does not take"):
        model.fit(X, y, sample_weight=np.ones(60))
    assert not hasattr(model, "filter_") or not hasattr(model.filter_, "scores_")


def test_a_ranker_that_takes_no_weights_is_refused_by_name(noisy_blobs):
    X, y, _ = noisy_blobs

    class Weightless(gradient.InfluenceRanker):
        def fit(self, X, y=None):
            return super().fit(X, y)

    detector = MislabelFilter(Weightless(LogisticRegression()), label_score="loo_loss")
    detector.fit(X, y, sample_weight=None)
    with pytest.raises(ValueError, match="fit of Weightless does not take"):
        detector.fit(X, y, sample_weight=np.ones(60))


def test_weights_reach_the_last_step_of_a_pipeline(noisy_blobs):
    X, y, _ = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 5, 60)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    model = FilteredClassifier(pipe).fit(X, y, sample_weight=weight)
    rows = model.sample_indices_
    scaled = StandardScaler().fit(X[rows]).transform(X)
    expected = LogisticRegression().fit(scaled[rows], y[rows], weight[rows])
    assert_allclose(model.predict_proba(X), expected.predict_proba(scaled))


def test_ensembles_that_pass_weights_on_are_given_them(noisy_blobs):
    # fit(X, y, **fit_params): the signature alone does not tell.
    X, y, _ = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 5, 60)
    vote = VotingClassifier([("a", LogisticRegression())], voting="soft")
    model = FilteredClassifier(vote).fit(X, y, sample_weight=weight)
    rows = model.sample_indices_
    expected = LogisticRegression().fit(X[rows], y[rows], weight[rows])
    assert_allclose(model.predict_proba(X), expected.predict_proba(X))
