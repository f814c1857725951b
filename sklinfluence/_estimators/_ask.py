"""Asking an estimator of any kind, skorch nets included, without importing skorch.

Nets are particular about the type of what they read and change their mode when they
predict. What they need is registered by ``_nets``, which is imported when the
first net, or the first of torch's containers, is met.
"""

from contextlib import contextmanager
from functools import singledispatch
from importlib import import_module

import numpy as np
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

_WITHOUT_ROWS = ("coo", "dia", "bsr")


def register_if_net(thing):
    """Import the adapters for skorch if ``thing`` comes from skorch or torch.

    Returns
    -------
    met : bool
        Whether it does.
    """
    packages = {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}
    met = bool(packages & {"skorch", "torch"})
    if met:
        import_module("sklinfluence._nets")
    return met


def ends_in_net(estimator):
    """Whether an estimator is a net, or a Pipeline that ends in one, frozen or not."""
    while isinstance(estimator, FrozenEstimator | Pipeline):
        is_frozen = isinstance(estimator, FrozenEstimator)
        estimator = estimator.estimator if is_frozen else estimator.steps[-1][1]
    return register_if_net(estimator)


def dispatch(function, thing):
    """The implementation of a singledispatch function, nets registered if need be."""
    found = function.dispatch(type(thing))
    if found is function.dispatch(object) and register_if_net(thing):
        found = function.dispatch(type(thing))
    return found


@singledispatch
def ask(estimator, method, X, *args, **kwargs):
    """What a method of a fitted estimator says about rows.

    Parameters
    ----------
    estimator : estimator
    method : str
        "predict", "predict_proba", "decision_function" or "score".
    X : rows
    """
    found = dispatch(ask, estimator)
    if found is not ask.dispatch(object):
        return found(estimator, method, X, *args, **kwargs)
    return getattr(estimator, method)(X, *args, **kwargs)


@ask.register(FrozenEstimator)
def _ask_frozen(estimator, method, X, *args, **kwargs):
    return ask(estimator.estimator, method, X, *args, **kwargs)


@ask.register(Pipeline)
def _ask_pipeline(estimator, method, X, *args, **kwargs):
    last = estimator.steps[-1][1]
    if not ends_in_net(last):
        return getattr(estimator, method)(X, *args, **kwargs)
    # What the steps before make of rows may be of a type that the net does not read.
    for _, step in estimator.steps[:-1]:
        if step is not None and not isinstance(step, str):
            X = step.transform(X)
    return ask(last, method, X, *args, **kwargs)


@singledispatch
def fit_inputs(estimator, X, y, *, to_train=False):
    """X and y as the estimator's ``fit`` reads them.

    Parameters
    ----------
    estimator : estimator
    X, y : rows and targets
    to_train : bool, default=False
        Whether it is about to be trained on them: what it would stumble over then is
        named.
    """
    found = dispatch(fit_inputs, estimator)
    if found is not fit_inputs.dispatch(object):
        return found(estimator, X, y, to_train=to_train)
    return X, y


def sliceable(X):
    """X in a container whose rows can be counted and taken as scikit-learn does.

    All that scikit-learn knows is returned as it is, but for sparse formats that have
    no rows to take: those become CSR. A dict of columns of rows and a
    torch Dataset, which nets take, become skorch's SliceDict and SliceDataset.
    """
    if X is None:  # which scikit-learn's checks of lengths pass over
        raise ValueError("X is None. Pass one row for each target.")
    if sparse.issparse(X) and X.format in _WITHOUT_ROWS:
        return X.tocsr()
    # What has a shape is counted by it: arrays, frames, and scipy's DOK, a dict too.
    if hasattr(X, "shape"):
        return X
    kinds = {
        (kind.__module__.partition(".")[0], kind.__name__) for kind in type(X).__mro__
    }
    if not isinstance(X, dict) and ("torch", "Dataset") not in kinds:
        return X
    try:
        return import_module("sklinfluence._nets").sliceable(X)
    except ModuleNotFoundError:  # a dict, and no net to read it
        return X


def takeable(X):
    """X in a container from which `_safe_indexing` can take rows."""
    X = sliceable(X)
    if sparse.issparse(X):
        return X.tocsr()
    # Something that can do no more than become an array.
    return X if hasattr(X, "__getitem__") else np.asarray(X)


def reordered(dataset, order):
    """A torch Dataset, targets and all, in another order."""
    return import_module("torch.utils.data").Subset(dataset, order)


@contextmanager
def interruptible(estimator):
    """While it lasts, Ctrl-C is heard in the training of an estimator's nets.

    Parameters
    ----------
    estimator : estimator
        Unfitted.
    """
    if not _holds_net(estimator):
        yield
        return
    nets = import_module("sklinfluence._nets")
    with nets.interruptible(estimator):
        yield


def _holds_net(estimator):
    parts = [estimator]
    if hasattr(estimator, "get_params"):
        parts += estimator.get_params(deep=True).values()
    return any(register_if_net(part) for part in parts)


@contextmanager
def seeded_nets(estimator, init, order, *, reinitialize):
    """While it lasts, skorch nets in an estimator train from two seeds.

    Parameters
    ----------
    estimator : estimator
        Unfitted.
    init, order : int
        Seeds of the initial parameters, and of all that is drawn after them.
    reinitialize : bool
        Whether modules that are instances draw their parameters anew.
    """
    if not _holds_net(estimator):
        yield
        return
    nets = import_module("sklinfluence._nets")
    with nets.seeded_nets(estimator, init, order, reinitialize=reinitialize):
        yield
