"""Rows of which most tests on a cluster are, and how results are compared."""

import numpy as np


def classes(n_rows=500, n_columns=6, n_classes=3, seed=0):
    """X and y with noise, so that every row has influence."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_columns))
    raw = X @ rng.standard_normal((n_columns, n_classes))
    return X, np.argmax(raw + rng.gumbel(size=raw.shape), axis=1)


def values(n_rows=500, n_columns=6, seed=0):
    X, _ = classes(n_rows, n_columns, seed=seed)
    noise = np.random.default_rng(seed).standard_normal(n_rows)
    return X, X @ np.arange(1.0, n_columns + 1) + noise


def assert_same(lazy, truth, tol=1e-8):
    """Equal to ``tol`` of the largest entry, shape and type too, NaN where it is."""
    found = lazy.compute() if hasattr(lazy, "compute") else np.asarray(lazy)
    truth = np.asarray(truth)
    assert found.shape == truth.shape
    assert found.dtype == truth.dtype
    scale = np.nanmax(np.abs(truth), initial=1e-300)
    np.testing.assert_allclose(found / scale, truth / scale, rtol=0, atol=tol)
