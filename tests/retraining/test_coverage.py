"""Standard errors after a stopping rule, and what reuse of samples saves."""

import numpy as np
import pytest

from sklinfluence.retraining import (
    BanzhafRanker,
    DownsamplingRanker,
    ShapleyRanker,
    _banzhaf,
    _shapley,
)
from sklinfluence.retraining._enumerate import enumerated
from sklinfluence.retraining._reuse import with_minus_without
from tests.retraining.games import members, neighbor_table, play, ridge_table

N = 12
GAMES = {"neighbors": neighbor_table, "ridge": ridge_table}
RANKERS = {
    "permutation": ShapleyRanker(max_evaluations=10**6),
    "reuse": BanzhafRanker(max_evaluations=10**6),
    "downsampling": DownsamplingRanker(share=0.5, max_evaluations=10**6),
}


@pytest.fixture(params=GAMES, scope="module")
def table(request):
    return GAMES[request.param](N)


def truth(kind, table):
    if kind != "downsampling":
        return enumerated(table, "shapley" if kind == "permutation" else "banzhaf")
    held = members(N)
    size = held.sum(axis=1) == N // 2
    held, scores = held[size], table[size]
    return np.array([scores[row].mean() - scores[~row].mean() for row in held.T])


@pytest.fixture
def sample_only(monkeypatch):
    """Twelve players have few sets: walks and draws are what is tested."""
    for module in (_shapley, _banzhaf):
        monkeypatch.setattr(module, "reaches_all_sets", lambda *counts: False)


def covered(kind, table, tol, n_seeds):
    """Share of values, over seeds and rows, within two standard errors."""
    ranker, expected = RANKERS[kind].set_params(tol=tol), truth(kind, table)
    inside = []
    for seed in range(n_seeds):
        found = play(ranker, table, seed)
        inside.append(np.abs(found.values - expected) <= 2 * found.stderr)
    return np.mean(inside)


@pytest.mark.slow
@pytest.mark.parametrize("tol", [0.2, 0.05])
@pytest.mark.usefixtures("sample_only")
@pytest.mark.parametrize("kind", RANKERS)
def test_two_standard_errors_cover(kind, table, tol):
    assert 0.90 <= covered(kind, table, tol, 200) <= 0.99


@pytest.mark.usefixtures("sample_only")
@pytest.mark.parametrize("kind", RANKERS)
def test_two_standard_errors_cover_in_short(kind, table):
    """Eight seeds of twelve rows each, which are not independent: 3 sd are .1."""
    assert 0.85 <= covered(kind, table, 0.2, 8) <= 1.0


# -- maximum sample reuse beside plain sampling -----------------------------------


def nearly_everyone(n=8):
    """1 where at most one player is missing: of what most sets are worth nothing."""
    return (members(n).sum(axis=1) >= n - 1) * 1.0


def far_off(n=8):
    """R2 with an outlier: it reaches far below what most sets score."""
    return ridge_table(n)


def additive(n=8):
    return members(n) @ np.linspace(-1.0, 1.0, n)


def variances(table, n_sets=256, n_seeds=300):
    """Summed variance of Banzhaf values of reuse, and of plain sampling.

    At equal evaluations: a plain sample of one player's gain takes two.
    """
    n, held = int(np.log2(len(table))), members(int(np.log2(len(table))))
    values = []
    for seed in range(n_seeds):
        drawn = np.random.default_rng(seed).integers(len(table), size=n_sets)
        values.append(with_minus_without(held[drawn], table[drawn])[0])
    reused = np.var(values, axis=0).sum()
    plain = 0.0
    for player in range(n):
        without = np.flatnonzero(~held[:, player])
        gains = table[without | (1 << player)] - table[without]
        plain += np.var(gains) / (n_sets / (2 * n))
    return reused, plain


@pytest.mark.parametrize("game", [nearly_everyone, far_off])
def test_reuse_has_less_variance_where_utilities_are_skewed(game):
    reused, plain = variances(game())
    assert reused < 0.8 * plain


def test_reuse_has_more_variance_where_utilities_add_up():
    reused, plain = variances(additive())
    assert plain < 1e-20 < reused
