"""The linear vote on a cluster: a few passes for a step, the search on the client.

The head is fitted on the axes of `ScaledAxes`, as in memory, but rows are never taken
there: parameters go to the columns, and gradients come back.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_softmax, softmax

from sklinfluence._removal import apply_block, removed_residual
from sklinfluence._source import Output, sums
from sklinfluence.curvature import LiftedFactor, LogisticLoss, SoftmaxLoss
from sklinfluence.filtering._clustered._parts import View, kept, weights_of
from sklinfluence.filtering._clustered._pooling import fit_pool_apart
from sklinfluence.filtering._clustered._smoother import ClusterSmoother
from sklinfluence.filtering._noise import LOG_TINY
from sklinfluence.filtering._votes import (
    FREE,
    LOG10_C_BOUNDS,
    MAX_COUPLED,
    MAX_LEVERAGE,
    RIDGE_PENALTIES,
    LinearModel,
    ScaledAxes,
    class_log_proba,
    downhill,
    minimize_lbfgs,
)


def tune_linear(rows, scaling, targets):
    """The vote at the C of least leave-one-out risk, decades apart.

    Returns
    -------
    vote : ClusterLinear
        Already fitted to ``targets``.
    C : float
    """
    smoother = ClusterSmoother(rows, View(scaling))
    decade, theta, curvature = _ridge_start(rows, smoother, targets)
    if targets.shape[1] == 2:
        theta = theta[1:] - theta[:1]

    def fit(C, theta):
        vote = ClusterLinear(smoother, theta, C, curvature)
        loo, model = vote.refit(targets)
        return vote, _mean_loss(rows, loo, targets), model.theta

    return downhill(fit, decade, theta)


def _ridge_start(rows, smoother, targets):
    """A first decade of C, coefficients near its fit, and the mean of p (1 - p)."""
    lowest, temperature = np.inf, 1.0
    path = smoother.loo_path(targets, RIDGE_PENALTIES)
    for penalty, loo in zip(RIDGE_PENALTIES, path, strict=True):
        source = rows.weighed(loo, targets)
        temperature = fit_pool_apart(source, 1, start=[temperature])[0]
        risk, curvature = source.reduce(_risk_and_curvature, sums, temperature)
        if risk < lowest:
            lowest, best = risk, (penalty, temperature, curvature / rows.total)
    penalty, temperature, curvature = best
    curvature = max(curvature, 1e-6)
    smoother.set_penalty(penalty)
    coef, intercept = smoother.coefficients(targets)
    theta = temperature * np.column_stack([coef.T, intercept])
    decade = int(np.clip(np.round(-np.log10(penalty * curvature)), *LOG10_C_BOUNDS))
    return decade, theta, curvature


def _risk_and_curvature(block, temperature):
    log_proba = log_softmax(temperature * block.X, axis=1)
    proba, weight = np.exp(log_proba), weights_of(block)
    curvature = weight @ (proba * (1.0 - proba)).mean(axis=1)
    return weight @ _losses(log_proba, block.y), curvature


def _losses(log_proba, targets):
    return -np.einsum("ik,ik->i", targets, np.maximum(log_proba, LOG_TINY))


def _mean_loss(rows, log_proba, targets):
    return rows.weighed(log_proba, targets).reduce(_loss_sum, sums) / rows.total


def _loss_sum(block):
    return weights_of(block) @ _losses(block.X, block.y)


@dataclass(frozen=True)
class Head:
    """A head as the rows' functions read it.

    Attributes
    ----------
    view : View
    mean : ndarray of shape (d,)
        Of the scaled columns.
    basis : ndarray of shape (d, d)
        The axes.
    loss : loss object
    theta : ndarray of shape (n_outputs, d + 1)
        On the axes.
    """

    view: View
    mean: np.ndarray
    basis: np.ndarray
    loss: object
    theta: np.ndarray

    def centred(self, block):
        return self.view(block) - self.mean

    def raw(self, centred):
        return centred @ (self.basis @ self.theta[:, :-1].T) + self.theta[:, -1]

    def design(self, block):
        """Rows on the axes, each with its 1."""
        inner = self.centred(block) @ self.basis
        return np.column_stack([inner, np.ones(len(inner))])

    def coded(self, block):
        """Class memberships as the loss codes them."""
        return block.y[:, 1:] if len(self.theta) == 1 else block.y


class ClusterLinear:
    """A head whose leave-one-out predictions follow its targets.

    Parameters
    ----------
    smoother : ClusterSmoother
        Of the scaled columns: their axes.
    theta : ndarray of shape (n_outputs, d + 1)
        Where the first fit starts, on the scaled columns.
    C, curvature : float
    """

    def __init__(self, smoother, theta, C, curvature):
        self.rows, self.view, self.mean = smoother.rows, smoother.view, smoother.mean
        total = self.rows.total
        level = curvature * total
        scale = np.sqrt(level / (curvature * smoother.eigenvalues + 1.0 / C))
        self.axes = ScaledAxes(smoother.mean, smoother.vectors * scale)
        self.penalty = np.full(theta.shape, FREE * total)
        self.penalty[:, :-1] = scale**2 / C
        self.loss = LogisticLoss() if len(theta) == 1 else SoftmaxLoss()
        self.theta = self.axes.from_columns(theta)

    def refit(self, targets):
        """Leave-one-out log-probabilities, kept on the cluster, and the model."""
        source = self.rows.source(targets)
        self.theta = minimize_lbfgs(
            lambda theta: self._value_and_gradient(source, theta),
            self.theta,
            self.rows.total,
        )
        head, outputs = self._head(self.theta), self._outputs(targets)
        if len(self.theta) > 1 and self.theta.size > MAX_COUPLED:
            function, factors = _by_output, self._block_factors(source, head)
        else:
            function, factors = _coupled, self._inverse(source, head)
        found = source.map(function, head, factors, self.rows.copied, outputs=outputs)
        model = LinearModel(self.axes.to_columns(self.theta), self.loss, True)
        return kept(found)[0], model

    def _head(self, theta):
        return Head(self.view, self.mean, self.axes.basis, self.loss, theta)

    def _outputs(self, targets):
        return (Output(float, after=(targets.shape[1],)),)

    def _value_and_gradient(self, source, theta):
        value, product, summed = source.reduce(_moments, sums, self._head(theta))
        value += 0.5 * np.sum(self.penalty * theta**2)
        gradient = np.column_stack([product.T @ self.axes.basis, summed])
        return value, gradient + self.penalty * theta

    def _block_factors(self, source, head):
        """Cholesky factors of the Hessian's diagonal blocks."""
        blocks = source.reduce(_diagonal_blocks, sums, head)
        for block, penalty in zip(blocks, self.penalty, strict=True):
            block[np.diag_indices_from(block)] += penalty
        return [LiftedFactor(block) for block in blocks]

    def _inverse(self, source, head):
        """The Hessian's inverse, (K, d + 1, K, d + 1), on what the loss sees."""
        n_outputs, n_columns = self.theta.shape
        hessian = source.reduce(_hessian, sums, head)
        inner = np.arange(n_columns)
        for k in range(n_outputs):
            hessian[k, inner, k, inner] += self.penalty[k]
        basis = _seen(n_outputs)
        inside = np.einsum("ka,kilj,lb->aibj", basis, hessian, basis, optimize=True)
        size = basis.shape[1] * n_columns
        factor = cho_factor(inside.reshape(size, size), lower=True)
        inverse = cho_solve(factor, np.eye(size)).reshape(inside.shape)
        return np.einsum("ka,aibj,lb->kilj", basis, inverse, basis, optimize=True)


def _seen(n_outputs):
    """Orthonormal directions of the outputs that a softmax sees; of one, itself."""
    if n_outputs == 1:
        return np.ones((1, 1))
    shift = np.full((n_outputs, 1), n_outputs**-0.5)
    return np.linalg.qr(np.hstack([shift, np.eye(n_outputs)]))[0][:, 1:n_outputs]


def _moments(block, head):
    """Loss, and its gradient on the scaled columns and on the intercept."""
    centred, targets = head.centred(block), head.coded(block)
    raw, weight = head.raw(centred), weights_of(block)
    pull = weight[:, None] * head.loss.gradient(targets, raw)
    value = weight @ head.loss.loss(targets, raw)
    return value, centred.T @ pull, pull.sum(axis=0)


def _diagonal_blocks(block, head):
    rows, weight = head.design(block), weights_of(block)
    proba = softmax(head.raw(head.centred(block)), axis=1)
    curvature = weight[:, None] * (proba * (1.0 - proba))
    return np.stack([_gram(rows, curvature[:, k]) for k in range(proba.shape[1])])


def _gram(rows, curvature):
    scaled = rows * np.sqrt(curvature)[:, None]
    return scaled.T @ scaled


def _hessian(block, head):
    """Sum of each row's curvature times its rows' product, (K, d, K, d)."""
    rows, weight = head.design(block), weights_of(block)
    raw = head.raw(head.centred(block))
    S = head.loss.curvature(head.coded(block), raw)
    S = S.reshape(len(rows), raw.shape[1], -1) * weight[:, None, None]
    out = np.empty((S.shape[1], rows.shape[1], S.shape[2], rows.shape[1]))
    for k in range(S.shape[1]):
        for m in range(k + 1):
            out[k, :, m] = rows.T @ (S[:, k, [m]] * rows)
            out[m, :, k] = out[k, :, m].T
    return out


def _by_output(block, head, factors, copied):
    """Each output left out by itself, as `loo_raw_by_output`."""
    raw = head.raw(head.centred(block))
    weights, proba = copied.own_weights(block)[:, None], softmax(raw, axis=1)
    rows = head.design(block)
    spread = weights * np.column_stack([factor.leverage(rows) for factor in factors])
    leverage = np.minimum(proba * (1.0 - proba) * spread, MAX_LEVERAGE)
    step = spread * (proba - block.y) / (1.0 - leverage)
    share = (raw.shape[1] - 1) / raw.shape[1]
    return (class_log_proba(head.loss, raw + share * step),)


def _coupled(block, head, inverse, copied):
    """One exact Newton step a row, as `loo_raw_coupled`."""
    raw, rows = head.raw(head.centred(block)), head.design(block)
    weights, targets = copied.own_weights(block), head.coded(block)
    B = np.einsum("ni,kilj,nj->nkl", rows, inverse, rows, optimize=True)
    S = head.loss.curvature(targets, raw)
    S = S * weights.reshape(-1, *[1] * (S.ndim - 1))
    B = B if S.ndim == 3 else B[:, :, 0]
    left = removed_residual(-S, B, head.loss.gradient(targets, raw))
    out = raw + weights[:, None] * apply_block(B, left)
    out[np.isnan(out).any(axis=1)] = 0.0
    return (class_log_proba(head.loss, out),)
