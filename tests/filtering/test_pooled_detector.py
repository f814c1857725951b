import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits, load_iris, make_classification, make_moons
from sklearn.metrics import average_precision_score

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering._votes._pooled_detector import PooledDetector


def detect(X, codes, n_classes, weight=None, **params):
    detector = PooledDetector(random_state=0, **params)
    return detector.fit(X, codes, n_classes, weight)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    codes, is_flipped = flip_labels(y, 0.15, random_state=0)
    return X, codes, is_flipped


def test_finds_class_dependent_flips_that_a_loss_does_not():
    X, y = load_digits(return_X_y=True)
    X, y = X[:1000], y[:1000]
    codes, is_flipped = flip_labels(y, 0.3, kind="class", random_state=0)
    found = detect(X, codes, 10)
    precision = average_precision_score(is_flipped, found.scores_)
    no_model = detect(X, codes, 10, noise=None)
    plain = average_precision_score(is_flipped, no_model.scores_)
    assert precision > 0.9
    assert precision > plain
    is_doubted = found.loo_proba_.argmax(axis=1) != codes
    assert np.sum(is_doubted & is_flipped) > 0.6 * is_flipped.sum()
    suggested = found.suggest_codes(is_doubted)
    assert (suggested == y)[is_doubted & is_flipped].mean() > 0.9


def test_finds_flips_where_no_line_separates():
    X, y = make_moons(600, noise=0.15, random_state=0)
    codes, is_flipped = flip_labels(y, 0.1, random_state=0)
    assert average_precision_score(is_flipped, detect(X, codes, 2).scores_) > 0.85


def test_outcome_is_consistent(iris):
    X, codes, _ = iris
    found = detect(X, codes, 3)
    np.testing.assert_allclose(found.loo_proba_.sum(axis=1), 1.0, rtol=1e-8)
    everywhere = np.ones(len(X), dtype=bool)
    assert np.all(found.suggest_codes(everywhere) != codes)
    np.testing.assert_array_equal(found.suggest_codes(~everywhere), codes)
    np.testing.assert_allclose(found.predict_proba(X).sum(axis=1), 1.0, rtol=1e-8)


def test_row_order_does_not_matter(iris):
    X, codes, _ = iris
    order = np.random.default_rng(0).permutation(len(X))
    found, moved = detect(X, codes, 3), detect(X[order], codes[order], 3)
    # Fits that round differently stop a little apart.
    np.testing.assert_allclose(moved.scores_, found.scores_[order], atol=0.05)


def test_class_names_do_not_matter(iris):
    X, codes, _ = iris
    swap = np.array([2, 0, 1])
    found, moved = detect(X, codes, 3), detect(X, swap[codes], 3)
    np.testing.assert_allclose(moved.scores_, found.scores_, atol=0.05)
    everywhere = np.ones(len(X), dtype=bool)
    suggested = found.suggest_codes(everywhere)
    np.testing.assert_array_equal(swap[suggested], moved.suggest_codes(everywhere))


def test_weight_zero_is_absence(iris):
    X, codes, _ = iris
    weight = np.ones(len(X))
    weight[::10] = 0.0
    kept = weight > 0
    found = detect(X, codes, 3, weight)
    short = detect(X[kept], codes[kept], 3)
    np.testing.assert_allclose(found.scores_[kept], short.scores_, atol=0.05)
    np.testing.assert_allclose(
        found.scores_[~kept], short.score_samples(X[~kept], codes[~kept]), atol=0.05
    )


def test_units_do_not_matter(iris):
    X, codes, _ = iris
    found = detect(X, codes, 3)
    moved = detect(X * [1e3, 1e-3, 1.0, 5.0] + 7.0, codes, 3)
    np.testing.assert_allclose(moved.scores_, found.scores_, atol=0.05)


def test_new_rows_are_scored_about_as_training_rows(iris):
    X, codes, _ = iris
    new = np.arange(len(X)) % 3 == 0
    given, is_flipped = flip_labels(codes[new], 0.2, random_state=1)
    found = detect(X[~new], codes[~new], 3)
    scores = found.score_samples(X[new], given)
    assert average_precision_score(is_flipped, scores) > 0.4


def test_sparse_rows_are_scored(iris):
    X, y = load_digits(return_X_y=True)
    codes, is_flipped = flip_labels(y[:500], 0.1, random_state=0)
    found = detect(sparse.csr_matrix(X[:500]), codes, 10)
    assert average_precision_score(is_flipped, found.scores_) > 0.8
    new = found.score_samples(sparse.csr_matrix(X[500:550]), y[500:550])
    assert np.isfinite(new).all()


def hard_cases():
    rng = np.random.default_rng(0)
    blobs = make_classification(
        300, 20, n_informative=12, n_classes=10, n_clusters_per_class=1, random_state=0
    )
    yield "300 rows, 10 classes", *blobs
    yield "one column", rng.standard_normal((80, 1)), np.arange(80) % 3
    yield "constant columns", np.ones((40, 3)), np.arange(40) % 2
    X, y = load_iris(return_X_y=True)
    yield "a class of 5 rows", X[:105], y[:105]
    yield "a class of 1 row", X[:101], y[:101]
    yield "100 classes", rng.standard_normal((500, 8)), np.arange(500) % 100
    yield "more columns than rows", rng.standard_normal((40, 300)), np.arange(40) % 3
    yield "separable", np.repeat([[0.0], [9.0]], 20, axis=0), np.repeat([0, 1], 20)
    yield "two rows", np.array([[0.0], [1.0]]), np.array([0, 1])
    yield "wide rows all alike", np.ones((6, 30)), np.arange(6) % 2
    far = np.repeat([[0.0], [1.0]], [80, 40], axis=0)
    yield "far clusters", far + 1e-7 * rng.standard_normal((120, 2)), np.arange(120) % 2
    yield "huge values", 1e150 * X, y
    yield "a column beyond squaring", X * [1e250, 1e-250, 1.0, 1.0], y


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "name, X, y", [pytest.param(*case, id=case[0]) for case in hard_cases()]
)
@pytest.mark.parametrize("noise", ["class", None])
def test_hard_data_is_survived(name, X, y, noise):
    n_classes = y.max() + 1
    found = detect(X, y, n_classes, noise=noise)
    assert np.isfinite(found.scores_).all()
    assert np.isfinite(found.score_samples(X, y)).all()
    assert found.loo_proba_.shape == (len(y), n_classes)


def test_classes_without_rows_keep_their_columns(iris):
    X, codes, _ = iris
    spread = np.array([1, 3, 4])[codes]
    found = detect(X, spread, 6)
    plain = detect(X, codes, 3)
    np.testing.assert_allclose(found.scores_, plain.scores_)
    np.testing.assert_array_equal(found.loo_proba_[:, [0, 2, 5]], 0.0)
    everywhere = np.ones(len(X), dtype=bool)
    assert set(found.suggest_codes(everywhere)) <= {1, 3, 4}
    unseen = found.score_samples(X[:2], np.array([0, 1]))
    assert unseen[0] > unseen[1]


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes"):
        detect(np.ones((5, 2)), np.zeros(5, dtype=int), 2)
