"""Proof that the arrays read of a model are the model, and refusal where they are not.

The predictions, and the values of all leaves from the training rows, are made again
and must be the model's.
"""

from dataclasses import replace

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split

from sklinfluence._estimators import encode_values, label_index
from sklinfluence.trees._leaves import compact, values_at
from sklinfluence.trees._losses import LOSSES


def refuse(model, why):
    """A ValueError that names what keeps a model's leaves from being recomputed."""
    raise ValueError(
        f"The leaves of this {type(model).__name__} cannot be recomputed without a "
        f"row: {why}."
    )


def held_out(validation_fraction, stratify, n_rows, seed):
    """False for rows that early stopping holds out, its split made anew."""
    split = train_test_split(
        np.arange(n_rows),
        test_size=validation_fraction,
        stratify=stratify,
        random_state=seed,
    )
    in_fit = np.zeros(n_rows, dtype=bool)
    in_fit[split[0]] = True
    return in_fit


def proved(
    trees,
    model,
    X,
    said,
    *,
    leaf_tolerance,
    least_scale=0.0,
    raw_tolerance=1e-12,
    hessian_rounding=0.0,
):
    """The trees, where they are the model.

    Parameters
    ----------
    trees : BoostedTrees
    model : estimator
    X : array-like of shape (n_train, n_features)
    said : ndarray of shape (n_train, n_outputs)
        The model's own raw predictions.
    leaf_tolerance, raw_tolerance : float
        How far leaves may be from their recomputation, over the largest leaf, and raw
        predictions from the model's, over the largest (over 1, if that is more).
    least_scale : float, default=0.0
        Leaves no larger than this are compared as if the largest was this large.
    hessian_rounding : float, default=0.0
        How far a row's second derivative may be from the exact one, absolutely: what
        it makes of a leaf's value is taken off, up to a millionth of the largest leaf.

    Returns
    -------
    trees : BoostedTrees
        With the leaves of their training rows.

    Raises
    ------
    ValueError
        If they are not; names what it may be.
    """
    trees = replace(trees, leaves=[compact(found) for found in trees.leaf_indices(X)])
    raw, away, largest = _replay(trees, hessian_rounding)
    gap = np.max(np.abs(raw - said)) / max(1.0, np.max(np.abs(said)))
    if not gap <= raw_tolerance:
        refuse(
            model,
            f"its trees give predictions that are {gap:.1e} (relative) off its own",
        )
    scale = max(largest, least_scale)
    if not away <= leaf_tolerance * scale:
        refuse(
            model,
            f"its leaves differ by {away / scale:.1e} of the largest from a Newton "
            "step of the loss on these rows. Either X, y or sample_weight are not what "
            "it was trained on, or one of these had a part in them: a monotone "
            "constraint, a subsample, another loss, max_delta_step, an "
            "init_score or base_margin, warm_start with other parameters, early "
            "stopping whose split cannot be redone (random_state=None), or rows so "
            "certain that their second derivatives are rounding (a high learning_rate)",
        )
    return trees


def _replay(trees, hessian_rounding):
    """Raw predictions, the worst miss of a leaf, and the largest leaf."""
    largest = max(np.max(np.abs(v)) for stage in trees.leaf_values for v in stage)
    loss = LOSSES[trees.loss]
    targets = loss.code(trees.targets, trees.n_outputs)
    w = trees.weights
    raw = np.tile(trees.baseline, (len(targets), 1))
    away = 0.0
    stages = zip(trees.leaf_values, trees.leaves, trees.penalties, strict=True)
    for values, leaves, further_l2 in stages:
        found = loss.at(targets, raw)
        for k, value in enumerate(values):
            gradient, hessian, weight = (
                np.bincount(leaves[:, k], part, len(value))
                for part in (w * found.g[:, k], w * found.h[:, k], w)
            )
            again = trees.newton(gradient, hessian, further_l2[k])
            if trees.adds_nothing(len(value)):
                again = np.zeros_like(again)
            miss = np.abs(again - value)
            if hessian_rounding > 0:
                miss -= _rounded(again, hessian_rounding * weight, hessian, largest)
            away = max(away, np.max(miss))
        raw += values_at(values, leaves)
    return raw, away, largest


def _rounded(values, rounding, hessian, largest):
    """What rounded second derivatives may have made of leaves' values."""
    relative = np.divide(
        rounding, hessian, out=np.zeros_like(values), where=hessian > 0
    )
    return np.minimum(np.abs(values) * relative, 1e-6 * largest)


def raw_of(model, X, loss):
    """A scikit-learn model's own raw predictions, (n_rows, n_outputs)."""
    said = model.decision_function(X) if is_classifier(model) else model.predict(X)
    if loss in ("poisson", "gamma"):
        said = np.log(said)
    return np.asarray(said).reshape(len(said), -1)


def targets_of(model, y):
    """Places of labels among a model's classes, or real targets, (n_rows,)."""
    if is_classifier(model):
        return label_index(y, model.classes_).astype(float)
    return encode_values(y, 1)[:, 0]


def in_single_precision(targets):
    """Targets as libraries have them that keep labels in float32."""
    return targets.astype(np.float32).astype(np.float64)
