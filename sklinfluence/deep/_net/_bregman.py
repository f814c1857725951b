"""The proximal Bregman objective of a network, without one of its rows."""

from copy import copy

import numpy as np
import torch


class NetBregman:
    """What `metrics.pbrf` minimises, as a function of a vector of parameters.

    Parameters
    ----------
    objective : NetObjective
        Around the trained parameters.
    """

    def __init__(self, objective):
        self.objective = objective
        self.start = objective.net.vector(objective.state).cpu().double().numpy()
        raw = objective.raw()
        self.pull = objective.torch_loss.residual(objective.targets, raw)
        self.quadratic = objective.penalty + objective.proximal

    def without(self, theta, row):
        """Value and gradient without one row's loss, (float, (p,))."""
        away = theta - self.start
        gradient = self.quadratic * away
        value = 0.5 * away @ gradient
        for block in self.objective.blocks(len(self.objective.rows)):
            more, slope = self._of_block(theta, block, row)
            value, gradient = value + more, gradient + slope
        return value, gradient

    def _of_block(self, theta, block, row):
        objective = self.objective
        leaves = self._parameters(theta)
        with objective.net.evaluating():
            function, _ = objective._raw_function(objective.rows.take(block))
            raw = function(leaves)
            losses = objective.torch_loss.loss(objective.targets[block], raw)
            # The divergence of the loss, up to what the parameters do not change;
            # of the row itself, what is left when its loss is taken off.
            losses = losses * self._keeps(block, row)
            losses = losses - (self.pull[block] * raw).sum(dim=-1)
            total = (objective.weights[block] * losses).sum()
            slopes = torch.autograd.grad(total, list(leaves.values()))
        slopes = dict(zip(leaves, slopes, strict=True))
        slope = objective.net.flatten(slopes).detach().cpu().double().numpy()
        return float(total.detach()), slope

    def _keeps(self, block, row):
        places = torch.arange(len(self.objective.rows))[block]
        return (places != row).to(self.objective.weights)

    def _parameters(self, theta):
        weights = self.objective.weights
        vector = torch.as_tensor(theta).to(self.objective.dtype).to(weights.device)
        parts = self.objective.net.unflatten(vector)
        return {n: part.clone().requires_grad_() for n, part in parts.items()}

    def losses(self, theta, X, y):
        """Losses of queries where the parameters are ``theta``, (n_queries,)."""
        moved = copy(self.objective)
        parts = {n: part.detach() for n, part in self._parameters(theta).items()}
        moved.state = {**self.objective.state, **parts}
        return moved.losses(self.objective.net.rows(X), np.asarray(y))
