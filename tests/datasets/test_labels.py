"""flip_labels: counts, where flips go, containers, and what it refuses."""

import re

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import chi2_contingency, chisquare
from sklearn.datasets import load_iris, make_blobs
from sklearn.linear_model import LogisticRegression

from sklinfluence.datasets import flip_labels

KINDS = ["uniform", "class", "instance"]


def make_request(kind, n_samples=300, seed=0):
    """A data set and the keyword arguments that `kind` needs."""
    X, y = make_blobs(n_samples, centers=4, cluster_std=3.0, random_state=seed)
    return y, {"kind": kind, "X": X} if kind == "instance" else {"kind": kind}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.0, 0.101, 0.5])
def test_exactly_the_asked_share_is_flipped(kind, rate):
    y, arguments = make_request(kind)
    y_noisy, is_flipped = flip_labels(y, rate, random_state=0, **arguments)
    assert is_flipped.dtype == bool
    np.testing.assert_array_equal(is_flipped, y_noisy != y)
    if kind == "class":
        for label, count in zip(*np.unique(y, return_counts=True), strict=True):
            assert is_flipped[y == label].sum() == round(rate * count)
    else:
        assert is_flipped.sum() == round(rate * len(y))


@pytest.mark.parametrize("kind", KINDS)
def test_seed_decides_the_draw_and_the_input_is_left_alone(kind):
    y, arguments = make_request(kind)
    before = y.copy()
    first = flip_labels(y, 0.2, random_state=3, **arguments)
    again = flip_labels(y, 0.2, random_state=3, **arguments)
    other = flip_labels(y, 0.2, random_state=4, **arguments)
    np.testing.assert_array_equal(first[0], again[0])
    assert np.any(first[1] != other[1])
    np.testing.assert_array_equal(y, before)


def test_uniform_flips_reach_every_other_class_alike():
    y = np.repeat([0, 1, 2, 3], 3000)
    y_noisy, is_flipped = flip_labels(y, 0.5, random_state=0)
    for label in range(4):
        given = y_noisy[is_flipped & (y == label)]
        counts = np.bincount(given, minlength=4)
        assert counts[label] == 0
        # A fixed seed and about 1500 flips a class; 1e-3 is a chance of one in a
        # thousand to err, had the draw been another.
        assert chisquare(np.delete(counts, label)).pvalue > 1e-3
    table = np.bincount(y, weights=is_flipped), np.bincount(y, weights=~is_flipped)
    assert chi2_contingency(table).pvalue > 1e-3


def test_class_flips_go_to_the_next_class_by_default():
    y = np.array(["a", "b", "c"] * 20)
    y_noisy, is_flipped = flip_labels(y, 0.25, kind="class", random_state=0)
    follows = {"a": "b", "b": "c", "c": "a"}
    assert is_flipped.sum() == 15
    assert all(y_noisy[i] == follows[y[i]] for i in range(len(y)) if is_flipped[i])


def test_transition_matrix_is_followed_to_the_row():
    y = np.repeat([5, 7, 9], [100, 200, 40])
    transition = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]
    y_noisy, _ = flip_labels(y, kind="class", transition=transition, random_state=0)
    counts = [
        [np.sum(y_noisy[y == k] == label) for label in (5, 7, 9)] for k in (5, 7, 9)
    ]
    assert counts == [[70, 20, 10], [0, 200, 0], [10, 10, 20]]


def test_shares_that_are_no_whole_rows_are_rounded_and_lose_nobody():
    y = np.repeat([0, 1, 2], 7)
    third = np.full((3, 3), 1 / 3)
    y_noisy, is_flipped = flip_labels(y, kind="class", transition=third, random_state=0)
    # 2/3 of 7 is 4.67: 5 rows leave each class, shared 2 and 3 by the others.
    for label in range(3):
        assert is_flipped[y == label].sum() == 5
        counts = np.bincount(y_noisy[y == label], minlength=3)
        assert sorted(np.delete(counts, label)) == [2, 3]


def test_instance_flips_gather_at_the_boundary_and_cross_it():
    X, y = make_blobs([400, 400, 400], centers=[[0], [4], [12]], random_state=0)
    y_noisy, is_flipped = flip_labels(y, 0.1, kind="instance", X=X, random_state=0)
    near = np.abs(X[:, 0] - 2.0) < 1.5
    assert is_flipped[near].mean() > 5 * is_flipped[~near].mean()
    # Class 2 is eight standard deviations away: no row of class 0 looks like it.
    assert set(y_noisy[is_flipped & (y == 0)]) == {1}


def test_rows_that_look_like_another_class_are_flipped_more_often():
    X, y = make_blobs(1000, centers=2, cluster_std=4.0, random_state=1)
    _, is_flipped = flip_labels(y, 0.2, kind="instance", X=X, random_state=0)
    model = LogisticRegression(C=1e6).fit(X, y)
    proba_wrong = 1 - model.predict_proba(X)[np.arange(len(y)), y]
    assert proba_wrong[is_flipped].mean() > 2 * proba_wrong[~is_flipped].mean()


def test_instance_takes_sparse_features_and_small_classes():
    X, y = make_blobs([40, 40, 3], random_state=0)
    X = np.maximum(X, 0.0)
    _, dense = flip_labels(y, 0.2, kind="instance", X=X, random_state=0)
    with_csr = flip_labels(
        y, 0.2, kind="instance", X=sparse.csr_array(X), random_state=0
    )
    assert dense.sum() == with_csr[1].sum() == round(0.2 * 83)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes", "perhaps"]),
        np.array(["no", "yes", "perhaps"], dtype=object),
        np.array([1.0, 2.0, 7.0]),
        np.array([-1, 1, 100], dtype=np.int8),
    ],
    ids=["str", "object", "float", "int8"],
)
def test_label_kinds_keep_their_dtype(kind, labels):
    X, y = load_iris(return_X_y=True)
    arguments = {"X": X} if kind == "instance" else {}
    y_noisy, is_flipped = flip_labels(
        labels[y], 0.2, kind=kind, random_state=0, **arguments
    )
    assert y_noisy.dtype == labels.dtype
    assert set(y_noisy) <= set(labels)
    assert np.all(y_noisy[is_flipped] != labels[y][is_flipped])


def test_a_list_stays_a_list():
    y_noisy, is_flipped = flip_labels(["a", "b"] * 5, 0.2, random_state=0)
    assert isinstance(y_noisy, list)
    assert is_flipped.sum() == 2


@pytest.mark.parametrize("dtype", [None, "category"])
def test_a_pandas_series_keeps_index_name_and_dtype(dtype):
    pd = pytest.importorskip("pandas")
    index = pd.Index(np.arange(20)[::-1] * 10, name="row")
    y = pd.Series(["cat", "dog"] * 10, index=index, name="animal", dtype=dtype)
    y_noisy, is_flipped = flip_labels(y, 0.25, random_state=0)
    pd.testing.assert_index_equal(y_noisy.index, index)
    assert y_noisy.name == "animal"
    assert y_noisy.dtype == y.dtype
    np.testing.assert_array_equal(y_noisy.to_numpy() != y.to_numpy(), is_flipped)


def test_a_polars_series_stays_one():
    pl = pytest.importorskip("polars")
    y = pl.Series("animal", ["cat", "dog"] * 10)
    y_noisy, is_flipped = flip_labels(y, 0.25, random_state=0)
    assert isinstance(y_noisy, pl.Series)
    assert (y_noisy != y).to_list() == is_flipped.tolist()


GOOD = ["a", "b", "b", "a"]


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (GOOD, {"rate": 1.0}, "The 'rate' parameter of flip_labels must be"),
        (GOOD, {"rate": -0.1}, "The 'rate' parameter of flip_labels must be"),
        (GOOD, {"rate": 0.1, "kind": "pair"}, "The 'kind' parameter of flip_labels"),
        (GOOD, {}, "rate is missing"),
        (["a", "a"], {"rate": 0.1}, "at least two classes to flip between; y has only"),
        ([0.1, 0.2, 0.3], {"rate": 0.1}, "Unknown label type: continuous"),
        ([[0, 1], [1, 0]], {"rate": 0.1}, "y should be a 1d array"),
        (GOOD, {"rate": 0.1, "X": [[1]] * 4}, "X is used by kind='instance' only"),
        (GOOD, {"rate": 0.1, "kind": "instance"}, "kind='instance' needs X"),
        (
            GOOD,
            {"rate": 0.1, "kind": "instance", "X": [[1], [2]]},
            "inconsistent numbers of samples",
        ),
        (
            ["a", "a", "b"],
            {"rate": 0.1, "kind": "instance", "X": [[1], [2], [3]]},
            "two rows of each class",
        ),
        (GOOD, {"transition": np.eye(2)}, "transition is used by kind='class' only"),
        (
            GOOD,
            {"rate": 0.1, "kind": "class", "transition": np.eye(2)},
            "Give either rate or transition",
        ),
        (
            GOOD,
            {"kind": "class", "transition": np.eye(3)},
            "transition must have shape (2, 2)",
        ),
        (
            GOOD,
            {"kind": "class", "transition": [[0.5, 0.4], [0, 1]]},
            "Every row of transition must be a distribution",
        ),
        (
            GOOD,
            {"kind": "class", "transition": [[np.nan, 0.4], [0, 1]]},
            "Every row of transition must be a distribution",
        ),
        (
            GOOD,
            {"kind": "class", "transition": [[1.5, -0.5], [0, 1]]},
            "Every row of transition must be a distribution",
        ),
    ],
)
def test_bad_input_is_named(y, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        flip_labels(y, **arguments)
