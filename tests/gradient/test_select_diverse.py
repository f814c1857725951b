"""DIVINE: greedy against every subset, lazy against plain, gamma = 0 the top n."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import scale

from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import select_diverse

KINDS = ("sum_redundancy", "facility_location", "mmd")


def objective(subset, importance, phi, gamma, kind):
    """T 13, from its definition."""
    subset = list(subset)
    among = phi[np.ix_(subset, subset)].sum()
    if kind == "sum_redundancy":
        diversity = phi.sum() - among
    elif kind == "facility_location":
        diversity = phi[:, subset].max(axis=1).sum()
    else:
        n, m = len(phi), len(subset)
        diversity = 2 / (n * m) * phi[:, subset].sum() - among / m**2
    return importance[subset].sum() + gamma * diversity


@pytest.fixture(scope="module")
def twelve():
    """Four groups of three rows that are alike, as DIVINE expects of data."""
    rng = np.random.default_rng(0)
    centers = 4.0 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    X = np.repeat(centers, 3, axis=0) + 0.5 * rng.normal(size=(12, 2))
    y = (X[:, 0] + rng.normal(size=12) > 2).astype(int)
    return InfluenceRanker().fit(X, y), rbf_kernel(X, gamma=0.5)


@pytest.mark.parametrize(
    "kind, gamma",
    [(kind, gamma) for kind in KINDS[:2] for gamma in (0.01, 0.1, 1.0)]
    # The first row alone is best placed in the middle, and stays: at large gamma the
    # best four under "mmd" are without it.
    + [("mmd", 0.01), ("mmd", 0.1)],
)
def test_greedy_reaches_the_best_of_all_subsets(twelve, kind, gamma):
    ranker, phi = twelve
    importance = ranker.self_influence_
    chosen = select_diverse(ranker, 4, kind=kind, gamma=gamma, bandwidth=1.0)
    best = max(
        objective(subset, importance, phi, gamma, kind)
        for subset in combinations(range(12), 4)
    )
    # Greedy is no exact method in general; where groups stand apart it is.
    assert objective(chosen, importance, phi, gamma, kind) == pytest.approx(
        best, rel=1e-12
    )


@pytest.mark.parametrize("seed", range(10))
def test_greedy_facility_location_keeps_its_guarantee(seed):
    """Nemhauser, Wolsey and Fisher: at least 1 - 1/e of the best, on any rows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(12, 2))
    ranker = InfluenceRanker().fit(X, np.arange(12) % 2)
    phi = rbf_kernel(X, gamma=0.5)
    importance = rng.exponential(size=12)
    chosen = select_diverse(
        ranker,
        4,
        kind="facility_location",
        gamma=1.0,
        bandwidth=1.0,
        importance=importance,
    )
    values = [
        objective(subset, importance, phi, 1.0, "facility_location")
        for subset in combinations(range(12), 4)
    ]
    reached = objective(chosen, importance, phi, 1.0, "facility_location")
    assert reached >= (1 - np.exp(-1)) * max(values)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_the_best_next_one(kind):
    X, y = load_wine(return_X_y=True)
    X = scale(X)
    ranker = InfluenceRanker().fit(X, y)
    importance = ranker.mean_influence(X, y)
    phi = rbf_kernel(X, gamma=1 / (X.shape[1] * X.var()))
    chosen = select_diverse(ranker, 8, kind=kind, gamma=0.05, importance=importance)
    for at, row in enumerate(chosen):
        before = list(chosen[:at])
        values = [
            -np.inf
            if other in before
            else objective([*before, other], importance, phi, 0.05, kind)
            for other in range(len(y))
        ]
        # Ties between rows are broken by rounding.
        assert values[row] == pytest.approx(max(values), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gamma_zero_is_the_plain_top(kind):
    X, y = load_wine(return_X_y=True)
    ranker = InfluenceRanker().fit(scale(X), y)
    chosen = select_diverse(ranker, 10, kind=kind, gamma=0)
    assert_array_equal(ranker.ranking_[chosen], np.arange(1, 11))


def test_large_gamma_spreads_over_the_digits():
    X, y = load_digits(return_X_y=True)
    X, y = X[:500] / 16, y[:500]
    ranker = InfluenceRanker().fit(X, y)
    top = select_diverse(ranker, 10, gamma=0)
    for kind in KINDS:
        spread = select_diverse(ranker, 10, kind=kind, gamma=100.0)
        assert len(np.unique(y[spread])) > len(np.unique(y[top]))


def test_small_memory_chooses_the_same():
    X, y = load_digits(return_X_y=True)
    ranker = InfluenceRanker().fit(X[:400] / 16, y[:400])
    for kind in KINDS:
        plain = select_diverse(ranker, 6, kind=kind, gamma=0.1)
        with config_context(working_memory=1):
            assert_array_equal(select_diverse(ranker, 6, kind=kind, gamma=0.1), plain)


def test_other_rows_and_rankers():
    X, y = load_wine(return_X_y=True)
    X = scale(X)
    ranker = RepresenterRanker().fit(X, y)
    own = select_diverse(ranker, 5, gamma=0.5)
    assert_array_equal(select_diverse(ranker, 5, gamma=0.5, X=X), own)


def test_refusals():
    X, y = load_wine(return_X_y=True)
    ranker = InfluenceRanker().fit(scale(X), y)
    for arguments, message in (
        ({"n": 0}, "n=0"),
        ({"n": 5, "kind": "max"}, "'kind' parameter.*Got 'max'"),
        ({"n": 5, "gamma": -1}, "'gamma' parameter.*Got -1"),
        ({"n": 5, "importance": [1.0]}, "one value for each of the 178"),
        ({"n": 5, "X": X[:7]}, "X has 7 rows"),
        ({"n": 5, "bandwidth": 0}, "'bandwidth' parameter.*Got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            select_diverse(ranker, **arguments)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sparse", [False, True])
def test_rows_that_are_all_alike_come_by_importance(kind, sparse):
    """No variance to scale by: every pair is as redundant, no pair is NaN."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=12)
    ranker = InfluenceRanker(Ridge()).fit(rng.normal(size=(12, 3)), y)
    alike = np.full((12, 3), 0.1)
    X = csr_matrix(alike) if sparse else alike
    importance = rng.permutation(12).astype(float)
    chosen = select_diverse(ranker, 5, X=X, importance=importance, kind=kind, gamma=0.3)
    assert_array_equal(importance[chosen], [11, 10, 9, 8, 7])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gamma", [0.01, 0.1, 1.0])
def test_sparse_rows_are_chosen_as_dense_ones_are(kind, gamma):
    rng = np.random.default_rng(1)
    X, importance = rng.poisson(0.3, size=(60, 5)).astype(float), rng.random(60)
    ranker = InfluenceRanker(Ridge()).fit(X, rng.random(60))
    dense, sparse = (
        select_diverse(
            ranker, 12, X=rows, importance=importance, kind=kind, gamma=gamma
        )
        for rows in (X, csr_matrix(X))
    )
    assert_array_equal(dense, sparse)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_embedding_of_the_ranker_itself(kind):
    y = np.random.default_rng(0).normal(size=8)
    ranker = InfluenceRanker(Ridge()).fit(np.ones((8, 2)), y)
    chosen = select_diverse(ranker, 4, kind=kind, gamma=0.3)
    assert_array_equal(chosen, np.argsort(-ranker.self_influence_)[:4])
