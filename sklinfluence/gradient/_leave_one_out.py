"""Predictions for training rows by the model that never saw them."""

from copy import copy

import numpy as np
from scipy.special import expit, softmax

from sklinfluence._removal import JointRemoval, inverse_ratio, leave_together
from sklinfluence.curvature import SoftmaxLoss


def leverage(reading):
    """tr(s_i S_i B_i), (n_train,)."""
    return reading.removal.leverage


def loo_probabilities(reading):
    """Probabilities of all classes, (n_train, n_classes)."""
    return class_probabilities(reading.fitted.objective.loss, reading.removal.raw)


def loo_decision(reading):
    """Raw predictions, (n_train,) or (n_train, n_outputs)."""
    raw = reading.removal.raw
    return raw[:, 0] if raw.shape[1] == 1 else raw


def leaving_together(ranker, copies):
    """A ranker whose answers about training rows are by models without their copies.

    Parameters
    ----------
    ranker : InfluenceRanker
        Fitted.
    copies : Copies
        Of its training rows.

    Returns
    -------
    ranker : InfluenceRanker
        It shares all else with the one that came.
    """
    together = copy(ranker)
    together.reading_ = leave_together(ranker.reading_, copies)
    return together


def observations(ranker):
    """How many rows of weight a head stands on, and how many leave with each row.

    Rows that leave together and are the same, target and all, count once.

    Returns
    -------
    n_rows : int
    n_left_out : int or ndarray of shape (n_train,)
    """
    removal = ranker.reading_.removal
    if isinstance(removal, JointRemoval):
        # A row of weight 0 still leaves itself.
        return removal.n_all, np.maximum(removal.n_own, 1)
    return np.count_nonzero(ranker.head_.weights), 1


def loo_score(reading):
    """Mean log-likelihood, or minus the mean squared error of least squares."""
    return -reading.weighted_mean(_loo_losses)


def _loo_losses(reading):
    objective, raw = reading.fitted.objective, reading.removal.raw
    if objective.loss.is_quadratic:
        return np.mean((raw - objective.targets) ** 2, axis=1)
    return objective.loss.unweighted().loss(objective.targets, raw)


def class_probabilities(loss, raw):
    """Probabilities of all classes from a logistic head's raw predictions."""
    if isinstance(loss, SoftmaxLoss):
        return softmax(raw, axis=1)
    proba = expit(raw)
    if proba.shape[1] == 1:
        return np.hstack([1.0 - proba, proba])
    # One-vs-rest, as scikit-learn normalises it.
    total = proba.sum(axis=1, keepdims=True)
    return np.where(total == 0, 1.0 / raw.shape[1], inverse_ratio(proba, total))
