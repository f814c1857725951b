"""The states that a net's training may end in: initial parameters, order of batches.

Each is drawn by torch from one global generator, one after the other. What varies one
and not the other has to seed that generator twice: before the net is initialised, and
again before the first batch is drawn.
"""

from contextlib import ExitStack, contextmanager

import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback

from sklinfluence._nets._forward import outputs
from sklinfluence._nets._generators import preserved, seed


class Reseed(Callback):
    """Seeds torch between the net's initialization and its first batch."""

    def __init__(self, seed):
        self.seed = seed

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        if any(torch.nn.parameter.is_lazy(p) for p in net.module_.parameters()):
            # Lazy layers draw their parameters when they first see a batch, which is
            # to happen before the other seed is in force.
            next(iter(outputs(net, X)))
        seed(self.seed, net.device)


def trained_nets(estimator):
    """The nets among an estimator's parameters, at any depth, that ``fit`` trains."""
    values = [estimator, *estimator.get_params(deep=True).values()]
    frozen = {id(v.estimator) for v in values if isinstance(v, FrozenEstimator)}
    nets = {id(v): v for v in values if isinstance(v, NeuralNet)}
    return [net for key, net in nets.items() if key not in frozen]


@contextmanager
def seeded_nets(estimator, init, order, *, reinitialize):
    """While it lasts, the estimator's nets train from two seeds.

    Parameters
    ----------
    estimator : estimator
        Its nets are unfitted, and get a callback.
    init, order : int
        Seeds of the initial parameters; of the batches, dropout and the like.
    reinitialize : bool
        Whether module instances draw their parameters anew. Else they start from
        those that they have, as skorch has it.
    """
    nets = trained_nets(estimator)
    for net in nets:
        _refuse_one_folder(net)
    with ExitStack() as stack:
        for device in {str(net.device or "cpu") for net in nets}:
            stack.enter_context(preserved(device))
            seed(init, device)
        for net in nets:
            if reinitialize:
                _reinitialize(net)
            add_callback(net, ("sklinfluence_state", Reseed(order)))
        yield


def _refuse_one_folder(net):
    callbacks = net.callbacks if isinstance(net.callbacks, list) else []
    for callback in callbacks:
        callback = callback[1] if isinstance(callback, tuple) else callback
        # By its name: the class is above this module.
        is_recorder = type(callback).__name__ == "CheckpointRecorder"
        if is_recorder and callback.path is not None:
            raise ValueError(
                f"The CheckpointRecorder of {type(net).__name__} writes to "
                f"path={str(callback.path)!r}, which holds one run, and several nets "
                "are trained. Pass CheckpointRecorder(path=None), which keeps every "
                "net's run in memory, on a recorder of its own."
            )


def _reinitialize(net):
    """Draw the parameters of module instances, which skorch takes as they are, anew."""
    for value in net.get_params(deep=False).values():
        if isinstance(value, torch.nn.Module):
            _reset(net, value)


def _reset(net, module):
    for name, part in module.named_modules():
        own = list(part.parameters(recurse=False))
        # Layers that are not trained, a pretrained trunk say, keep what they know.
        if not any(parameter.requires_grad for parameter in own):
            continue
        reset = getattr(part, "reset_parameters", None)
        # What torch's attention calls it.
        reset = reset or getattr(part, "_reset_parameters", None)
        if reset is None:
            raise ValueError(
                f"vary holds 'init', and {type(net).__name__} has an instance of "
                f"{type(module).__name__}, whose part {name!r} ({type(part).__name__}) "
                "has no reset_parameters() to draw its parameters anew. Pass the "
                "class instead of an instance, give that part a reset_parameters, or "
                "set vary=('order',)."
            )
        reset()


def add_callback(net, callback):
    if net.callbacks == "disable":
        # Callbacks have to be on for ours to be heard; skorch's own stay off.
        off = {f"callbacks__{name}": None for name, _ in net._default_callbacks}
        # Not by set_params, which looks for names among those that are disabled.
        net.callbacks = [callback]
        net.set_params(**off)
    else:
        net.set_params(callbacks=[*(net.callbacks or []), callback])
