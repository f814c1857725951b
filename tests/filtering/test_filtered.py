"""FilteredClassifier and FilteredRegressor: rows, weights, delegation, routing."""

import pickle

import numpy as np
import pandas as pd
import pytest
from imblearn.under_sampling import EditedNearestNeighbours
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
)
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker


@pytest.mark.parametrize("convert", [np.asarray, np.ndarray.tolist, sparse.csr_array])
@pytest.mark.parametrize("detector", [None, MislabelFilter(), MislabelSampler()])
def test_is_a_fit_on_the_kept_rows(noisy_blobs, detector, convert):
    X, y, wrong = noisy_blobs
    model = FilteredClassifier(LogisticRegression(), detector).fit(convert(X), y)
    expected = LogisticRegression().fit(X[~wrong], y[~wrong])
    assert_array_equal(model.sample_indices_, np.flatnonzero(~wrong))
    assert_array_equal(model.classes_, expected.classes_)
    assert_allclose(model.decision_function(X), expected.decision_function(X))
    assert_allclose(model.predict_proba(X), expected.predict_proba(X))
    assert_allclose(model.predict_log_proba(X), expected.predict_log_proba(X))
    assert_array_equal(model.predict(X), expected.predict(X))
    assert model.score(X, y) == expected.score(X, y)


def test_a_relabelling_sampler_has_its_action_taken(noisy_blobs):
    X, y, wrong = noisy_blobs
    model = FilteredClassifier(
        KNeighborsClassifier(1), MislabelSampler(action="relabel")
    )
    model.fit(X, y)
    assert_array_equal(model.predict(X) != y, wrong)


def test_samplers_of_imbalanced_learn_are_taken(noisy_blobs):
    X, y, _ = noisy_blobs
    sampler = EditedNearestNeighbours()
    weight = np.arange(1.0, 61)
    model = FilteredClassifier(LogisticRegression(), sampler)
    model.fit(X, y, sample_weight=weight)
    X_kept, y_kept = sampler.fit_resample(X, y)
    rows = sampler.sample_indices_
    expected = LogisticRegression().fit(X_kept, y_kept, weight[rows])
    assert_allclose(model.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("detector", [MislabelFilter(), MislabelSampler()])
def test_weights_are_dropped_with_their_rows(noisy_blobs, detector):
    X, y, _ = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 5, 60)
    model = FilteredClassifier(LogisticRegression(), detector)
    model.fit(X, y, sample_weight=list(weight))
    kept = detector.fit(X, y, sample_weight=weight).get_support()
    assert not kept.all()
    expected = LogisticRegression().fit(X[kept], y[kept], weight[kept])
    assert_allclose(model.predict_proba(X), expected.predict_proba(X))
    scored = model.score(X, y, sample_weight=weight)
    assert scored == expected.score(X, y, weight)


def test_weights_by_a_step_name_reach_the_estimator_alone(noisy_blobs):
    X, y, wrong = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 5, 60)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    model = FilteredClassifier(pipe).fit(X, y, logisticregression__sample_weight=weight)
    scaled = StandardScaler().fit(X[~wrong]).transform(X)
    expected = LogisticRegression().fit(scaled[~wrong], y[~wrong], weight[~wrong])
    assert_allclose(model.predict_proba(X), expected.predict_proba(scaled))


def test_groups_go_to_the_filter_that_has_folds(noisy_blobs):
    X, y, _ = noisy_blobs
    groups = np.arange(60) % 6
    detector = MislabelFilter(cv=GroupKFold(3), random_state=0)
    model = FilteredClassifier(LogisticRegression(), detector)
    model.fit(X, y, groups=groups)
    assert_array_equal(model.filter_.scores_, detector.fit(X, y, groups=groups).scores_)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=GroupKFold(3))
    FilteredClassifier(search).fit(X, y, groups=groups)


def test_routing_sends_metadata_where_they_are_asked_for(noisy_blobs):
    X, y, _ = noisy_blobs
    weight = np.random.default_rng(0).uniform(0.1, 5, 60)
    with config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True)
        estimator.set_score_request(sample_weight=True)
        asking = MislabelFilter().set_fit_request(sample_weight=True, groups=False)
        silent = MislabelFilter().set_fit_request(sample_weight=False, groups=False)
        sampler = MislabelSampler().set_fit_request(sample_weight=True, groups=False)
        for detector, filter_weight in [
            (None, weight),
            (asking, weight),
            (silent, None),
            (sampler, weight),
        ]:
            model = FilteredClassifier(estimator, detector)
            pipe = make_pipeline(MinMaxScaler(), model)
            pipe.fit(X, y, sample_weight=weight)
            scaled = MinMaxScaler().fit_transform(X)
            kept = MislabelFilter().fit(scaled, y, filter_weight).get_support()
            expected = LogisticRegression().fit(scaled[kept], y[kept], weight[kept])
            assert_allclose(pipe.predict_proba(X), expected.predict_proba(scaled))
            score = pipe.score(X, y, sample_weight=weight)
            assert score == expected.score(scaled, y, weight)


def test_last_step_of_a_pipeline_in_a_grid_search(noisy_blobs):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(InfluenceRanker(LogisticRegression()))
    pipe = make_pipeline(
        StandardScaler(), FilteredClassifier(DecisionTreeClassifier(), detector)
    )
    grid = {
        "filteredclassifier__filter__ranker__estimator__C": [0.1, 1],
        "filteredclassifier__estimator__max_depth": [1, None],
    }
    search = GridSearchCV(pipe, grid, error_score="raise").fit(X, y)
    assert search.best_params_["filteredclassifier__estimator__max_depth"] is None
    assert search.best_score_ > 0.85


def test_inside_other_meta_estimators(noisy_blobs):
    X, y, _ = noisy_blobs
    filtered = FilteredClassifier(KNeighborsClassifier())
    vote = VotingClassifier([("a", filtered), ("b", LogisticRegression())])
    assert cross_val_score(vote, X, y, error_score="raise").mean() > 0.85


def test_methods_are_those_of_the_estimator(noisy_blobs):
    X, y, _ = noisy_blobs
    model = FilteredClassifier(LinearSVC())
    assert hasattr(model, "decision_function")
    assert not hasattr(model, "predict_proba")
    assert not hasattr(model.fit(X, y), "predict_proba")
    assert not hasattr(FilteredRegressor(Ridge()), "decision_function")


def test_tables_text_and_pickles(noisy_blobs):
    X, y, _ = noisy_blobs
    table = pd.DataFrame(X, columns=["width", "height"])
    model = FilteredClassifier(LogisticRegression()).fit(table, pd.Series(y))
    assert_array_equal(model.feature_names_in_, ["width", "height"])
    assert_array_equal(model.estimator_.feature_names_in_, ["width", "height"])
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict(table), model.predict(table))
    text = ["good fine nice"] * 10 + ["bad poor ugly"] * 10
    sentiment = np.repeat([1, 0], 10)
    sentiment[0] = 0
    bag = make_pipeline(CountVectorizer(), LogisticRegression())
    # Equal texts are cases of their own here, which speak for one another.
    detector = MislabelFilter(InfluenceRanker(bag), duplicates=None)
    model = FilteredClassifier(bag, detector)
    model.fit(text, sentiment)
    assert_array_equal(model.sample_indices_, np.arange(1, 20))
    assert model.predict(["nice"]) == [1]


def test_regression_is_a_fit_on_the_kept_rows(noisy_line):
    X, y, wrong = noisy_line
    weight = np.random.default_rng(0).uniform(0.5, 2, 80)
    model = FilteredRegressor(LinearRegression()).fit(X, y, sample_weight=weight)
    kept = model.sample_indices_
    assert not wrong[kept].any()
    expected = LinearRegression().fit(X[kept], y[kept], weight[kept])
    assert_allclose(model.predict(X), expected.predict(X))
    # A share, by weight.
    ranker = InfluenceRanker(LinearRegression())
    share = weight[wrong].sum() / weight.sum()
    detector = MislabelFilter(ranker, contamination=share)
    model = FilteredRegressor(LinearRegression(), detector)
    model.fit(X, y, sample_weight=weight)
    assert_array_equal(model.sample_indices_, np.flatnonzero(~wrong))
    expected = LinearRegression().fit(X[~wrong], y[~wrong], weight[~wrong])
    assert_allclose(model.predict(X), expected.predict(X))
    assert_allclose(model.score(X, y), expected.score(X, y))


def test_regression_on_integers_stays_regression(noisy_line):
    X, y, wrong = noisy_line
    y = np.round(y).astype(int)
    by_integers = FilteredRegressor(Ridge()).fit(X, y)
    by_floats = FilteredRegressor(Ridge()).fit(X, y.astype(float))
    assert_allclose(by_integers.filter_.scores_, by_floats.filter_.scores_)
    assert not by_integers.filter_.get_support()[wrong].any()
    relabel = FilteredRegressor(Ridge(), MislabelSampler(action="relabel")).fit(X, y)
    assert relabel.filter_.suggested_labels_.dtype.kind == "f"


def test_gross_errors_leave_the_line_where_it_was(noisy_line):
    X, y, _ = noisy_line
    truth = X @ [1.0, -2.0, 0.5] + 3
    filtered = FilteredRegressor(LinearRegression()).fit(X, y)
    plain = LinearRegression().fit(X, y)
    assert filtered.score(X, truth) > max(0.99, plain.score(X, truth))
    assert filtered.score(X, truth) > HuberRegressor().fit(X, y).score(X, truth) - 0.01


@pytest.mark.parametrize(
    ("model", "target", "message"),
    [
        (
            FilteredClassifier(RidgeClassifier()),
            "real",
            "Unknown label type: continuous",
        ),
        (
            FilteredClassifier(
                RidgeClassifier(), MislabelFilter(InfluenceRanker(Ridge()))
            ),
            "integer",
            "FilteredClassifier needs a filter of its own kind, .* treats y as real "
            "targets. Give the filter a ranker around a classifier",
        ),
        (
            FilteredRegressor(
                Ridge(), MislabelFilter(InfluenceRanker(RidgeClassifier()))
            ),
            "integer",
            "FilteredRegressor needs a filter of its own kind, .* treats y as classes. "
            "Give the filter a ranker around a regressor",
        ),
    ],
)
def test_tasks_that_do_not_match(noisy_line, model, target, message):
    X, y, _ = noisy_line
    y = y if target == "real" else (y > 3).astype(int)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_weights_cannot_be_cut_to_rows_that_are_not_known(noisy_blobs):
    X, y, _ = noisy_blobs

    class Halve:
        def get_params(self, deep=False):
            return {}

        def fit_resample(self, X, y):
            return X[::2], y[::2]

        def __sklearn_tags__(self):
            return MislabelSampler().__sklearn_tags__()

    model = FilteredClassifier(LogisticRegression(), Halve()).fit(X, y)
    assert not hasattr(model, "sample_indices_")
    with pytest.raises(ValueError, match=r"Halve does not say which rows it kept"):
        model.fit(X, y, sample_weight=np.ones(60))
