"""The inverse Hessian at any damping, from one eigendecomposition."""

import numpy as np
from scipy.linalg import eigh

from sklinfluence.curvature._solvers._range import (
    SINGULAR_MESSAGE,
    SingularHessianError,
    project,
)
from sklinfluence.curvature._solvers._solver import Solver, SolverState


class Spectral(Solver):
    """Eigenvectors of H once; then any number of H + shift I for nothing.

    Not among the names of ``solver``: for one damping Cholesky's factor is cheaper by
    an order of magnitude.
    """

    exact = True
    # Newton's steps have a Hessian of their own each.
    serves_newton = False

    def init(self, operator):
        """Decompose the operator, an output at a time where outputs do not interact.

        Parameters
        ----------
        operator : Hessian
            Undamped.

        Returns
        -------
        state : SpectralState
            At shift 0.
        """
        basis, q = operator.null_space(), operator.n_columns
        if not operator.is_block_diagonal:
            blocks, bases = [operator.dense()], [basis]
        else:
            blocks = list(operator.diagonal_blocks())
            bases = [basis[k * q : (k + 1) * q] for k in range(len(blocks))]
        parts = [
            _Eigen(block, own[:, np.any(own != 0, axis=0)])
            for block, own in zip(blocks, bases, strict=True)
        ]
        if operator.is_block_diagonal and len(parts) == 1:
            parts *= operator.n_outputs
        return SpectralState(parts, operator, 0.0)

    def solve(self, state, B):
        """Solve (H + shift I) X = B.

        Parameters
        ----------
        state : SpectralState
        B : ndarray of shape (p, m)

        Returns
        -------
        X : ndarray of shape (p, m)
        info : dict
            Empty: eigenvectors are orthonormal to rounding, and measuring it would
            cost what solving does.
        """
        return state.apply_inverse(np.asarray(B, dtype=float)), {}


class SpectralState(SolverState):
    """Eigenpairs of every block, and the shift in force."""

    serves_threads = True

    def __init__(self, parts, operator, shift):
        self.parts = parts
        self.operator = operator
        self.shift = shift

    def at(self, operator, shift):
        """The same eigenvectors with another shift."""
        for part in self.parts:
            part.refuse_singular(shift)
        return SpectralState(self.parts, operator, shift)

    def apply_inverse(self, B):
        """(H + shift I)^+ B, (p, m)."""
        blocks = zip(self.parts, np.split(B, len(self.parts)), strict=True)
        return np.vstack([part.apply(block, self.shift) for part, block in blocks])

    def apply_many(self, B, shifts):
        """(H + shift I)^+ B for each shift, one product for all: (p, n_shifts, m)."""
        solved = []
        for part, block in zip(self.parts, np.split(B, len(self.parts)), strict=True):
            turned = part.vectors.T @ project(part.basis, block)
            inverses = part.inverses(shifts)
            scaled = inverses[:, :, None] * turned[:, None, :]
            size, n_shifts, m = scaled.shape
            back = part.vectors @ scaled.reshape(size, n_shifts * m)
            solved.append(back.reshape(-1, n_shifts, m))
        return np.concatenate(solved)

    def row_blocks(self, rows):
        """(I (x) x_i)^T (H + shift I)^+ (I (x) x_i) of each row.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : ndarray of shape (n_chosen, K, K), or (n_chosen, K) if outputs do \
                not interact
        """
        return self.row_blocks_at(rows, [self.shift])[0]

    def row_blocks_at(self, rows, shifts):
        """`row_blocks` for each of many shifts, the rows turned once for all.

        Returns
        -------
        blocks : ndarray of shape (n_shifts, n_chosen, K, K), or \
                (n_shifts, n_chosen, K)
        """
        K, q = self.operator.n_outputs, self.operator.n_columns
        if self.operator.is_block_diagonal:
            parts = self.parts[:1] if self._is_shared else self.parts
            blocks = [
                (part.inverses(shifts).T @ (rows @ part.vectors).T ** 2)[:, :, None]
                for part in parts
            ]
            blocks = np.concatenate(blocks, axis=2)
            return np.repeat(blocks, K, axis=2) if self._is_shared else blocks
        (part,) = self.parts
        inverses = part.inverses(shifts)
        turned = [rows @ part.vectors[k * q : (k + 1) * q] for k in range(K)]
        blocks = np.empty((len(shifts), len(rows), K, K))
        for k in range(K):
            for m in range(k + 1):
                blocks[:, :, k, m] = ((turned[k] * turned[m]) @ inverses).T
                blocks[:, :, m, k] = blocks[:, :, k, m]
        return blocks

    @property
    def _is_shared(self):
        return len(self.parts) > 1 and self.parts[0] is self.parts[1]


class _Eigen:
    """Eigenpairs of one block on its range."""

    def __init__(self, block, basis):
        # Lifted off zero, the kernel's directions cannot mix with small eigenvalues.
        lift = float(np.trace(block)) + 1.0
        if basis.shape[1]:
            block = block + lift * (basis @ basis.T)
        values, vectors = eigh(block, driver="evd", overwrite_a=True)
        # They come out last: nothing of H is larger than its trace.
        n_range = len(values) - basis.shape[1]
        self.values, self.vectors = values[:n_range], vectors[:, :n_range]
        self.basis = basis

    def refuse_singular(self, shift):
        if self.values.size == 0:
            return
        low, high = self.values[0] + shift, self.values[-1] + shift
        if low <= len(self.values) * np.finfo(float).eps * high:
            detail = f" (smallest eigenvalue {low:.1e}, largest {high:.1e})"
            raise SingularHessianError(SINGULAR_MESSAGE.format(detail=detail))

    def inverses(self, shifts):
        """Inverse eigenvalues at each shift, (n_range, n_shifts)."""
        return 1.0 / (self.values[:, None] + np.asarray(shifts))

    def apply(self, B, shift):
        turned = self.vectors.T @ project(self.basis, B)
        return self.vectors @ (self.inverses([shift]) * turned)
