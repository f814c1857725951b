"""Per-class block Cholesky: the Hessian without the coupling between outputs."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve


class BlockCholesky:
    """Inverse of the diagonal blocks of H, one an output.

    A softmax does not see a shift common to all outputs, so there H is its diagonal
    terms alone while its blocks are far from them: that part is inverted exactly and
    the blocks serve the contrasts between outputs. (Left to the blocks, the common
    part cost more iterations than no preconditioner.)

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
        self.common_inverse = None
        terms = operator.diagonal_terms
        if not operator.is_block_diagonal and np.all(terms == terms[0]):
            # Where nothing penalises the common part it is kernel, projected anyway.
            inverse = np.zeros(self.n_columns)
            np.divide(1.0, terms[0], out=inverse, where=terms[0] > 0)
            self.common_inverse = inverse[:, None]

    def solve(self, B):
        """The preconditioner applied to B, (p, m)."""
        if self.common_inverse is None:
            return self._solve_blocks(B)
        by_output = (self.n_outputs, self.n_columns, B.shape[1])
        common = B.reshape(by_output).mean(axis=0)
        contrast = (B.reshape(by_output) - common).reshape(B.shape)
        solved = self._solve_blocks(contrast).reshape(by_output)
        solved += self.common_inverse * common - solved.mean(axis=0)
        return solved.reshape(B.shape)

    def _solve_blocks(self, B):
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
