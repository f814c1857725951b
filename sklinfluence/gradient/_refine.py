"""Further Newton steps for the rows that one step does not settle."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from sklinfluence._progress import untracked
from sklinfluence.curvature._newton import minimize
from sklinfluence.curvature._solvers import SingularHessianError
from sklinfluence.gradient._error_bound import newton_error_bound
from sklinfluence.gradient._scores import parameter_change


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
    if index.size == 0:
        return Refined(index, np.zeros((0, *fitted.theta.shape)))
    weights = fitted.objective.weights
    start = parameter_change(fitted, weights[:, None] * removal.residual, index)
    changes = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_settle_without)(fitted, i, change, tol)
        for i, change in each("refine", list(zip(index, start, strict=True)))
    )
    change = np.stack(changes)
    rows = fitted.objective.design.rows(index)
    removal.raw[index] = fitted.raw[index] + np.einsum("ikq,iq->ik", change, rows)
    flat = change.reshape(len(index), -1).T
    removal.moved[index] = np.einsum("pi,pi->i", flat, fitted.operator.matvec(flat))
    return Refined(index, change)


def _settle_without(fitted, i, change, tol):
    """The optimum without row i, less theta; from the Newton point, Hessian anew."""
    weights = fitted.objective.weights.copy()
    weights[i] = 0.0
    objective = fitted.objective.reweighted(weights)
    try:
        end = minimize(
            objective, fitted.theta + change, fitted.exact_solver, tol=min(tol, 1e-6)
        )
    except SingularHessianError:
        return np.full_like(change, np.nan)
    return end.theta - fitted.theta
