"""Preconditioners of conjugate gradients, by name; per-class block Cholesky."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn import get_config


def make_preconditioner(preconditioner, operator):
    """From the parameter ``preconditioner`` to what has ``apply_inverse``.

    Parameters
    ----------
    preconditioner : str, solver object or None
    operator : Hessian

    Returns
    -------
    made : object or None
    """
    # Here, not above: solvers of their own polish by conjugate gradients.
    from sklinfluence.curvature._solvers._ekfac import EKFAC
    from sklinfluence.curvature._solvers._nystrom import Nystrom

    if preconditioner == "auto":
        n_blocks = 1 if operator.has_equal_blocks else operator.n_outputs
        fits = (
            8 * n_blocks * operator.n_columns**2
            <= get_config()["working_memory"] * 2**20
        )
        # An l1 head's active set has no Kronecker form.
        whole = np.all(getattr(operator.objective, "active", True))
        preconditioner = "block" if fits or not whole else "ekfac"
    if preconditioner is None:
        return None
    if preconditioner == "block":
        return BlockCholesky(operator)
    solver = {"ekfac": EKFAC, "nystrom": Nystrom}
    if isinstance(preconditioner, str):
        preconditioner = solver[preconditioner]()
    made = preconditioner.init(operator)
    if not hasattr(made, "apply_inverse"):
        raise ValueError(
            f"preconditioner={preconditioner!r} cannot be one: what its init gives has "
            "no apply_inverse. Cholesky, EKFAC, Nystrom and Arnoldi have."
        )
    return made


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

    def apply_inverse(self, B):
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
