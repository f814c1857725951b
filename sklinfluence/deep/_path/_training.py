"""Training a clone of a net and reading off how it was trained."""

from contextlib import contextmanager

import torch
from sklearn.base import clone
from sklearn.utils import check_random_state

from sklinfluence._nets import (
    Reseed,
    add_callback,
    interruptible,
    module_dtype,
    preserved,
    seed,
)
from sklinfluence.deep._path._checkpoints import CheckpointRecorder
from sklinfluence.deep._path._fingerprint import differing, fingerprint
from sklinfluence.deep._path._store import read_training_path
from sklinfluence.deep._path._watch import Watch

# What every library takes as a seed.
_LARGEST_SEED = 2**31 - 1


@contextmanager
def _seeded(number, device):
    """Seed torch for a while; None leaves its generators alone."""
    if number is None:
        yield
        return
    with preserved(device):
        seed(number, device)
        yield


def as_seed(random_state):
    """An int that torch takes, or None."""
    if random_state is None or isinstance(random_state, int):
        return random_state
    return int(check_random_state(random_state).randint(_LARGEST_SEED))


def train(net, X, y, *, every, random_state=None, order_state=None):
    """Fit a clone of a net with a recorder among its callbacks.

    Parameters
    ----------
    net : skorch.NeuralNet
        Never changed.
    X, y : training data
    every : "step" or int
        Of the recorder, unless the net brings one.
    random_state : int or None
        Seeds the initial parameters.
    order_state : int or None
        Seeds the order of the batches (and dropout); None: by ``random_state``.

    Returns
    -------
    net : skorch.NeuralNet
    path : TrainingPath
    """
    net = clone(net)
    recorder = _own_recorder(net)
    # It comes first: what it refuses, the others would change.
    added = [("sklinfluence_watch", Watch())]
    if recorder is None:
        added += [("sklinfluence_recorder", CheckpointRecorder(every=every))]
    first = as_seed(random_state)
    order = first if order_state is None else as_seed(order_state)
    if order is not None:
        added.append(("sklinfluence_order", Reseed(order)))
    for callback in added:
        add_callback(net, callback)
    with _seeded(first if first is not None else order, net.device):
        with interruptible(net):
            if y is None:
                net.fit(X)
            else:
                net.fit(X, y)
    return net, find_recorder(net).training_path_


def _own_recorder(net):
    callbacks = net.callbacks if isinstance(net.callbacks, list) else []
    for callback in callbacks:
        callback = callback[1] if isinstance(callback, tuple) else callback
        if isinstance(callback, CheckpointRecorder):
            return callback
    return None


def find_recorder(net):
    """The recorder among a fitted net's callbacks, or None."""
    for _, callback in getattr(net, "callbacks_", []):
        if isinstance(callback, CheckpointRecorder):
            return callback
    return None


def read(frozen, checkpoints, n_rows):
    """A fitted net and how it was trained, from its recorder or a folder.

    Parameters
    ----------
    frozen : FrozenEstimator
    checkpoints : path-like or None
    n_rows : int
        Rows given now, which must be those that it was trained on.
    """
    net = frozen.estimator
    recorder = find_recorder(net)
    if checkpoints is not None:
        path = read_training_path(checkpoints)
    elif hasattr(recorder, "store_"):
        path = recorder.training_path_
    else:
        raise ValueError(
            f"The frozen {type(net).__name__} has no CheckpointRecorder that saw "
            "it trained, so nothing is known of how it was trained. Train it with one, "
            "name the folder that one wrote (checkpoints=...), or pass the net without "
            "FrozenEstimator, to be trained here."
        )
    if path.n_rows != n_rows:
        raise ValueError(
            f"The net was trained on {path.n_rows} rows, and X has {n_rows}. Pass the "
            "X and y that it was trained on, in the same order."
        )
    return net, path


def check_data(net, path, X, y):
    """Refuse rows and targets that are not those of the run."""
    if type(net).fit.__module__.partition(".")[0] != "skorch":
        return  # what such a net trains on is its own affair
    others = differing(path.data, fingerprint(net.get_dataset(X, y)))
    if others:
        raise ValueError(
            f"The net was trained on another {' and '.join(others)}: the values do not "
            "have the fingerprint of the recorded run. Pass the X and y that it was "
            "trained on, in the same order."
        )


def real_dtype(net):
    """What gradients of an initialized net are computed in: its parameters' dtype."""
    own = module_dtype(net)
    # Eight bits are too few for sums of gradients, and NumPy has no such type.
    return torch.float32 if own == torch.bfloat16 else own
