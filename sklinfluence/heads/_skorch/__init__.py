"""Skorch nets: the embedding is what the last linear layer receives.

Imported when a net is met, never by ``import sklinfluence``: nothing else below
``sklinfluence.deep`` imports torch or skorch.
"""

import warnings
from functools import partial

import numpy as np
import torch
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.helper import SliceDataset, SliceDict

from sklinfluence.heads._ask import ask, fit_inputs
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._skorch._criterion import (
    net_loss,
    refuse_broadcasting,
    refuse_improbable,
)
from sklinfluence.heads._skorch._forward import (
    cast,
    layer_inputs,
    module_dtype,
    to_array,
)
from sklinfluence.heads._skorch._layer import (
    check_last,
    guess_last_linear,
    layer_parameters,
)
from sklinfluence.heads._skorch._penalty import (
    decay_factor,
    rows_in_training,
    weight_decay,
)
from sklinfluence.heads._skorch._refusals import refuse_frame, refuse_non_finite
from sklinfluence.heads._skorch._stand_in import stand_in
from sklinfluence.heads._targets import row_weights

_TRAINING_ADVICE = (
    "Train the net longer (max_epochs, lr), or pass refit_head=False to read its last "
    "layer as it stands."
)
_PENALTY_ADVICE = (
    "Train the net with weight decay (optimizer__weight_decay=1e-3, say: skorch's "
    "default is none), or read its last layer as it stands, refit_head=False with "
    "damping=1e-3. Damping alone does not give the layer an optimum to be polished to."
)
_NETS = (NeuralNetClassifier, NeuralNetBinaryClassifier, NeuralNetRegressor)


def _net_head(net, y, sample_weight=None):
    net.check_is_fitted(["module_", "criterion_"])
    name = guess_last_linear(net, _n_outputs(net, y))
    linear = net.module_.get_submodule(name)
    coef, intercept = layer_parameters(linear)
    loss = net_loss(net, len(coef))
    targets = loss.encode(y)
    trained = rows_in_training(net, np.asarray(y))
    warn_about_held_out(net, trained)
    weights = row_weights(sample_weight, targets) * loss.row_weights(targets)
    weights = np.where(trained, weights, 0.0)
    factor = decay_factor(
        net, loss, int(trained.sum()), loss.row_weights(targets)[trained].sum()
    )
    fit_intercept = linear.bias is not None
    penalty = np.empty((len(coef), coef.shape[1] + fit_intercept))
    penalty[:] = factor * weight_decay(net, linear.weight)
    if fit_intercept:
        penalty[:, -1] = factor * weight_decay(net, linear.bias)
    return LinearHead(
        loss=loss.loss,
        coef=coef,
        intercept=intercept,
        fit_intercept=fit_intercept,
        penalty=penalty,
        targets=targets,
        weights=weights,
        classes=loss.classes,
        embed=partial(_last_input, net, name, loss.ends, y_ndim=np.ndim(y)),
        encode=loss.encode,
        penalty_advice=_PENALTY_ADVICE,
        # Far from an optimum that may not exist, longer training alone is no help.
        training_advice=_TRAINING_ADVICE if np.any(penalty) else _PENALTY_ADVICE,
    )


def _n_outputs(net, y):
    if isinstance(net, NeuralNetBinaryClassifier):
        return 1
    if isinstance(net, NeuralNetClassifier):
        return int(np.max(np.asarray(y))) + 1
    return 1 if np.ndim(y) == 1 else np.shape(y)[1]


def _last_input(net, layer, ends, X, *, y_ndim=None):
    """What the last linear layer receives for each row, (n_rows, n_embedding)."""
    X = cast(sliceable(X), module_dtype(net))
    if _num_samples(X) == 0:
        width = net.module_.get_submodule(layer).in_features
        return np.empty((0, width), dtype=np.float32)
    parts = []
    for received, output in layer_inputs(net, X, layer):
        refuse_non_finite(net, X, received, output)
        if not parts:
            refuse_improbable(net, output)
            check_last(net, layer, received, output, ends)
            refuse_broadcasting(net, output, y_ndim)
        parts.append(to_array(received))
    return np.concatenate(parts)


def warn_about_held_out(net, trained):
    if trained.all():
        return
    warnings.warn(
        f"train_split of {type(net).__name__} kept {np.sum(~trained)} of "
        f"{len(trained)} rows out of training: they have weight 0, hence no influence. "
        "Pass train_split=None to the net to train on every row.",
        stacklevel=3,
    )


def _fit_inputs(net, X, y):
    """X and y in the types that a net reads: integers or floats as torch has them."""
    refuse_frame(net, X)
    if isinstance(net, NeuralNetClassifier) and y is not None:
        y = _as_class_numbers(net, y)
    elif y is not None:
        if isinstance(net, NeuralNetBinaryClassifier):
            _refuse_codes(net, y)
        y = cast(np.asarray(y).astype(float), module_dtype(net))
    return cast(X, module_dtype(net)), y


def _refuse_codes(net, y):
    labels = np.asarray(y)
    if labels.dtype.kind in "iufb" and np.any((labels < 0) | (labels > 1)):
        shown = ", ".join(f"{label:g}" for label in np.unique(labels)[:5])
        raise ValueError(
            f"{type(net).__name__} takes 0 and 1 as labels, got y of {shown}. Encode "
            "y with LabelEncoder first."
        )


def _as_class_numbers(net, y):
    labels = np.asarray(y)
    type_of_target(labels, input_name="y", raise_unknown=True)
    if labels.dtype.kind not in "iufb" or np.any(labels != np.floor(labels)):
        shown = ", ".join(map(repr, list(dict.fromkeys(labels.tolist()))[:5]))
        raise ValueError(
            f"{type(net).__name__} takes the numbers of classes, 0, 1, ..., as labels, "
            f"got {shown}. Encode y with LabelEncoder first."
        )
    if labels.size and labels.min() < 0:
        raise ValueError(
            f"{type(net).__name__} takes the numbers of classes, 0, 1, ..., as labels, "
            f"got {labels.min():g}. Encode y with LabelEncoder first."
        )
    return labels.astype(np.int64)


def _ask(net, method, X, *args, **kwargs):
    if method == "predict" and _num_samples(sliceable(X)) == 0:
        is_regression = isinstance(net, NeuralNetRegressor)
        return np.empty(0, dtype=float if is_regression else np.int64)
    refuse_frame(net, X)
    with stand_in(net) as own:
        return getattr(own, method)(cast(X, module_dtype(net)), *args, **kwargs)


for _kind in _NETS:
    linear_head.register(_kind, _net_head)
    ask.register(_kind, _ask)
    fit_inputs.register(_kind, _fit_inputs)


def sliceable(X):
    """A dict or a Dataset in skorch's own containers, whose rows can be taken."""
    if isinstance(X, SliceDict | SliceDataset):
        return X
    if isinstance(X, dict):
        values = {
            key: value if hasattr(value, "shape") else np.asarray(value)
            for key, value in X.items()
        }
        return SliceDict(**values)
    if isinstance(X, torch.utils.data.Dataset):
        return SliceDataset(X)
    return X
