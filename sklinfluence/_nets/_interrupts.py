"""Ctrl-C in a net's training: heard, where skorch swallows it.

skorch ends ``fit`` at a KeyboardInterrupt, whoever raised it, and returns the net as
far as it was trained. To callbacks that is the way to stop early, and part of how the
net is trained. To whoever presses Ctrl-C it is no result: the ranker's fit breaks off.
"""

import dis
import signal
from contextlib import contextmanager
from functools import partial

from skorch import NeuralNet
from skorch.callbacks import Callback

from sklinfluence._nets._states import add_callback, trained_nets

_NAME = "sklinfluence_interrupts"
_RAISE = dis.opmap["RAISE_VARARGS"]


class Interrupts(Callback):
    """Raises the KeyboardInterrupt again that broke off a net's training."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        # skorch's next call is net.fit_loop(...), in the `try` that swallows. It passes
        # through here once; then the method is the net's own again.
        self.heard_ = None
        vars(net)["fit_loop"] = partial(self._listen, net)

    def _listen(self, net, *args, **kwargs):
        vars(net).pop("fit_loop", None)
        try:
            return net.fit_loop(*args, **kwargs)
        except KeyboardInterrupt as error:
            if not _was_meant_to_stop(error):
                self.heard_ = error
            raise

    def on_train_end(self, net, X=None, y=None, **kwargs):
        heard, self.heard_ = self.heard_, None
        if heard is not None:
            raise heard


def was_interrupted(net):
    """Whether a net's training, now ending, was broken off."""
    return any(
        getattr(callback, "heard_", None) is not None
        for _, callback in net.callbacks_
        if isinstance(callback, Interrupts)
    )


def _was_meant_to_stop(error):
    """Whether a callback, or the net in its place, raised KeyboardInterrupt itself.

    It did if the error comes from a ``raise`` below one of its methods. A signal has no
    ``raise`` of its own: it appears between two instructions, or in a handler.
    """
    calls = [error.__traceback__]
    while calls[-1].tb_next is not None:
        calls.append(calls[-1].tb_next)
    code, at = calls[-1].tb_frame.f_code, calls[-1].tb_lasti
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    is_raised = code.co_code[at] == _RAISE and code is not handler
    return is_raised and any(_is_notified(call.tb_frame) for call in calls)


def _is_notified(frame):
    """Whether a frame is a method that skorch calls at the events of a training."""
    called_on = frame.f_locals.get("self")
    is_event = frame.f_code.co_name.startswith("on_")
    return is_event and isinstance(called_on, Callback | NeuralNet)


@contextmanager
def interruptible(estimator):
    """While it lasts, Ctrl-C is heard in the training of an estimator's nets.

    Parameters
    ----------
    estimator : estimator
        Its nets are unfitted; copies that it trains are heard too.
    """
    nets = [net for net in trained_nets(estimator) if not _is_heard(net)]
    before = [net.callbacks for net in nets]
    for net in nets:
        add_callback(net, (_NAME, Interrupts()))
    try:
        yield
    finally:
        for net, callbacks in zip(nets, before, strict=True):
            _take_off(net, callbacks)


def _is_heard(net):
    own = net.callbacks if isinstance(net.callbacks, list) else []
    parts = [part[1] if isinstance(part, tuple) else part for part in own]
    return any(isinstance(part, Interrupts) for part in parts)


def _take_off(net, callbacks):
    if callbacks == "disable":
        # (add_callback set skorch's own to None, one by one.)
        for name, _ in net._default_callbacks:
            vars(net).pop(f"callbacks__{name}", None)
    net.callbacks = callbacks
    if hasattr(net, "callbacks_"):
        net.callbacks_ = [
            pair for pair in net.callbacks_ if not isinstance(pair[1], Interrupts)
        ]
