"""Rows on which fitted ensembles of every kind are tried."""

import numpy as np
import pytest

N_TRAIN = 160


class Data:
    """A mixed table, and targets of every kind of loss."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(N_TRAIN, 5))
        self.X[:, 4] = rng.integers(6, size=N_TRAIN)
        self.holes = self.X.copy()
        self.holes[:, :4][rng.random((N_TRAIN, 4)) < 0.1] = np.nan
        group = np.array([0.0, 3.0, -2.0, 1.0, -3.0, 2.0])[self.X[:, 4].astype(int)]
        self.real = self.X[:, 0] + group + 0.5 * rng.normal(size=N_TRAIN) + 20.0
        self.counts = rng.poisson(np.exp(0.4 * self.X[:, 0] + 0.2 * group)).astype(
            float
        )
        self.positive = np.exp(0.3 * group + 0.3 * rng.normal(size=N_TRAIN))
        self.three = np.digitize(group + rng.normal(size=N_TRAIN), [-1.0, 1.0])
        self.two = np.array(["no", "yes"])[(self.real > 20.0).astype(int)]
        self.weights = rng.integers(0, 4, size=N_TRAIN).astype(float)
        self.queries = rng.normal(size=(12, 5))
        self.queries[:, 4] = rng.integers(6, size=12)


@pytest.fixture(scope="session")
def data():
    return Data()
