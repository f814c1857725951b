"""The filter's own forest: what may change it, and what may not."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from sklinfluence.filtering._votes._own_forest import content_numbers, grow_classes


@pytest.fixture
def rng():
    return np.random.RandomState(0)


@pytest.fixture
def rows(rng):
    X, y = load_iris(return_X_y=True)
    X = X + rng.normal(scale=1e-3, size=X.shape)
    X[::7, 1] = np.nan
    return X, y, rng.randint(1, 4, size=150).astype(float)


def said(X, y, weight, n_jobs=None):
    vote = grow_classes(X, np.eye(3)[y], weight, np.random.RandomState(0), n_jobs)
    log_proba, model = vote.refit(np.eye(3)[y])
    return log_proba, model.predict_log_proba(X[:20] + 0.01)


def check_same(found, expected):
    # Sums over copies round differently in the last digits.
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_neither_order_nor_copies_nor_absent_rows_matter(rows, rng):
    X, y, weight = rows
    expected, new = said(X, y, weight)
    order = rng.permutation(150)
    found = said(X[order], y[order], weight[order])[0]
    check_same([found], [expected[order]])
    copies = np.repeat(np.arange(150), weight.astype(int))
    found = said(X[copies], y[copies], np.ones(len(copies)))[0]
    check_same([found], [expected[copies]])
    absent = np.r_[np.arange(150), [3, 70]]
    found = said(
        X[absent],
        (y[absent] + np.r_[np.zeros(150, int), 1, 1]) % 3,
        np.r_[weight, 0, 0],
    )
    check_same([found[0][:150], found[1]], [expected, new])


def test_units_and_threads_do_not_matter(rows):
    X, y, weight = rows
    expected = said(X, y, weight)
    check_same(said(X, y, weight, n_jobs=2), expected)
    # Powers of two: the order of the values stays as it is, ties and all.
    scale = 2.0 ** np.array([-900, 900, -60, 300])
    vote = grow_classes(X * scale, np.eye(3)[y], weight, np.random.RandomState(0))
    check_same([vote.refit(np.eye(3)[y])[0]], expected[:1])


def test_copies_of_a_row_are_out_together(rows):
    X, y, weight = rows
    twice = np.r_[np.arange(150), np.arange(150)]
    labels = y[twice]
    labels[150:] = (labels[150:] + 1) % 3  # copies need not agree
    vote = grow_classes(
        X[twice], np.eye(3)[labels], weight[twice], np.random.RandomState(0)
    )
    is_out = vote.leaf_means.is_out
    np.testing.assert_array_equal(is_out[:150], is_out[150:])
    assert 0.33 < is_out.mean() < 0.41  # (1 - 1/150)^150 = .367


def test_a_row_of_two_classes_is_two_copies(rows, rng):
    X, y, weight = rows
    soft = np.eye(3)[y]
    soft[::5] = rng.dirichlet(np.ones(2), size=30) @ np.eye(3)[[0, 2]]
    vote = grow_classes(X, soft, weight, np.random.RandomState(0))
    at, codes = np.nonzero(soft)
    copies = grow_classes(
        X[at], np.eye(3)[codes], weight[at] * soft[at, codes], np.random.RandomState(0)
    )
    expected = copies.refit(np.eye(3)[codes])[0]
    check_same([vote.refit(soft)[0][at]], [expected])


def test_is_as_right_as_scikit_learns(rows):
    X, y, weight = rows
    theirs = RandomForestClassifier(min_samples_leaf=3, oob_score=True, random_state=0)
    theirs.fit(X, y, sample_weight=weight)
    right = np.mean(said(X, y, weight)[0].argmax(axis=1) == y)
    # Three standard errors of a share of .95 of 150 rows.
    assert abs(right - theirs.oob_score_) < 0.055


def test_says_nothing_on_pure_noise(rng):
    X, y = rng.normal(size=(400, 5)), rng.randint(3, size=400)
    right = np.mean(said(X, y, np.ones(400))[0].argmax(axis=1) == y)
    assert abs(right - 1 / 3) < 3 * np.sqrt(2 / 9 / 400)


def test_content_numbers():
    X = np.array([[2, 0], [1, np.nan], [2, 0], [1, np.nan], [1, 5]], dtype=np.float32)
    numbers = content_numbers(X)
    assert len(set(numbers)) == 3
    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[3]
    np.testing.assert_array_equal(content_numbers(X[::-1]), numbers[::-1])
