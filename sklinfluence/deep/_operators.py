"""The curvature of a net's objective, as the core's solvers know operators.

H = sum_i s_i J_i^T S_i J_i + diag(penalty) + proximal I (Gauss-Newton), or the same with
the Hessian of every row's loss. Solvers see numpy arrays in float64; products run in
the objective's own type, on its device.
"""

import numpy as np
import torch

from sklinfluence.deep._kronecker import NetKroneckerFactors


class NetCurvature:
    """Symmetric operator of shape (p, p): one block, all parameters in it.

    Parameters
    ----------
    objective : NetObjective
    curvature : {"gauss_newton", "hessian"}
        Gauss-Newton is positive semi-definite, a network's Hessian is in general not.
    """

    # To solvers: one output with p columns, nothing beside its block.
    n_outputs = 1
    is_block_diagonal = True
    has_equal_blocks = True

    def __init__(self, objective, curvature="gauss_newton"):
        self.objective = objective
        self.curvature = curvature
        self.n_columns = objective.n_parameters
        self.shape = (self.n_columns, self.n_columns)
        self._factors = None

    @property
    def diagonal_terms(self):
        """Penalty and proximal term, (1, p)."""
        return (self.objective.penalty + self.objective.proximal)[None]

    def null_space(self):
        """No direction is known to be blind: damping, or a penalty, must see to that."""
        return np.zeros((self.n_columns, 0))

    def matvec(self, V):
        """H V for V of shape (p, m)."""
        V = np.asarray(V, dtype=float)
        objective = self.objective
        tensor = torch.as_tensor(
            np.ascontiguousarray(V.T),
            dtype=objective.dtype,
            device=objective.weights.device,
        )
        products = objective.products(tensor, self.curvature)
        return products.cpu().double().numpy().T + self.diagonal_terms.T * V

    def dense(self):
        """H as an array of shape (p, p), in Fortran order."""
        objective, p = self.objective, self.n_columns
        H = np.zeros(self.shape, order="F")
        if self.curvature == "hessian":
            H[:] = self.matvec(np.eye(p))
            return (H + H.T) / 2
        raw = objective.raw()
        roots = objective.torch_loss.root(raw) * objective.weights.sqrt()[:, None, None]
        n_outputs = raw.shape[1]
        for block in objective.blocks(len(raw), n_values=2 * p):
            rows = objective.rows.take(block)
            for k in range(n_outputs):
                scaled = objective.row_gradients(rows, roots[block][:, :, k])
                scaled = scaled.cpu().double().numpy()
                H += scaled.T @ scaled
        H[np.diag_indices(p)] += self.diagonal_terms[0]
        return H

    def diagonal_blocks(self):
        """The one block there is: H itself, (1, p, p)."""
        return self.dense()[None]

    def kronecker_factors(self):
        """EK-FAC's approximation of H: Kronecker-factored, layer by layer."""
        if self._factors is None:
            self._factors = NetKroneckerFactors(self)
        return self._factors

    # What conjugate gradients are preconditioned with: layers instead of outputs.
    block_preconditioner = kronecker_factors
