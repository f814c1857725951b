"""A softmax in orthonormal contrasts between its outputs, of which it has one less.

Its loss is blind to a shift common to all K outputs. Where these share one quadratic
penalty, theta = C psi with C of shape (K, K - 1), its columns orthonormal and each of
sum zero, holds every training gradient and every Newton step; penalty, proximal term
and lengths are those of theta. C is a Householder reflection without its last column:
to multiply by it takes as many operations as there are numbers.
"""

from dataclasses import replace

import numpy as np

from sklinfluence.curvature._hessian import Hessian
from sklinfluence.curvature._losses import SoftmaxLoss


def contract(V):
    """C^T V, (K - 1, ...) for V of shape (K, ...); its mean over them is lost."""
    root = len(V) ** -0.5
    return V[:-1] + (root / (1.0 - root)) * (V[-1] - root * V.sum(axis=0))


def expand(W):
    """C W, (K, ...) for W of shape (K - 1, ...)."""
    root = (len(W) + 1) ** -0.5
    out = np.empty((len(W) + 1, *W.shape[1:]))
    np.multiply(root, W.sum(axis=0), out=out[-1])
    np.subtract(W, (root / (1.0 - root)) * out[-1], out=out[:-1])
    return out


def apart(W):
    """C W less its last output, (K - 1, ...): what a softmax sees of it."""
    root = (len(W) + 1) ** -0.5
    return W - (root / (1.0 - root)) * W.sum(axis=0)


def contract_blocks(blocks):
    """C^T B C of each row, (n, K - 1, K - 1) for (n, K, K)."""
    return np.moveaxis(contract(contract(blocks.T).swapaxes(0, 1)), -1, 0)


def expand_blocks(blocks):
    """C B C^T of each, (..., K, K) for (..., K - 1, K - 1)."""
    one_side = expand(np.moveaxis(blocks, -1, 0))
    return np.moveaxis(expand(np.moveaxis(one_side, -1, 0)), (0, 1), (-2, -1))


class ContrastLoss:
    """A softmax's loss as a function of the K - 1 contrasts of its raw predictions.

    Parameters
    ----------
    loss : SoftmaxLoss
    n_outputs : int
        K; two leave one contrast, which has no other to interact with.
    """

    is_quadratic = False

    def __init__(self, loss, n_outputs):
        self.whole = loss
        self.separable = n_outputs == 2

    def loss(self, targets, raw):
        return self.whole.loss(targets, expand(raw.T).T)

    def gradient(self, targets, raw):
        return contract(self.whole.gradient(targets, expand(raw.T).T).T).T

    def curvature(self, targets, raw):
        curvature = self.whole.curvature(targets, expand(raw.T).T)
        inside = contract_blocks(curvature)
        return inside[:, :, 0] if self.separable else inside

    def curvature_product(self, targets, raw, V, weights):
        """Weight times curvature times V, row by row; V is (n_rows, K - 1, m)."""
        spread = expand(V.transpose(1, 0, 2)).transpose(1, 0, 2)
        bent = self.whole.curvature_product(targets, expand(raw.T).T, spread, weights)
        return contract(bent.transpose(1, 0, 2)).transpose(1, 0, 2)

    def curvature_diagonal(self, targets, raw):
        """Diagonal of each row's curvature, (n_rows, K - 1)."""
        curvature = self.curvature(targets, raw)
        return curvature if self.separable else np.einsum("ikk->ik", curvature)

    def curvature_sum(self, targets, raw, weights):
        """Sum over the rows of weight times curvature, (K - 1, K - 1)."""
        total = self.whole.curvature_sum(targets, expand(raw.T).T, weights)
        return contract(contract(total).T).T

    def curvature_in_basis(self, targets, raw, basis):
        """Diagonal of basis^T curvature basis of each row, (n_rows, n_basis)."""
        return self.whole.curvature_in_basis(targets, expand(raw.T).T, expand(basis))

    def unweighted(self):
        return self

    def blind(self, n_contrasts):
        """Shifts of its arguments that it does not see: none."""
        return np.zeros((n_contrasts, 0))

    def n_paired(self, n_contrasts):
        """Of how many outputs the pairs say all."""
        return n_contrasts

    def pairs(self, raw):
        """The softmax's own, of all its outputs."""
        return self.whole.pairs(expand(raw.T).T)

    def complete(self, blocks):
        """Turn blocks of the first K - 1 outputs, (K - 1, q, K - 1, q), by C."""
        root = (len(blocks) + 1) ** -0.5
        turn = root / (1.0 - root)
        sums = turn * blocks.sum(axis=0)
        sums -= (0.5 * turn) * sums.sum(axis=1)[:, None]
        for k, block in enumerate(blocks):
            block -= sums
            block -= sums[:, k, None]


def have_contrasts(objective):
    """Whether it is that of a softmax whose outputs share one quadratic penalty."""
    if objective.active is not None or not isinstance(objective.loss, SoftmaxLoss):
        return False
    return bool(np.all(objective.penalty == objective.penalty[0]))


def contrasts_of(operator):
    """C^T H C where H is that of a softmax whose outputs share one penalty, or None."""
    if not isinstance(operator, Hessian) or not have_contrasts(operator.objective):
        return None
    objective = operator.objective
    penalty = objective.penalty
    loss = ContrastLoss(objective.loss, len(penalty))
    # It is where the raw predictions are, and has no parameters of its own.
    objective = replace(objective, loss=loss, penalty=penalty[:-1], center=None)
    return Hessian(objective, objective.turned(operator.raw, contract))


def whole_of(operator):
    """H of all outputs from its contrasts', or None if it is none of these."""
    if not isinstance(operator, Hessian):
        return None
    objective = operator.objective
    if not isinstance(objective.loss, ContrastLoss):
        return None
    penalty = objective.penalty[np.arange(-1, operator.n_outputs)]
    objective = replace(objective, loss=objective.loss.whole, penalty=penalty)
    return Hessian(objective, objective.turned(operator.raw, expand))
