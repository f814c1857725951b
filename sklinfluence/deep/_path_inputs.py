"""What the rankers along a training path take, and what they refuse, by name."""

from itertools import chain

import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch import (
    NeuralNet,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import SliceDataset, SliceDict
from skorch.utils import data_from_dataset, is_dataset, to_numpy
from torch import nn
from torch.nn.parameter import is_lazy

from sklinfluence.heads._ask import fit_inputs
from sklinfluence.heads._skorch._criterion import overridden, refuse_improbable
from sklinfluence.heads._skorch._forward import cast, module_dtype
from sklinfluence.heads._targets import target_array

# Rows whose loss is looked at together.
_ROWS_AT_ONCE = 1024
_OF_PROBABILITIES = (
    "NLLLoss in a NeuralNetClassifier is of probabilities, and skorch takes the "
    "logarithm itself. End the module with Softmax (not LogSoftmax), or use "
    "CrossEntropyLoss on what comes before."
)


def is_frozen(net):
    return isinstance(net, FrozenEstimator)


def unwrap(net):
    """The net in a FrozenEstimator, or the net itself."""
    return net.estimator if is_frozen(net) else net


def check_net(ranker):
    """The net of a ranker; anything else is refused."""
    name, net = type(ranker).__name__, unwrap(ranker.net)
    if not isinstance(net, NeuralNet):
        raise TypeError(
            f"net of {name} must be a skorch net, perhaps in a FrozenEstimator; got "
            f"{type(net).__name__}. Transform rows before they reach the ranker: "
            f"make_pipeline(scaler, {name}(net))."
        )
    if is_frozen(ranker.net) and not hasattr(net, "module_"):
        raise NotFittedError(
            f"net of {name} is a FrozenEstimator of a {type(net).__name__} that was "
            "never trained. Fit it first, or pass it without FrozenEstimator."
        )
    layers = getattr(ranker, "layers", "all")
    if not isinstance(layers, str) and len(layers) == 0:
        raise ValueError(
            f"layers={layers!r} of {name} names no layer. Use 'all', 'last' or names "
            "as in module.named_modules()."
        )
    return net


def net_inputs(net, X, y):
    """X and y in the types that a net reads, as the other rankers have them."""
    if isinstance(y, dict):  # several targets: a loss of the user's own takes them
        return cast(X, module_dtype(net)), SliceDict(**y)
    X, y = fit_inputs(net, X, y)
    return cast(X, module_dtype(net)), y


def sliceable(X, y):
    """Inputs of any kind that skorch takes as something with numbered rows."""
    if is_dataset(X):
        data, targets = _parts(X)
        # (Several targets are for a loss of the user's own, which skorch hands them
        # whatever y is given beside the Dataset.)
        if targets is not None and (y is None or isinstance(targets, dict)):
            y = targets
        return sliceable(data, y)
    # (scipy's dictionary of keys is a dict too.)
    if isinstance(X, dict) and not isinstance(X, SliceDict) and not sparse.issparse(X):
        return SliceDict(**{key: to_numpy(value) for key, value in X.items()}), y
    X = to_numpy(X) if torch.is_tensor(X) else X
    if isinstance(y, dict):
        return X, SliceDict(**{key: to_numpy(value) for key, value in y.items()})
    if torch.is_tensor(y):
        y = to_numpy(y)
    return X, None if y is None else target_array(y)


def _parts(dataset):
    """Rows and targets of a Dataset, whole where they are at hand."""
    if _is_plain(dataset):
        return data_from_dataset(dataset)
    # A Dataset of the user's own has rows, one by one.
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            f"X is a {type(dataset).__name__} whose rows are not numbered. Pass a "
            "Dataset with __len__ and __getitem__."
        )
    rows = [dataset[i] for i in range(len(dataset))]
    if not all(isinstance(row, tuple | list) and len(row) == 2 for row in rows):
        raise TypeError(
            f"The rows of {type(dataset).__name__} are not pairs (X, y), as skorch "
            "takes them from a Dataset."
        )
    targets = torch.utils.data.default_collate([y for _, y in rows])
    return SliceDataset(dataset), targets


def _is_plain(dataset):
    """Whether a Dataset hands out its X and y as they are: skorch's own does."""
    while isinstance(dataset, torch.utils.data.Subset):
        dataset = dataset.dataset
    return type(dataset) is Dataset


def check_initialized(net):
    """Refuse what no gradient of a row's loss can be had of."""
    module, criterion = net.module_, net.criterion_
    tensors = chain(module.named_parameters(), module.named_buffers())
    lazy = [name for name, tensor in tensors if is_lazy(tensor)]
    if lazy:
        raise ValueError(
            f"The module of {type(net).__name__} has lazy layers whose sizes are not "
            f"known before the first batch: {', '.join(lazy)}. Give them sizes "
            "(nn.Linear instead of nn.LazyLinear), or pass an instance of the module "
            "that was called on a row once."
        )
    smoothing = getattr(criterion, "label_smoothing", 0.0)
    if isinstance(criterion, nn.CrossEntropyLoss) and smoothing:
        if criterion.weight is not None:
            raise ValueError(
                "CrossEntropyLoss with both weight and label_smoothing is not "
                "supported: torch weighs the classes of one row's soft label apart, "
                "which is no row weight. Set one of them to its default."
            )


def check_shapes(net, output, y):
    """Refuse a loss that compares every row with every other."""
    output = output[0] if isinstance(output, tuple) else output
    if not isinstance(net, NeuralNetRegressor) or not torch.is_tensor(output):
        return
    if not torch.is_tensor(y):
        return
    if {output.ndim, y.ndim} == {1, 2}:
        given = "y.reshape(-1, 1)" if y.ndim == 1 else "y.ravel()"
        raise ValueError(
            f"The module of {type(net).__name__} returns shape "
            f"{_shape(output)}, and y has shape {_shape(y)}: "
            f"{type(net.criterion_).__name__} then compares every row with every "
            f"other. Pass {given}, or a module that returns what y has."
        )


def _shape(tensor):
    return "(n_rows,)" if tensor.ndim == 1 else f"(n_rows, {tensor.shape[1]})"


def _takes_probabilities(net):
    """Whether skorch takes the logarithm of the module's output itself."""
    return (
        isinstance(net, NeuralNetClassifier)
        and isinstance(net.criterion_, nn.NLLLoss)
        and type(net).get_loss is NeuralNetClassifier.get_loss
    )


def check_probabilities(net, output):
    """Refuse outputs that skorch would take the logarithm of, and cannot."""
    output = output[0] if isinstance(output, tuple) else output
    if overridden(net, ["get_loss"]) or not torch.is_tensor(output):
        return  # a loss of the user's own takes what it likes
    if bool(torch.isfinite(output).all()):
        refuse_improbable(net, output)


def not_finite(net, X, when):
    """The error for a loss that is NaN or infinite."""
    tensors = X.values() if isinstance(X, dict) else X
    tensors = tensors if isinstance(X, dict | list | tuple) else [X]
    parts = [t for t in tensors if torch.is_tensor(t) and t.is_floating_point()]
    if not all(bool(torch.isfinite(part).all()) for part in parts):
        return ValueError(
            "X holds NaN or infinity, so the net's loss is not finite. Impute or "
            "remove those rows."
        )
    what = f"The loss of {type(net).__name__} is not finite {when}: "
    if _takes_probabilities(net):
        return ValueError(what + _OF_PROBABILITIES)
    return ValueError(
        f"{what}the training diverged, or {type(net.criterion_).__name__} is not "
        "defined at what the module returns or at the targets. Lower lr, or look at "
        "the criterion."
    )


class Watch(Callback):
    """Stops a training run at its first batch if nothing could be read off it."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        check_initialized(net)

    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        loss, output = kwargs.get("loss"), kwargs.get("y_pred")
        if not training or not torch.is_tensor(loss):
            return
        X, y = batch if isinstance(batch, tuple | list) else (batch, None)
        if output is not None:
            check_probabilities(net, output)
            if torch.is_tensor(y):
                check_shapes(net, output, y)
        if not bool(torch.isfinite(loss).all()):
            raise not_finite(net, X, "in training")


def check_rows(function, rows):
    """Refuse a trained net whose loss on its training rows says nothing."""
    net, state = function.net, function.state()
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows.take(slice(start, start + _ROWS_AT_ONCE))
        raw = function.raw(state, some)
        check_probabilities(net, raw)
        check_shapes(net, raw, some.y)
        if not bool(torch.isfinite(function.losses(state, some)).all()):
            raise not_finite(net, some.X, "on the training rows")
