"""Expected leave-one-out: means over seeds and orders of what refits say."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import SGDClassifier

from sklinfluence.retraining import ExpectedRanker, LeaveOneOutRanker
from tests.retraining.games import IRIS

X, Y = (part[:16] for part in IRIS)
X_VAL, Y_VAL = (part[60:] for part in IRIS)
MODEL = SGDClassifier(loss="log_loss", alpha=0.01, max_iter=20, tol=None)


def score(rows, order, seed, X_asked, y_asked):
    """Mean log likelihood after training on some rows, in their shuffled order."""
    rows = [row for row in order if row in rows]
    model = SGDClassifier(**{**MODEL.get_params(), "random_state": seed})
    proba = model.fit(X[rows], Y[rows]).predict_proba(X_asked)
    eps = np.finfo(proba.dtype).eps
    return np.log(np.clip(proba[np.arange(len(y_asked)), y_asked], eps, 1 - eps))


@pytest.mark.filterwarnings("ignore:The labels passed were not sorted")
def test_expected_leave_one_out_by_a_loop():
    single = LeaveOneOutRanker(MODEL, scoring="neg_log_loss")
    ranker = ExpectedRanker(single, n_estimators=3, random_state=0)
    ranker.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    values, everyone = [], set(range(16))
    for member, order in zip(ranker.rankers_, ranker.orders_, strict=True):
        state = (order, member.estimator_.random_state, X_VAL, Y_VAL)
        whole = score(everyone, *state)
        without = [score(everyone - {row}, *state) for row in (0, 9)]
        values.append([np.mean(whole - left) for left in without])
    # scikit-learn's log loss divides by the sum of probabilities: rounding.
    assert_allclose(ranker.values_[[0, 9]], np.mean(values, axis=0), atol=1e-9)
    assert_allclose(ranker.values_std_[[0, 9]], np.std(values, axis=0), atol=1e-9)
    assert ranker.ranking_[ranker.values_.argmin()] == 1
    influence = ranker.influence(X_VAL[:5], Y_VAL[:5])
    assert influence.shape == (5, 16) and np.isfinite(influence).all()


def test_what_the_ranker_does_not_take_is_named():
    ranker = ExpectedRanker(LeaveOneOutRanker(MODEL), n_estimators=2, random_state=0)
    assert not hasattr(ranker, "score_samples")
    from sklinfluence.gradient import InfluenceRanker

    of_heads = ExpectedRanker(InfluenceRanker(MODEL), n_estimators=2)
    with pytest.raises(ValueError, match="X_val was given, but fit of InfluenceRanker"):
        of_heads.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
