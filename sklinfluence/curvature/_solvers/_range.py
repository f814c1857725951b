"""What solvers share: the projection onto the range of H, residuals, refusals."""

import numpy as np


class SingularHessianError(np.linalg.LinAlgError, ValueError):
    """The Hessian has no inverse, even on the directions that the data can see."""


SINGULAR_MESSAGE = (
    "The Hessian of the training objective is not positive definite{detail}. It "
    "usually means that the optimum is not unique. Possible causes: (a) no penalty "
    "and classes that a hyperplane separates, so that the curvature vanishes; (b) no "
    "penalty and columns that are nearly, not exactly, dependent; (c) columns of very "
    "different scale. Penalise the estimator (a finite C, an alpha above 0), scale "
    "the columns, or set damping above 0."
)


def project(basis, B):
    """B without its part in the span of the orthonormal ``basis``."""
    if basis.shape[1] == 0:
        return B
    return B - basis @ (basis.T @ B)


def relative_residuals(product, B):
    """Length of ``product - B`` over that of B, column by column; 0 where B is 0."""
    error = np.linalg.norm(product - B, axis=0)
    scale = np.linalg.norm(B, axis=0)
    return np.divide(error, scale, out=np.zeros_like(error), where=scale > 0)


def inverse_of(value):
    """1 / value, inf where there is none: of a range of nothing but kernel."""
    return 1.0 / value if value > 0 else np.inf


def extreme_eigenvalue(product, size, *, seed=0, max_iter=40, rtol=1e-2):
    """Largest eigenvalue of a symmetric positive operator, by power iteration.

    Parameters
    ----------
    product : callable
        (size, 1) array to (size, 1) array.
    size : int

    Returns
    -------
    value : float
        A Rayleigh quotient: never above the true value, within about ``rtol`` of it
        unless the two largest are nearly equal (then it lies between them).
    """
    v = np.random.default_rng(seed).standard_normal((size, 1))
    value = 0.0
    for _ in range(max_iter):
        v /= np.linalg.norm(v)
        w = product(v)
        previous, value = value, (v.T @ w).item()
        if value == 0 or abs(value - previous) <= 0.1 * rtol * value:
            break
        v = w
    return value
