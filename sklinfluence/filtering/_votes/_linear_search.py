"""The linear surrogate's penalty, found by approximate leave-one-out risk.

Ridge regression on class indicators, whose leave-one-out risk is closed-form, gives a
first C; decade steps downhill in the head's own leave-one-out risk finish it, in two
to four warm-started fits. It lands where ``LogisticRegressionCV`` lands.
"""

import numpy as np
from scipy.special import log_softmax

from sklinfluence.curvature import Design, LogisticLoss, Objective, SoftmaxLoss
from sklinfluence.filtering._noise import LOG_TINY, fit_pool
from sklinfluence.filtering._votes._linear_surrogate import LinearSurrogate, ScaledAxes
from sklinfluence.filtering._votes._ridge_smoother import RidgeSmoother

RIDGE_PENALTIES = np.geomspace(1.0, 1e4, 9)
# Decades of C searched at most on either side of the first guess.
MAX_DECADES = 4
LOG10_C_BOUNDS = (-6, 4)
# Penalty a row on an intercept that is free: rows that come twice and classes that
# columns separate leave the head sure of all labels, and its curvature with nothing
# else to stand on. Ten million times less than the curvature of a head that is not.
FREE = 1e-8


def tune_linear_surrogate(X, targets, sample_weight, groups=()):
    """The surrogate at the C of least leave-one-out risk, decades apart.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    targets : ndarray of shape (n, K)
        One-hot given labels, or shares of them, every class present.
    sample_weight : ndarray of shape (n,)
    groups : list of ndarray, default=()
        Rows that leave together, of every group of more than one.

    Returns
    -------
    surrogate : LinearSurrogate
        Already fitted to ``targets``.
    C : float
        Inverse penalty, as scikit-learn's.
    """
    smoother = RidgeSmoother(X.copy(), sample_weight, groups)
    decade, theta, curvature = ridge_start(smoother, targets)
    if targets.shape[1] == 2:
        theta = theta[1:] - theta[:1]

    def fit(C, theta):
        surrogate = _surrogate(smoother, theta, C, curvature)
        loo, model = surrogate.refit(targets)
        return surrogate, _mean_loss(loo, targets, sample_weight), model.theta

    return downhill(fit, decade, theta)


def downhill(fit, decade, theta):
    """The vote of least risk, by decades of C from a first one, either way.

    Parameters
    ----------
    fit : callable
        ``fit(C, theta)``, from coefficients near it: (vote, its risk, its theta).
    decade : int
    theta : ndarray

    Returns
    -------
    vote : object
    C : float
    """
    fitted = {}

    def risk(decade, theta):
        vote, found, theta = fit(10.0**decade, theta)
        fitted[decade] = vote, theta
        return found

    best, lowest = decade, risk(decade, theta)
    for step in (1, -1):
        for _ in range(MAX_DECADES):
            here = risk(best + step, fitted[best][1])
            if not here < lowest:
                break
            best, lowest = best + step, here
        if best != decade:
            break
    return fitted[best][0], 10.0**best


def ridge_start(smoother, targets):
    """A first decade of C, and coefficients near its fit.

    A logistic head with probabilities p has mean curvature p (1 - p); the ridge
    penalty lam of least leave-one-out risk then corresponds to C = 1 / (lam p (1-p)).

    Returns
    -------
    decade : int
        log10 of C, rounded.
    theta : ndarray of shape (K, d + 1)
    curvature : float
        Mean of p (1 - p).
    """
    weight, lowest, temperature = smoother.sample_weight, np.inf, 1.0
    path = smoother.loo_path(targets, RIDGE_PENALTIES)
    for penalty, loo in zip(RIDGE_PENALTIES, path, strict=True):
        temperature = fit_pool([loo], targets, weight, start=[temperature])[0]
        log_proba = log_softmax(temperature * loo, axis=1)
        risk = _mean_loss(log_proba, targets, weight)
        if risk < lowest:
            lowest, best = risk, (penalty, temperature, np.exp(log_proba))
    penalty, temperature, proba = best
    curvature = smoother.share @ (proba * (1.0 - proba)).mean(axis=1)
    curvature = max(curvature, 1e-6)
    smoother.set_penalty(penalty)
    coef, intercept = smoother.coefficients(targets)
    theta = temperature * np.column_stack([coef.T, intercept])
    decade = int(np.clip(np.round(-np.log10(penalty * curvature)), *LOG10_C_BOUNDS))
    return decade, theta, curvature


def _surrogate(smoother, theta, C, curvature):
    """A head at C on principal axes, scaled so that its Hessian is nearly round."""
    total = smoother.sample_weight.sum()
    level = curvature * total
    scale = np.sqrt(level / (curvature * smoother.eigenvalues + 1.0 / C))
    axes = ScaledAxes(smoother.mean, smoother.vectors * scale)
    penalty = np.full(theta.shape, FREE * total)
    penalty[:, :-1] = scale**2 / C
    loss = LogisticLoss() if len(theta) == 1 else SoftmaxLoss()
    design = Design(smoother.rotated * scale, fit_intercept=True)
    objective = Objective(design, loss, None, smoother.sample_weight, penalty)
    return LinearSurrogate(objective, axes.from_columns(theta), axes, smoother.groups)


def _mean_loss(log_proba, targets, sample_weight):
    log_proba = np.maximum(log_proba, LOG_TINY)
    loss = -np.einsum("ik,ik->i", targets, log_proba)
    return sample_weight @ loss / sample_weight.sum()
