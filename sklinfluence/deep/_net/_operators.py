"""The curvature of a net's objective, as the core's solvers know operators.

H = sum_i s_i J_i^T S_i J_i + diag(penalty) + proximal I (Gauss-Newton), or the same
with the Hessian of every row's loss. Solvers see numpy arrays in float64; products
run in the objective's own type, on its device.
"""

import numpy as np
import torch
from scipy.linalg.blas import dsyrk

from sklinfluence.curvature import Operator
from sklinfluence.deep._net._kronecker import NetKroneckerFactors


class NetCurvature(Operator):
    """The curvature of a network: one block, all parameters in it.

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
        """No direction is known to be blind: damping or a penalty sees to that."""
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
        p = self.n_columns
        H = np.zeros(self.shape, order="F")
        if self.curvature == "hessian":
            H[:] = self.matvec(np.eye(p))
            return (H + H.T) / 2
        for _, scaled in self.row_roots():
            # The upper half only, half the work of a product.
            dsyrk(1.0, scaled.T, beta=1.0, c=H, overwrite_c=1)
        H += np.triu(H, 1).T
        H[np.diag_indices(p)] += self.diagonal_terms[0]
        return H

    def trace(self):
        """Sum of the diagonal; of a Hessian, its estimate by random signs."""
        if self.curvature == "hessian":
            signs = np.random.default_rng(0).choice([-1.0, 1.0], (self.n_columns, 64))
            return float(np.sum(signs * self.matvec(signs)) / 64)
        return float(self.diagonal_terms.sum() + self.row_traces().sum())

    @property
    def n_rows(self):
        return len(self.objective.rows)

    def row_bounds(self):
        """Bounds of each row's largest eigenvalue, its trace: (n_rows,).

        They are of the Gauss-Newton part. That they bound no Hessian's the recursion
        of LiSSA tells itself, if it diverges.
        """
        return self.row_traces()

    def row_traces(self):
        """Each row's share of the Gauss-Newton part's trace, (n_rows,)."""
        traces = np.zeros(len(self.objective.rows))
        for block, scaled in self.row_roots():
            traces[block] += (scaled**2).sum(axis=1)
        return traces

    def row_roots(self):
        """(slice, rows R_i of shape (b, p)), sum_i R_i^T R_i the Gauss-Newton part."""
        objective = self.objective
        raw = objective.raw()
        roots = objective.torch_loss.root(raw) * objective.weights.sqrt()[:, None, None]
        for block in objective.blocks(len(raw), n_values=3 * self.n_columns):
            rows = objective.rows.take(block)
            for k in range(raw.shape[1]):
                scaled = objective.row_gradients(rows, roots[block][:, :, k])
                yield block, scaled.cpu().double().numpy()

    def sampled(self, index):
        """An unbiased estimate of H from some of the rows, the penalty whole."""
        return NetCurvature(self.objective.sampled(index), self.curvature)

    def diagonal_blocks(self):
        """The one block there is: H itself, (1, p, p)."""
        return self.dense()[None]

    def kronecker_factors(self):
        """EK-FAC's approximation of H: Kronecker-factored, layer by layer."""
        if self._factors is None:
            self._factors = NetKroneckerFactors(self)
        return self._factors
