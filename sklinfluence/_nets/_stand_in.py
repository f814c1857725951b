"""A net's double for one question: the same parameters in a module of its own.

What answers a query switches modes, registers hooks and swaps parameters. Done to the
net itself, that would be seen by whoever uses it in another thread. A double shares the
net's parameters, which nothing writes to, and has all the rest for itself: modules,
their modes and hooks, buffers, and the generator of its loader.

Some of torch's switches belong to the process, not to a module (forward-mode
derivatives, the kernels of attention and of recurrent layers): one thread at a time.
"""

import copy
import inspect
from contextlib import contextmanager
from threading import RLock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from sklinfluence._nets._generators import random_states, set_random_states

# Held by whoever evaluates a double. A lock of trainings, which may last for hours, is
# another one (_generators.preserved): queries do not wait for them.
EVALUATING = RLock()


@contextmanager
def stand_in(net):
    """A net's `double`, for the one thread that evaluates, in evaluation mode.

    Random numbers that the module draws from torch's global generators are given back
    afterwards; a module that draws none leaves the generators alone, and so disturbs
    no training in another thread.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialised. Never changed.
    """
    with EVALUATING:
        own = double(net)
        draws = _Draws(net.device)
        vars(own)["evaluation_step"] = draws.watching(own.evaluation_step)
        try:
            yield own
        finally:
            draws.give_back()


def double(net):
    """A net that shares the parameters, with modules of its own, in evaluation mode."""
    # Not copy.copy, which pickles a net's modules through a file.
    own = object.__new__(type(net))
    vars(own).update(vars(net))
    names = [name + "_" for name in net._modules + net._criteria]
    held = {name: vars(net).get(name) for name in names}
    modules = {n: m for n, m in held.items() if isinstance(m, torch.nn.Module)}
    for name, module in _copied(modules).items():
        vars(own)[name] = module
        for part in module.modules():
            part.training = False
    if _takes_generator(net.iterator_valid):
        # A loader draws a seed for its workers, from the global generator by default.
        vars(own)["iterator_valid__generator"] = torch.Generator()
    return own


def _copied(modules):
    """Copies of modules by name, what they share being shared by the copies."""
    parts = [part for module in modules.values() for part in module.modules()]
    memo = _tensors(parts)
    try:
        return copy.deepcopy(modules, dict(memo))
    except Exception:  # whatever an attribute of the user's raises
        memo.update(_fixed(parts, memo))
    return copy.deepcopy(modules, memo)


def _tensors(parts):
    """What copies hold in place of each tensor, by its id."""
    memo = {}
    for part in parts:
        for parameter in part._parameters.values():
            memo[id(parameter)] = parameter
        for buffer in part._buffers.values():
            if buffer is not None:
                memo[id(buffer)] = buffer.detach().clone()
        # Results that a module remembers, which torch refuses to copy.
        for value in vars(part).values():
            if isinstance(value, torch.Tensor):
                memo[id(value)] = value.detach()
    return memo


def _fixed(parts, memo):
    """Locks, files and the like cannot be copied: the copies hold them too."""
    own = ("_parameters", "_buffers", "_modules")
    values = [v for part in parts for n, v in vars(part).items() if n not in own]
    return {id(value): value for value in values if not _can_be_copied(value, memo)}


def _can_be_copied(value, memo):
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:
        return False
    return True


def _takes_generator(loader):
    if not isinstance(loader, type) or not issubclass(loader, DataLoader):
        return False
    return "generator" in inspect.signature(loader).parameters


class _Draws(TorchDispatchMode):
    """Notices that a module draws random numbers, and how the generators were before.

    Watches the first batch alone, for it costs time at every operation: a module that
    draws does so for every batch.
    """

    def __init__(self, device):
        super().__init__()
        self.device = device
        self.states = None

    def watching(self, evaluation_step):
        """The function, its first call watched."""
        watched = []

        def step(*args, **kwargs):
            if watched:
                return evaluation_step(*args, **kwargs)
            watched.append(True)
            with self:
                return evaluation_step(*args, **kwargs)

        return step

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        draws = torch.Tag.nondeterministic_seeded in function.tags
        if draws and self.states is None and kwargs.get("generator") is None:
            self.states = random_states(self.device)
        return function(*args, **kwargs)

    def give_back(self):
        if self.states is not None:
            set_random_states(self.states, self.device)
