"""The exact inverse Hessian: one Cholesky factor, many right-hand sides."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsymm, dsymv
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs, dtrtri

from sklinfluence._sklearn_compat import Interval
from sklinfluence.curvature import _folded
from sklinfluence.curvature._solvers._range import (
    SINGULAR_MESSAGE,
    SingularHessianError,
    extreme_eigenvalue,
    inverse_of,
    project,
    relative_residuals,
)
from sklinfluence.curvature._solvers._row_space import is_wide, output_factors
from sklinfluence.curvature._solvers._solver import Solver, SolverState


class Cholesky(Solver):
    """Exact inverse Hessian by Cholesky factorisation.

    Factors H once, H + tau sum_v v v^T over an orthonormal basis v of its kernel
    where it has one, and solves on the range of H, so that solutions are H^+ b and
    tau appears in nothing. Losses whose outputs do not interact are factored an
    output at a time, equal blocks once; over the rows where those are fewer than the
    (penalised) columns, so that a few thousand sparse texts take a factor of a few
    thousand, however many words there are.

    Parameters
    ----------
    tol : float, default=1e-6
        Relative residual above which a solution earns a warning.

    See Also
    --------
    ConjugateGradient : For heads too wide to factor.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.curvature import Cholesky
    >>> from sklinfluence.gradient import InfluenceRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> ranker = InfluenceRanker(solver=Cholesky()).fit(X, y)
    >>> ranker.solver_info_["solver"]
    'cholesky'
    """

    _parameter_constraints: dict = {"tol": [Interval(Real, 0, None, closed="left")]}

    exact = True
    # The shift of the kernel, in units of the Hessian's mean diagonal entry.
    _kernel_shift = 1.0

    def __init__(self, *, tol: float = 1e-6) -> None:
        self.tol = tol

    def init(self, operator: Any) -> Any:
        """Factor the operator.

        Parameters
        ----------
        operator : Hessian

        Returns
        -------
        state : object
            What `solve` takes.

        Raises
        ------
        SingularHessianError
            If H is not positive definite on its range.
        """
        self._validate_params()
        basis = operator.null_space()
        if operator.is_block_diagonal:
            factors = self._factor_outputs(operator, basis)
        else:
            factors = [_Factor(operator.dense(), basis, self)]
        return CholeskyState(factors, operator.n_outputs, operator.n_columns)

    def _factor_outputs(self, operator, basis):
        """A factor for each output; the same one where blocks are equal."""
        if is_wide(operator):
            return output_factors(operator)
        q, dense = operator.n_columns, operator.diagonal_blocks()
        if len(dense) == 1:
            # Outputs share the block, hence its kernel: any output's basis.
            inner = basis[:q, np.any(basis[:q] != 0, axis=0)]
            factor = _Factor(np.asfortranarray(dense[0]), inner, self)
            return [factor] * operator.n_outputs
        return [
            _Factor(np.asfortranarray(block), _of_output(basis, k, q), self)
            for k, block in enumerate(dense)
        ]

    def solve(self, state: Any, B: NDArray) -> tuple[NDArray, dict]:
        """Solve H X = B on the range of H.

        Parameters
        ----------
        state : object
            From `init`.
        B : ndarray of shape (p, m)

        Returns
        -------
        X : ndarray of shape (p, m)
        info : dict
            ``residual``: relative residual of every right-hand side, (m,).
        """
        size = state.factors[0].size
        B = np.asarray(B, dtype=float)
        solved, residuals = np.empty_like(B), np.zeros((len(state.factors), B.shape[1]))
        lengths = np.zeros_like(residuals)
        for k, factor in enumerate(state.factors):
            at = slice(k * size, (k + 1) * size)
            right = project(factor.basis, B[at])
            solved[at] = factor.solve(right)
            residuals[k] = relative_residuals(factor.product(solved[at]), right)
            lengths[k] = np.linalg.norm(right, axis=0)
        total = np.linalg.norm(lengths, axis=0)
        error = np.linalg.norm(residuals * lengths, axis=0)
        residual = np.divide(error, total, out=np.zeros_like(total), where=total > 0)
        return solved, {"residual": residual}


def _of_output(basis, output, n_columns):
    """The basis vectors of one output's block, without the zeros of the others."""
    own = basis[output * n_columns : (output + 1) * n_columns]
    return own[:, np.any(own != 0, axis=0)]


class CholeskyState(SolverState):
    """Factors of the blocks of H, and what is read off them.

    Attributes
    ----------
    factors : list
        One for a Hessian whose outputs interact, else one an output (the same
        object where blocks are equal).
    """

    def __init__(self, factors, n_outputs, n_columns):
        self.factors = factors
        self.n_outputs = n_outputs
        self.n_columns = n_columns

    def eigenvalue_range(self):
        """Estimates of the smallest and largest eigenvalue of H on its range."""
        distinct = self.factors[:1] if self._is_shared else self.factors
        ranges = [factor.eigenvalue_range() for factor in distinct]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    @property
    def serves_threads(self):
        return all(factor.serves_threads for factor in self.factors)

    def prepare(self):
        for factor in self.factors:
            factor.prepare()

    @property
    def _is_shared(self):
        return len(self.factors) > 1 and self.factors[0] is self.factors[1]

    def apply_inverse(self, B):
        """H^+ B by the explicit inverse: one product, for right-hand sides by the row.

        Parameters
        ----------
        B : ndarray of shape (p, m)

        Returns
        -------
        X : ndarray of shape (p, m)
        """
        if len(self.factors) == 1:
            return self.factors[0].apply_inverse(B)
        size = self.factors[0].size
        out = np.empty_like(B)
        for k, factor in enumerate(self.factors):
            at = slice(k * size, (k + 1) * size)
            out[at] = factor.apply_inverse(B[at])
        return out

    def row_blocks(self, rows):
        """(I (x) x_i)^T H^+ (I (x) x_i) of each row.

        Parameters
        ----------
        rows : ndarray of shape (n_chosen, n_columns)

        Returns
        -------
        blocks : ndarray of shape (n_chosen, K, K), or (n_chosen, K) if outputs do \
                not interact
        """
        if len(self.factors) == 1 and self.n_outputs > 1:
            return self.factors[0].blocks(rows, self.n_outputs)
        distinct = self.factors[:1] if self._is_shared else self.factors
        blocks = np.column_stack([factor.leverage(rows) for factor in distinct])
        return np.repeat(blocks, self.n_outputs // len(distinct), axis=1)


def _full_blocks(inverse, rows, n_outputs):
    n_rows, q = rows.shape
    blocks = np.empty((n_rows, n_outputs, n_outputs))
    for k in range(n_outputs):
        # Only the pairs m >= k: the block is symmetric.
        solved = rows @ inverse[k * q : (k + 1) * q, k * q :]
        solved = solved.reshape(n_rows, n_outputs - k, q)
        blocks[:, k, k:] = np.matmul(solved, rows[:, :, None])[:, :, 0]
        blocks[:, k:, k] = blocks[:, k, k:]
    return blocks


def _mirror(matrix, side=256):
    """Copy what is below the diagonal above it, in place."""
    for at in range(0, len(matrix), side):
        here, beyond = slice(at, at + side), slice(at + side, None)
        corner = matrix[here, here]
        corner[:] = np.tril(corner) + np.tril(corner, -1).T
        matrix[here, beyond] = matrix[beyond, here].T


class _Factor:
    """Cholesky factor and matrix in one array: L below the diagonal, H above it.

    Keeping H costs only its diagonal, and is what lets every solution report the
    residual it reached.
    """

    serves_threads = True

    def __init__(self, H, basis, solver):
        self.size = len(H)
        self.basis = basis
        self.shift = solver._kernel_shift * float(np.mean(np.diag(H)) or 1.0)
        if basis.shape[1]:
            H += self.shift * (basis @ basis.T)
        self.diagonal = np.diag(H).copy()
        self.packed, info = dpotrf(H, lower=1, clean=0, overwrite_a=1)
        pivots = np.diag(self.packed)
        # A pivot lost to rounding is a singular matrix that happened to factor.
        lost = pivots**2 < self.size * np.finfo(float).eps * self.diagonal
        if info > 0 or lost.any():
            where = info if info > 0 else int(np.flatnonzero(lost)[0]) + 1
            detail = f" (pivot {where} of {self.size} vanishes)"
            raise SingularHessianError(SINGULAR_MESSAGE.format(detail=detail))
        self._inverse = self._root = self._folded = None

    def solve(self, B):
        solved, _ = dpotrs(self.packed, B, lower=1)
        return project(self.basis, solved)

    def product(self, X):
        """H X, from the half of the array that the factor left alone."""
        if X.shape[1] == 1:  # reads half the array
            bent = dsymv(1.0, self.packed, X[:, 0], lower=0)[:, None]
        else:
            bent = dsymm(1.0, self.packed, X, side=0, lower=0)
        bent += (self.diagonal - np.diag(self.packed))[:, None] * X
        if self.basis.shape[1]:
            bent -= self.shift * (self.basis @ (self.basis.T @ X))
        return bent

    def prepare(self):
        """Compute the inverse now, with as many threads as LAPACK has."""
        self.inverse()

    def apply_inverse(self, B):
        """H^+ B by the explicit inverse."""
        return self.inverse() @ B

    def leverage(self, rows):
        """x^T H^+ x of each row, (n_chosen,): the squared length of L^-1 x.

        L^-1 is triangular: half of it takes half of the row's columns.
        """
        root, half = self._inverse_root(), -(-self.size // 2)
        near, far = rows[:, :half] @ root[:half, :half].T, rows @ root[half:].T
        lengths = np.einsum("ij,ij->i", near, near) + np.einsum("ij,ij->i", far, far)
        if self.basis.shape[1]:
            blind = rows @ self.basis
            lengths -= np.einsum("ij,ij->i", blind, blind) / self.shift
        return lengths

    def blocks(self, rows, n_outputs):
        """(I (x) x)^T H^+ (I (x) x) of each row, (n_chosen, n_outputs, n_outputs)."""
        pairs = np.tril_indices(n_outputs)
        if not _folded.pays(len(pairs[0])):
            return _full_blocks(self.inverse(), rows, n_outputs)
        if self._folded is None:
            by_output = self.inverse().T.reshape(2 * (n_outputs, rows.shape[1]))
            self._folded = _folded.fold(by_output, *pairs).T
        out = np.empty((len(rows), n_outputs, n_outputs))
        for block in _folded.slices(*rows.shape):
            found = _folded.products(rows[block]) @ self._folded
            out[block, *pairs] = out[block, *pairs[::-1]] = found
        return out

    def _inverse_root(self):
        """L^-1, computed at the first call."""
        if self._root is None:
            self._root, _ = dtrtri(np.tril(self.packed), lower=1)
        return self._root

    def inverse(self):
        """H^+, symmetric, computed at the first call."""
        if self._inverse is None:
            inverse, _ = dpotri(self.packed, lower=1)
            _mirror(inverse)
            if self.basis.shape[1]:
                inverse -= (self.basis / self.shift) @ self.basis.T
            self._inverse = inverse
        return self._inverse

    def eigenvalue_range(self):
        def product(v):
            return project(self.basis, self.product(v))

        high = extreme_eigenvalue(product, self.size)
        inverse_low = extreme_eigenvalue(
            lambda v: dsymv(1.0, self.inverse(), v[:, 0], lower=1)[:, None], self.size
        )
        return inverse_of(inverse_low), high
