"""What is taken for a filter of rows, and for which rows."""

import numpy as np
import pytest
from imblearn.under_sampling import RandomUnderSampler
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import (
    RFE,
    SelectFdr,
    SelectFromModel,
    SelectKBest,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker


class ColumnSelector(BaseEstimator):
    """A selector of columns that is none of scikit-learn's."""

    def fit(self, X, y):
        self.n_columns_ = X.shape[1]
        return self

    def get_support(self, indices=False):
        return np.arange(self.n_columns_) if indices else np.ones(self.n_columns_)


NO_FILTERS = [
    SelectKBest(k=1),
    SelectFdr(),
    VarianceThreshold(),
    SelectFromModel(LogisticRegression()),
    RFE(LogisticRegression()),
    SequentialFeatureSelector(LogisticRegression()),
    FrozenEstimator(VarianceThreshold()),
    ColumnSelector(),
    StandardScaler(),
    RandomForestClassifier(),
    InfluenceRanker(),
]


@pytest.mark.parametrize("model", [FilteredClassifier, FilteredRegressor])
@pytest.mark.parametrize("selector", NO_FILTERS, ids=lambda s: type(s).__name__)
def test_what_is_no_row_filter_is_refused_by_name(noisy_blobs, model, selector):
    X, y, _ = noisy_blobs
    inner = getattr(selector, "estimator", selector)
    held = inner if isinstance(selector, FrozenEstimator) else selector
    with pytest.raises(TypeError, match=rf"filter={type(held).__name__}\(.*no filter"):
        model(LogisticRegression(), selector).fit(X, y)


def test_a_frozen_sampler_of_another_package_cannot_resample(noisy_blobs):
    X, y, _ = noisy_blobs
    frozen = FrozenEstimator(RandomUnderSampler().fit(X, y))
    with pytest.raises(TypeError, match=r"RandomUnderSampler.*pass it unfrozen"):
        FilteredClassifier(LogisticRegression(), frozen).fit(X, y)


DETECTORS = [
    MislabelFilter(random_state=0),
    MislabelSampler(random_state=0),
    MislabelSampler(action="relabel", random_state=0),
]


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_fitted_filter_is_for_the_rows_it_was_fitted_on(noisy_blobs, detector):
    X, y, _ = noisy_blobs
    detector.fit(X, y)
    indices, scores = detector.sample_indices_, detector.scores_
    frozen = FilteredClassifier(LogisticRegression(), FrozenEstimator(detector))
    expected = FilteredClassifier(LogisticRegression(), detector).fit(X, y)
    assert_array_equal(frozen.fit(X, y).sample_indices_, expected.sample_indices_)
    assert_allclose(frozen.decision_function(X), expected.decision_function(X))
    # Frozen is frozen: the user's own filter is not fitted again.
    assert detector.scores_ is scores and detector.sample_indices_ is indices
    for rows in [slice(0, 40), np.arange(80) % 60]:
        message = f"fitted on 60 rows, and there are {len(X[rows])}"
        with pytest.raises(ValueError, match=message):
            frozen.fit(X[rows], y[rows])
    with pytest.raises(ValueError, match="fitted on 60 rows, and there are 40"):
        GridSearchCV(frozen, {"estimator__C": [1]}, cv=3, error_score="raise").fit(X, y)


def test_a_fitted_filter_of_targets(noisy_line):
    X, y, _ = noisy_line
    detector = MislabelSampler(InfluenceRanker(Ridge()), action="relabel").fit(X, y)
    frozen = FilteredRegressor(LinearRegression(), FrozenEstimator(detector))
    expected = FilteredRegressor(LinearRegression(), detector).fit(X, y)
    assert_allclose(frozen.fit(X, y).predict(X), expected.predict(X))
    with pytest.raises(ValueError, match="fitted on 80 rows, and there are 79"):
        frozen.fit(X[1:], y[1:])


@pytest.mark.parametrize("ranker_class", [InfluenceRanker, RepresenterRanker])
def test_a_fitted_ranker_is_for_the_rows_it_was_fitted_on(noisy_blobs, ranker_class):
    X, y, _ = noisy_blobs
    ranker = ranker_class(LogisticRegression()).fit(X[:40], y[:40])
    detector = MislabelFilter(
        FrozenEstimator(ranker), label_score="self_influence", contamination=0.1
    )
    detector.fit(X[:40], y[:40])
    with pytest.raises(ValueError, match="scores 40 rows, and fit got 60"):
        detector.fit(X, y)
    with pytest.raises(ValueError, match="a FrozenEstimator is never fitted"):
        detector.set_params(cv=3).fit(X[:40], y[:40])


def test_a_sampler_that_miscounts_its_rows_is_refused(noisy_blobs):
    X, y, _ = noisy_blobs

    class Miscounts(RandomUnderSampler):
        def fit_resample(self, X, y):
            self.sample_indices_ = np.arange(9)
            return X[:10], y[:10]

    model = FilteredClassifier(LogisticRegression(), Miscounts())
    with pytest.raises(
        ValueError, match=r"returned 10 rows, .* sample_indices_ name 9"
    ):
        model.fit(X, y, sample_weight=np.ones(60))


def test_folds_that_cannot_be_fitted_are_named(noisy_blobs):
    X, y, _ = noisy_blobs

    class Fussy(InfluenceRanker):
        def fit(self, X, y=None, sample_weight=None):
            if len(y) < 60 and 0.0 in X[:, 0]:
                raise ValueError("no zeros here")
            return super().fit(X, y, sample_weight)

    X = X.copy()
    X[0, 0] = 0.0
    folds = [(np.arange(30, 60), np.arange(30)), (np.arange(30), np.arange(30, 60))]
    message = r"without fold 1 .* 30 rows .*'ash'.*no zeros"
    with pytest.raises(ValueError, match=message):
        MislabelFilter(Fussy(LogisticRegression()), label_score="loss", cv=folds).fit(
            X, y
        )
