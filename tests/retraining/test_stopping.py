"""When sampled values are known well enough: against scipy, and from both sides."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import sem, skew, ttest_ind
from sklearn.base import clone

from sklinfluence.retraining import BanzhafRanker, DownsamplingRanker, ShapleyRanker
from sklinfluence.retraining._reuse import is_settled_by_reuse, with_minus_without
from sklinfluence.retraining._stopping import (
    is_settled,
    largest_skewness,
    mean_and_error,
)
from tests.retraining.games import Additive, total

# Sums of tens of numbers near 1 in size.
EXACT = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(40, 6))
    samples[rng.random(samples.shape) < 0.3] = np.nan
    return samples


def test_means_errors_and_skewness_are_scipys(samples):
    mean, stderr, n_known = mean_and_error(samples)
    assert_allclose(mean, np.nanmean(samples, axis=0), **EXACT)
    assert_allclose(stderr, sem(samples, axis=0, nan_policy="omit"), **EXACT)
    assert np.array_equal(n_known, np.sum(~np.isnan(samples), axis=0))
    columns = skew(samples, axis=0, nan_policy="omit")
    assert_allclose(largest_skewness(samples), np.abs(columns).max(), **EXACT)
    assert_allclose(largest_skewness(-samples), np.abs(columns).max(), **EXACT)


def test_one_number_has_no_error_and_none_no_mean():
    samples = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, 4.0]])
    mean, stderr, _ = mean_and_error(samples)
    assert_allclose(mean, [1.0, np.nan, 3.0])
    assert_allclose(stderr, [np.nan, np.nan, 1.0])


def _marginals(n_updates, means):
    """Marginals without skewness, of standard deviation near 1, by column."""
    signs = np.resize([1.0, -1.0], n_updates)
    return signs[:, None] + means


def test_settled_from_sixteen_updates_on():
    means = np.array([0.0, 1.0, 2.0])
    assert not is_settled(_marginals(15, means), tol=100.0)
    assert is_settled(_marginals(16, means), tol=100.0)
    scarce = _marginals(18, means)
    scarce[:3, 1] = np.nan
    assert not is_settled(scarce, tol=100.0)


def test_skewed_marginals_need_ten_updates_for_each_unit_of_squared_skewness():
    """One in five is 4, the others -1: of skewness 1.5, so 22.5 updates."""
    marginals = np.tile([[4.0], [-1.0], [-1.0], [-1.0], [-1.0]], (5, 2)) + [0.0, 1.0]
    assert_allclose(skew(marginals, axis=0), 1.5)
    assert not is_settled(marginals[:20], tol=100.0)
    assert is_settled(marginals, tol=100.0)


def test_settled_where_the_error_is_within_the_share_of_the_spread():
    marginals = _marginals(20, np.array([0.0, 0.5, 2.0]))
    share = sem(marginals, axis=0).max() / 2.0
    assert is_settled(marginals, tol=share * (1 + 1e-9))
    assert not is_settled(marginals, tol=share * (1 - 1e-9))
    assert not is_settled(np.zeros((20, 3)), tol=0.0)


@pytest.fixture
def sets():
    rng = np.random.default_rng(1)
    membership = rng.random((90, 4)) < [0.3, 0.5, 0.5, 0.7]
    utilities = membership @ [1.0, -2.0, 0.0, 3.0] + rng.standard_normal(90)
    utilities[:7] = np.nan
    return membership, utilities


def test_differences_of_sides_and_their_errors_are_welchs(sets):
    membership, utilities = sets
    values, stderr, n_met = with_minus_without(membership, utilities)
    known = ~np.isnan(utilities)
    for player, held in enumerate(membership.T):
        sides = utilities[known & held], utilities[known & ~held]
        welch = ttest_ind(*sides, equal_var=False)
        assert_allclose(values[player], np.mean(sides[0]) - np.mean(sides[1]), **EXACT)
        assert_allclose(values[player] / stderr[player], welch.statistic, **EXACT)
        assert n_met[player] == min(map(len, sides))


def test_reused_sets_settle_from_sixteen_on_either_side():
    for n_with, n_without in ((16, 16), (20, 16), (16, 40)):
        held = np.repeat([True, False], [n_with, n_without])
        membership = np.column_stack([held, np.resize([True, False], len(held))])
        utilities = np.where(held, 1.0, 0.0) + np.resize([0.1, -0.1], len(held))
        assert is_settled_by_reuse(membership, utilities, tol=100.0)
        assert not is_settled_by_reuse(membership, utilities, tol=0.0)
        fewer = np.delete(np.arange(len(held)), [0, n_with])
        assert not is_settled_by_reuse(membership[fewer], utilities[fewer], tol=100.0)


def test_reused_sets_settle_within_the_share_of_the_spread(sets):
    values, stderr, n_met = with_minus_without(*sets)
    assert n_met.min() >= 16
    share = stderr.max() / np.ptp(values)
    assert is_settled_by_reuse(*sets, tol=share * (1 + 1e-9))
    assert not is_settled_by_reuse(*sets, tol=share * (1 - 1e-9))


def curved(estimator, X, y):
    """A scorer of which no permutation and its reverse give the mean marginal."""
    return float(np.exp(total(estimator, X, y) / 4))


RANKERS = [
    (ShapleyRanker(max_evaluations=8000, random_state=0), 0.003, 16 * 2 * 13),
    (BanzhafRanker(max_evaluations=2000, random_state=0), 0.05, 16),
    (DownsamplingRanker(max_evaluations=2000, random_state=0), 0.05, 16),
]


@pytest.mark.parametrize(("ranker", "tol", "batch"), RANKERS, ids=str)
def test_runs_end_where_the_error_is_within_tol_and_not_before(ranker, tol, batch):
    """Looked at after every sixteen units; the same draws, a batch less, do not do."""
    X, y = np.zeros((14, 1)), np.random.default_rng(2).standard_normal(14)
    ranker = clone(ranker).set_params(estimator=Additive(), scoring=curved)
    settled = ranker.set_params(tol=tol).fit(X, y, X_val=X, y_val=y)
    reached, n_settled = settled.values_stderr_, settled.n_evaluations_
    assert reached.max() <= tol * np.ptp(settled.values_)
    # Far from the sixteen updates that are made in any case.
    assert 5 * batch < n_settled < settled.max_evaluations - batch
    ranker.set_params(max_evaluations=n_settled - batch, tol=0.0)
    ranker.fit(X, y, X_val=X, y_val=y)
    assert ranker.values_stderr_.max() > tol * np.ptp(ranker.values_)


def test_a_game_in_which_all_rows_are_alike_is_settled_at_once():
    """No error and no spread: nothing is left to learn after sixteen updates."""
    X, y = np.zeros((14, 1)), np.ones(14)
    ranker = ShapleyRanker(
        Additive(), scoring=total, tol=0.1, max_evaluations=5000, random_state=0
    ).fit(X, y, X_val=X, y_val=y)
    assert_allclose(ranker.values_, y, rtol=0, atol=1e-12)
    assert ranker.n_evaluations_ == 16 * 2 * 13 + 2
