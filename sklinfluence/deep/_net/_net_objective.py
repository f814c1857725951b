"""A net's training objective around its parameters, in the core's terms.

J(theta) = sum_i s_i l(y_i, f_i(theta)) + 1/2 sum_k penalty_k theta_k^2, over the
selected parameters, a vector of length p; f_i are raw predictions (logits), l the
losses of ``sklinfluence.curvature`` and s_i the row's weight. Everything here is
computed in blocks of rows and directions: nothing of size n x p is built.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.validation import _num_samples
from torch.func import grad

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import fit_inputs, row_weights
from sklinfluence._nets import (
    NetLoss,
    decay_factor,
    explained,
    listening,
    net_loss,
    own_loss,
    refuse_broadcasting,
    refuse_improbable,
    refuse_non_finite,
    rows_in_training,
    untrained,
    unwrap,
    warn_about_held_out,
    warn_about_own_steps,
    weight_decay,
)
from sklinfluence.deep._net._functional import FunctionalNet, Rows
from sklinfluence.deep._path._training import real_dtype

# Directions that are moved through the net together.
MAX_DIRECTIONS = 64


class TorchLoss:
    """A loss of ``sklinfluence.curvature`` on tensors: residuals and products with S_i.

    Parameters
    ----------
    loss : SquaredLoss, LogisticLoss or SoftmaxLoss
    """

    def __init__(self, loss):
        self.kind = type(loss).__name__
        if self.kind not in ("SquaredLoss", "LogisticLoss", "SoftmaxLoss"):
            raise ValueError(f"{self.kind} is not known to networks.")

    def loss(self, targets, raw):
        """Loss of every row, (n,)."""
        if self.kind == "SquaredLoss":
            return 0.5 * ((raw - targets) ** 2).sum(dim=-1)
        if self.kind == "LogisticLoss":
            return (torch.nn.functional.softplus(raw) - targets * raw).sum(dim=-1)
        return -(targets * torch.log_softmax(raw, dim=-1)).sum(dim=-1)

    def residual(self, targets, raw):
        """Derivative of the loss at the raw predictions, (n, K)."""
        if self.kind == "SquaredLoss":
            return raw - targets
        if self.kind == "LogisticLoss":
            return torch.sigmoid(raw) - targets
        return torch.softmax(raw, dim=-1) - targets

    def bend(self, raw, moved):
        """S_i times vectors: ``moved`` of shape (..., n, K)."""
        if self.kind == "SquaredLoss":
            return moved
        if self.kind == "LogisticLoss":
            return torch.sigmoid(raw) * torch.sigmoid(-raw) * moved
        proba = torch.softmax(raw, dim=-1)
        weighted = proba * moved
        return weighted - proba * weighted.sum(dim=-1, keepdim=True)

    def root(self, raw):
        """L_i with L_i L_i^T = S_i, (n, K, K)."""
        if self.kind == "SquaredLoss":
            return torch.eye(raw.shape[1], dtype=raw.dtype, device=raw.device).expand(
                len(raw), -1, -1
            )
        if self.kind == "LogisticLoss":
            return torch.diag_embed(
                torch.sqrt(torch.sigmoid(raw) * torch.sigmoid(-raw))
            )
        proba = torch.softmax(raw, dim=-1)
        roots = torch.sqrt(proba)
        return torch.diag_embed(roots) - proba[:, :, None] * roots[:, None, :]


@dataclass
class NetObjective:
    """Rows, weights and penalty, and the derivatives of a net's raw predictions.

    Attributes
    ----------
    net : FunctionalNet
    state : dict
        The module's parameters and buffers.
    loss : NetLoss
    rows : Rows
    targets : Tensor of shape (n_rows, n_outputs)
    weights : Tensor of shape (n_rows,)
    penalty : ndarray of shape (p,)
    proximal : float, default=0.0
    """

    net: FunctionalNet
    state: dict
    loss: NetLoss
    rows: Rows
    targets: torch.Tensor
    weights: torch.Tensor
    penalty: np.ndarray
    proximal: float = 0.0

    def __post_init__(self):
        self.torch_loss = TorchLoss(self.loss.loss)
        self._activations = self._count_activations()

    @property
    def n_parameters(self):
        return self.net.n_parameters

    @property
    def dtype(self):
        return self.state[self.net.names[0]].dtype

    def _as_raw(self, output):
        """Module outputs (n, ...) as raw predictions (n, K)."""
        return self.loss.raw_from_output(output).reshape(len(output), -1)

    def _raw_function(self, rows):
        function, selected = self.net.raw_function(self.state, rows)
        return (lambda values: self._as_raw(function(values))), selected

    def _count_activations(self):
        """Numbers that one row's forward pass holds: what sizes the blocks of rows."""
        leaves = {
            name: module
            for name, module in self.net.net.module_.named_modules()
            if not any(True for _ in module.children())
        }
        with self.net.evaluating(), torch.no_grad(), listening(leaves) as heard:
            function, selected = self._raw_function(self.rows.take(slice(0, 1)))
            function(selected)
        outputs = [output for calls in heard.values() for _, output in calls]
        sizes = [out.numel() for out in outputs if isinstance(out, torch.Tensor)]
        return max(sum(sizes), 1)

    def sampled(self, index):
        """The objective on some of the rows, their loss weighed up to all of it."""
        part = copy(self)
        part.rows = self.rows.take(index)
        at = torch.as_tensor(index, device=self.weights.device)
        part.targets = self.targets[at]
        part.weights = self.weights[at] * (len(self.rows) / len(at))
        return part

    def blocks(self, n_rows, n_directions=1, n_values=0):
        """Slices over rows; each row holds its activations once a direction."""
        values = 4 * self._activations * min(n_directions, MAX_DIRECTIONS) + n_values
        return block_slices(n_rows, values)

    def raw(self, rows=None):
        """Raw predictions of rows, (n, K)."""
        rows = self.rows if rows is None else rows
        parts = []
        with self.net.evaluating(), torch.no_grad():
            for block in self.blocks(len(rows)):
                function, selected = self._raw_function(rows.take(block))
                parts.append(function(selected))
        return torch.cat(parts)

    def raw_for_backward(self, rows):
        """Raw predictions with a graph behind them, for plain backpropagation."""
        function, selected = self._raw_function(rows)
        return function({n: v.clone().requires_grad_() for n, v in selected.items()})

    def row_gradients(self, rows, cotangents):
        """J_i^T c_i of each row, (n, p): a row's gradient where c_i is its residual."""
        of_row, selected = self.net.row_function(self.state, "raw")

        def along(selected, X, y, cotangent):
            output = of_row(selected, X, y)
            output = output[0] if isinstance(output, tuple) else output
            return (self._as_raw(output).reshape(-1) * cotangent).sum()

        with self.net.evaluating():
            gradients = self.net.derivatives.over_rows(
                grad(along), selected, rows.X, rows.y, cotangents
            )
        return self.net.flatten(gradients).detach()

    def gradients(self, rows, residual):
        """(slice, gradients of shape (n_block, p), float64) of blocks of rows."""
        for block in self.blocks(len(rows), n_values=3 * self.n_parameters):
            gradients = self.row_gradients(rows.take(block), residual[block])
            yield block, gradients.cpu().double().numpy()

    def losses(self, rows, y):
        """Each row's unweighted loss, (n,)."""
        if len(rows) == 0:
            return np.empty(0)
        raw = self.raw(rows)
        targets = torch.as_tensor(self.loss.encode(y)).to(raw)
        return self.torch_loss.loss(targets, raw).cpu().double().numpy()

    def largest_slope(self, residual):
        """Largest entry of the gradient of the mean objective."""
        theta = self.net.vector(self.state).cpu().double().numpy()
        total = self.penalty * theta
        for _, gradients in self.gradients(self.rows, self.weights[:, None] * residual):
            total += gradients.sum(axis=0)
        return float(np.abs(total).max()) / max(float(self.weights.sum()), 1e-300)

    def products(self, V, curvature):
        """Sum over rows of s_i times the chosen curvature of row i times V.

        Parameters
        ----------
        V : Tensor of shape (m, p)
        curvature : {"gauss_newton", "hessian"}

        Returns
        -------
        products : Tensor of shape (m, p)
        """
        of_block = self._gauss_newton if curvature == "gauss_newton" else self._hessian
        out = torch.zeros_like(V)
        with self.net.evaluating():
            for start in range(0, len(V), MAX_DIRECTIONS):
                chunk = V[start : start + MAX_DIRECTIONS]
                for block in self.blocks(len(self.rows), len(chunk)):
                    out[start : start + MAX_DIRECTIONS] += of_block(block, chunk)
        return out.detach()

    def _gauss_newton(self, block, V):
        """J^T S J V: forward, bent by the loss's curvature, and back."""
        function, selected = self._raw_function(self.rows.take(block))
        weights = self.weights[block][:, None]

        def bend(raw, moved):
            return weights * self.torch_loss.bend(raw, moved)

        products = self.net.derivatives.gauss_newton_products(
            function, selected, bend, V, self.net.unflatten
        )
        return self.net.flatten(products)

    def _hessian(self, block, V):
        """The derivative of the gradient along V: forward over reverse."""
        function, selected = self._raw_function(self.rows.take(block))
        weights, targets = self.weights[block], self.targets[block]

        def total(values):
            return (weights * self.torch_loss.loss(targets, function(values))).sum()

        products = self.net.derivatives.hessian_products(
            total, selected, V, self.net.unflatten
        )
        return self.net.flatten(products)


def net_objective(estimator, X, y, sample_weight, *, layers, dtype, damping):
    """The training objective of some layers around a trained net.

    Parameters
    ----------
    estimator : fitted net, perhaps frozen
    X, y, sample_weight : what it was trained on
    layers : "all", "last", str or list of str
    dtype : {"float32", "float64"} or None
    damping : float
        Of the mean curvature.

    Returns
    -------
    objective : NetObjective
    """
    net = unwrap(estimator)
    dtype = real_dtype(net) if dtype is None else getattr(torch, dtype)
    functional = FunctionalNet(net, layers, dtype, untrained(net))
    if not functional.names:
        raise ValueError(
            f"Training moves no parameter of {type(net.module_).__name__} (none has "
            "requires_grad=True, a learning rate above 0 and a place in the "
            "optimiser), so rows have no influence on it."
        )
    with torch.no_grad(), explained(net, X):
        state, rows = functional.state(), functional.rows(X)
        some = functional.raw(state, rows.take(slice(0, 1)))
    some = some[0] if isinstance(some, tuple) else some
    refuse_broadcasting(net, some, y.ndim)
    refuse_non_finite(net, X, some)
    refuse_improbable(net, some)
    loss = net_loss(net, max(some[0].numel(), 1))
    targets = loss.encode(y)
    trained = rows_in_training(net, y)
    warn_about_held_out(net, trained)
    class_weights = np.where(trained, loss.row_weights(targets), 0.0)
    weights = row_weights(sample_weight, targets) * class_weights
    factor = decay_factor(net, loss, int(trained.sum()), class_weights.sum())
    warn_about_own_steps(net)
    taken = (*fit_inputs(net, X, y), targets)
    own = own_loss(net, loss, taken, weights, class_weights)
    if own is not None:
        weights, factor = own.weights, own.factor
    tensors = {"dtype": some.dtype, "device": some.device}
    return NetObjective(
        net=functional,
        state=state,
        loss=loss,
        rows=rows,
        targets=torch.as_tensor(targets).to(**tensors),
        weights=torch.as_tensor(weights).to(**tensors),
        penalty=factor * _decays(net, functional),
        proximal=damping * weights.sum(),
    )


def _decays(net, functional):
    """Weight decay on every selected parameter, (p,)."""
    parameters = dict(net.module_.named_parameters())
    return np.concatenate(
        [
            np.full(parameters[name].numel(), weight_decay(net, parameters[name]))
            for name in functional.names
        ]
    )


def query_rows(objective, asked):
    """Queries as rows and the residuals that their gradients begin with.

    Parameters
    ----------
    objective : NetObjective
    asked : tuple of (X, y)
        y None: the drop of a regression's own prediction, as if it were a loss.

    Returns
    -------
    rows : Rows
    residual : Tensor of shape (n_queries, n_outputs)
    """
    X, y = asked
    if _num_samples(X) == 0:
        # There is nothing to make tensors of: those of training, none of them.
        return objective.rows.take(slice(0, 0)), objective.targets[:0]
    targets = None if y is None else objective.loss.encode(y)
    with explained(objective.net.net, X):
        rows = objective.net.rows(X)
        raw = objective.raw(rows)
    refuse_non_finite(objective.net.net, X, raw)
    if targets is not None:
        targets = torch.as_tensor(targets).to(raw)
        return rows, objective.torch_loss.residual(targets, raw)
    if raw.shape[1] > 1:
        raise ValueError(
            "Without y, influence is on the prediction itself, and this net predicts "
            f"{raw.shape[1]} targets. Pass y, shape (n_queries, n_targets)."
        )
    return rows, -torch.ones_like(raw)
