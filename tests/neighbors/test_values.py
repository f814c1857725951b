"""Closed forms against the sum over all subsets of the players."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklinfluence.neighbors._values import (
    hard_shapley,
    leave_one_out,
    radius_leave_one_out,
    radius_shapley,
    regression_leave_one_out,
    regression_shapley,
    soft_shapley,
)

# Sums of at most 2^8 terms of size 1 (targets: of size 10): rounding alone.
EXACT = {"rtol": 0, "atol": 1e-12}
SIZES = [(n, K) for n in (1, 2, 3, 5, 8) for K in (1, 2, 3, 7, 8, 12)]
EMPTY = 1 / 3


def shapley(n, utility):
    """Every row's mean marginal over all subsets of the others, by enumeration."""
    values = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            for chosen in combinations(others, size):
                gain = utility(sorted((*chosen, i))) - utility(list(chosen))
                values[i] += gain / (n * comb(n - 1, size))
    return values


def without(n, utility):
    everyone = list(range(n))
    return [
        utility(everyone) - utility([j for j in everyone if j != i]) for i in everyone
    ]


def hard(matches, K):
    return lambda S: matches[S[:K]].sum() / K


def soft(matches, K):
    return lambda S: matches[S[:K]].mean() if S else EMPTY


def squared(targets, K, asked):
    return lambda S: -((targets[S[:K]].sum() / K - asked) ** 2)


def radius(matches, inside):
    def utility(S):
        near = [i for i in S if inside[i]]
        return matches[near].mean() if near else EMPTY

    return utility


def players(n, seed):
    """Three queries' matches: labels, and real numbers of either sign."""
    rng = np.random.default_rng(seed)
    return np.vstack([rng.integers(0, 2, (2, n)), rng.normal(size=(1, n))]).astype(
        float
    )


@pytest.mark.parametrize(("n", "K"), SIZES)
def test_shapley_of_sums(n, K):
    matches = players(n, n)
    truth = [shapley(n, hard(row, K)) for row in matches]
    assert_allclose(hard_shapley(matches, n, K), truth, **EXACT)


@pytest.mark.parametrize(("n", "K"), SIZES)
def test_shapley_of_means(n, K):
    matches = players(n, 10 + n)
    truth = [shapley(n, soft(row, K)) for row in matches]
    assert_allclose(soft_shapley(matches, n, K, EMPTY), truth, **EXACT)


@pytest.mark.parametrize(("n", "K"), SIZES)
def test_shapley_of_squared_errors(n, K):
    rng = np.random.default_rng(n)
    targets, asked = 3 * rng.normal(size=(3, n)) + 1, 3 * rng.normal(size=3)
    truth = [
        shapley(n, squared(row, K, q)) for row, q in zip(targets, asked, strict=True)
    ]
    # Squares of sizes up to 100.
    found = regression_shapley(targets, asked, n, K)
    assert_allclose(found, truth, rtol=0, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_inside_a_radius(n, share):
    matches = players(n, 20 + n)
    inside = np.random.default_rng(n).random(matches.shape) < share
    games = [radius(m, near) for m, near in zip(matches, inside, strict=True)]
    truth = [shapley(n, game) for game in games]
    assert_allclose(radius_shapley(matches, inside, EMPTY), truth, **EXACT)
    truth = [without(n, game) for game in games]
    assert_allclose(radius_leave_one_out(matches, inside, EMPTY), truth, **EXACT)


@pytest.mark.parametrize(("n", "K"), SIZES)
@pytest.mark.parametrize("is_mean", [True, False])
def test_leave_one_out(n, K, is_mean):
    matches = players(n, 30 + n)
    game = soft if is_mean else hard
    truth = np.array([without(n, game(row, K)) for row in matches])[:, : K + 1]
    found = leave_one_out(matches[:, : K + 1], n, K, is_mean=is_mean, empty=EMPTY)
    assert_allclose(found, truth, **EXACT)


@pytest.mark.parametrize(("n", "K"), SIZES)
def test_leave_one_out_of_squared_errors(n, K):
    rng = np.random.default_rng(n)
    targets, asked = 3 * rng.normal(size=(3, n)), 3 * rng.normal(size=3)
    truth = np.array(
        [without(n, squared(row, K, q)) for row, q in zip(targets, asked, strict=True)]
    )[:, : K + 1]
    found = regression_leave_one_out(targets[:, : K + 1], asked, n, K)
    assert_allclose(found, truth, rtol=0, atol=1e-11)


@pytest.mark.parametrize("K", [1, 5, 20])
@pytest.mark.parametrize("tol", [0.02, 0.05])
def test_what_is_cut_off_is_worth_less_than_its_bound(K, tol):
    n = 3000
    rng = np.random.default_rng(K)
    matches = rng.integers(0, 2, (20, n)).astype(float)
    t = max(K, int(np.ceil(1 / tol)))
    cut = hard_shapley(matches[:, :t], n, K)
    whole = hard_shapley(matches, n, K)
    assert np.abs(whole[:, :t] - cut).max() <= tol
    assert np.abs(whole[:, t:]).max() <= tol
