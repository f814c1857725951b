"""A filter takes every valuer: low values are suspects."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.neighbors import KNNLeaveOneOutRanker, KNNShapleyRanker
from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DataOOBRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)

X, Y = load_iris(return_X_y=True)
ROWS = np.random.default_rng(0).permutation(150)[:60]
X, Y = X[ROWS], Y[ROWS]
NOISY, FLIPPED = flip_labels(Y, 0.15, random_state=0)
SEED = {"random_state": 0, "cv": 2}
NEAREST = KNeighborsClassifier(1)
VOTES = KNeighborsClassifier(3, weights="distance")

# (valuer, the least share of pairs in order: half at random). Steps of a walk say
# least, and the accuracy of leaving one row out is the same for most rows.
VALUERS = [
    (LeaveOneOutRanker(VOTES, scoring="neg_brier_score", cv=5), 0.65),
    (ShapleyRanker(NEAREST, max_evaluations=1200, **SEED), 0.65),
    (ShapleyRanker(GaussianNB(), method="gradient", max_evaluations=60, **SEED), 0.55),
    (BanzhafRanker(NEAREST, max_evaluations=500, **SEED), 0.75),
    (DownsamplingRanker(NEAREST, share=0.5, max_evaluations=500, **SEED), 0.75),
    (AMERanker(NEAREST, max_evaluations=500, **SEED), 0.75),
    (DataOOBRanker(RandomForestClassifier(100), random_state=0), 0.75),
    (KNNShapleyRanker(), 0.75),
    (KNNLeaveOneOutRanker(), 0.55),
]


@pytest.mark.parametrize(("valuer", "least"), VALUERS)
def test_flipped_labels_are_the_lowest_values_and_flagged(valuer, least):
    found = MislabelFilter(
        valuer, label_score="value", contamination=FLIPPED.mean()
    ).fit(X, NOISY)
    assert type(found.ranker_) is type(valuer)
    assert np.array_equal(found.scores_, -found.ranker_.values_)
    assert roc_auc_score(FLIPPED, found.scores_) > least
    dropped = ~found.get_support()
    assert dropped.sum() == FLIPPED.sum()
    # The suspects are the rows of lowest value.
    assert found.scores_[dropped].min() >= found.scores_[~dropped].max()


def test_targets_far_off_are_the_lowest_values():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:60], y[:60].copy()
    y[[3, 17, 40]] += 600.0
    valuers = [
        ShapleyRanker(Ridge(0.1), max_evaluations=1200, **SEED),
        DataOOBRanker(random_state=0),
    ]
    for valuer in valuers:
        found = MislabelFilter(valuer, contamination=0.05).fit(X, y)
        assert set(np.flatnonzero(~found.get_support())) == {3, 17, 40}, valuer
