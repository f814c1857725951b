"""GradientBoosting* as arrays."""

from functools import partial

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.utils.validation import validate_data

from sklinfluence._estimators import row_weights
from sklinfluence._sklearn_compat import first_raw_prediction
from sklinfluence.trees._ensemble import BoostedTrees, read_ensemble
from sklinfluence.trees._leaves import TreeLeaves, read_leaves
from sklinfluence.trees._proof import held_out, proved, raw_of, refuse, targets_of

# Of the largest leaf: its sum in float64, redone in another order.
_TOLERANCE = 1e-10
# Second derivatives are p (1 - p) with p = y - g: a few roundings of 1, which is much
# where p (1 - p) is next to nothing.
_ROUNDING = 4 * np.finfo(np.float64).eps


@read_leaves.register(GradientBoostingClassifier)
@read_leaves.register(GradientBoostingRegressor)
def _leaves(model):
    shrunk = partial(_shrunk, learning_rate=model.learning_rate)
    return TreeLeaves(model.estimators_, partial(_input, model), shrunk)


def _input(model, X):
    return validate_data(
        model, X, reset=False, dtype=np.float32, order="C", accept_sparse="csr"
    )


def _shrunk(value, learning_rate):
    return learning_rate * value[:, 0, 0]


@read_ensemble.register(GradientBoostingClassifier)
@read_ensemble.register(GradientBoostingRegressor)
def read_gradient_boosting(model, X, y, sample_weight=None):
    loss, targets, n_outputs = _loss(model), targets_of(model, y), _n_outputs(model)
    in_fit = _in_fit(model, targets)
    weights = row_weights(sample_weight, targets)
    trees = BoostedTrees(
        read_leaves(model),
        # Friedman's factor, which scikit-learn keeps in the multiclass case.
        step=model.learning_rate
        * (1.0 if n_outputs == 1 else (n_outputs - 1) / n_outputs),
        loss=loss,
        baseline=_baseline(model, X),
        targets=targets,
        weights=np.where(in_fit, weights, 0.0),
        in_fit=in_fit,
    )
    return proved(
        trees,
        model,
        X,
        raw_of(model, X, loss),
        leaf_tolerance=_TOLERANCE,
        least_scale=1.0,
        hessian_rounding=0.0 if loss == "squared" else _ROUNDING,
    )


def _n_outputs(model):
    return model.estimators_.shape[1]


def _loss(model):
    if model.subsample < 1:
        refuse(
            model,
            f"subsample={model.subsample}: which rows trained which tree is not kept. "
            "Set subsample=1.0",
        )
    if model.loss == "log_loss":
        return "binary" if _n_outputs(model) == 1 else "softmax"
    if model.loss != "squared_error":
        refuse(model, f"loss={model.loss!r} gives leaves that are no Newton step")
    return "squared"


def _in_fit(model, targets):
    """Which rows entered the trees; early stopping holds others out."""
    if model.n_iter_no_change is None:
        return np.ones(len(targets), dtype=bool)
    stratify = targets if is_classifier(model) else None
    return held_out(
        model.validation_fraction, stratify, len(targets), model.random_state
    )


def _baseline(model, X):
    first = first_raw_prediction(model, X)
    if np.ptp(first, axis=0).max() > 1e-12 * max(1.0, np.abs(first).max()):
        refuse(
            model,
            f"init={model.init!r} gives each row a start of its own. Set init=None or "
            "'zero'",
        )
    return first[0]
