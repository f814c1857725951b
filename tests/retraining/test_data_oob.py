"""Out-of-bag values against a loop over members."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator

from sklinfluence.retraining import DataOOBRanker
from tests.retraining.games import DIABETES, IRIS

X, Y = IRIS[0][:80], np.array(["a", "b", "c"])[IRIS[1][:80]]
REAL_X, REAL_Y = DIABETES[0][:80], DIABETES[1][:80]
ENSEMBLES = [
    RandomForestClassifier(30, random_state=0),
    ExtraTreesClassifier(30, bootstrap=True, random_state=0),
    BaggingClassifier(n_estimators=20, max_features=0.5, random_state=0),
    RandomForestRegressor(30, random_state=0),
    BaggingRegressor(n_estimators=20, max_samples=0.4, random_state=0),
]


@pytest.mark.parametrize("ensemble", ENSEMBLES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("frozen", [True, False])
def test_loop_over_members(ensemble, frozen):
    classes = hasattr(ensemble, "predict_proba")
    rows, targets = (X, Y) if classes else (REAL_X, REAL_Y)
    ensemble.fit(rows, targets)
    given = FrozenEstimator(ensemble) if frozen else ensemble
    ranker = DataOOBRanker(given).fit(rows, targets)
    scores = [[] for _ in targets]
    columns = getattr(ensemble, "estimators_features_", None)
    samples = ensemble.estimators_samples_
    for k, member in enumerate(ensemble.estimators_):
        at = slice(None) if columns is None else columns[k]
        said = member.predict(rows[:, at])
        if classes:
            said = ensemble.classes_[said.astype(int)]
        for row in set(range(80)) - set(samples[k].tolist()):
            right = said[row] == targets[row] if classes else None
            loss = right if classes else -((said[row] - targets[row]) ** 2)
            scores[row].append(float(loss))
    assert np.array_equal(ranker.n_oob_, [len(of_row) for of_row in scores])
    assert_allclose(ranker.values_, [np.mean(of_row) for of_row in scores], rtol=1e-10)
    errors = [np.std(of_row, ddof=1) / np.sqrt(len(of_row)) for of_row in scores]
    assert_allclose(ranker.values_stderr_, errors, rtol=1e-8, atol=1e-12)


def test_a_row_that_every_member_saw_is_not_measured():
    forest = RandomForestClassifier(2, random_state=0).fit(X, Y)
    ranker = DataOOBRanker(FrozenEstimator(forest)).fit(X, Y)
    assert np.isnan(ranker.values_[ranker.n_oob_ == 0]).all()
    assert (ranker.n_oob_ == 0).any()
    weights = np.ones(80)
    weights[3] = 0.0
    assert DataOOBRanker(ENSEMBLES[0]).fit(X, Y, weights).values_[3] == 0.0


@pytest.mark.parametrize(
    "ensemble", [RandomForestClassifier(5), BaggingClassifier(n_estimators=5)], ids=str
)
def test_random_state_seeds_the_ensemble(ensemble):
    seeded = DataOOBRanker(ensemble, random_state=0).fit(X, Y)
    # The fitted one says by which seed it is had without the ranker's.
    by_hand = DataOOBRanker(clone(seeded.estimator_)).fit(X, Y)
    again = DataOOBRanker(ensemble, random_state=0).fit(X, Y)
    for same in (by_hand, again):
        np.testing.assert_array_equal(seeded.values_, same.values_)
    other = DataOOBRanker(ensemble, random_state=1).fit(X, Y)
    assert not np.array_equal(seeded.n_oob_, other.n_oob_)
    assert ensemble.random_state is None


@pytest.mark.parametrize(
    ("ensemble", "error", "match"),
    [
        (ExtraTreesClassifier(5), ValueError, "Set bootstrap=True"),
        (GradientBoostingClassifier(), TypeError, "estimators_samples_"),
        (
            FrozenEstimator(RandomForestClassifier(5).fit(X[:50], Y[:50])),
            ValueError,
            "trained on 50 rows, and X has 80",
        ),
    ],
)
def test_what_has_no_bag_is_named(ensemble, error, match):
    with pytest.raises(error, match=match):
        DataOOBRanker(ensemble).fit(X, Y)
