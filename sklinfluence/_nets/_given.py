"""The net that a ranker or a transformer is given as its estimator."""

from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet


def is_frozen(estimator):
    return isinstance(estimator, FrozenEstimator)


def unwrap(estimator):
    """The net in a FrozenEstimator, or the net itself."""
    while is_frozen(estimator):
        estimator = estimator.estimator
    return estimator


def given_net(holder, kinds=(NeuralNet,)):
    """The net that is the ``estimator`` of a ranker or transformer, or frozen in it.

    Parameters
    ----------
    holder : estimator
        With a parameter ``estimator``.
    kinds : tuple of type, default=(NeuralNet,)
        Nets that it takes.

    Raises
    ------
    TypeError
        If the estimator is anything else.
    NotFittedError
        If a frozen net was never trained.
    """
    name, net = type(holder).__name__, unwrap(holder.estimator)
    if not isinstance(net, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(
            f"estimator of {name} must be a skorch {wanted}, perhaps in a "
            f"FrozenEstimator; got {type(net).__name__}. Transform rows before they "
            f"reach it: make_pipeline(scaler, {name}(net))."
        )
    if is_frozen(holder.estimator) and not hasattr(net, "module_"):
        raise NotFittedError(
            f"estimator of {name} is a FrozenEstimator of a {type(net).__name__} that "
            "was never trained. Fit it first, or pass it without FrozenEstimator."
        )
    return net
