"""Lanczos' form of Arnoldi's iteration: Krylov bases of a symmetric operator."""

import numpy as np
from scipy.linalg import eigh_tridiagonal

from sklinfluence.curvature._solvers._range import project

# A new direction shorter than this share of the operator's norm is rounding.
_INVARIANT = 1e-12


def lanczos(product, size, n_steps, basis, rng):
    """Ritz pairs of a symmetric operator on the complement of ``basis``.

    Every direction is made orthogonal to all before it, twice; where the Krylov space
    is exhausted (eigenvalues that occur more than once do that) a fresh random
    direction goes on, so that as many steps as there are dimensions give the whole
    spectrum.

    Parameters
    ----------
    product : callable
        (size, 1) array to (size, 1) array.
    size : int
    n_steps : int
    basis : ndarray of shape (size, n_directions)
        Orthonormal; what to stay away from.
    rng : numpy Generator or RandomState

    Returns
    -------
    values : ndarray of shape (n_steps,)
        Ritz values, ascending.
    vectors : ndarray of shape (size, n_steps)
    """
    n_steps = min(n_steps, size - basis.shape[1])
    if n_steps == 0:  # an l1 head of which nothing is active: all is kernel
        return np.zeros(0), np.zeros((size, 0))
    Q = np.zeros((size, n_steps), order="F")
    diagonal, beside = np.zeros(n_steps), np.zeros(max(n_steps - 1, 0))
    q, largest = _fresh(Q[:, :0], basis, rng), 0.0
    for step in range(n_steps):
        Q[:, step] = q
        known = Q[:, : step + 1]
        w = product(q[:, None])[:, 0]
        diagonal[step] = q @ w
        largest = max(largest, np.linalg.norm(w))
        if step + 1 == n_steps:
            break
        w = _orthogonal(w, known, basis)
        length = np.linalg.norm(w)
        if length > _INVARIANT * largest:
            beside[step], q = length, w / length
        else:
            q = _fresh(known, basis, rng)
    values, inner = eigh_tridiagonal(diagonal, beside)
    return values, Q @ inner


def _orthogonal(w, known, basis):
    for _ in range(2):
        w = w - known @ (known.T @ w)
        w = project(basis, w[:, None])[:, 0]
    return w


def _fresh(known, basis, rng):
    w = _orthogonal(rng.standard_normal(len(basis)), known, basis)
    return w / np.linalg.norm(w)
