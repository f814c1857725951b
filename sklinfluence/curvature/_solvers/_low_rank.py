"""An approximate inverse Hessian: a diagonal and a few directions beside it."""

import numpy as np

from sklinfluence.curvature._solvers._range import (
    extreme_eigenvalue,
    inverse_of,
    project,
)
from sklinfluence.curvature._solvers._solver import SolverState


class LowRankInverse(SolverState):
    """diag(d) + V diag(c) V^T, on the range of H.

    Attributes
    ----------
    operator : Hessian
    diagonal : ndarray of shape (p,)
        d.
    vectors : ndarray of shape (p, rank)
        V.
    coefficients : ndarray of shape (rank,)
        c.
    basis : ndarray of shape (p, n_directions)
        Of the kernel of H.
    has_exact_rows : bool
        Whether nothing of H is left out.
    """

    def __init__(self, operator, diagonal, vectors, coefficients):
        self.operator = operator
        # An l1 head's coefficients off the active set are no parameters.
        active = operator.active
        self.diagonal = diagonal if active is None else diagonal * active.ravel()
        self.vectors = vectors
        self.coefficients = coefficients
        self.basis = operator.null_space()
        self.n_outputs, self.n_columns = operator.n_outputs, operator.n_columns
        self.has_exact_rows = False

    def apply_inverse(self, B):
        """The approximate inverse applied to B, (p, m)."""
        right = project(self.basis, B)
        inside = self.coefficients[:, None] * (self.vectors.T @ right)
        solved = self.diagonal[:, None] * right + self.vectors @ inside
        return project(self.basis, solved)

    def row_blocks(self, rows):
        """(I (x) x_i)^T H^-1 (I (x) x_i) of each row.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : ndarray of shape (n_chosen, K, K), or (n_chosen, K) if outputs do \
                not interact
        """
        K, q = self.n_outputs, self.n_columns
        own = rows**2 @ self.diagonal.reshape(K, q).T
        by_output = self.vectors.reshape(K, q, -1)
        seen = np.stack([rows @ by_output[k] for k in range(K)], axis=1)
        if self.operator.is_block_diagonal:
            return own + seen**2 @ self.coefficients
        blocks = (seen * self.coefficients) @ seen.transpose(0, 2, 1)
        inner = np.arange(K)
        blocks[:, inner, inner] += own
        return self._project_blocks(blocks, rows)

    def _project_blocks(self, blocks, rows):
        """What the kernel takes off the blocks of rows, as `apply_inverse` projects."""
        image = self.diagonal[:, None] * self.basis
        image += self.vectors @ (
            self.coefficients[:, None] * (self.vectors.T @ self.basis)
        )
        met = np.any(image != 0, axis=0)
        if not met.any():
            return blocks
        basis, image = self.basis[:, met], image[:, met]
        by_output = (self.n_outputs, self.n_columns, -1)
        along = np.einsum("iq,kqt->ikt", rows, basis.reshape(by_output))
        across = np.einsum("iq,kqt->ikt", rows, image.reshape(by_output))
        half = along @ (basis.T @ image) / 2 - across
        both = half @ along.transpose(0, 2, 1)
        return blocks + both + both.transpose(0, 2, 1)

    def eigenvalue_range(self):
        """Smallest and largest eigenvalue of the approximation on the range of H."""
        return inverse_range(self.apply_inverse, self.operator, self.basis)


def inverse_range(apply_inverse, operator, basis):
    """Estimates of the extreme eigenvalues of H, the inverse being given."""

    def product(v):
        return project(basis, operator.matvec(project(basis, v)))

    size = operator.shape[0]
    high = extreme_eigenvalue(product, size, max_iter=20)
    return inverse_of(extreme_eigenvalue(apply_inverse, size, max_iter=20)), high
