"""Few rows whose removal changes one prediction, by greedy Newton steps."""

from dataclasses import replace

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal._groups import class_codes, shifts_of
from sklinfluence._removal._label_scores import margin
from sklinfluence._removal._one_row import remove_each
from sklinfluence._removal._queries import query_shifts
from sklinfluence.curvature import SingularHessianError, minimize


def smallest_flip(fitted, head, query, n_most, n_jobs=None):
    """Rows without which the query loses its class.

    Parameters
    ----------
    fitted : FittedHead
    head : LinearHead
    query : Queries
        A single one, with the class to lose as its target.
    n_most : int

    Returns
    -------
    rows : ndarray or None
        None where no set of at most ``n_most`` rows was found.
    """
    gone, at = [], fitted.exactly()
    while not _is_lost(query, fitted, at.theta):
        if len(gone) == n_most:
            return None
        row = _most_eroding(at, head, query.at_theta(at.theta), gone, n_jobs)
        if row is None:
            return None
        at = _settled_without(fitted, at, [*gone, row])
        if at is None:
            return None
        gone.append(row)
    return np.array(_pruned(fitted, query, gone), dtype=int)


def _is_lost(query, fitted, theta):
    shift = shifts_of(query, (theta - fitted.theta)[None])[:, 0]
    return margin(query.targets, query.raw + shift)[0] > 0


def _most_eroding(at, head, query, gone, n_jobs):
    """The row whose leaving by one Newton step moves the margin furthest."""
    candidates = _removable(head, gone)
    if not candidates.any():
        return None
    # Rows of leverage 1 are passed over here; the ranker's fit has named them. (Not by
    # a filter of warnings, which is the whole process's.)
    removal = remove_each(at, n_jobs, quiet=True)
    objective = at.objective
    coefficients = objective.weights[:, None] * removal.residual
    shifts = query_shifts(at, query)
    eroded = np.empty(objective.design.n_rows)
    for block in block_slices(len(eroded), at.theta.size + 4 * query.raw.size):
        move = shifts(coefficients[block], objective.design.rows(block))
        shift = move(slice(None), slice(None))[0]
        targets = np.repeat(query.targets, len(shift), axis=0)
        raw = np.tile(query.raw, (len(shift), 1))
        raw[:, : shift.shape[1]] += shift
        eroded[block] = margin(targets, raw)
    eroded[~candidates | np.isnan(eroded)] = -np.inf
    best = int(np.argmax(eroded))
    return best if np.isfinite(eroded[best]) else None


def _removable(head, gone):
    """Rows with a weight, still there, that are not the last of their class."""
    there = head.weights > 0
    there[gone] = False
    codes = class_codes(head.targets)
    left = np.bincount(codes[there], minlength=len(head.classes))
    return there & (left[codes] > 1)


def _settled_without(fitted, at, gone):
    """The head at its optimum without rows, factored there; None without optimum."""
    weights = fitted.objective.weights.copy()
    weights[gone] = 0.0
    objective = fitted.objective.reweighted(weights)
    solver = fitted.exact_solver
    try:
        end = minimize(objective, at.theta, solver)
    except SingularHessianError:
        return None
    return replace(
        at,
        objective=objective,
        theta=end.theta,
        raw=end.raw,
        residual=objective.residual(end.raw),
        operator=end.operator,
        solver=solver,
        state=end.state,
    )


def _pruned(fitted, query, gone):
    """The set without the rows that the flip does not need, until it needs them all.

    What a row is needed for changes with the rows that others are put back: after
    each, those tried before are tried again.
    """
    kept = list(gone)
    while True:
        spare = next((row for row in kept if _is_spare(fitted, query, kept, row)), None)
        if spare is None:
            return kept
        kept.remove(spare)


def _is_spare(fitted, query, gone, row):
    """Whether the query loses its class without the row's leaving as well."""
    fewer = [other for other in gone if other != row]
    if not fewer:
        return False
    at = _settled_without(fitted, fitted, fewer)
    return at is not None and _is_lost(query, fitted, at.theta)
