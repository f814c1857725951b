"""The curvature of a net's objective, as the core's solvers know operators.

H = sum_i s_i J_i^T S_i J_i + diag(penalty) + proximal I (Gauss-Newton), or the same
with the Hessian of every row's loss. Solvers see numpy arrays in float64; products
run in the objective's own type, on its device.
"""

from types import SimpleNamespace

import numpy as np
import torch
from scipy.linalg.blas import dsyrk

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


class SamplingCurvature:
    """A `NetCurvature` as batches of LiSSA meet an operator: with rows to draw.

    LiSSA bounds the noise of its batches by the largest curvature of a row, which it
    takes for weight x curvature of the loss x squared norm of the row. A network's row
    has no such product; the trace of its Gauss-Newton part stands for it. (It bounds
    the row's largest eigenvalue, though not a Hessian's: then the recursion itself
    tells, if it diverges.)
    """

    def __init__(self, operator):
        self._operator = operator
        n_rows, traces = len(operator.objective.rows), operator.row_traces()
        ones = np.ones((n_rows, 1))
        self.raw = None
        self.objective = SimpleNamespace(
            design=SimpleNamespace(
                fit_intercept=False, n_rows=n_rows, squared_norms=lambda: traces
            ),
            loss=SimpleNamespace(curvature_diagonal=lambda targets, raw: ones),
            targets=None,
            weights=ones[:, 0],
        )

    @property
    def shape(self):
        return self._operator.shape

    def matvec(self, V):
        return self._operator.matvec(V)

    def null_space(self):
        return self._operator.null_space()

    def sampled(self, index):
        return self._operator.sampled(index)
