"""Which targets are classes, and what "auto" stands for."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.base import BaseRanker, BaseValuer
from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._evidence._label_models import (
    NoiseAwareRanker,
    PooledLabelModel,
)
from sklinfluence.filtering._evidence._target_model import PooledTargetModel
from sklinfluence.filtering._evidence._task import score_to_ask, takes_classes
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker

X = np.random.default_rng(0).normal(size=(30, 2))
integers = np.arange(30) % 3
reals = X[:, 0] + 0.5


@pytest.mark.parametrize(
    ("estimator", "y", "expected"),
    [
        (None, integers, True),
        (None, integers.astype(float), True),
        (None, integers.astype(str), True),
        (None, integers.astype(bool), True),
        (None, reals, False),
        (LogisticRegression(), integers, True),
        (Ridge(), integers, False),
        (make_pipeline(StandardScaler(), Ridge()), integers, False),
        (RidgeClassifier(), integers, True),
    ],
)
def test_classes_or_real_targets(estimator, y, expected):
    assert takes_classes(InfluenceRanker(estimator), y) is expected


class Distances(BaseRanker):
    """A ranker that knows self-influence only."""

    def fit(self, X, y, sample_weight=None):
        self.estimator_ = GaussianNB().fit(X, y)
        self._begin(len(X), self.estimator_)
        self.lengths_ = self.score_samples(X)
        return self

    def _self_influence(self):
        return self.lengths_

    def _influence_block(self, X, y):
        raise NotImplementedError

    def score_samples(self, X, y=None):
        return np.linalg.norm(X, axis=1)


class Counts(BaseValuer):
    """Values, and no influence: how often a row's label comes."""

    def fit(self, X, y, sample_weight=None):
        _, code, count = np.unique(y, return_inverse=True, return_counts=True)
        self.estimator_ = GaussianNB().fit(X, y)
        self._begin(len(X), self.estimator_)
        self.values_ = count[code] / len(y)
        return self


class Foreign:
    """No ranker of this package: asked for the score the filter began with."""

    classes_ = np.arange(3)


@pytest.mark.parametrize(
    ("model", "y", "expected"),
    [
        (PooledLabelModel(), integers, "auto"),
        (NoiseAwareRanker(InfluenceRanker()), integers, "auto"),
        (InfluenceRanker(Ridge()), reals, "studentized"),
        (Distances(), integers, "self_influence"),
        (RepresenterRanker(Ridge()), reals, "self_influence"),
        (Counts(), integers, "value"),
        (FrozenEstimator(InfluenceRanker().fit(X, integers)), integers, "loo_loss"),
        (FrozenEstimator(Distances().fit(X, integers)), integers, "self_influence"),
    ],
)
def test_auto_is_the_best_score_that_a_model_has(model, y, expected):
    assert score_to_ask(model.fit(X, y), "auto") == expected


def test_a_ranker_that_names_no_scores_is_asked_all_the_same():
    assert score_to_ask(Foreign(), "auto") == "loo_loss"
    assert score_to_ask(Foreign(), "its own") == "its own"


def test_the_model_follows_the_ranker_and_the_targets():
    for ranker, y, kind in [
        (None, integers, PooledLabelModel),
        (InfluenceRanker(), integers, InfluenceRanker),
        (None, reals, PooledTargetModel),
    ]:
        detector = MislabelFilter(ranker, random_state=0).fit(X, y)
        assert type(detector.ranker_) is kind
    values = MislabelFilter(Counts(), contamination=0.1).fit(X, integers % 2)
    assert_array_equal(values.scores_, -np.where(integers % 2 == 0, 2, 1) / 3)
    share = MislabelFilter(Distances(), contamination=0.1).fit(X, integers)
    np.testing.assert_allclose(share.scores_, np.linalg.norm(X, axis=1))
