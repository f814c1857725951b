"""EK-FAC of a network: every layer's Gauss-Newton block in a Kronecker eigenbasis.

For a layer with inputs a and derivatives d of the raw predictions with respect to its
outputs, a row's part of the Gauss-Newton block is a sum of outer products of d (x) a
(George et al. 2018; Bae et al. 2024). The bases are the eigenvectors of the moments of
a and of d, and the diagonal that H has in them is computed exactly. Two things differ
from the published form: nothing is sampled (the loss's curvature S_i = L_i L_i^T gives
K exact pseudo-gradients a row), and each moment weighs a row by the size of the other
factor, which brings their product nearer to the block.

Parameters that are in no Linear or Conv2d layer, or in one that is called more than
once, get the exact diagonal alone.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sklinfluence._blocks import block_slices
from sklinfluence._nets import listening
from sklinfluence.deep._net._functional import FunctionalNet

# Eigenvalues below this share of the largest are rounding: directions of the kernel.
_KERNEL = 1e-12
# Kinds of device that compute in float32 at most; moments are summed on the CPU then.
_WITHOUT_FLOAT64 = {"mps"}


class NetKroneckerFactors:
    """Bases and diagonal of the layers, and the solve they allow.

    Parameters
    ----------
    operator : NetCurvature
        The Hessian's factors are those of Gauss-Newton.
    """

    def __init__(self, operator):
        self.objective = operator.objective
        self.layers = _layers(self.objective)
        penalty = operator.diagonal_terms[0]
        for layer in self.layers:
            layer.prepare(self.objective)
        self._pass(lambda layer, a, d: layer.add_moments(a, d))
        for layer in self.layers:
            layer.set_bases()
        self._pass(lambda layer, a, d: layer.add_diagonal(a, d))
        for layer in self.layers:
            layer.set_inverse(penalty)
        self.rest = self._diagonal_of_the_rest(operator, penalty)

    def _pass(self, visit):
        """Show every layer its inputs and derivatives, block by block of rows."""
        objective = self.objective
        modules = {
            layer.name: objective.net.net.module_.get_submodule(layer.name)
            for layer in self.layers
        }
        if not modules:
            return
        n_rows = len(objective.rows)
        n_values = sum(layer.values_per_row for layer in self.layers)
        for block in objective.blocks(n_rows, objective.targets.shape[1], n_values):
            with objective.net.evaluating(), listening(modules) as heard:
                raw = objective.raw_for_backward(objective.rows.take(block))
            ends = [heard[layer.name][0][1] for layer in self.layers]
            starts = [heard[layer.name][0][0] for layer in self.layers]
            roots = objective.torch_loss.root(raw.detach())
            roots = roots * objective.weights[block].sqrt()[:, None, None]
            derivatives = [
                torch.autograd.grad(raw, ends, roots[:, :, k], retain_graph=True)
                for k in range(raw.shape[1])
            ]
            for at, layer in enumerate(self.layers):
                d = torch.stack([parts[at] for parts in derivatives], dim=1)
                visit(layer, starts[at].detach(), d.detach())

    def _diagonal_of_the_rest(self, operator, penalty):
        """(index, 1 / diagonal) of the parameters in no layer above."""
        objective = operator.objective
        covered = np.zeros(objective.n_parameters, dtype=bool)
        for layer in self.layers:
            covered[layer.index] = True
        index = np.flatnonzero(~covered)
        if index.size == 0:
            return index, np.zeros(0)
        diagonal = np.zeros(objective.n_parameters)
        for _, scaled in operator.row_roots():
            diagonal += (scaled**2).sum(axis=0)
        return index, _inverse(diagonal[index] + penalty[index])

    def solve(self, B):
        """The inverse of the approximation applied to B, (p, m)."""
        return self._apply(B, lambda inverse: inverse)

    def root(self, B):
        """R B, where R R^T is that inverse; R is symmetric: (p, m)."""
        return self._apply(B, np.sqrt)

    root_transpose = root

    def root_kernel(self):
        """No direction is known to be blind: damping or a penalty sees to that."""
        return np.zeros((self.objective.n_parameters, 0))

    def _apply(self, B, function):
        B = np.asarray(B, dtype=float)
        out = np.empty_like(B)
        for layer in self.layers:
            out[layer.index] = layer.apply(B[layer.index], function(layer.inverse))
        index, inverse = self.rest
        out[index] = function(inverse)[:, None] * B[index]
        return out


class _Layer:
    """One Linear or Conv2d layer: weights (O, C), the bias as one more column.

    Parameters
    ----------
    name : str
    module : nn.Linear or nn.Conv2d
    index : ndarray of shape (O * C,)
        Where its weights, in rows of columns, stand in the parameter vector.
    n_places : int
        How often it looks at one row: pixels of its output, 1 for a plain layer.
    """

    def __init__(self, name, module, index, n_places):
        self.name = name
        self.n_places = n_places
        self.module = module
        self.index = index
        self.has_bias = module.bias is not None
        self.n_outputs = module.weight.shape[0]
        self.n_columns = len(index) // self.n_outputs
        self.is_convolution = isinstance(module, nn.Conv2d)

    @property
    def values_per_row(self):
        return 3 * self.n_places * (self.n_outputs + self.n_columns)

    def prepare(self, objective):
        device = objective.weights.device
        kwargs = {
            "dtype": torch.float64,
            "device": "cpu" if device.type in _WITHOUT_FLOAT64 else device,
        }
        self.columns = torch.zeros((self.n_columns, self.n_columns), **kwargs)
        self.outputs = torch.zeros((self.n_outputs, self.n_outputs), **kwargs)
        self.diagonal = torch.zeros((self.n_outputs, self.n_columns), **kwargs)

    def _as_places(self, a, d):
        """Inputs (b, T, C) and derivatives (b, K, T, O) at each of T places."""
        if self.is_convolution:
            module = self.module
            a = functional.unfold(
                _padded(a, module),
                module.kernel_size,
                module.dilation,
                0,
                module.stride,
            ).transpose(1, 2)
            d = d.flatten(3).transpose(2, 3)
        else:
            a = a.reshape(len(a), -1, a.shape[-1])
            d = d.reshape(*d.shape[:2], -1, d.shape[-1])
        if self.has_bias:
            a = torch.cat([a, torch.ones_like(a[..., :1])], dim=-1)
        return a, d

    def add_moments(self, a, d):
        a, d = self._as_places(a, d)
        size_a = (a**2).sum(dim=(1, 2)).sqrt()[:, None, None]
        size_d = (d**2).sum(dim=(1, 2, 3)).sqrt()[:, None, None]
        left = (size_d * a).flatten(0, 1)
        right = (size_a[:, None] * d).flatten(0, 2)
        self.columns += (left.T @ left).to(self.columns.device)
        self.outputs += (right.T @ right).to(self.outputs.device)

    def set_bases(self):
        self.columns = torch.linalg.eigh(self.columns)[1]
        self.outputs = torch.linalg.eigh(self.outputs)[1]

    def add_diagonal(self, a, d):
        a, d = self._as_places(a, d)
        # The type first: it may be one that the device does not have.
        a = a @ self.columns.to(a.dtype).to(a.device)
        d = d @ self.outputs.to(d.dtype).to(d.device)
        if a.shape[1] == 1:
            seen = (d[:, :, 0] ** 2).sum(dim=1)
            self.diagonal += (seen.T @ a[:, 0] ** 2).to(self.diagonal.device)
            return
        # Here a row's gradient is a sum over places, which has to be made.
        for at in block_slices(len(a), d.shape[1] * len(self.index)):
            gradients = d[at].transpose(2, 3) @ a[at][:, None]
            total = (gradients**2).sum(dim=(0, 1))
            self.diagonal += total.to(self.diagonal.device)

    def set_inverse(self, penalty):
        columns, outputs = self.columns.cpu().numpy(), self.outputs.cpu().numpy()
        own = penalty[self.index].reshape(self.n_outputs, self.n_columns)
        diagonal = self.diagonal.cpu().numpy() + (outputs**2).T @ own @ columns**2
        self.columns, self.outputs = columns, outputs
        self.inverse = _inverse(diagonal)
        del self.diagonal

    def apply(self, B, values):
        """The matrix with eigenvalues ``values``, (O, C), in the basis, times B."""
        m = B.shape[1]
        inside = B.reshape(self.n_outputs, self.n_columns * m)
        inside = (self.outputs.T @ inside).reshape(self.n_outputs, self.n_columns, m)
        inside = np.matmul(self.columns.T, inside) * values[:, :, None]
        inside = np.matmul(self.columns, inside).reshape(self.n_outputs, -1)
        return (self.outputs @ inside).reshape(B.shape)


def _layers(objective):
    """The layers all of whose parameters are selected, and that are called once."""
    net = objective.net
    places = _places(net)
    module = net.net.module_
    fit = {
        name: layer
        for name, layer in module.named_modules()
        if _is_simple(layer)
        and all(f"{name}.{p}".lstrip(".") in places for p in _own(layer))
    }
    with net.evaluating(), torch.no_grad(), listening(fit) as heard:
        objective.raw(objective.rows.take(slice(0, 1)))
    layers = []
    for name, layer in fit.items():
        if len(heard[name]) != 1:
            continue
        weight = places[f"{name}.weight".lstrip(".")].reshape(len(layer.weight), -1)
        if layer.bias is not None:
            bias = places[f"{name}.bias".lstrip(".")]
            weight = np.column_stack([weight, bias])
        n_places = heard[name][0][1].numel() // len(weight)
        layers.append(_Layer(name, layer, weight.ravel(), n_places))
    return layers


def _places(net: FunctionalNet):
    """Where each selected parameter stands in the vector: name to index array."""
    places, start = {}, 0
    for name, shape in zip(net.names, net.shapes, strict=True):
        places[name] = np.arange(start, start + shape.numel())
        start += shape.numel()
    return places


def _own(layer):
    return [name for name, _ in layer.named_parameters(recurse=False)]


def _is_simple(layer):
    if type(layer) is nn.Conv2d:
        return layer.groups == 1
    return type(layer) is nn.Linear


def _padded(a, module):
    """Inputs with the convolution's own padding around them."""
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        return functional.pad(a, module._reversed_padding_repeated_twice, mode=mode)
    vertical, horizontal = module.padding
    return functional.pad(a, (horizontal, horizontal, vertical, vertical))


def _inverse(diagonal):
    floor = _KERNEL * diagonal.max(initial=0.0)
    return np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > floor)
