"""Blocks (I (x) x_i)^T H^-1 (I (x) x_i) of n_outputs numbers a row, not squared.

They are diagonal in one basis for all rows, at least between outputs.
"""

from dataclasses import dataclass

import numpy as np

# Below this, what is left of a row's curvature once it is taken out is rounding.
_LEVERAGE_ONE = 1e-9


@dataclass
class KroneckerBlocks:
    """basis diag(values_i) basis^T of each row.

    Attributes
    ----------
    basis : ndarray of shape (n_outputs, n_outputs) or None
        Orthogonal; None for the identity.
    values : ndarray of shape (n_rows, n_outputs)
        Not negative.
    """

    basis: np.ndarray
    values: np.ndarray

    def apply(self, vectors):
        """Each row's block times its vector, (n_rows, n_outputs)."""
        if self.basis is None:
            return vectors * self.values
        return ((vectors @ self.basis) * self.values) @ self.basis.T

    def dense(self):
        """The blocks themselves, (n_rows, n_outputs, n_outputs)."""
        basis = np.eye(self.values.shape[1]) if self.basis is None else self.basis
        return (basis * self.values[:, None, :]) @ basis.T

    def residual_without(self, curvature, residual):
        """Residuals in the Newton step that takes each row out: (I + S_i B_i) r_i.

        It is (I - S_i B_i)^-1 r_i, did B_i belong to the Hessian without the row. An
        approximation hardly knows the single row, so that it is as well taken for
        that; and where it overrates a leverage to 1 there is no other solution.

        Parameters
        ----------
        curvature : RowCurvature
        residual : ndarray of shape (n_rows, n_outputs)
        """
        return residual + curvature.apply(self.apply(residual))

    def root(self):
        """The blocks' square roots."""
        return KroneckerBlocks(self.basis, np.sqrt(self.values))

    def take(self, index):
        return KroneckerBlocks(self.basis, self.values[index])


@dataclass
class ContrastBlocks(KroneckerBlocks):
    """P diag(values_i) P, P taking the mean over the outputs off.

    For a softmax, whose residuals sum to zero and whose curvature is blind to the
    mean: what meets these blocks has none, so that inside a solve P is the identity.

    Attributes
    ----------
    holds_row : bool, default=False
        Whether the values are those of each output's own Hessian, in which the row's
        leverage is below 1, so that the row can be taken out of them.
    """

    holds_row: bool = False

    def apply(self, vectors):
        product = super().apply(vectors)
        return product - product.mean(axis=1, keepdims=True)

    def residual_without(self, curvature, residual):
        if not self.holds_row:
            return super().residual_without(curvature, residual)
        kept = np.maximum(1.0 - curvature.diagonal() * self.values, _LEVERAGE_ONE)
        return residual + curvature.apply(self.values / kept * residual)

    def dense(self):
        K = self.values.shape[1]
        center = np.eye(K) - 1.0 / K
        return center @ super().dense() @ center


@dataclass
class RowCurvature:
    """Weighted curvature of each row, as a thing one multiplies by.

    Attributes
    ----------
    loss : loss object
    targets, raw : ndarray of shape (n_rows, n_outputs)
    weights : ndarray of shape (n_rows,)
    """

    loss: object
    targets: np.ndarray
    raw: np.ndarray
    weights: np.ndarray

    def __neg__(self):
        return RowCurvature(self.loss, self.targets, self.raw, -self.weights)

    def diagonal(self):
        """Each output's own curvature, (n_rows, n_outputs)."""
        diagonal = self.loss.curvature_diagonal(self.targets, self.raw)
        return self.weights[:, None] * diagonal

    def take(self, index):
        return RowCurvature(
            self.loss, self.targets[index], self.raw[index], self.weights[index]
        )

    def apply(self, vectors):
        """Each row's curvature times its vector, (n_rows, n_outputs)."""
        bent = self.loss.curvature_product(
            self.targets, self.raw, vectors[:, :, None], self.weights
        )
        return bent[:, :, 0]

    def trace_with(self, blocks):
        """tr(S_i B_i) of each row."""
        if blocks.basis is None:
            return np.sum(self.diagonal() * blocks.values, axis=1)
        inside = self.loss.curvature_in_basis(self.targets, self.raw, blocks.basis)
        return self.weights * np.sum(inside * blocks.values, axis=1)


def row_curvature(loss, targets, raw, weights, blocks):
    """Weighted curvature of each row, in the form that its blocks ask for."""
    if isinstance(blocks, KroneckerBlocks):
        return RowCurvature(loss, targets, raw, weights)
    curvature = loss.curvature(targets, raw)
    return curvature * weights.reshape(-1, *[1] * (curvature.ndim - 1))


def solve_added(curvature, blocks, residual, tol=1e-13):
    """(I + S_i B_i)^-1 r_i of each row, without a matrix for any row.

    Conjugate gradients on I + B^1/2 S B^1/2, every row with its own steps; they end
    after as many as the row has large leverages.

    Parameters
    ----------
    curvature : RowCurvature
        Of what is added to the Hessian: not negative.
    blocks : KroneckerBlocks
    residual : ndarray of shape (n_rows, n_outputs)

    Returns
    -------
    solved : ndarray of shape (n_rows, n_outputs)
    """
    root = blocks.root()
    inside = np.zeros_like(residual)
    index = np.arange(len(residual))
    R = root.apply(residual)
    P, x, rho = R.copy(), np.zeros_like(R), np.einsum("ik,ik->i", R, R)
    target = tol**2 * rho
    for _ in range(4 * residual.shape[1] + 10):
        here, bends = root.take(index), curvature.take(index)
        bent = P + here.apply(bends.apply(here.apply(P)))
        along = np.einsum("ik,ik->i", P, bent)
        step = np.divide(rho, along, out=np.zeros_like(rho), where=along > 0)[:, None]
        x += step * P
        R -= step * bent
        rho, before = np.einsum("ik,ik->i", R, R), rho
        inside[index] = x
        live = rho > target
        if not live.any():
            break
        ratio = (rho[live] / before[live])[:, None]
        P = R[live] + ratio * P[live]
        R, x, rho = R[live], x[live], rho[live]
        target, index = target[live], index[live]
    return residual - curvature.apply(root.apply(inside))
