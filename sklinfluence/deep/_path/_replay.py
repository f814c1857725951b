"""Whether the recorded steps are those of the SGD that is about to be unrolled."""

import numpy as np
import torch
from torch.func import functional_call

from sklinfluence._nets import double, preserved
from sklinfluence._warn import warn_user
from sklinfluence.deep._net._functional import Task
from sklinfluence.deep._path._sgd_step import SGDStep
from sklinfluence.deep._path._training_path import batch_total

# Steps that are replayed: at the start, at ends of epochs and in between.
_N_STEPS = 24
# Largest difference from the recorded step, relative to its length, that rounding and
# the order of sums in float32 may make.
_TOLERANCE = 0.02
_LIKELY = (
    "gradients that were clipped (GradientNormClipping) or accumulated over batches, "
    "an own train_step, rows or a loss that differ in training (augmentation), or a "
    "callback that changes parameters"
)


def check_end(net, path, what):
    """Refuse a net whose parameters are not those at the end of the path."""
    last = path.load(len(path.steps) - 1)
    if net_stands_at(net, path, last):
        return
    raise ValueError(
        f"{what} reads a query's gradient where training ended, and the parameters of "
        f"the {type(net).__name__} are not those of the last recorded step: "
        "checkpoints of another run, a net that was trained on since, or a callback "
        "that changed its parameters at the end (averaged weights, say). Pass the net "
        "that was recorded, or record again."
    )


def check_checkpoints(net, path):
    """Refuse a path without checkpoints; warn if the net is not at its end."""
    if not len(path.steps):
        raise ValueError(
            f"No checkpoint was recorded in {len(path.epoch_ends)} epochs: every="
            f"{path.every} keeps one after every so many. Use a smaller every, or "
            "train for longer."
        )
    last = len(path.steps) - 1
    at_end = path.steps[last] == path.n_steps
    if at_end and not net_stands_at(net, path, path.load(last)):
        warn_user(
            f"The parameters of the {type(net).__name__} are not those at the last "
            "checkpoint of its path: checkpoints of another run, a net that was "
            "trained on since, or a callback that changed its parameters at the end. "
            "Influence is along the path; predictions are the net's.",
        )


def net_stands_at(net, path, arrays):
    """Whether the trained parameters of a net are those of a checkpoint."""
    own = dict(net.module_.named_parameters())
    for name in path.names:
        parameter = own.get(name)
        if parameter is None or parameter.shape != arrays[name].shape:
            return False
        value = torch.as_tensor(arrays[name]).to(parameter)
        if not torch.equal(value, parameter.detach()):
            return False
    return True


def check_steps(function, path, rows, row_weights, reduction, what):
    """Refuse a run whose steps were not those of the recorded SGD.

    Some steps are taken again, from the recorded parameters, on the recorded batch, by
    the recorded rates. A net that computes otherwise in training than in evaluation
    (dropout, batch normalisation) is only warned about: rankers are documented to
    evaluate it in evaluation mode.

    Parameters
    ----------
    function : FunctionalNet
    path : TrainingPath
        With every step.
    rows : Rows
    row_weights : ndarray of shape (n_rows,)
    reduction : str
        As `batch_total` takes it.
    what : str
        Name of the ranker.
    """
    replay = _Replay(function, path, rows, row_weights, reduction)
    for step in _chosen(path):
        taken, again, rounding = replay(step)
        off = np.linalg.norm(taken - again)
        length = np.linalg.norm(taken)
        if off <= _TOLERANCE * length + rounding:
            continue
        seen = (
            f"step {step + 1} of {path.n_steps} moved the parameters by {length:.3g}, "
            f"and by {np.linalg.norm(again):.3g} when it is taken again"
        )
        if not _differs_in_training(function, replay.state(step), rows, path, step):
            raise ValueError(
                f"{what} unrolls the recorded SGD, and the recorded steps are not its "
                f"own: {seen}. Likely {_LIKELY}. Use "
                "TracInRanker(method='checkpoint'), which asks for gradients at the "
                "checkpoints alone."
            )
        warn_user(
            f"{what} takes gradients in evaluation mode, and the net was trained with "
            f"dropout or batch normalisation: {seen}. Influences are those of an "
            "approximation to the run.",
        )
        return


def _chosen(path):
    # A callback is likeliest to have interfered between two epochs.
    ends = path.epoch_ends[path.epoch_ends < path.n_steps]
    around = np.union1d(ends - 1, ends)
    spread = np.linspace(0, path.n_steps - 1, _N_STEPS // 2).astype(int)
    if len(around) > _N_STEPS // 2:
        around = around[np.linspace(0, len(around) - 1, _N_STEPS // 2).astype(int)]
    chosen = np.unique(np.concatenate([spread, around]).astype(int))
    chosen = chosen[(chosen >= 0) & (chosen < path.n_steps)].tolist()
    # What an optimiser remembers of before the first step is not on record.
    return [t for t in chosen if t > 0 or path.fresh[0] or not path.has("momentum")]


class _Replay:
    """Steps of a path taken again: (as recorded, as replayed, rounding)."""

    def __init__(self, function, path, rows, row_weights, reduction):
        self.function = function
        self.path = path
        self.rows = rows
        self.weights = row_weights
        self.reduction = reduction
        self.sizes = [shape.numel() for shape in function.shapes]

    def state(self, t):
        return self.function.state(self.path.load(t))

    def _theta(self, t):
        return self.function.vector(self.state(t)).cpu().double().numpy()

    def _gradient(self, t):
        """Of the batch of step t, weight decay left out."""
        function, batch = self.function, self.path.batches[t]
        weights = self.weights[batch] / batch_total(self.weights[batch], self.reduction)
        rows, total = self.rows.take(batch), np.zeros(function.n_parameters)
        size = 0.0
        for block, gradients in function.per_sample_gradients(self.state(t), rows):
            gradients = gradients.cpu().double().numpy()
            total += weights[block] @ gradients
            size += weights[block] @ np.linalg.norm(gradients, axis=1)
        return total, size

    def _step(self, t):
        return SGDStep.of(self.path, t, self.function.names, self.sizes)

    def __call__(self, t):
        step, theta, after = self._step(t), self._theta(t), self._theta(t + 1)
        buffer, n_terms = np.zeros((1, len(theta))), 2
        if not step.fresh and np.any(step.momentum):
            buffer, n_terms = self._buffer(t, theta)[None], 4
        change = np.zeros((1, len(theta)))
        gradient, size = self._gradient(t)
        # (The decay belongs to theta itself: `forward` knows of its change alone.)
        step.forward(change, buffer, (gradient + step.decay * theta)[None])
        # Of the parameters, and of terms in the gradient that cancel.
        lengths = np.linalg.norm(theta) + np.max(step.rate) * size
        return after - theta, change[0], n_terms * self._eps(t) * lengths

    def _eps(self, t):
        """Coarsest rounding in play: the net's, the store's, the gradients'."""
        own = dict(self.function.net.module_.named_parameters())
        names, state, arrays = self.function.names, self.state(t), self.path.load(t)
        kinds = [own[n].dtype for n in names] + [state[n].dtype for n in names]
        return max(
            max(torch.finfo(kind).eps for kind in kinds),
            max(np.finfo(arrays[name].dtype).eps for name in names),
        )

    def _buffer(self, t, theta):
        """The momentum buffer before step t, from the step before it."""
        before = self._step(t - 1)
        rate = np.where(before.rate == 0, np.nan, before.rate)
        moved = np.nan_to_num((self._theta(t - 1) - theta) / rate)
        if not np.any(before.nesterov):
            return moved
        gradient, _ = self._gradient(t - 1)
        gradient = gradient + before.decay * self._theta(t - 1)
        momentum = np.where(before.momentum == 0, np.nan, before.momentum)
        ahead = np.nan_to_num((moved - gradient) / momentum)
        return np.where(before.nesterov, ahead, moved)


def _differs_in_training(function, state, rows, path, step):
    """Whether the module computes something else in training mode."""
    some = rows.take(path.batches[step])
    plain = function.raw(state, some)
    swapped = {f"module.{name}": value.clone() for name, value in state.items()}
    own = double(function.net)
    own.module_.train()
    with preserved(own.device), torch.no_grad():
        trained = functional_call(Task(own), swapped, ("raw", some.X, some.y))
    pair = [part[0] if isinstance(part, tuple) else part for part in (plain, trained)]
    return not torch.allclose(*pair, rtol=1e-3, atol=1e-5)
