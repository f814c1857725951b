"""A skorch net's loss as a pure function of its parameters, row by row.

Everything in this folder that differentiates a net goes through `FunctionalNet`: it
evaluates the net's own ``infer`` and ``get_loss`` at any parameters (through
:func:`torch.func.functional_call`), one row at a time (by :func:`torch.func.vmap`),
in evaluation mode, on a double of the net. Conventions:

* a *state* is a dict from names to tensors, all parameters and buffers of the module;
* *rows* are tensors on the net's device, cut from whatever skorch takes (`Rows`);
* gradients are matrices (n_rows, n_parameters), the columns being the selected
  parameters, flattened, in the order of ``names``.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad

from sklinfluence._blocks import block_slices
from sklinfluence._nets import (
    EVALUATING,
    concatenate,
    double,
    first_of,
    iterate,
    map_tensors,
)
from sklinfluence.deep._net._criterion_weights import criterion_weights, unweighted
from sklinfluence.deep._net._differentiation import (
    Differentiation,
    differentiable_attention,
)
from sklinfluence.deep._path._training_path import batch_total


@dataclass
class Rows:
    """Rows as tensors: inputs (perhaps nested) and targets, first axis rows.

    Attributes
    ----------
    X : tensor or dict, list or tuple of tensors
    y : tensor or dict, list or tuple of tensors
        What skorch fills in where there are no targets.
    """

    X: object
    y: object

    def __len__(self):
        return len(first_of(self.y))

    def take(self, index):
        """Some of the rows, in the order of ``index`` (or a slice)."""
        if not isinstance(index, slice):
            index = torch.as_tensor(np.asarray(index), device=first_of(self.y).device)
        return Rows(
            *(map_tensors(lambda tensor: tensor[index], p) for p in (self.X, self.y))
        )


def last_linear(module):
    """Name of the last `nn.Linear` of a module, in the order of registration."""
    names = [name for name, part in module.named_modules() if type(part) is nn.Linear]
    if not names:
        raise ValueError(
            f"{type(module).__name__} has no nn.Linear, so there is no last linear "
            "layer. Name the layer."
        )
    return names[-1]


def check_layers(layers):
    """Refuse layers that are none, before a net is trained."""
    if not isinstance(layers, str) and len(layers) == 0:
        raise ValueError(
            f"layers={layers!r} names no layer. Use 'all', 'last' or names as in "
            "module.named_modules()."
        )


def select_parameters(module, layers="all", untrained=()):
    """Names of the trainable parameters of some layers, in the module's order.

    Parameters
    ----------
    module : nn.Module
    layers : "all", "last", str or list of str
        All; those of the last `nn.Linear`; or names of parameters or of submodules,
        whose parameters are then all taken.
    untrained : collection of str
        Names of parameters that training leaves as they are, beside those without
        ``requires_grad``.

    Returns
    -------
    names : tuple of str
    """
    trainable = [
        name
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and name not in untrained
    ]
    if isinstance(layers, str) and layers == "all":
        return tuple(trainable)
    if isinstance(layers, str):
        layers = [last_linear(module) if layers == "last" else layers]
    check_layers(layers)
    chosen = set()
    for layer in layers:
        found = [n for n in trainable if n == layer or n.startswith(f"{layer}.")]
        # The only layer of a module may be the module itself, whose name is empty.
        found = trainable if layer == "" else found
        if not found:
            known = sorted({name.rpartition(".")[0] or name for name in trainable})
            raise ValueError(
                f"layers={layer!r} names no trainable parameter of "
                f"{type(module).__name__}, or none that its training moves. Its "
                f"layers are {', '.join(known)}."
            )
        chosen.update(found)
    return tuple(name for name in trainable if name in chosen)


class Task(nn.Module):
    """The net's own forward pass and loss, its parameters open to replacement.

    `functional_call` swaps the parameters of ``module``; ``infer`` and ``get_loss`` of
    the net, whatever users made of them, then meet the swapped ones.
    """

    def __init__(self, net):
        super().__init__()
        self.module = net.module_
        if isinstance(net.criterion_, nn.Module):
            self.criterion = net.criterion_
        # In a list, lest torch look for parameters in it.
        self._net = [net]

    def forward(self, what, X, y):
        net = self._net[0]
        raw = net.infer(X)
        if what == "raw":
            return raw
        if what == "prediction":
            # The drop of the prediction, as the core measures it without targets.
            return -(raw[0] if isinstance(raw, tuple) else raw).sum()
        return net.get_loss(raw, y, X=X, training=False)


class FunctionalNet:
    """Losses, gradients and Hessian products of a skorch net at any parameters.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized. Never changed.
    layers : "all", "last", str or list of str, default="all"
        Which parameters gradients are of; the others are held fixed.
    dtype : torch.dtype, default=None
        What parameters and real inputs are cast to; None keeps their own.
    untrained : collection of str, default=()
        Parameters that are held fixed whatever ``layers`` says.

    Attributes
    ----------
    source : skorch.NeuralNet
        The net.
    net : skorch.NeuralNet
        Its double, of the same parameters, in evaluation mode; only within
        `evaluating` is it asked anything.
    names : tuple of str
        Selected parameters.
    shapes : tuple of torch.Size
    n_parameters : int
        Number of columns of a gradient.

    Notes
    -----
    A row's loss is the net's ``get_loss`` on a batch of that row alone, in evaluation
    mode (no dropout; batch normalisation by its running averages), the weights in the
    criterion replaced by ones: a query's loss is never weighted. `weights` are what a
    training row's loss is multiplied with.
    """

    def __init__(self, net, layers="all", dtype=None, untrained=()):
        self.source = net
        self.dtype = dtype
        self._attach()
        parameters = dict(net.module_.named_parameters())
        # (skorch leaves a module where it is if the net's device is None.)
        somewhere = next(iter(parameters.values()), torch.empty(0))
        self.device = somewhere.device
        self.names = select_parameters(net.module_, layers, untrained)
        self.shapes = tuple(parameters[name].shape for name in self.names)
        self._sizes = [shape.numel() for shape in self.shapes]
        self.n_parameters = sum(self._sizes)

    def _attach(self):
        # Parameters are swapped in the double's module, never in the net's own.
        self.net = double(self.source)
        self._task = Task(self.net)
        self.derivatives = Differentiation(self.net.module_)

    def __getstate__(self):
        # A double would be pickled with parameters of its own.
        left_out = ("net", "_task", "derivatives")
        return {name: part for name, part in vars(self).items() if name not in left_out}

    def __setstate__(self, state):
        vars(self).update(state)
        self._attach()

    def _cast(self, tensor):
        if self.dtype is not None and tensor.is_floating_point():
            return tensor.to(self.dtype)
        return tensor

    def rows(self, X, y=None):
        """Anything that the net takes as `Rows`, in row order, on its device."""
        parts = list(iterate(self.net, X, y, batch_size=1024, dtype=self.dtype))
        parts = [
            # The type first: it may be one that the device does not have.
            map_tensors(lambda t: self._cast(t).to(self.device), list(part))
            for part in parts
        ]
        return Rows(*concatenate(parts))

    def state(self, values=None):
        """The whole module's state, where the net stands or with other values.

        Parameters
        ----------
        values : dict of str to array or tensor, default=None
            Replacements.
        """
        module = self.net.module_
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        state = {name: self._cast(tensor.detach()) for name, tensor in own.items()}
        for name, value in (values or {}).items():
            tensor = torch.as_tensor(value, device=state[name].device)
            state[name] = tensor.to(state[name].dtype)
        return state

    def flatten(self, tensors):
        """Dict of selected parameters, with the same leading axes, as one matrix."""
        flat = [
            tensors[name].reshape(*tensors[name].shape[: -len(shape) or None], -1)
            if len(shape)
            else tensors[name].unsqueeze(-1)
            for name, shape in zip(self.names, self.shapes, strict=True)
        ]
        return torch.cat(flat, dim=-1)

    def unflatten(self, vector):
        """The inverse of `flatten`, for one vector."""
        parts = torch.split(vector, self._sizes)
        return {
            name: part.reshape(shape)
            for name, shape, part in zip(self.names, self.shapes, parts, strict=True)
        }

    def vector(self, state):
        """Selected parameters of a state as one vector, (n_parameters,)."""
        return self.flatten(state)

    def row_function(self, state, what="loss"):
        """(selected, X, y) of one row to a number (or its raw prediction)."""
        rest = {f"module.{k}": v for k, v in state.items() if k not in self.names}
        rest.update({f"criterion.{k}": v for k, v in unweighted(self.net).items()})

        def of_row(selected, X, y):
            X, y = (map_tensors(lambda tensor: tensor.unsqueeze(0), p) for p in (X, y))
            swapped = {f"module.{name}": value for name, value in selected.items()}
            return functional_call(self._task, {**swapped, **rest}, (what, X, y))

        return of_row, {name: state[name] for name in self.names}

    def raw_function(self, state, rows):
        """The raw outputs of a block of rows as a function of the selected parameters.

        Returns
        -------
        function : callable
            dict of selected parameters to a tensor whose first axis is rows. To be
            called in evaluation mode (`evaluating`).
        selected : dict
            Where ``state`` has them.
        """
        rest = {f"module.{k}": v for k, v in state.items() if k not in self.names}

        def raw(selected):
            swapped = {f"module.{name}": value for name, value in selected.items()}
            output = functional_call(
                self._task, {**swapped, **rest}, ("raw", rows.X, rows.y)
            )
            return output[0] if isinstance(output, tuple) else output

        return raw, {name: state[name] for name in self.names}

    @contextmanager
    def evaluating(self):
        """The double for this thread alone, and operations that have derivatives."""
        with EVALUATING, differentiable_attention():
            yield

    def raw(self, state, rows):
        """Raw outputs of the module, as one batch."""
        swapped = {f"module.{name}": value for name, value in state.items()}
        with self.evaluating(), torch.no_grad():
            return functional_call(self._task, swapped, ("raw", rows.X, rows.y))

    def losses(self, state, rows, what="loss"):
        """Each row's loss (``what="prediction"``: minus its prediction): (n_rows,)."""
        of_row, selected = self.row_function(state, what)
        with self.evaluating(), torch.no_grad():
            values = self.derivatives.over_rows(of_row, selected, rows.X, rows.y)
        return values.reshape(len(rows))

    def gradients(self, state, rows, what="loss"):
        """Each row's gradient: (n_rows, n_parameters). Mind the size of that."""
        of_row, selected = self.row_function(state, what)
        with self.evaluating():
            gradients = self.derivatives.over_rows(
                grad(of_row), selected, rows.X, rows.y
            )
        return self.flatten(gradients).detach()

    def per_sample_gradients(self, state, rows, what="loss"):
        """Gradients block by block, within scikit-learn's ``working_memory``.

        Yields
        ------
        block : slice
        gradients : tensor of shape (n_block, n_parameters)
        """
        for block in block_slices(len(rows), 2 * self.n_parameters):
            yield block, self.gradients(state, rows.take(block), what)

    def hessian_products(self, state, rows, weights, V):
        """Products with the Hessian of sum_i weights_i loss_i, forward over reverse.

        Parameters
        ----------
        state : dict
        rows : Rows
        weights : tensor of shape (n_rows,)
        V : tensor of shape (n_directions, n_parameters)

        Returns
        -------
        products : tensor of shape (n_directions, n_parameters)
        """
        of_row, selected = self.row_function(state)
        derivatives = self.derivatives

        def total(selected):
            losses = derivatives.over_rows(of_row, selected, rows.X, rows.y)
            return (weights * losses.reshape(-1)).sum()

        with self.evaluating():
            products = derivatives.hessian_products(total, selected, V, self.unflatten)
        return self.flatten(products).detach()

    def hessian(self, state, rows, weights):
        """The Hessian of sum_i weights_i loss_i, dense: (n_parameters,) * 2."""
        vector = self.vector(state)
        eye = torch.eye(len(vector), dtype=vector.dtype, device=vector.device)
        return self.hessian_products(state, rows, weights, eye)

    def weights(self, rows):
        """What the criterion multiplies each training row's loss with: (n_rows,)."""
        return criterion_weights(self.net, rows.y)

    def reduction(self, rows, *, random=False):
        """What a batch's sum of losses is divided by, as `batch_total` names it.

        Found by evaluation, because users write losses of their own.

        Parameters
        ----------
        rows : Rows
        random : bool, default=False
            Whether a loss that is drawn anew each time it is asked for (as that of a
            variational autoencoder is) is settled by what it is nearest to.
        """
        # Rows of different weights, where there are such: they tell the means apart.
        order = self.weights(rows).argsort(stable=True).cpu().numpy()
        spread = np.linspace(0, len(order) - 1, min(8, len(order))).astype(int)
        some, state = rows.take(order[spread]), self.state()
        whole = self._whole(state, some).double()
        losses, weights = self.losses(state, some).double(), self.weights(some).double()
        total, largest = (weights * losses).sum(), float(losses.abs().max())
        divisors = {
            name: batch_total(weights, name) for name in ("mean", "count", "sum")
        }
        for name, divisor in divisors.items():
            # Relative to the losses: those of a net that fits its rows are small.
            if torch.allclose(whole, total / divisor, rtol=1e-3, atol=1e-5 * largest):
                return name
        if random and not torch.equal(whole, self._whole(state, some).double()):
            off = {
                name: float((whole - total / divisor).abs())
                for name, divisor in divisors.items()
            }
            return min(off, key=off.get)
        raise ValueError(
            f"The loss of {type(self.net).__name__} on a batch is neither the mean nor "
            "the sum of the losses of its rows, so its gradient does not fall apart "
            "into rows. Use a criterion with reduction='mean' or 'sum' (weights of "
            "rows times their losses, and then the mean), and no random numbers in "
            "evaluation mode."
        )

    def _whole(self, state, rows):
        """The net's loss on rows as one batch."""
        swapped = {f"module.{name}": value for name, value in state.items()}
        with self.evaluating(), torch.no_grad():
            return functional_call(self._task, swapped, ("loss", rows.X, rows.y))
