"""Players, their rows, and what of a value is not its number."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DataOOBRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)
from tests.retraining.games import IRIS, SHARES, classes_game, semivalue

EXACT = {"rtol": 0, "atol": 1e-12}
SAMPLED = [
    ShapleyRanker(GaussianNB(), max_evaluations=30, random_state=0),
    BanzhafRanker(GaussianNB(), max_evaluations=30, random_state=0),
    AMERanker(GaussianNB(), max_evaluations=30, random_state=0),
    DownsamplingRanker(GaussianNB(), max_evaluations=30, random_state=0),
    LeaveOneOutRanker(GaussianNB()),
]


def test_groups_are_players():
    """group_values_ of ShapleyRanker and BanzhafRanker, by enumeration."""
    X, y, val, v = classes_game(12)
    groups = np.array(list("ccaabbbaaccc"))
    members = [np.flatnonzero(groups == name) for name in "abc"]

    def of_groups(chosen):
        return v(np.concatenate([members[k] for k in chosen] or [[]]).astype(int))

    for kind, share in ((ShapleyRanker, "shapley"), (BanzhafRanker, "banzhaf")):
        ranker = kind(max_evaluations=8).fit(X, y, groups=groups, **val)
        truth = semivalue(3, of_groups, SHARES[share])
        assert list(ranker.groups_) == list("abc")
        assert_allclose(ranker.group_values_, truth, **EXACT)
        for rows, value in zip(members, truth, strict=True):
            assert_allclose(ranker.values_[rows], value / len(rows), **EXACT)


@pytest.mark.parametrize("ranker", SAMPLED, ids=str)
def test_values_of_groups_are_spread_over_their_rows(ranker):
    X, y, val, _ = classes_game(12)
    groups = np.arange(12) // 3
    ranker.fit(X, y, groups=groups, **val)
    for number in range(4):
        expected = ranker.group_values_[number] / 3
        assert_allclose(ranker.values_[groups == number], expected, **EXACT)


@pytest.mark.parametrize("ranker", SAMPLED, ids=str)
def test_weight_zero_is_absence(ranker):
    X, y, val, _ = classes_game(12)
    weights = np.ones(12)
    weights[[2, 7]] = 0.0
    kept = weights > 0
    with_zeros = ranker.fit(X, y, weights, **val).values_
    absent = ranker.fit(X[kept], y[kept], weights[kept], **val).values_
    assert_allclose(with_zeros[kept], absent, **EXACT)
    assert not with_zeros[~kept].any()


@pytest.mark.parametrize("ranker", [*SAMPLED, DataOOBRanker(random_state=0)], ids=str)
def test_values_are_ranked_and_the_model_predicts(ranker):
    X, y = IRIS
    X, y = X[:30], np.array(["a", "b", "c"])[y[:30]]
    ranker.fit(X, y)
    order = np.argsort(ranker.values_, kind="stable")
    assert np.array_equal(ranker.ranking_[order], np.arange(1, 31))
    assert_allclose(ranker.label_scores("value"), -ranker.values_)
    model = ranker.estimator_
    assert np.array_equal(ranker.predict(X), model.predict(X))
    assert_allclose(ranker.predict_proba(X), model.predict_proba(X))
    assert ranker.score(X, y) == model.score(X, y)
    assert not hasattr(ranker, "decision_function")
    linear = LeaveOneOutRanker(LogisticRegression(), cv=2).fit(X, y)
    expected = LogisticRegression().fit(X, y).decision_function(X)
    assert_allclose(linear.decision_function(X), expected, rtol=1e-10)


def test_folds_value_the_rows_that_they_train_on():
    X, y = IRIS
    X, y = X[:24], y[:24]
    rows = np.arange(24)
    folds = [(rows[rows % 2 == 0], rows[rows % 2 == 1]), (rows[:18], rows[18:])]
    ranker = LeaveOneOutRanker(GaussianNB(), cv=folds).fit(X, y)
    total, count = np.zeros(24), np.zeros(24)
    for train, test in folds:
        part = LeaveOneOutRanker(GaussianNB())
        part.fit(X[train], y[train], X_val=X[test], y_val=y[test])
        total[train] += part.values_
        count[train] += 1
    known = count > 0
    assert_allclose(
        ranker.values_[known], (total / np.maximum(count, 1))[known], **EXACT
    )
    assert np.array_equal(np.isnan(ranker.values_), ~known)


DRAWN = [
    DecisionTreeClassifier(max_features=1),
    make_pipeline(StandardScaler(), DecisionTreeClassifier(max_features=1)),
    BaggingClassifier(DecisionTreeClassifier(max_features=1), n_estimators=3),
]


@pytest.mark.parametrize("model", DRAWN, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("ranker", SAMPLED, ids=lambda r: type(r).__name__)
def test_random_state_seeds_the_models_too(ranker, model):
    """Wherever they have a random_state: utilities of one set are one number."""
    X, y, val, _ = classes_game(12)
    ranker = clone(ranker).set_params(estimator=model)
    found = [
        clone(ranker).set_params(random_state=seed).fit(X, y, **val).values_
        for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
