"""What the rankers along a training path take, and what they refuse, by name."""

import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch import (
    NeuralNet,
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.helper import SliceDict

from sklinfluence._estimators import fit_inputs
from sklinfluence._nets import (
    cast,
    check_probabilities,
    check_shapes,
    module_dtype,
    not_finite,
)

# Rows whose loss is looked at together.
_ROWS_AT_ONCE = 1024


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


def the_net(estimator):
    """The skorch net that an estimator is, or freezes."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    kinds = (NeuralNetClassifier, NeuralNetBinaryClassifier, NeuralNetRegressor)
    if not isinstance(estimator, kinds):
        raise TypeError(
            "DeepInfluenceRanker needs a skorch NeuralNetClassifier, "
            "NeuralNetBinaryClassifier or NeuralNetRegressor, perhaps in a "
            f"FrozenEstimator; got {type(estimator).__name__}. Transform rows before "
            "they reach the ranker: make_pipeline(scaler, DeepInfluenceRanker(net))."
        )
    estimator.check_is_fitted(["module_", "criterion_"])
    return estimator
