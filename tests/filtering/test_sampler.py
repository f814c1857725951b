"""MislabelSampler: which rows and labels leave it, and in which Pipeline it works."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.gradient import InfluenceRanker


def test_drop(noisy_blobs):
    X, y, wrong = noisy_blobs
    sampler = MislabelSampler()
    X_kept, y_kept = sampler.fit_resample(X, y)
    assert_array_equal(sampler.sample_indices_, np.flatnonzero(~wrong))
    assert_array_equal(X_kept, X[~wrong])
    assert_array_equal(y_kept, y[~wrong])


def test_relabel(noisy_blobs):
    X, y, wrong = noisy_blobs
    given = y.copy()
    sampler = MislabelSampler(action="relabel")
    X_all, y_new = sampler.fit_resample(X, y)
    assert_array_equal(X_all, X)
    assert_array_equal(y_new != y, wrong)
    assert_array_equal(y_new[wrong], sampler.suggested_labels_[wrong])
    assert_array_equal(sampler.sample_indices_, np.arange(60))
    assert_array_equal(y, given)


@pytest.mark.parametrize("action", ["drop", "relabel"])
@pytest.mark.parametrize("convert", [list, pd.Series, pl.Series, pd.DataFrame])
def test_containers_of_y(noisy_blobs, convert, action):
    X, y, _ = noisy_blobs
    sampler = MislabelSampler(action=action)
    _, expected = sampler.fit_resample(X, y)
    given = convert(y)
    _, labels = sampler.fit_resample(X, given)
    if not (convert is pl.Series and action == "relabel"):
        assert type(labels) is type(given)
    assert_array_equal(np.ravel(labels), expected)
    assert_array_equal(np.ravel(given), y)


def test_categorical_labels_keep_their_type(noisy_blobs):
    X, y, wrong = noisy_blobs
    labels = pd.Series(y, dtype="category", index=np.arange(60) + 100)
    _, relabelled = MislabelSampler(action="relabel").fit_resample(X, labels)
    assert relabelled.dtype == labels.dtype
    assert_array_equal(relabelled.index, labels.index)
    assert_array_equal(relabelled != labels, wrong)


@pytest.mark.parametrize("convert", [np.asarray, list, pd.Series])
def test_relabelled_targets_are_leave_one_out_predictions(noisy_line, convert):
    X, y, wrong = noisy_line
    y = np.round(y).astype(int)
    ranker = InfluenceRanker(LinearRegression())
    # A number as threshold: no gross errors are taken out first.
    sampler = MislabelSampler(ranker, action="relabel", threshold=3.0)
    _, y_new = sampler.fit_resample(X, convert(y))
    y_new = np.asarray(y_new)
    flagged = ~sampler.get_support()
    assert flagged[wrong].all()
    assert_array_equal(y_new[~flagged], y[~flagged])
    for row in np.flatnonzero(flagged):
        refit = LinearRegression().fit(np.delete(X, row, 0), np.delete(y, row))
        assert_allclose(y_new[row], refit.predict(X[row : row + 1])[0], rtol=1e-9)


def test_flags_are_those_of_the_filter(noisy_blobs):
    X, y, _ = noisy_blobs
    settings = {"label_score": "loo_margin", "contamination": 0.2, "cv": 3}
    sampler = MislabelSampler(**settings).fit(X, y)
    detector = MislabelFilter(**settings).fit(X, y)
    assert_array_equal(sampler.get_support(), detector.get_support())


@pytest.mark.parametrize("ranker", [None, InfluenceRanker(LogisticRegression())])
def test_numbers_are_those_of_the_filter(noisy_blobs, ranker):
    """One base for both: only what is done with the flags is another."""
    X, y, _ = noisy_blobs
    sampler = MislabelSampler(ranker, random_state=0).fit(X, y)
    detector = MislabelFilter(ranker, random_state=0).fit(X, y)
    for name in ("scores_", "threshold_", "label_quality_", "suggested_labels_"):
        assert_array_equal(getattr(sampler, name), getattr(detector, name))
    for indices in (False, True):
        assert_array_equal(sampler.get_support(indices), detector.get_support(indices))
    assert sampler.report().equals(detector.report())
    ours, theirs = (d.score_samples(X[:9], y[:9]) for d in (sampler, detector))
    assert_array_equal(ours, theirs)


def test_no_transform_that_a_pipeline_could_take_for_it():
    for method in ("transform", "fit_transform", "score", "predict"):
        assert not hasattr(MislabelSampler(), method)


def test_imblearn_pipeline_drops_in_fit_and_nothing_afterwards(noisy_blobs):
    X, y, wrong = noisy_blobs
    pipe = make_imblearn_pipeline(
        StandardScaler(), MislabelSampler(), LogisticRegression()
    ).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    expected = LogisticRegression().fit(scaled[~wrong], y[~wrong])
    assert_allclose(pipe[-1].coef_, expected.coef_)
    assert pipe.predict(X).shape == (60,)
    assert pipe.score(X[wrong], y[wrong]) == 0


def test_imblearn_pipeline_in_a_grid_search(noisy_line):
    X, y, _ = noisy_line
    pipe = make_imblearn_pipeline(
        StandardScaler(), MislabelSampler(InfluenceRanker(Ridge())), Ridge()
    )
    grid = {
        "mislabelsampler__action": ["drop", "relabel"],
        "mislabelsampler__ranker__estimator__alpha": [0.1, 10],
    }
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise").fit(X, y)
    assert search.best_score_ > GridSearchCV(Ridge(), {}, cv=3).fit(X, y).best_score_


def test_scikit_learn_pipeline_refuses_it_in_its_own_words(noisy_blobs):
    X, y, _ = noisy_blobs
    pipe = make_pipeline(StandardScaler(), MislabelSampler(), LogisticRegression())
    with pytest.raises(TypeError) as error:
        pipe.fit(X, y)
    quoted = " ".join(MislabelSampler.__doc__.split())
    assert f"TypeError: {error.value}" in quoted
    assert "FilteredClassifier(estimator, filter=MislabelSampler())" in quoted
