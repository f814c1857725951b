"""HistGradientBoosting* as arrays."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from sklinfluence._sklearn_compat import (
    first_raw_prediction,
    hist_leaf_finder,
    hist_trees,
    split_seed,
    weights_in_fit,
)
from sklinfluence.trees._ensemble import BoostedTrees, read_ensemble
from sklinfluence.trees._leaves import read_leaves
from sklinfluence.trees._proof import held_out, proved, raw_of, refuse, targets_of

_LOSSES = {"squared_error": "squared", "poisson": "poisson", "gamma": "gamma"}
# Gradients are kept in float32.
_TOLERANCE = 1e-6


class HistLeaves:
    """Reader of a HistGradientBoosting* model."""

    def __init__(self, model):
        self.leaf_indices = hist_leaf_finder(model)
        self.children = [
            [_children(nodes) for nodes in stage] for stage in hist_trees(model)
        ]
        self.leaf_values = [
            [nodes["value"][nodes["is_leaf"].astype(bool)] for nodes in stage]
            for stage in hist_trees(model)
        ]


def _children(nodes):
    is_leaf = nodes["is_leaf"].astype(bool)
    return [
        np.where(is_leaf, -1, nodes[side].astype(int)) for side in ("left", "right")
    ]


@read_leaves.register(HistGradientBoostingClassifier)
@read_leaves.register(HistGradientBoostingRegressor)
def _leaves(model):
    return HistLeaves(model)


@read_ensemble.register(HistGradientBoostingClassifier)
@read_ensemble.register(HistGradientBoostingRegressor)
def read_hist_gradient_boosting(model, X, y, sample_weight=None):
    loss, targets = _loss(model), targets_of(model, y)
    weights = weights_in_fit(model, sample_weight, targets)
    in_fit = _in_fit(model, targets)
    trees = BoostedTrees(
        read_leaves(model),
        step=model.learning_rate,
        l2=model.l2_regularization,
        floor=1e-15,
        splits_only=True,
        loss=loss,
        baseline=first_raw_prediction(model, X)[0],
        targets=targets,
        weights=np.where(in_fit, 1.0 if weights is None else weights, 0.0),
        in_fit=in_fit,
    )
    return proved(trees, model, X, raw_of(model, X, loss), leaf_tolerance=_TOLERANCE)


def _loss(model):
    if np.any(_constraints(model)):
        refuse(model, "monotonic_cst clips the values of its leaves")
    if is_classifier(model):
        return "binary" if model.n_trees_per_iteration_ == 1 else "softmax"
    if model.loss not in _LOSSES:
        refuse(model, f"loss={model.loss!r} gives leaves that are no Newton step")
    return _LOSSES[model.loss]


def _constraints(model):
    constraints = model.monotonic_cst
    if isinstance(constraints, dict):
        return list(constraints.values())
    return [] if constraints is None else constraints


def _in_fit(model, targets):
    """Which rows entered the trees; early stopping holds others out."""
    n_rows, n_in_trees = len(targets), hist_trees(model)[0][0]["count"][0]
    # With X_val given to fit, early stopping holds no row out.
    if n_in_trees == n_rows or not model.do_early_stopping_:
        return np.ones(n_rows, dtype=bool)
    return held_out(
        model.validation_fraction,
        targets if is_classifier(model) else None,
        n_rows,
        split_seed(model),
    )
