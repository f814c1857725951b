"""The penalty that a net's optimiser puts on parameters, in sum form."""

import numpy as np
import torch

from sklinfluence._nets._own_methods import is_weighted_by_hand
from sklinfluence._warn import warn_user


def weight_decay(net, parameter):
    """The optimiser's weight decay on one parameter, of its own group.

    SGD, Adam and their kin add it to the gradient, which makes it the strength of an
    l2 penalty. AdamW's is decoupled from the gradient and minimises no objective
    exactly; it is read as an l2 penalty of the same strength.
    """
    optimizer = getattr(net, "optimizer_", None)
    if optimizer is None:  # a net trimmed for prediction
        return float(net.get_params_for("optimizer").get("weight_decay", 0.0))
    for group in optimizer.param_groups:
        if any(parameter is member for member in group["params"]):
            return float(group.get("weight_decay", 0.0))
    return 0.0


def decay_factor(net, loss, n_rows, total_weight):
    """What weight decay is multiplied with where the loss is a sum over rows.

    Parameters
    ----------
    net : NeuralNet
    loss : NetLoss
    n_rows : int
        Rows in training.
    total_weight : float
        Sum of their class weights.
    """
    if net.criterion_.reduction == "sum" and not is_weighted_by_hand(net):
        # Each step takes a batch's sum and one decay.
        return count_batches(net, n_rows) / loss.scale
    return (total_weight if loss.normalized else n_rows) / loss.scale


def count_batches(net, n_rows):
    """Steps of an epoch over so many rows."""
    options = net.get_params_for("iterator_train")
    size = options.get("batch_size", net.batch_size)
    if size == -1:
        return 1
    n_batches = n_rows / size
    return int(n_batches) if options.get("drop_last") else int(np.ceil(n_batches))


def rows_in_training(net, y):
    """A mask of the rows that the net's ``train_split`` left for training.

    Raises
    ------
    ValueError
        If the split cannot be drawn again.
    """
    n_rows = len(y)
    # A net that skorch never trained, pretrained weights in it, has split nothing.
    if not net.train_split or not len(net.history):
        return np.ones(n_rows, dtype=bool)
    rows = _RowNumbers(n_rows)
    state = np.random.get_state()
    try:
        first, second = (_kept_rows(net, rows, y) for _ in range(2))
    finally:
        np.random.set_state(state)
    if first is None or not np.array_equal(first, second):
        raise ValueError(
            f"train_split of {type(net).__name__} kept rows out of its training that "
            "cannot be told from outside. Fit the net with train_split=None, or a "
            "ValidSplit with an integer cv or random_state; or set train_split=None "
            "on the fitted net to count every row as a training row."
        )
    return first


class _RowNumbers(torch.utils.data.Dataset):
    """A stand-in for the rows: splits look at how many there are."""

    def __init__(self, n_rows):
        self.n_rows = n_rows

    def __len__(self):
        return self.n_rows

    def __getitem__(self, index):
        return index, 0


def _kept_rows(net, rows, y):
    train, _ = net.train_split(rows, y)
    if train is rows:  # validated on data of its own
        return np.ones(len(rows), dtype=bool)
    if getattr(train, "dataset", None) is not rows:
        return None
    mask = np.zeros(len(rows), dtype=bool)
    mask[np.asarray(train.indices)] = True
    return mask


def warn_about_held_out(net, trained):
    if trained.all():
        return
    warn_user(
        f"train_split of {type(net).__name__} kept {np.sum(~trained)} of "
        f"{len(trained)} rows out of training: they have weight 0, hence no influence. "
        "Pass train_split=None to the net to train on every row.",
    )
