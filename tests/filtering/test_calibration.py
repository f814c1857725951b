"""How sure it is that labels are wrong: by draws whose truth is known."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from sklinfluence.datasets import corrupt_targets, flip_labels
from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.filtering._evidence._label_evidence import Verdict
from sklinfluence.filtering._noise._probability_right import probability_right
from sklinfluence.filtering._thresholds import expected_wrong_share, flag_expected
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker


def drawn(n_rows, transition, seed=0):
    """True classes drawn by known probabilities, given labels by a known noise."""
    rng = np.random.default_rng(seed)
    K = len(transition)
    proba = softmax(3 * rng.standard_normal((n_rows, K)), axis=1)
    true = (proba.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1).clip(max=K - 1)
    given = (transition[true].cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    return proba, true, given.clip(max=K - 1)


UNIFORM = np.full((4, 4), 0.05) + 0.8 * np.eye(4)
BY_CLASS = np.eye(4)[[0, 1, 2, 3]] * 0.75 + np.eye(4)[[1, 2, 3, 0]] * 0.25


@pytest.mark.parametrize("sharpness", [0.25, 1.0, 2.0])
@pytest.mark.parametrize("transition", [UNIFORM, BY_CLASS], ids=["uniform", "class"])
def test_posteriors_are_those_of_bayes_rule_under_the_truth(transition, sharpness):
    proba, _, given = drawn(20000, transition)
    joint = proba * transition.T[given]
    rows = np.arange(len(given))
    expected = joint[rows, given] / joint.sum(axis=1)
    # As models say it: too flat, or too sharp.
    said = softmax(np.log(proba) * sharpness, axis=1)
    found = probability_right(said, given, np.ones(len(given)))
    # Exponents stand .15 apart on a log scale; rates are estimated from 20000 rows.
    assert np.abs(found - expected).mean() < 0.02


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_flags_hold_the_share_of_right_labels_that_is_allowed(level):
    proba, true, given = drawn(20000, UNIFORM)
    right = probability_right(proba, given, np.ones(len(given)))
    flags = flag_expected(right, level)
    share = np.mean(true[flags] == given[flags])
    # Three standard errors of a share of so many flags, and .01 for the estimate.
    error = 3 * np.sqrt(level * (1 - level) / flags.sum())
    assert abs(share - level) < error + 0.01


def test_weights_are_copies():
    proba, _, given = drawn(300, UNIFORM)
    count = np.random.default_rng(1).integers(0, 4, 300)
    weighted = probability_right(proba, given, count.astype(float))
    at = np.repeat(np.arange(300), count)
    copied = probability_right(proba[at], given[at], np.ones(len(at)))
    np.testing.assert_allclose(copied, weighted[at], rtol=1e-10)


def test_nothing_is_known_of_rows_without_a_prediction():
    proba, _, given = drawn(300, UNIFORM)
    proba[:10] = np.nan
    right = probability_right(proba, given, np.ones(300))
    assert np.all(right[:10] == 1.0) and np.all(right[10:] < 1.0)
    assert np.all(
        probability_right(np.full((3, 2), np.nan), [0, 1, 0], np.ones(3)) == 1
    )


def test_flags_are_the_longest_list_of_so_low_a_mean_by_trying_all():
    rng = np.random.default_rng(0)
    for level in (0.05, 0.3, 0.9):
        right = rng.random(40).round(1)
        longest = 0
        for value in np.unique(right):
            if right[right <= value].mean() < level:
                longest = np.count_nonzero(right <= value)
        assert flag_expected(right, level).sum() == longest
    assert not flag_expected(np.ones(5), 0.5).any()


@pytest.mark.parametrize("detector_class", [MislabelFilter, MislabelSampler])
def test_threshold_fdr_flags_by_the_posterior(detector_class):
    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    given, wrong = flip_labels(y, 0.2, random_state=0)
    found = {}
    for level in (0.05, 0.2):
        detector = detector_class(threshold="fdr", fdr=level, random_state=0)
        flags = ~detector.fit(X, given).get_support()
        found[level] = flags
        assert detector.threshold_ == detector.scores_[flags].min()
        assert np.mean(~wrong[flags]) < level + 0.05
        assert flags[wrong].mean() > 0.7
        said = int(detector.summary().split("of which ")[1].split("%")[0]) / 100
        assert said >= 1 - level - 0.005
    assert np.all(found[0.2][found[0.05]])


def test_threshold_fdr_of_real_targets_is_auto():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y, _ = corrupt_targets(
        X @ [1, 2, 3] + rng.standard_normal(200), 0.05, random_state=0
    )
    flags = [
        MislabelFilter(InfluenceRanker(Ridge()), threshold=rule).fit(X, y).get_support()
        for rule in ("auto", "fdr")
    ]
    assert np.array_equal(*flags)


def test_real_targets_expect_what_the_law_of_residuals_says():
    right, weight = np.array([1e-4, 0.02, 0.3, 0.9, 1.0]), np.array([1.0, 3, 1, 1, 1])
    verdict = Verdict(None, np.zeros(5), np.zeros(5), right, right=right)
    flags = np.array([True, True, False, False, False])
    wrong = expected_wrong_share(verdict, flags, weight)
    assert wrong == pytest.approx(1 - (1e-4 + 3 * 0.02) / 4)
    assert np.isnan(expected_wrong_share(verdict, np.zeros(5, dtype=bool), weight))


def test_nothing_is_said_of_evidence_that_has_seen_the_rows():
    X, y = load_digits(return_X_y=True)
    ranker = RepresenterRanker(LogisticRegression(max_iter=1000))
    detector = MislabelFilter(ranker, contamination=0.1).fit(X[:200], y[:200])
    assert "expected" not in detector.summary()


def test_fdr_and_contamination_are_one_too_many():
    with pytest.raises(ValueError, match=r"threshold='fdr' and contamination=0\.1"):
        MislabelFilter(threshold="fdr", contamination=0.1).fit([[0.0], [1.0]], [0, 1])
