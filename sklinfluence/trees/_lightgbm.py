"""LightGBM's models, by their scikit-learn classes, as arrays."""

from functools import partial

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.utils.class_weight import compute_sample_weight

from sklinfluence._estimators import row_weights
from sklinfluence.trees._ensemble import BoostedTrees, read_ensemble
from sklinfluence.trees._leaves import AskedLeaves, read_leaves
from sklinfluence.trees._proof import in_single_precision, proved, refuse, targets_of

# Gradients are kept in float32.
_TOLERANCE = 1e-5
_LOSSES = {
    "regression": "squared",
    "binary": "binary",
    "multiclass": "softmax",
    "poisson": "poisson",
    "gamma": "gamma",
}
_NEUTRAL = {
    "boosting_type": "gbdt",
    "data_sample_strategy": "bagging",
    "reg_alpha": 0.0,
    "max_delta_step": 0.0,
    "linear_tree": False,
    "path_smooth": 0.0,
    "is_unbalance": False,
}


@read_leaves.register(LGBMClassifier)
@read_leaves.register(LGBMRegressor)
def _leaves(model):
    stages = _stages(model, [_tree(info) for info in _dumped(model)["tree_info"]])
    return AskedLeaves(
        partial(_asked, model),
        [[values for values, *_ in stage] for stage in stages],
        [[tuple(children) for _, *children in stage] for stage in stages],
    )


def _dumped(model):
    return model.booster_.dump_model()


def _stages(model, trees):
    """What there is of each tree, as stages of outputs."""
    n_outputs = model.booster_.num_model_per_iteration()
    stages = [trees[at : at + n_outputs] for at in range(0, len(trees), n_outputs)]
    # Predictions are made of the best stages of early stopping.
    return stages[: model.best_iteration_ or len(stages)]


def _asked(model, X, first, n):
    return model.predict(X, pred_leaf=True, start_iteration=first, num_iteration=n)


def _tree(info):
    """Values of leaves, and the left and right children: splits first, then leaves."""
    n_leaves = info["num_leaves"]
    values = np.zeros(n_leaves)
    left, right = np.full((2, 2 * n_leaves - 1), -1)
    waiting = [info["tree_structure"]]
    while waiting:
        node = waiting.pop()
        if "split_index" not in node:
            values[node.get("leaf_index", 0)] = node["leaf_value"]
            continue
        for side, child in ((left, node["left_child"]), (right, node["right_child"])):
            at = child.get("split_index", n_leaves - 1 + child.get("leaf_index", 0))
            side[node["split_index"]] = at
            waiting.append(child)
    return values, left, right


def _further_l2(model):
    """cat_l2 for leaves right below a split into two sets of categories."""
    dumped, settings = _dumped(model), model.get_params()
    # Features of few categories are split one against the rest, without cat_l2.
    most = settings.get("max_cat_to_onehot", 4)
    infos = dumped["feature_infos"]
    of_sets = {
        at
        for at, name in enumerate(dumped["feature_names"])
        if len(infos.get(name, {}).get("values", ())) > most
    }
    penalties = [
        settings.get("cat_l2", 10.0) * _below(info, of_sets)
        for info in dumped["tree_info"]
    ]
    return _stages(model, penalties)


def _below(info, features):
    """1.0 for leaves right below a split of one of the features, else 0.0."""
    is_below = np.zeros(info["num_leaves"])
    waiting = [info["tree_structure"]]
    while waiting:
        node = waiting.pop()
        if "split_index" not in node:
            continue
        for child in (node["left_child"], node["right_child"]):
            if node["split_feature"] in features and "split_index" not in child:
                is_below[child.get("leaf_index", 0)] = 1.0
            waiting.append(child)
    return is_below


@read_ensemble.register(LGBMClassifier)
@read_ensemble.register(LGBMRegressor)
def read_lightgbm(model, X, y, sample_weight=None):
    loss, reader = _loss(model), read_leaves(model)
    targets = in_single_precision(targets_of(model, y))
    weights = _weights(model, y, sample_weight)
    n_outputs = len(reader.leaf_values[0])
    baseline = _baseline(model, loss, targets, weights, n_outputs)
    # The first tree holds what the model starts from.
    reader.leaf_values[0] = [
        values - start
        for values, start in zip(reader.leaf_values[0], baseline, strict=True)
    ]
    trees = BoostedTrees(
        reader,
        step=model.learning_rate,
        l2=model.reg_lambda,
        further_l2=_further_l2(model),
        splits_only=True,
        hessian_scale=_hessian_scale(model, loss, n_outputs),
        loss=loss,
        baseline=baseline,
        targets=targets,
        weights=_with_positive_weight(model, loss, targets, weights),
        in_fit=np.ones(len(targets), dtype=bool),
    )
    said = model.predict(X, raw_score=True).reshape(len(targets), -1)
    return proved(
        trees, model, X, said, leaf_tolerance=_TOLERANCE, raw_tolerance=_TOLERANCE
    )


def _loss(model):
    settings = model.get_params()
    for name, neutral in _NEUTRAL.items():
        if settings.get(name) not in (None, neutral):
            refuse(model, f"{name}={settings[name]!r} had a part in its leaves")
    if model.subsample < 1 and model.subsample_freq > 0:
        refuse(
            model,
            f"subsample={model.subsample}: which rows trained which tree is not kept. "
            "Set subsample=1.0",
        )
    if np.any(settings.get("monotone_constraints") or 0):
        refuse(model, "monotone_constraints clip the values of its leaves")
    objective = model.objective_
    if objective not in _LOSSES:
        refuse(model, f"objective={objective!r} is none of {', '.join(_LOSSES)}")
    return _LOSSES[objective]


def _weights(model, y, sample_weight):
    weights = row_weights(sample_weight, y)
    if model.class_weight is None:
        return weights
    return weights * compute_sample_weight(model.class_weight, y)


def _with_positive_weight(model, loss, targets, weights):
    factor = model.get_params().get("scale_pos_weight") or 1.0
    return np.where((targets == 1) & (loss == "binary"), factor, 1.0) * weights


def _hessian_scale(model, loss, n_outputs):
    """By what LightGBM multiplies second derivatives."""
    if loss == "softmax":
        return n_outputs / (n_outputs - 1)
    if loss != "poisson":
        return 1.0
    return np.exp(model.get_params().get("poisson_max_delta_step", 0.7))


def _baseline(model, loss, targets, weights, n_outputs):
    if not model.get_params().get("boost_from_average", True):
        return np.zeros(n_outputs)
    mean = np.average(targets, weights=weights)
    if loss == "squared":
        return np.array([mean])
    if loss == "binary":
        return np.array([np.log(mean / (1 - mean))])
    if loss == "softmax":
        shares = [np.average(targets == k, weights=weights) for k in range(n_outputs)]
        return np.log(shares)
    return np.array([np.log(mean)])
