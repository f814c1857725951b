"""Further Newton steps for the rows that one step does not settle."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklinfluence._progress import untracked
from sklinfluence._removal._active_set import changes_of_active_set
from sklinfluence._removal._error_bound import newton_error_bound
from sklinfluence._removal._one_row import named_rows
from sklinfluence._removal._queries import parameter_change
from sklinfluence._scheduling import map_blocks
from sklinfluence._warn import warn_user
from sklinfluence.curvature import ActiveSetObjective, SingularHessianError, minimize


@dataclass
class Refined:
    """Rows whose optimum without them was found to tolerance.

    Attributes
    ----------
    index : ndarray of shape (n_refined,)
    change : ndarray of shape (n_refined, n_outputs, n_columns)
        theta without the row less theta: one parameter vector for each refined row,
        which is what refining costs in memory.
    """

    index: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    change: np.ndarray = None


def refine(fitted, removal, tol, n_jobs=None, each=untracked):
    """Take the rows whose error bound exceeds ``tol`` to their optimum.

    Rows without which none is found keep their one step, and a warning names them; so
    does one the rows without which an l1 head's active set would be another.

    Parameters
    ----------
    fitted : FittedHead
    removal : Removal
        Its ``raw`` and ``moved`` of the refined rows are replaced.
    tol : float
        In nats; also the relative move of raw predictions at which a row is done.
    n_jobs : int, default=None
        Threads that share the rows.
    each : callable, default=untracked
        Reports progress: `FitTracker.each`.

    Returns
    -------
    refined : Refined
    """
    bound = newton_error_bound(fitted, removal, n_jobs)
    index = np.flatnonzero(bound > tol)
    _warn_about_active_set(fitted, removal)
    if index.size == 0:
        return Refined(index, np.zeros((0, *fitted.theta.shape)))
    weights = fitted.objective.weights
    start = parameter_change(fitted, weights[:, None] * removal.residual, index)
    settle = partial(_settle_without, fitted, tol)
    changes = map_blocks(settle, each("refine", index), start, n_jobs=n_jobs)
    settled = np.array([change is not None for change in changes])
    _warn_about_unsettled(index[~settled])
    index = index[settled]
    change = np.array([change for change in changes if change is not None])
    change = change.reshape(len(index), *fitted.theta.shape)
    rows = fitted.objective.design.rows(index)
    removal.raw[index] = fitted.raw[index] + np.einsum("ikq,iq->ik", change, rows)
    # Its length spelt out: of no rows, it cannot be inferred.
    flat = change.reshape(len(index), fitted.theta.size).T
    removal.moved[index] = np.einsum("pi,pi->i", flat, fitted.operator.matvec(flat))
    return Refined(index, change)


def _settle_without(fitted, tol, i, change):
    """The optimum without row i, less theta; None where Newton's method finds none.

    From the Newton point, the Hessian formed anew there.
    """
    weights = fitted.objective.weights.copy()
    weights[i] = 0.0
    objective = fitted.objective.reweighted(weights)
    try:
        end = minimize(
            objective, fitted.theta + change, fitted.exact_solver, tol=min(tol, 1e-6)
        )
    except SingularHessianError:
        return None
    if not (end.converged and np.all(np.isfinite(end.theta))):
        return None
    return end.theta - fitted.theta


def _warn_about_unsettled(rows):
    if rows.size:
        warn_user(
            f"refine found no optimum without {named_rows(rows)}: there may be none (a "
            "weak penalty, weights of very different size). Their influence is that of "
            "the one Newton step. Penalise the estimator more or set damping above 0.",
            ConvergenceWarning,
        )


def _warn_about_active_set(fitted, removal):
    """Name the rows without which an l1 head would use other coefficients."""
    if not isinstance(fitted.objective, ActiveSetObjective):
        return
    coefficients = fitted.objective.weights[:, None] * removal.residual
    defined = removal.is_defined
    changed = np.flatnonzero(changes_of_active_set(fitted, coefficients) & defined)
    if changed.size:
        warn_user(
            f"Without {named_rows(changed)} other coefficients of the l1 head would be "
            "active, and refine takes no row off the present ones: the influence of "
            "these rows is not that of a refit. active_set_changes_ marks them.",
            ConvergenceWarning,
        )
