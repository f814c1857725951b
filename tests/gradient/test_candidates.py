"""FastIF's candidates are the same numbers, of fewer rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.datasets import load_wine
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import scale

from sklinfluence.gradient import InfluenceRanker


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return scale(X), y


@pytest.mark.parametrize("method", ["influence", "newton", "grad_dot"])
@pytest.mark.parametrize("normalize", [None, "theta", "cosine"])
def test_candidates_are_entries_of_the_matrix(wine, method, normalize):
    X, y = wine
    ranker = InfluenceRanker(method=method, normalize=normalize).fit(X, y)
    full = ranker.influence(X[:20], y[:20])
    few = ranker.influence(X[:20], y[:20], candidates=7)
    assert sparse.issparse(few) and few.shape == full.shape and few.nnz == 140
    nearest = np.argsort(euclidean_distances(X[:20], X), axis=1)[:, :7]
    rows = np.arange(20)[:, None]
    expected = np.zeros_like(full)
    expected[rows, nearest] = full[rows, nearest]
    # The same products in another order.
    assert_allclose(few.toarray(), expected, atol=1e-12)


def test_all_candidates_rank_as_the_matrix_does(wine):
    X, y = wine
    ranker = InfluenceRanker(method="newton", refine=1e-4).fit(X, y)
    for name in ("proponents", "opponents"):
        values, index = getattr(ranker, name)(X[:9], y[:9], n=4)
        few, where = getattr(ranker, name)(X[:9], y[:9], n=4, candidates=len(y))
        assert np.array_equal(index, where)
        assert_allclose(values, few, atol=1e-12)


def test_predicted_labels_are_the_default(wine):
    X, y = wine
    ranker = InfluenceRanker().fit(X, y)
    few = ranker.influence(X[:5], candidates=3)
    given = ranker.influence(X[:5], ranker.predict(X[:5]), candidates=3)
    assert_allclose(few.toarray(), given.toarray())


def test_bad_numbers_are_named(wine):
    X, y = wine
    ranker = InfluenceRanker().fit(X, y)
    with pytest.raises(ValueError, match="candidates=0"):
        ranker.influence(X, y, candidates=0)
    with pytest.raises(ValueError, match="training rows with a weight, 178"):
        ranker.influence(X, y, candidates=500)
    with pytest.raises(ValueError, match="n=5 must be an int from 1 to candidates, 3"):
        ranker.proponents(X, y, n=5, candidates=3)
