"""Rows with holes: whether they are taken is the inner estimator's to say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.filtering import (
    FilteredClassifier,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker

imputing = InfluenceRanker(make_pipeline(SimpleImputer(), LogisticRegression()))


@pytest.fixture
def holes(noisy_blobs):
    X, y, _ = noisy_blobs
    X = X.copy()
    X[::9, 0] = np.nan
    return X, y


@pytest.mark.parametrize("frame", [np.asarray, pd.DataFrame])
@pytest.mark.parametrize("in_training", [True, False])
@pytest.mark.parametrize("detector", [MislabelFilter, MislabelSampler])
def test_new_rows_are_taken_as_training_rows_are(
    holes, noisy_blobs, frame, in_training, detector
):
    X, y = holes
    whole = X if in_training else noisy_blobs[0]
    fitted = detector(imputing).fit(frame(whole), y)
    assert np.isfinite(fitted.score_samples(frame(X), y)).all()
    if detector is MislabelFilter:
        assert np.isnan(np.asarray(fitted.transform(frame(X)))).any()
    forest = RandomForestClassifier(random_state=0)
    for door in [
        FilteredClassifier(forest, detector(imputing)),
        *([make_pipeline(MislabelFilter(imputing), forest)] if in_training else []),
    ]:
        assert door.fit(frame(whole), y).score(frame(X), y) > 0.8


@pytest.mark.parametrize(
    "estimator", [HistGradientBoostingClassifier(), DecisionTreeClassifier()]
)
def test_new_rows_are_the_estimators_business_alone(holes, noisy_blobs, estimator):
    X, y = holes
    # No training row has a hole.
    model = FilteredClassifier(estimator).fit(noisy_blobs[0], y)
    assert model.predict(X).shape == (60,)
    assert model.fit(X, y).predict(X).shape == (60,)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_takes_none_says_so_itself(noisy_blobs, bad):
    X, y, _ = noisy_blobs
    new = X.copy()
    new[3, 1] = bad
    detector = MislabelFilter(InfluenceRanker(LogisticRegression())).fit(X, y)
    for method in (detector.transform, detector.score_samples):
        with pytest.raises(ValueError, match="Input X contains"):
            method(new)
    filtered = FilteredClassifier(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="Input X contains"):
        filtered.predict(new)


def test_holes_among_strings(noisy_blobs):
    _, y, _ = noisy_blobs
    words = np.where(y == "ash", "grey", "brown").astype(object)[:, None]
    ranker = InfluenceRanker(make_pipeline(OneHotEncoder(), LogisticRegression()))
    detector = MislabelFilter(ranker).fit(pd.DataFrame(words, columns=["colour"]), y)
    new = pd.DataFrame({"colour": ["grey", np.nan]}, dtype=object)
    with pytest.raises(ValueError, match="unknown categories"):
        detector.transform(new)
    assert len(detector.transform(new[:1])) == 1
