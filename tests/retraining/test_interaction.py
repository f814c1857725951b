"""Interaction indices against the sums over all subsets that define them."""

from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from sklinfluence.retraining import ShapleyRanker, shapley_interaction
from sklinfluence.retraining._interaction import PairUnit, pairs_along
from tests.retraining.games import (
    IRIS,
    SHARES,
    Additive,
    Picky,
    classes_game,
    real_game,
    semivalue,
    total,
)

# Of differences of differences: an interaction of S of size s counts this much.
SHARE = {
    "shapley": lambda s, n: 1 / ((n - 1) * comb(n - 2, s)),
    "taylor": lambda s, n: 2 / (n * comb(n - 1, s)),
}
# Scores are near 1 in size, and at most 2^6 of them are summed.
EXACT = {"rtol": 0, "atol": 1e-12}


def utilities(n, v):
    sets = [set(c) for size in range(n + 1) for c in combinations(range(n), size)]
    return {frozenset(chosen): v(chosen) for chosen in sets}


def by_definition(n, v, index):
    known = utilities(n, v)
    out = np.diag(semivalue(n, v, SHARES["shapley"]))
    if index == "taylor":
        out = np.diag([known[frozenset([i])] - known[frozenset()] for i in range(n)])
    for i, j in combinations(range(n), 2):
        out[i, j] = out[j, i] = sum(
            SHARE[index](len(S), n)
            * (known[S | {i, j}] - known[S | {i}] - known[S | {j}] + known[S])
            for S in known
            if not S & {i, j}
        )
    return out


@pytest.mark.parametrize("index", SHARE)
@pytest.mark.parametrize("n", [1, 2, 6])
def test_enumeration(index, n):
    X, y, val, v = classes_game(n, GaussianNB())
    found = shapley_interaction(GaussianNB(), X, y, index=index, **val)
    assert_allclose(found.interactions, by_definition(n, v, index), **EXACT)
    assert not found.stderr.any()
    assert found.n_evaluations == 2**n + 2


@pytest.mark.parametrize("index", SHARE)
def test_enumeration_of_real_targets(index):
    X, y, val, v = real_game(5, Ridge(0.1))
    found = shapley_interaction(Ridge(0.1), X, y, index=index, **val)
    # R2 of few rows reaches -10.
    assert_allclose(found.interactions, by_definition(5, v, index), rtol=0, atol=1e-11)


@pytest.mark.parametrize("index", SHARE)
def test_the_mean_over_all_permutations_is_the_index(index):
    # What is sampled: each of the 4! orders alike often gives the index to rounding.
    rng = np.random.default_rng(0)
    known = {
        frozenset(c): rng.normal() for s in range(5) for c in combinations(range(4), s)
    }
    ends = known[frozenset()], known[frozenset(range(4))]

    def utility(chosen):
        return known[frozenset(map(int, chosen))], None

    every = []
    for order in permutations(range(4)):
        unit = PairUnit(np.array(order))
        steps = {step: value for step, value, _ in unit.run(utility, {})}
        every.append(pairs_along(unit.order, steps, *ends, index))
    truth = by_definition(4, lambda chosen: known[frozenset(chosen)], index)
    assert_allclose(np.mean(every, axis=0), truth, **EXACT)


def test_taylor_is_efficient_and_the_interaction_index_with_its_correction():
    X, y, val, v = classes_game(6, GaussianNB())
    gain = v(range(6)) - v([])
    found = shapley_interaction(GaussianNB(), X, y, index="taylor", **val)
    assert_allclose(np.triu(found.interactions).sum(), gain, **EXACT)
    plain = shapley_interaction(GaussianNB(), X, y, **val).interactions
    own, pairs = np.diag(plain), plain - np.diag(np.diag(plain))
    corrected = own.sum() - pairs.sum() / 2 + np.triu(pairs).sum()
    assert_allclose(corrected, gain, **EXACT)
    # Uncorrected it is another number: the two indices are told apart.
    assert abs(np.triu(plain).sum() - gain) > 1e-3


@pytest.mark.parametrize("index", SHARE)
def test_samples_come_within_their_error(index):
    X, y, val, v = classes_game(7, GaussianNB())
    truth = by_definition(7, v, index)
    found = shapley_interaction(
        GaussianNB(), X, y, index=index, max_evaluations=127, random_state=0, **val
    )
    assert found.n_evaluations == 4 * (28 - 1) + 2
    assert_array_equal(found.interactions, found.interactions.T)
    away = np.abs(found.interactions - truth)[found.stderr > 0]
    # Of four permutations the error is known to a factor of two or so.
    assert np.mean(away <= 4 * found.stderr[found.stderr > 0]) > 0.9


def test_an_additive_game_has_no_interactions():
    X, y = np.arange(6.0)[:, None], np.arange(6.0) - 2.0
    for index in SHARE:
        found = shapley_interaction(
            Additive(), X, y, index=index, scoring=total, X_val=X, y_val=y
        )
        assert_allclose(np.diag(found.interactions), y, **EXACT)
        pairs = found.interactions - np.diag(np.diag(found.interactions))
        assert_allclose(pairs, 0.0, **EXACT)


def test_folds_give_pairs_that_train_together():
    X, y = IRIS[0][:8], IRIS[1][:8]
    folds = [(np.arange(4), np.arange(4, 8)), (np.arange(4, 8), np.arange(4))]
    found = shapley_interaction(GaussianNB(), X, y, cv=folds).interactions
    assert np.isnan(found[:4, 4:]).all() and not np.isnan(found[:4, :4]).any()
    alone = ShapleyRanker(GaussianNB(), cv=folds).fit(X, y).values_
    assert_allclose(np.diag(found), alone, **EXACT)


def test_groups_and_weights_are_players_as_in_the_rankers():
    X, y, val, _ = classes_game(8, GaussianNB())
    groups = np.repeat(["a", "b", "c", "d"], 2)
    found = shapley_interaction(GaussianNB(), X, y, groups=groups, **val)
    ranker = ShapleyRanker(GaussianNB()).fit(X, y, groups=groups, **val)
    assert found.interactions.shape == (4, 4)
    assert_allclose(np.diag(found.interactions), ranker.group_values_, **EXACT)


def test_a_failed_fit_leaves_its_pairs_out():
    X, y, val, _ = classes_game(6)
    X = X.copy()
    X[2, 0], X[4, 0] = -1.0, -2.0
    with pytest.warns(UserWarning, match="could not be evaluated"):
        found = shapley_interaction(
            Picky(), X, y, max_evaluations=42, random_state=0, **val
        )
    assert found.n_failed > 0


def test_a_broken_run_goes_on(tmp_path):
    X, y, val, _ = classes_game(6, GaussianNB())
    options = {"max_evaluations": 42, "random_state": 0, **val}
    path = tmp_path / "journal"
    whole = shapley_interaction(GaussianNB(), X, y, journal=str(path), **options)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]) + lines[-1][:5])
    again = shapley_interaction(GaussianNB(), X, y, journal=str(path), **options)
    assert_array_equal(again.interactions, whole.interactions)
    assert sorted(path.read_text().splitlines()) == sorted(map(str.strip, lines))


@pytest.mark.parametrize(
    ("option", "named"),
    [({"index": "banzhaf"}, "index"), ({"max_evaluations": 0}, "max_evaluations")],
)
def test_bad_options_are_named(option, named):
    X, y, val, _ = classes_game(4)
    with pytest.raises(ValueError, match=named):
        shapley_interaction(None, X, y, **option, **val)
