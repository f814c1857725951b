import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering._columns._representation import MAX_AXES, Representation


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


@pytest.mark.parametrize(("n_columns", "density"), [(6, 0.5), (300, 0.03)])
def test_a_row_of_weight_two_is_two_rows(n_columns, density):
    X = sparse.random(20, n_columns, density, random_state=0, format="csr")
    weight = np.random.default_rng(0).integers(0, 4, 20)
    _, weighted = represent(X, weight.astype(float))
    _, repeated = represent(X[np.repeat(np.arange(20), weight)])
    # Distances: the signs of principal axes are nobody's.
    np.testing.assert_allclose(
        euclidean_distances(np.repeat(weighted, weight, axis=0)),
        euclidean_distances(repeated),
        atol=1e-6 * np.abs(repeated).max(),
    )


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


@pytest.mark.parametrize("shape", [(40, 300), (900, 1500)])
def test_term_weights_keep_the_shape_of_their_distances(shape):
    X = sparse.random(*shape, density=0.03, random_state=0, format="csr")
    representation, Z = represent(X)
    assert isinstance(Z, np.ndarray) and Z.shape[1] <= max(MAX_AXES, shape[1])
    np.testing.assert_allclose(representation.transform(X[:3]), Z[:3], atol=1e-8)
    if min(shape) <= MAX_AXES:  # nothing is cut off
        ratio = euclidean_distances(X[:20])[0, 1:] / euclidean_distances(Z[:20])[0, 1:]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
        # About unit variance an axis, of as many as are kept at most.
        mean_square = np.mean(np.sum(Z**2, axis=1))
        np.testing.assert_allclose(mean_square, min(shape[1], MAX_AXES), rtol=0.1)


@pytest.mark.parametrize("density", [0.03, 0.3])
@pytest.mark.parametrize("shape", [(40, 10), (40, 300), (900, 1500)])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "csr of entries in parts"])
def test_a_sparse_matrix_is_its_numbers(shape, density, form):
    X = sparse.random(*shape, density, random_state=0, format="csr")
    weight = np.random.default_rng(0).integers(0, 3, shape[0]).astype(float)
    dense = X.toarray()
    if form in ("csr", "csc", "coo"):
        X = X.asformat(form).tocsr()
    else:
        # Explicit zeros, and every entry in two halves, not sorted.
        coo = X.tocoo()
        data = np.r_[coo.data / 2, coo.data / 2, 0.0]
        rows, columns = np.r_[coo.row, coo.row, 0], np.r_[coo.col, coo.col, 0]
        order = np.argsort(rows, kind="stable")
        indptr = np.searchsorted(rows[order], np.arange(shape[0] + 1))
        X = sparse.csr_matrix((data[order], columns[order], indptr), shape)
    before = X.copy()
    of_sparse, Z = represent(X, weight)
    of_dense, expected = represent(dense, weight)
    np.testing.assert_allclose(Z, expected, rtol=1e-12)
    np.testing.assert_allclose(
        of_sparse.transform(dense[:3]), of_dense.transform(X[:3]), rtol=1e-12
    )
    assert (before.data == X.data).all() and (before.indices == X.indices).all()


@pytest.mark.parametrize("value", [1e8, -1e30, 1.7e308])
@pytest.mark.parametrize(("n_columns", "density"), [(5, 1.0), (300, 1.0), (300, 0.03)])
def test_one_huge_row_leaves_the_distances_of_the_others(n_columns, density, value):
    X = sparse.random(60, n_columns, density, random_state=0).toarray()
    _, expected = represent(X[1:])
    X[0, : n_columns // 2] = value
    representation, Z = represent(X)
    away, there = euclidean_distances(Z[1:]), euclidean_distances(expected)
    # The row that is held at the edge still moves means and deviations a little:
    # by about its share, a sixtieth, times its own spread.
    np.testing.assert_allclose(away, there, atol=0.1 * there.max())
    assert np.isfinite(representation.transform(X)).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("scale", [1e-300, 1e-120, 1e120, 1e305])
@pytest.mark.parametrize(("n_columns", "density"), [(5, 1.0), (300, 0.03)])
def test_units_do_not_matter(n_columns, density, scale):
    X = sparse.random(60, n_columns, density, random_state=0).toarray()
    _, expected = represent(X)
    _, Z = represent(X * scale)
    np.testing.assert_allclose(
        euclidean_distances(Z),
        euclidean_distances(expected),
        atol=1e-6 * np.abs(expected).max(),
    )
