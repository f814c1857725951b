"""Skorch nets: the embedding is what the last linear layer receives.

Imported when a net is met, never by ``import sklinfluence``: nothing else below
``sklinfluence.deep`` imports torch or skorch.
"""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from sklearn.utils.validation import _num_samples
from skorch import (
    NeuralNet,
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.helper import SliceDataset, SliceDict

from sklinfluence.heads._ask import ask, fit_inputs
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._skorch._before_training import (
    check_before_training,
    check_loss,
)
from sklinfluence.heads._skorch._criterion import (
    net_loss,
    refuse_broadcasting,
    refuse_improbable,
)
from sklinfluence.heads._skorch._forward import (
    cast,
    explained,
    layer_inputs,
    module_dtype,
    speaking,
    to_array,
)
from sklinfluence.heads._skorch._layer import (
    check_last,
    guess_last_linear,
    layer_parameters,
)
from sklinfluence.heads._skorch._own_loss import own_loss, warn_about_own_steps
from sklinfluence.heads._skorch._penalty import (
    decay_factor,
    rows_in_training,
    weight_decay,
)
from sklinfluence.heads._skorch._refusals import refuse_frame, refuse_non_finite
from sklinfluence.heads._skorch._stand_in import stand_in
from sklinfluence.heads._skorch._targets import NETS, net_targets
from sklinfluence.heads._skorch._trained import refuse_untrained
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


def _net_head(net, y, sample_weight=None):
    net.check_is_fitted(["module_", "criterion_"])
    name = guess_last_linear(net, _n_outputs(net, y))
    linear = net.module_.get_submodule(name)
    coef, intercept = layer_parameters(linear)
    loss = net_loss(net, len(coef))
    targets = loss.encode(y)
    trained = rows_in_training(net, np.asarray(y))
    warn_about_held_out(net, trained)
    refuse_untrained(net, name)
    own = np.where(trained, loss.row_weights(targets), 0.0)
    weights = row_weights(sample_weight, targets) * own
    factor = decay_factor(net, loss, int(trained.sum()), own.sum())
    penalty = factor * _decays(net, linear, coef)
    return LinearHead(
        loss=loss.loss,
        coef=coef,
        intercept=intercept,
        fit_intercept=linear.bias is not None,
        penalty=penalty,
        targets=targets,
        weights=weights,
        classes=loss.classes,
        embed=partial(_last_input, net, name, loss.ends, y_ndim=np.ndim(y)),
        encode=loss.encode,
        penalty_advice=_PENALTY_ADVICE,
        # Far from an optimum that may not exist, longer training alone is no help.
        training_advice=_TRAINING_ADVICE if np.any(penalty) else _PENALTY_ADVICE,
        settle=partial(_settle, net, loss, y, own),
    )


def _decays(net, linear, coef):
    """Weight decay on every parameter of a layer, intercepts last."""
    has_bias = linear.bias is not None
    decays = np.full((len(coef), coef.shape[1] + has_bias), 0.0)
    decays[:] = weight_decay(net, linear.weight)
    if has_bias:
        decays[:, -1] = weight_decay(net, linear.bias)
    return decays


def _settle(net, loss, y, class_weights, head, X):
    """The head with what a net's own ``get_loss`` makes of its training rows."""
    warn_about_own_steps(net)
    X, y = _fit_inputs(net, sliceable(X), y)
    check_loss(net, X, y)
    rows = (X, y, head.targets)
    own = own_loss(net, loss, rows, head.weights, class_weights)
    head = replace(head, settle=None)
    if own is None:
        return head
    linear = net.module_.get_submodule(guess_last_linear(net, len(head.coef)))
    penalty = own.factor * _decays(net, linear, head.coef)
    return replace(head, weights=own.weights, penalty=penalty)


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


def _fit_inputs(net, X, y, *, to_train=False):
    """X and y in the types that a net reads: integers or floats as torch has them."""
    refuse_frame(net, X)
    X, y = cast(X, module_dtype(net)), net_targets(net, y)
    if to_train:
        check_before_training(net, X, y)
    return X, y


def _ask(net, method, X, *args, **kwargs):
    if method == "predict" and _num_samples(sliceable(X)) == 0:
        is_regression = isinstance(net, NeuralNetRegressor)
        return np.empty(0, dtype=float if is_regression else np.int64)
    refuse_frame(net, X)
    with stand_in(net) as own, explained(own, X):
        asked = getattr(speaking(own), method)
        return asked(cast(X, module_dtype(net)), *args, **kwargs)


for _kind in NETS:
    linear_head.register(_kind, _net_head)
ask.register(NeuralNet, _ask)
fit_inputs.register(NeuralNet, _fit_inputs)


def sliceable(X):
    """A dict or a Dataset in skorch's own containers, whose rows can be taken."""
    if isinstance(X, SliceDict | SliceDataset):
        return X
    # What has a shape is no dict of rows, though scipy's DOK is a dict.
    if isinstance(X, dict) and not hasattr(X, "shape"):
        values = {
            key: value if hasattr(value, "shape") else np.asarray(value)
            for key, value in X.items()
        }
        return SliceDict(**values)
    if isinstance(X, torch.utils.data.Dataset):
        return SliceDataset(X)
    return X
