"""Asking and fitting nets: rows and targets in the types that they read."""

import numpy as np
from sklearn.utils.validation import _num_samples
from skorch import NeuralNet, NeuralNetRegressor

from sklinfluence._estimators import ask, fit_inputs
from sklinfluence._nets._before_training import check_before_training
from sklinfluence._nets._containers import sliceable
from sklinfluence._nets._forward import (
    cast,
    explained,
    module_dtype,
    speaking,
)
from sklinfluence._nets._refusals import refuse_frame
from sklinfluence._nets._stand_in import stand_in
from sklinfluence._nets._targets import net_targets


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


ask.register(NeuralNet, _ask)
fit_inputs.register(NeuralNet, _fit_inputs)
