import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering._representation import MAX_AXES, Representation


def represent(X, weight=None):
    weight = np.ones(X.shape[0]) if weight is None else weight
    representation = Representation(np.random.RandomState(0))
    return representation, representation.fit_transform(X, weight)


def test_narrow_columns_are_standardised():
    X = np.random.default_rng(0).standard_normal((30, 3)) * [1.0, 100.0, 0.0] + 5.0
    representation, Z = represent(X)
    np.testing.assert_allclose(Z, StandardScaler().fit_transform(X))
    np.testing.assert_allclose(representation.transform(X[:4]), Z[:4])


def test_new_rows_are_held_within_the_range_that_was_seen():
    X = np.random.default_rng(0).standard_normal((30, 3))
    X[:, 1] = 0.0
    X[0, 1] = 1e-3
    X[:, 2] = 4.0
    representation, Z = represent(X)
    far = representation.transform(np.array([[0.0, 9.0, 5.0]]))
    # As the row that had the largest value; a constant column says nothing.
    np.testing.assert_allclose(far[0, 1:], [Z[0, 1], 0.0])


def test_a_row_of_weight_two_is_two_rows():
    X = sparse.random(20, 6, density=0.5, random_state=0, format="csr")
    weight = np.random.default_rng(0).integers(0, 4, 20)
    _, weighted = represent(X, weight.astype(float))
    _, repeated = represent(X[np.repeat(np.arange(20), weight)])
    np.testing.assert_allclose(np.repeat(weighted, weight, axis=0), repeated)


def test_wide_rows_keep_their_distances():
    X = np.random.default_rng(0).standard_normal((30, 200))
    representation, Z = represent(X)
    assert Z.shape[1] < 30
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(
        euclidean_distances(Z), euclidean_distances(scaled), atol=1e-8
    )
    np.testing.assert_allclose(representation.transform(X), Z, atol=1e-10)


def test_weight_zero_rows_do_not_shape_it():
    X = np.random.default_rng(0).standard_normal((30, 4))
    weight = np.ones(30)
    weight[:10] = 0.0
    _, Z = represent(X, weight)
    np.testing.assert_allclose(Z[10:], StandardScaler().fit_transform(X[10:]))


@pytest.mark.parametrize("shape", [(40, 10), (40, 300), (900, 1500)])
def test_sparse_rows_keep_the_shape_of_their_distances(shape):
    X = sparse.random(*shape, density=0.3, random_state=0, format="csr")
    representation, Z = represent(X)
    assert isinstance(Z, np.ndarray) and Z.shape[1] <= max(MAX_AXES, shape[1])
    np.testing.assert_allclose(representation.transform(X[:3]), Z[:3], atol=1e-8)
    if min(shape) <= MAX_AXES:  # nothing is cut off
        ratio = euclidean_distances(X[:20])[0, 1:] / euclidean_distances(Z[:20])[0, 1:]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
