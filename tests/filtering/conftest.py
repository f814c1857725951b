"""Noisy data that several tests of the filter share."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs
from sklearn.model_selection import train_test_split


def flip(y, rate, seed):
    """Labels, a share of them changed to another class, and which rows those are."""
    rng = np.random.default_rng(seed)
    classes = np.unique(y)
    flipped = np.zeros(len(y), dtype=bool)
    flipped[rng.choice(len(y), int(rate * len(y)), replace=False)] = True
    noisy = y.copy()
    for row in np.flatnonzero(flipped):
        noisy[row] = rng.choice(classes[classes != y[row]])
    return noisy, flipped


@pytest.fixture(scope="session")
def noisy_blobs():
    """Three far blobs, five rows mislabelled: X, noisy string labels, wrong rows."""
    X, codes = make_blobs(
        n_samples=60, centers=[[0, 0], [6, 0], [0, 6]], random_state=0
    )
    y, wrong = flip(np.array(["ash", "birch", "cedar"])[codes], 5 / 60, seed=1)
    return X, y, wrong


@pytest.fixture(scope="session")
def noisy_line():
    """A line with small errors, four gross: X, y, wrong rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y = X @ [1.0, -2.0, 0.5] + 3 + rng.normal(scale=0.5, size=80)
    wrong = np.zeros(80, dtype=bool)
    wrong[[3, 20, 41, 66]] = True
    y[wrong] += [10, -10, 11, -11]
    return X, y, wrong


@pytest.fixture(scope="session")
def noisy_digits():
    """Half of the digits with string labels, 20 % flipped, and the clean other half."""
    X, codes = load_digits(return_X_y=True)
    y = np.array([f"digit {code}" for code in codes])
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    noisy, flipped = flip(y, 0.2, seed=0)
    return X, noisy, flipped, X_test, y_test
