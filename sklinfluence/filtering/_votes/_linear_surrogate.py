"""A linear head as a surrogate: refitted to soft labels, predicting leave-one-out.

Every fit starts from the last one and ends with a *new* factor of the Hessian:
reusing the first factor saves little and can invert the ranking where rows have high
leverage.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import fmin_l_bfgs_b
from scipy.special import log_expit, log_softmax

from sklinfluence.curvature import Cholesky, Design, LogisticLoss, minimize, read_as_is
from sklinfluence.filtering._votes._leave_one_out import (
    leave_groups_out,
    loo_raw_by_output,
    loo_raw_coupled,
)

# Softmax heads of more parameters are left out output by output. On 15 sets of 1000
# rows both ways rank alike (mean average precision .833 and .835); with 650
# parameters the coupled way takes twice the time, with 2570 ten times.
MAX_COUPLED = 400
# Relative move of the raw predictions at which Newton's method stops: far below what
# a ranking can feel; the last step leaves an error of about its square.
_NEWTON_TOL = 1e-3
# Relative change of the objective, and gradient a row, at which L-BFGS stops: average
# precision is the same as with a tenth of either.
_DESCENT_FTOL = 1e-8
_DESCENT_GTOL = 1e-4


@dataclass(frozen=True)
class LinearModel:
    """A fitted head: predicts rows it never saw.

    Attributes
    ----------
    theta : ndarray of shape (n_outputs, n_columns)
    loss : loss object
    fit_intercept : bool
    """

    theta: np.ndarray
    loss: object
    fit_intercept: bool = True

    def predict_log_proba(self, X):
        """Log-probabilities of the classes, (n, K)."""
        raw = Design(X, self.fit_intercept).dot(self.theta.T)
        return class_log_proba(self.loss, raw)


@dataclass(frozen=True)
class ScaledAxes:
    """Columns (x - mean) @ basis, in which the head's curvature is nearly round.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    basis : ndarray of shape (d, d)
        Orthogonal directions times positive scales.
    """

    mean: np.ndarray
    basis: np.ndarray

    def to_columns(self, theta):
        """Parameters on the columns, from those on the axes."""
        coef = theta[:, :-1] @ self.basis.T
        return np.column_stack([coef, theta[:, -1] - coef @ self.mean])

    def from_columns(self, theta):
        """Parameters on the axes, from those on the columns."""
        scale = np.square(self.basis).sum(axis=0)
        coef = theta[:, :-1] @ (self.basis / scale)
        return np.column_stack([coef, theta[:, -1] + theta[:, :-1] @ self.mean])


class LinearSurrogate:
    """A head whose leave-one-out predictions follow its targets.

    Parameters
    ----------
    objective : Objective
        Its targets are ignored: `refit` brings them.
    theta : ndarray of shape (n_outputs, n_columns)
        Where the first fit starts.
    axes : ScaledAxes, default=None
        What the objective's design was made by. First-order steps are quick on such
        columns; without them Newton's method takes the head to its minimum.
    groups : list of ndarray, default=()
        Rows that leave together, of every group of more than one.
    """

    def __init__(self, objective, theta, axes=None, groups=()):
        self.objective = objective
        self.theta = theta
        self.axes = axes
        self.groups = groups

    def refit(self, targets):
        """Fit to class memberships, from where the last fit ended.

        Parameters
        ----------
        targets : ndarray of shape (n, K)

        Returns
        -------
        loo_log_proba : ndarray of shape (n, K)
            For every training row by the head without it (one Newton step).
        model : LinearModel
        """
        objective = replace(self.objective, targets=self._coded(targets))
        loss = objective.loss
        if not loss.separable and self.theta.size > MAX_COUPLED:
            self.theta = descend(objective, self.theta)
            loo = loo_raw_by_output(objective, objective.raw(self.theta), self.groups)
        else:
            end = self._stationary(objective)
            self.theta = end.theta
            loo = loo_raw_coupled(objective, end.raw, end.state)
            leave_groups_out(loo, objective, end, self.groups)
        theta = self.theta if self.axes is None else self.axes.to_columns(self.theta)
        model = LinearModel(theta, loss, objective.design.fit_intercept)
        return class_log_proba(loss, loo), model

    def _coded(self, targets):
        """Class memberships as the loss codes them."""
        coded = targets[:, 1:] if self.theta.shape[0] == 1 else targets
        return 2.0 * coded - 1.0 if self.objective.loss.is_quadratic else coded

    def _stationary(self, objective):
        if self.axes is None:
            return minimize(objective, self.theta, Cholesky(), tol=_NEWTON_TOL)
        return read_as_is(objective, descend(objective, self.theta), Cholesky())


def descend(objective, theta):
    """The minimum by L-BFGS: a tenth of Newton's time on `ScaledAxes`."""

    def value_and_gradient(at):
        raw = objective.raw(at)
        return objective.value(at, raw), objective.gradient(at, raw)

    return minimize_lbfgs(value_and_gradient, theta, objective.weights.sum())


def minimize_lbfgs(value_and_gradient, theta, total):
    """The minimum of a function of theta that is a sum over rows, ``total`` in all."""

    def of_flat(flat):
        value, gradient = value_and_gradient(flat.reshape(theta.shape))
        return value, gradient.ravel()

    flat, _, _ = fmin_l_bfgs_b(
        of_flat,
        theta.ravel(),
        factr=_DESCENT_FTOL / np.finfo(float).eps,
        pgtol=_DESCENT_GTOL * total,
        maxiter=500,
    )
    return flat.reshape(theta.shape)


def class_log_proba(loss, raw):
    """Log-probabilities of the classes from a head's raw predictions, (n, K).

    One logit, K one-vs-rest logits (normalised, as scikit-learn does), softmax, or
    the scores of a least-squares head (a pool's weight is then their temperature).
    """
    is_logistic = isinstance(loss, LogisticLoss)
    if raw.shape[1] == 1:
        if not is_logistic:
            return log_softmax(np.hstack([-raw, raw]), axis=1)
        return np.hstack([log_expit(-raw), log_expit(raw)])
    if is_logistic:
        return log_softmax(log_expit(raw), axis=1)
    return log_softmax(raw, axis=1)
