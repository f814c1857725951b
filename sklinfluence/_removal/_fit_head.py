"""From a linear head and its rows to the head at its optimum, factored."""

from dataclasses import replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklinfluence._removal._cached import Cache
from sklinfluence._removal._fitted_head import FittedHead
from sklinfluence._removal._scales import check_scales
from sklinfluence._warn import warn_user
from sklinfluence.curvature import (
    ActiveSetObjective,
    Design,
    Objective,
    SingularHessianError,
    WholeDesign,
    explain_solver,
    have_contrasts,
    newton_solver,
    read_as_is,
)
from sklinfluence.heads import on_active_columns

# Of parameters beside one another: six digits of sixteen are lost to rounding.
_LARGE = 1e6


def fit_head(
    head, embedding, *, solver="auto", damping=0.0, refit_head=True, memory=None
):
    """Polish a copy of the head and factor its Hessian.

    Parameters
    ----------
    head : LinearHead
    embedding : {ndarray, CSR matrix} of shape (n_rows, n_features)
    solver : str or object with ``init`` and ``solve``
    damping : float
        Of the mean Hessian.
    refit_head : bool
        Whether to take the head to its optimum, or read it as it is.
    memory : str, object with the joblib.Memory interface or None
        Where the optimum and the factor are kept for the next fit that needs them.

    Returns
    -------
    fitted : FittedHead
    """
    objective, theta = training_objective(head, embedding)
    return fit_objective(
        head,
        objective,
        theta,
        solver=solver,
        damping=damping,
        refit_head=refit_head,
        memory=memory,
    )


def fit_objective(
    head,
    objective,
    theta,
    *,
    solver="auto",
    damping=0.0,
    refit_head=True,
    memory=None,
    is_fresh=False,
):
    """`fit_head` where the objective is there: of rows at hand, or of a source.

    Parameters
    ----------
    head : LinearHead
    objective : Objective
    theta : ndarray of shape (n_outputs, n_columns)
        The estimator's own parameters.
    solver, damping, refit_head, memory
        As `fit_head` takes them.
    is_fresh : bool, default=False
        Whether ``theta`` is a mere start, no estimator's optimum.

    Returns
    -------
    fitted : FittedHead
    """
    check_scales(objective.damped(damping, theta), theta)
    solver, reason = explain_solver(
        solver,
        objective.design.n_rows,
        theta.shape,
        is_block_diagonal=head.loss.separable,
        has_equal_blocks=objective.hessian(None).has_equal_blocks,
        is_penalized=head.l1 is None
        and bool(np.all(head.penalty[:, : head.coef.shape[1]] > 0)),
        shares_penalty=have_contrasts(objective),
    )
    refit_head = refit_head or is_fresh
    if refit_head and not damping:
        _refuse_classes_without_weight(head, objective)
    if refit_head:
        theta = _without_unseen(objective, theta)
    polisher, cache = newton_solver(solver), Cache(memory)
    try:
        end = _settle(objective, theta, polisher, damping, refit_head, cache)
    except SingularHessianError as error:
        # The advice at its end, in the words of the estimator.
        cause = str(error).partition(" Penalise the estimator")[0]
        raise SingularHessianError(f"{cause} {head.penalty_advice}") from error
    operator, state = end.operator, end.state
    if is_fresh:
        end = replace(end, gap=0.0)
    if damping and not operator.objective.proximal:
        objective = objective.damped(damping, end.theta)
        operator = objective.hessian(end.raw)
        state = cache.init(solver, operator)
    elif polisher is not solver:
        state = cache.init(solver, operator)
    objective = operator.objective
    if refit_head:
        _warn_about_gap(end, head, objective)
    _warn_about_active_set(objective, end)
    residual = objective.residual(end.raw)
    return FittedHead(
        objective,
        end.theta,
        end.raw,
        residual,
        operator,
        solver,
        state,
        end.gap,
        reason,
    )


def _without_unseen(objective, theta):
    """Parameters less what neither rows nor penalty see, where it drowns the rest.

    A solver that goes through a singular matrix leaves any multiple of it, which
    cancels in predictions but for its rounding.
    """
    if np.abs(theta).max(initial=0.0) < _LARGE:
        return theta
    basis = objective.null_space()
    unseen = basis @ (basis.T @ theta.ravel())
    rest = theta.ravel() - unseen
    drowns = np.abs(unseen).max() > _LARGE * np.abs(rest).max()
    return rest.reshape(theta.shape) if drowns else theta


def training_objective(head, embedding):
    """The head's objective and parameters; with an l1 part, on its active columns."""
    design = Design(embedding, head.fit_intercept)
    whole = None
    if head.l1 is not None:
        every_l1 = head.l1
        head, columns = on_active_columns(head)
        whole = WholeDesign(design, columns, every_l1)
        design = Design(embedding[:, columns], head.fit_intercept)
    theta = np.array(head.coef, dtype=float)
    if head.fit_intercept:
        theta = np.column_stack([theta, head.intercept])
    terms = (design, head.loss, head.targets, head.weights, head.penalty)
    if whole is None:
        return Objective(*terms), theta
    active = (theta != 0) | (head.l1 == 0)
    linear = np.where(active, head.l1 * np.sign(theta), 0.0)
    objective = ActiveSetObjective(*terms, linear=linear, active=active, whole=whole)
    return objective, theta


def _refuse_classes_without_weight(head, objective):
    """A class that no row speaks for drives its free intercept to minus infinity."""
    if head.classes is None or objective.loss.is_quadratic:
        return
    if not head.fit_intercept or np.any(objective.penalty[:, -1] > 0):
        return
    totals = objective.target_sums()
    if len(totals) == 1:
        totals = np.append(objective.weight_sum() - totals, totals)
    absent = [
        label for label, total in zip(head.classes, totals, strict=True) if total <= 0
    ]
    if absent:
        raise ValueError(
            f"Every row of class(es) {', '.join(map(str, absent))} has weight 0, so "
            "that the model has no optimum: the intercept of such a class falls for "
            "ever. Drop the rows of weight 0 before fitting, pass refit_head=False, or "
            "set damping above 0."
        )


def _settle(objective, theta, solver, damping, refit_head, cache):
    """The head at its optimum, or where it stands."""
    damped = objective.damped(damping, theta)
    if not refit_head:
        return read_as_is(damped, theta, solver)
    try:
        return cache.minimize(objective, theta, solver)
    except SingularHessianError:
        # Without damping there is nothing to go on with; with it there is, from the
        # parameters that the estimator found.
        if not damping:
            raise
        return read_as_is(damped, theta, solver)


def _warn_about_active_set(objective, end):
    """Name an l1 fit whose coefficients at zero are not those of its optimum."""
    if not isinstance(objective, ActiveSetObjective):
        return
    if objective.breaks(end.theta, end.raw, np.zeros((1, *end.theta.shape)))[0]:
        warn_user(
            "The coefficients that the estimator left at zero, or their signs, are not "
            "those of the optimum of its l1 objective. Influences are those on the set "
            "that it found. Lower the estimator's tol or raise its max_iter.",
            ConvergenceWarning,
        )


def _warn_about_gap(end, head, objective):
    """Name a head that was far from the optimum of its own objective."""
    if not end.converged:
        warn_user(
            "Polishing the head stopped before its optimum: the objective may have "
            f"none (no penalty and separable classes). {head.penalty_advice}",
            ConvergenceWarning,
        )
    # A logit off by less than 0.1 changes no loss by more than 0.1 nats.
    of_raw, of_targets = objective.ranges(end.raw)
    scale = 0.5 * of_raw
    # A constant model has no spread: its targets' says what is rounding.
    floor = 1e-8 * of_targets if head.loss.is_quadratic else 1.0
    scale = max(floor, scale)
    if end.gap > 0.1 * scale:
        # Only a head that damping alone holds is left where it stands.
        outcome = (
            f"polishing changed a training raw prediction by {end.gap:.2g}. Influences "
            "are those of the polished head."
            if end.n_iter
            else f"a Newton step would change a training raw prediction by "
            f"{end.gap:.2g}, and without damping there is no optimum to polish it to. "
            "Influences are those of the head where it stands."
        )
        warn_user(
            "The head that the estimator fitted is far from the optimum of its "
            f"objective: {outcome} {head.training_advice}",
            ConvergenceWarning,
        )
