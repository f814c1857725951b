"""Inverses of the Hessian's diagonal blocks, one an output, whole or of low rank."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve


class _Blocks:
    """What both have in common: how a softmax's common shift is left out of blocks.

    A softmax does not see a shift common to all outputs, so there H is its diagonal
    terms alone while its blocks are far from them: that part is inverted exactly and
    the blocks serve the contrasts between outputs. (Left to the blocks, the common
    part cost more iterations than no preconditioner.)
    """

    def __init__(self, operator):
        self.n_outputs, self.n_columns = operator.n_outputs, operator.n_columns
        self.common_inverse = None
        terms = operator.diagonal_terms
        if not operator.is_block_diagonal and np.all(terms == terms[0]):
            # Where nothing penalises the common part it is kernel, projected anyway.
            inverse = np.zeros(self.n_columns)
            np.divide(1.0, terms[0], out=inverse, where=terms[0] > 0)
            self.common_inverse = inverse[:, None]

    def apply_inverse(self, B):
        """The preconditioner applied to B, (p, m)."""
        by_output = B.reshape(self.n_outputs, self.n_columns, B.shape[1])
        if self.common_inverse is None:
            return self._solve_blocks(by_output).reshape(B.shape)
        common = by_output.mean(axis=0)
        solved = self._solve_blocks(by_output - common)
        solved += self.common_inverse * common - solved.mean(axis=0)
        return solved.reshape(B.shape)


class BlockCholesky(_Blocks):
    """Cholesky factors of the diagonal blocks of H.

    Parameters
    ----------
    operator : Hessian
        Needs ``diagonal_blocks``; memory is n_outputs x n_columns^2 values.
    """

    def __init__(self, operator):
        super().__init__(operator)
        blocks = operator.diagonal_blocks()
        self.factors = [cho_factor(_lifted(block), lower=True) for block in blocks]
        if len(self.factors) == 1:
            self.factors *= self.n_outputs

    def _solve_blocks(self, B):
        pairs = zip(self.factors, B, strict=True)
        return np.stack([cho_solve(factor, block) for factor, block in pairs])


def _lifted(block):
    """The block, its diagonal raised by rounding's worth so that it factors."""
    inner = np.arange(len(block))
    floor = 1e-10 * float(np.mean(block[inner, inner])) or 1.0
    block = block.copy()
    block[inner, inner] += np.where(block[inner, inner] > 0, floor, 1.0)
    return block


class BlockNystrom(_Blocks):
    """Nyström approximations of the diagonal blocks of H, all of one rank.

    The last column, an intercept as a rule, is eliminated exactly: it has no penalty
    to lend it a scale. What is left of each output is its penalty and a few leading
    directions, found in one product with random vectors; the others are given the
    smallest eigenvalue found, so that none is overrated.

    Parameters
    ----------
    operator : Hessian
        Needs ``block_products``; memory is n_outputs x n_columns x rank values.
    rank : int
    random_state : int, default=0

    References
    ----------
    .. [1] Frangella, Z., Tropp, J. A. and Udell, M. (2023). Randomized Nyström
       preconditioning.
    """

    def __init__(self, operator, rank, random_state=0):
        super().__init__(operator)
        q = self.n_columns
        rank = max(1, min(rank, q - 1))
        rng = np.random.default_rng(random_state)
        probes = np.zeros((q, rank + 1))
        if q > 1:
            probes[:-1, :-1] = np.linalg.qr(rng.standard_normal((q - 1, rank)))[0]
        probes[-1, -1] = 1.0
        terms = operator.diagonal_terms
        seen = operator.block_products(probes)
        corner = seen[:, -1, -1] + terms[:, -1]
        corner[corner <= 0] = 1.0
        self.corner = corner[:, None]
        self.border = seen[:, :-1, -1]
        # The Schur complement of the last column, times the probes.
        slope = seen[:, -1, None, :-1] / corner[:, None, None]
        image = seen[:, :-1, :-1] - self.border[:, :, None] * slope
        penalty = terms[:, :-1].mean(axis=1) if q > 1 else np.zeros(len(terms))
        self.vectors, self.coefficients, self.base = _nystrom_inverses(
            probes[:-1, :-1], image, penalty
        )

    def _solve_blocks(self, B):
        along = self.border[:, None, :]
        last = B[:, -1] / self.corner
        right = B[:, :-1] - self.border[:, :, None] * last[:, None, :]
        inside = self.vectors.transpose(0, 2, 1) @ right
        inside *= self.coefficients[:, :, None]
        solved = np.empty_like(B)
        solved[:, :-1] = right / self.base[:, None, None] + self.vectors @ inside
        solved[:, -1] = last - (along @ solved[:, :-1])[:, 0] / self.corner
        return solved


def _nystrom_inverses(probes, image, penalty):
    """(A_k + penalty_k I)^-1 as U diag(c) U^T + I / base, from A_k times the probes.

    Returns
    -------
    vectors : ndarray of shape (n_outputs, n_columns, rank)
    coefficients : ndarray of shape (n_outputs, rank)
    base : ndarray of shape (n_outputs,)
    """
    vectors = np.empty_like(image)
    coefficients = np.zeros((len(image), image.shape[2]))
    base = np.ones(len(image))
    for k, Y in enumerate(image):
        core = probes.T @ Y
        values, inner = np.linalg.eigh(0.5 * (core + core.T))
        if values.size == 0 or values[-1] <= 0:
            base[k] = penalty[k] or 1.0
            vectors[k] = 0.0
            continue
        kept = values > len(values) * 1e-13 * values[-1]
        root = Y @ (inner[:, kept] / np.sqrt(values[kept]))
        found, turn = np.linalg.eigh(root.T @ root)
        found = np.maximum(found, 1e-14 * found[-1])
        n_kept = len(found)
        vectors[k, :, :n_kept] = root @ (turn / np.sqrt(found))
        vectors[k, :, n_kept:] = 0.0
        # A rank below the one asked for is all of A: nothing is beside it.
        smallest = found[0] if n_kept == len(values) < len(Y) else 0.0
        base[k] = max(penalty[k] + smallest, 1e-10 * found[-1])
        coefficients[k, :n_kept] = 1.0 / (found + penalty[k]) - 1.0 / base[k]
    return vectors, coefficients, base
