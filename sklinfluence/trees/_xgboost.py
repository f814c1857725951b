"""XGBoost's models, by their scikit-learn classes, as arrays."""

import json
from functools import partial

import numpy as np
from xgboost import XGBClassifier, XGBRegressor

from sklinfluence._estimators import row_weights
from sklinfluence.trees._ensemble import BoostedTrees, read_ensemble
from sklinfluence.trees._leaves import AskedLeaves, read_leaves
from sklinfluence.trees._proof import in_single_precision, proved, refuse, targets_of

# Everything is kept in float32.
_TOLERANCE = 1e-5
_LOSSES = {
    "reg:squarederror": "squared",
    "binary:logistic": "binary",
    "binary:logitraw": "binary",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "count:poisson": "poisson",
    "reg:gamma": "gamma",
}
_NEUTRAL = {
    "alpha": 0.0,
    "max_delta_step": 0.0,
    "subsample": 1.0,
}


@read_leaves.register(XGBClassifier)
@read_leaves.register(XGBRegressor)
def _leaves(model):
    parts = json.loads(model.get_booster().save_raw("json"))["learner"]
    booster = parts["gradient_booster"]
    if booster["name"] != "gbtree":
        refuse(model, f"booster={booster['name']!r} is no sum of Newton steps")
    if booster["model"]["gbtree_model_param"]["num_parallel_tree"] != "1":
        refuse(model, "num_parallel_tree is not 1: several trees make a step")
    trees = booster["model"]["trees"]
    if any(tree["tree_param"]["size_leaf_vector"] not in "01" for tree in trees):
        refuse(model, "multi_strategy='multi_output_tree' has leaves of several values")
    n_outputs = max(1, int(parts["learner_model_param"]["num_class"]))
    stages = [trees[at : at + n_outputs] for at in range(0, len(trees), n_outputs)]
    stages = stages[: _n_stages(model, len(stages))]
    return AskedLeaves(
        partial(_asked, model),
        [[_values(tree) for tree in stage] for stage in stages],
        [[_children(tree) for tree in stage] for stage in stages],
        [[np.cumsum(_is_leaf(tree)) - 1 for tree in stage] for stage in stages],
    )


def _n_stages(model, n_stages):
    """Stages that predictions are made of: the best ones of early stopping."""
    best = model.get_booster().attr("best_iteration")
    return n_stages if best is None else int(best) + 1


def _asked(model, X, first, n):
    return model.apply(X, iteration_range=(first, first + n))


def _is_leaf(tree):
    return np.array(tree["left_children"]) < 0


def _values(tree):
    return np.array(tree["split_conditions"], dtype=float)[_is_leaf(tree)]


def _children(tree):
    return np.array(tree["left_children"]), np.array(tree["right_children"])


@read_ensemble.register(XGBClassifier)
@read_ensemble.register(XGBRegressor)
def read_xgboost(model, X, y, sample_weight=None):
    # The reader names boosters that have no such settings.
    reader = read_leaves(model)
    loss, settings = _loss(model), _settings(model)
    targets = in_single_precision(targets_of(model, y))
    weights = row_weights(sample_weight, targets)
    if loss == "binary" and model.scale_pos_weight is not None:
        weights *= np.where(targets == 1, model.scale_pos_weight, 1.0)
    said = model.predict(X, output_margin=True).astype(float).reshape(len(targets), -1)
    trees = BoostedTrees(
        reader,
        step=settings["learning_rate"],
        l2=settings["lambda"],
        hessian_scale=_hessian_scale(loss, settings["max_delta_step"]),
        loss=loss,
        baseline=np.zeros(said.shape[1]),
        targets=targets,
        weights=weights,
        in_fit=np.ones(len(targets), dtype=bool),
    )
    trees = trees.starting_at((said - trees.raw_predict(X)).mean(axis=0))
    return proved(
        trees, model, X, said, leaf_tolerance=_TOLERANCE, raw_tolerance=_TOLERANCE
    )


def _loss(model):
    objective = model.get_booster().save_config()
    objective = json.loads(objective)["learner"]["objective"]["name"]
    if objective not in _LOSSES:
        refuse(model, f"objective={objective!r} is none of {', '.join(_LOSSES)}")
    return _LOSSES[objective]


def _settings(model):
    config = json.loads(model.get_booster().save_config())["learner"]
    settings = config["gradient_booster"]["tree_train_param"]
    constraints = settings["monotone_constraints"].strip("()")
    if any(part.strip() not in ("", "0") for part in constraints.split(",")):
        refuse(model, "monotone_constraints clip the values of its leaves")
    poisson = config["objective"]["name"] == "count:poisson"
    for name, neutral in _NEUTRAL.items():
        # Poisson's default; where it bound a leaf, the leaves show it.
        if name == "max_delta_step" and poisson:
            continue
        if float(settings[name]) != neutral:
            found = f"{name}={settings[name]} had a part in its leaves"
            refuse(model, f"{found}. Set {name}={neutral}")
    names = "learning_rate", "lambda", "max_delta_step"
    return {name: float(settings[name]) for name in names}


def _hessian_scale(loss, max_delta_step):
    """By what XGBoost multiplies second derivatives, so that steps stay short."""
    if loss == "softmax":
        return 2.0
    return np.exp(max_delta_step) if loss == "poisson" else 1.0
