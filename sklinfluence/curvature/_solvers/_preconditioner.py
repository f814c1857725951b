"""Per-class block Cholesky: the Hessian without the coupling between outputs."""

from scipy.linalg import cho_factor, cho_solve

import numpy as np


class BlockCholesky:
    """Inverse of the diagonal blocks of H, one an output.

    Parameters
    ----------
    operator : Hessian
        Needs ``diagonal_blocks``; memory is n_outputs x n_columns^2 values.
    """

    def __init__(self, operator):
        blocks = operator.diagonal_blocks()
        self.n_outputs, self.n_columns = operator.n_outputs, operator.n_columns
        self.factors = [cho_factor(_lifted(block), lower=True) for block in blocks]
        if len(self.factors) == 1:
            self.factors *= self.n_outputs

    def solve(self, B):
        """The preconditioner applied to B, (p, m)."""
        q = self.n_columns
        solved = np.empty_like(B)
        for k, factor in enumerate(self.factors):
            solved[k * q : (k + 1) * q] = cho_solve(factor, B[k * q : (k + 1) * q])
        return solved


def _lifted(block):
    """The block, its diagonal raised by rounding's worth so that it factors."""
    inner = np.arange(len(block))
    floor = 1e-10 * float(np.mean(block[inner, inner])) or 1.0
    block = block.copy()
    block[inner, inner] += np.where(block[inner, inner] > 0, floor, 1.0)
    return block
