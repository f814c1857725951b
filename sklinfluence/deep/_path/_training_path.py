"""Influence along a training run: the run as arrays, and sums over its steps.

Notation: theta^(t) are the parameters after t steps, so step t (counted from 0) goes
from theta^(t) to theta^(t + 1) on the rows of its batch B_t, by the gradient of

    sum over i in B_t of s_i l(z_i; theta) / N_t,

s_i being a row's weight and N_t the sum of the weights in the batch (or 1 where the
loss of a batch is the sum over its rows). Nothing here knows what a network is:
gradients and Hessian products come in as arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sklinfluence._removal import inverse_ratio

# What is kept of each optimiser group at each step.
SETTINGS = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")


@dataclass
class TrainingPath:
    """What a training run left behind.

    Attributes
    ----------
    n_rows : int
        Rows of the data, those that were held out included.
    names : tuple of str
        The trained parameters.
    groups : tuple of int
        The optimiser's parameter group of each.
    optimizer : str
        Its class.
    every : "step" or int
        Whether there is a checkpoint before every step (and one after the last), or
        one after every so many epochs.
    data : dict
        Digests of the rows, "X", and targets, "y", of all the data; None where they are
        not known.
    batches : list of ndarray of int
        Rows of every step, in the order of the batch.
    settings : dict of str to ndarray of shape (n_steps, n_groups)
        `SETTINGS` of every step.
    fresh : ndarray of shape (n_steps,), bool
        Whether the optimiser had no state yet at the step.
    epoch_ends : ndarray of int
        Number of steps taken at the end of each epoch.
    steps : ndarray of shape (n_checkpoints,)
        Number of steps taken at each checkpoint.
    load : callable
        ``load(c)`` is the c-th checkpoint: dict from names to arrays, buffers too.
    """

    n_rows: int
    names: tuple
    groups: tuple
    optimizer: str
    every: object
    data: dict
    batches: list
    settings: dict
    fresh: np.ndarray
    epoch_ends: np.ndarray
    steps: np.ndarray
    load: Callable = field(repr=False)

    @property
    def n_steps(self):
        return len(self.batches)

    @property
    def has_every_step(self):
        """Whether theta^(0), ..., theta^(T) are all there."""
        return np.array_equal(self.steps, np.arange(self.n_steps + 1))

    @property
    def trained(self):
        """Rows that were in some batch, as a mask of shape (n_rows,)."""
        mask = np.zeros(self.n_rows, dtype=bool)
        for batch in self.batches:
            mask[batch] = True
        return mask

    @property
    def moved(self):
        """Names of the parameters whose learning rate was not 0 throughout."""
        rates = self.settings["lr"]
        pairs = zip(self.names, self.groups, strict=True)
        return {n for n, group in pairs if not self.n_steps or np.any(rates[:, group])}

    def has(self, setting):
        """Whether a setting was ever other than 0."""
        return bool(np.any(self.settings[setting]))

    def setting(self, name, step, names, sizes):
        """A setting at a step: a number, or a vector over the parameters.

        Parameters
        ----------
        name : one of `SETTINGS`
        step : int
        names, sizes : sequences
            The parameters that gradients are of, and their numbers of entries.
        """
        values = self.settings[name][step]
        chosen = [values[self.groups[self.names.index(n)]] for n in names]
        if len(set(chosen)) == 1:
            return float(chosen[0])
        return np.repeat(np.asarray(chosen, dtype=float), sizes)

    def rate_step(self, c):
        """The step whose learning rate weighs checkpoint c; None for none.

        Before every step: the rate of the step that follows (S 56). After epochs: that
        of the step that led there (R 0.4).
        """
        step = int(self.steps[c])
        if self.every == "step":
            return step if step < self.n_steps else None
        return step - 1


@dataclass
class Visit:
    """Parameters at which some rows' gradients count, and by how much.

    Attributes
    ----------
    checkpoint : int
    step : int
        Whose learning rate applies.
    rows : ndarray of int
    weights : ndarray of shape (n_visited,)
        What each row's product of gradients is multiplied with, beside the rate.
    """

    checkpoint: int
    step: int
    rows: np.ndarray
    weights: np.ndarray


def checkpoint_visits(path, row_weights):
    """All trained rows at every checkpoint (TracInCP, S 56, R 0.4)."""
    rows = np.flatnonzero(path.trained)
    for c in range(len(path.steps)):
        step = path.rate_step(c)
        if step is not None:
            yield Visit(c, step, rows, row_weights[rows])


def replay_visits(path, row_weights, reduction):
    """The rows of each batch at the parameters before its step (TracIn, S 55)."""
    for step, batch in enumerate(path.batches):
        weights = row_weights[batch]
        yield Visit(step, step, batch, weights / batch_total(weights, reduction))


def batch_total(weights, reduction):
    """N_t: what the sum of a batch's weighted losses is divided by.

    Parameters
    ----------
    weights : ndarray of shape (n_batch,)
    reduction : {"mean", "count", "sum"}
        "mean": by the weights (cross entropy). "count": by the rows, whatever their
        weights (binary cross entropy).
    """
    return {"mean": weights.sum(), "count": float(len(weights)), "sum": 1.0}[reduction]


def add_columns(out, rows, values):
    """Add to columns of a matrix, of which a batch may name one more than once."""
    if len(np.unique(rows)) == len(rows):
        out[..., rows] += values
    else:
        np.add.at(out, (..., rows), values)


def ideal_credit(losses, path):
    """Credit each step's drop in loss to the one row that took it (S 51, R 0.3).

    Parameters
    ----------
    losses : ndarray of shape (n_steps + 1, n_queries)

    Returns
    -------
    influence : ndarray of shape (n_queries, n_rows)
    """
    influence = np.zeros((losses.shape[1], path.n_rows))
    rows = np.array([batch[0] for batch in path.batches], dtype=int)
    np.add.at(influence, (slice(None), rows), (losses[:-1] - losses[1:]).T)
    return influence


def check_ideal(path):
    """Refuse runs whose steps cannot each be credited to one row."""
    reasons = []
    if any(len(batch) != 1 for batch in path.batches):
        largest = max(len(batch) for batch in path.batches)
        reasons.append(f"batches hold up to {largest} rows, not one")
    if path.optimizer != "SGD" or path.has("momentum"):
        reasons.append(
            f"{path.optimizer} carries what earlier rows did into later steps"
            if path.optimizer != "SGD"
            else "momentum carries what earlier rows did into later steps"
        )
    if not path.has_every_step:
        reasons.append("not every step was recorded")
    if reasons:
        raise ValueError(
            f"method='ideal' credits each step to the one row in it, but "
            f"{'; '.join(reasons)}. Use method='replay', or train with batch_size=1, "
            "plain SGD and CheckpointRecorder(every='step')."
        )


def check_every_step(path, what):
    """Refuse runs of which some step's parameters are missing."""
    if not path.has_every_step:
        raise ValueError(
            f"{what} needs the parameters before every step, and only "
            f"{len(path.steps)} checkpoints of {path.n_steps} steps were recorded. "
            "Record with CheckpointRecorder(every='step'), or use "
            "TracInRanker(method='checkpoint')."
        )


def check_unrollable(path, what):
    """Refuse what is no run of gradient descent with momentum and weight decay."""
    check_every_step(path, what)
    if path.optimizer != "SGD" or path.has("maximize"):
        name = "maximize=True" if path.optimizer == "SGD" else path.optimizer
        raise ValueError(
            f"{what} unrolls torch.optim.SGD, with or without momentum, Nesterov's "
            f"form and weight decay; the net was trained with {name}. Train it with "
            "SGD, or use TracInRanker(method='checkpoint')."
        )


def unit(gradients):
    """Rows scaled to length 1; rows of length 0 stay."""
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients * inverse_ratio(1.0, lengths)
