"""torch's random generators that a net draws from: its device's, and the CPU's.

Each is read and set by its state, of these devices alone. ``torch.manual_seed`` and
``torch.random.fork_rng`` reach for every device there is: the one reseeds accelerators
that a net on the CPU has nothing to do with, the other visits (and wakes) them all.
"""

from contextlib import contextmanager
from threading import RLock

import torch

# Threads share the generators: what two of them seeded, or put back, would mix.
_ONE_AT_A_TIME = RLock()


def _own(device):
    """(device, functions that read and set its generator), beside the CPU's."""
    device = torch.device("cpu" if device is None else device)
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device)
    # Metal has one device, and functions without a parameter for it.
    where = () if device.type == "mps" else (device,)
    return (
        device,
        lambda: module.get_rng_state(*where),
        lambda state: module.set_rng_state(state, *where),
    )


def random_states(device):
    """States of the generators, by kind of device: dict of str to byte tensors.

    Parameters
    ----------
    device : str, torch.device or None
        Where a net computes; None is the CPU.
    """
    states, own = {"cpu": torch.get_rng_state()}, _own(device)
    if own is not None:
        states[own[0].type] = own[1]()
    return states


def set_random_states(states, device):
    """Put generators into states; kinds that are not the net's are passed over."""
    own = _own(device)
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if own is not None and own[0].type in states:
        own[2](states[own[0].type])


def seed(number, device):
    """What ``torch.manual_seed`` does, to the net's generators alone."""
    own, number = _own(device), int(number)
    torch.set_rng_state(torch.Generator().manual_seed(number).get_state())
    if own is not None:
        own[2](torch.Generator(own[0]).manual_seed(number).get_state())


@contextmanager
def given_back(device):
    """Generators are afterwards as they were before."""
    states = random_states(device)
    try:
        yield
    finally:
        set_random_states(states, device)


@contextmanager
def preserved(device):
    """The same, for one thread at a time: for a training, which may last for hours."""
    with _ONE_AT_A_TIME, given_back(device):
        yield
