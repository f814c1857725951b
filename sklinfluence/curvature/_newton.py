"""Newton's method on a head's objective, one factor for as many steps as it serves."""

from dataclasses import dataclass

import numpy as np

from sklinfluence.curvature._solvers._in_contrasts import init_state, solutions

# A raw prediction that moved by more than this, relative to the largest, since the
# Hessian was formed leaves errors in the influences that a fresh factor does not.
STALE = 1e-7
# A step that shrinks the move by less than this asks for a fresh factor.
_CONTRACTION = 0.25
# A step a trillion times shorter lowers nothing that float64 could tell.
_MAX_HALVINGS = 40
# A relative residual that only a solver leaves which has lost its way.
_UNSOLVED = 0.9


@dataclass
class Stationary:
    """Where Newton's method ended, with the Hessian factored there.

    Attributes
    ----------
    theta : ndarray of shape (n_outputs, n_columns)
    raw : ndarray of shape (n_rows, n_outputs)
    operator, state : the Hessian at ``raw`` and the solver's state for it
    gap : float
        Largest change of a raw prediction between start and end, of training rows
        that have a weight.
    converged : bool
    n_iter : int
    """

    theta: np.ndarray
    raw: np.ndarray
    operator: object
    state: object
    gap: float
    converged: bool
    n_iter: int


def minimize(objective, theta, solver, *, tol=1e-11, max_iter=100):
    """Take theta to the objective's minimum.

    Chord steps: the factor is kept while each step at least quarters the last one's
    move, and formed afresh otherwise, and once at the end if a raw prediction has
    moved since by more than `STALE`.

    Parameters
    ----------
    objective : Objective
    theta : ndarray of shape (n_outputs, n_columns)
        Where to start.
    solver : Solver
    tol : float, default=1e-11
        Relative move of the raw predictions at which to stop.
    max_iter : int, default=100

    Returns
    -------
    stationary : Stationary
    """
    raw = start = objective.raw(theta)
    factored_at, factor = raw, _factor(objective, raw, solver)
    last_move, converged, n_iter = np.inf, False, 0
    while n_iter < max_iter:
        n_iter += 1
        step, slope, is_solved = _step(objective, theta, raw, solver, factor)
        shift = objective.raw(step)
        size = objective.relative_move(raw, shift)
        if not is_solved and size <= STALE:
            break  # the step is short because the solver found none
        if size <= tol:
            theta, raw, converged = theta + step, raw + shift, True
            break
        if size > _CONTRACTION * last_move and raw is not factored_at:
            # Rounding, not the stale factor, ends the contraction down here.
            if size <= STALE**1.25:
                converged = True
                break
            factored_at, factor = raw, _factor(objective, raw, solver)
            last_move = np.inf
            continue
        length = _line_search(objective, theta, raw, step, shift, slope)
        theta, raw = theta + length * step, raw + length * shift
        # A shortened step says the factor is a poor one here: form it afresh.
        last_move = size if length == 1.0 else 0.0
        if objective.loss.is_quadratic or length == 0.0:
            converged = length > 0 or size <= STALE
            break
    since, gap = objective.largest(raw - factored_at, raw - start)
    is_stale = since > STALE * max(1.0, *objective.largest(raw))
    if is_stale and not objective.loss.is_quadratic:
        factor = _factor(objective, raw, solver)
    return Stationary(theta, raw, *factor, gap, converged, n_iter)


def read_as_is(objective, theta, solver):
    """The head where it stands; the gap is what one Newton step would move it by."""
    raw = objective.raw(theta)
    factor = _factor(objective, raw, solver)
    shift = objective.raw(_step(objective, theta, raw, solver, factor)[0])
    (gap,) = objective.largest(shift)
    return Stationary(theta, raw, *factor, gap, converged=True, n_iter=0)


def _factor(objective, raw, solver):
    operator = objective.hessian(raw)
    return operator, init_state(solver, operator)


def _step(objective, theta, raw, solver, factor):
    """Newton's step, the slope along it, and whether the solver came anywhere near."""
    gradient = objective.gradient(theta, raw).reshape(-1, 1)
    step, info = solutions(solver, factor[1], gradient)
    is_solved = np.max(info.get("residual", 0.0), initial=0.0) < _UNSOLVED
    return -step.reshape(theta.shape), -np.sum(gradient * step), is_solved


def _line_search(objective, theta, raw, step, shift, slope):
    """Largest of 1, 1/2, 1/4, ... that lowers the objective enough (Armijo)."""
    value = objective.value(theta, raw)
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        new = objective.value(theta + length * step, raw + length * shift)
        # The last term: rounding of a value that no longer changes.
        if new <= value + 1e-4 * length * slope + 1e-13 * abs(value):
            return length
        length /= 2
    return 0.0
