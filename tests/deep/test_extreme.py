"""Ends of a curvature's spectrum, against the eigenvalues that it was made of."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklinfluence.deep._net._net_solver import extreme  # noqa: E402


class OfEigenvalues:
    """A symmetric operator in a random basis."""

    def __init__(self, values):
        square = np.random.default_rng(1).normal(size=(len(values), len(values)))
        basis, _ = np.linalg.qr(square)
        self.matrix = (basis * values) @ basis.T
        self.shape = self.matrix.shape

    def dense(self):
        return self.matrix

    def matvec(self, V):
        return self.matrix @ V


@pytest.mark.parametrize(
    "values",
    [
        [3.0],
        [-1.0, 2.0],
        [0.5, 2.0],
        [-0.3, 0.1, 1.0, 4.0],
        np.arange(40.0),
        np.maximum(np.arange(60.0) - 30, 0),
    ],
)
def test_both_ends_are_found(values):
    operator, scale = OfEigenvalues(np.array(values)), np.max(np.abs(values))
    # Lanczos is asked for a hundredth. The low end is found among far larger ones to
    # the square of that: its sign says whether there is a minimum.
    assert abs(extreme(operator, "SA") - min(values)) <= 1e-4 * scale
    assert abs(extreme(operator, "LA") - max(values)) <= 0.01 * scale
