"""Training rows left out together with their copies, from the one factor.

Equal rows share B = (I (x) x)^T H^+ (I (x) x), so that they leave as one row does whose
curvature and weighted residual are the sums of theirs: the same K x K solve. Rows that
are merely near to one another leave as a group does.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal._groups import (
    _newton_change,
    _weighted_curvature,
    _without,
)
from sklinfluence._removal._one_row import Removal, apply_block, removed_residual
from sklinfluence.curvature import SingularHessianError, init_state


@dataclass
class JointRemoval(Removal):
    """What `Removal` holds, ``raw`` and ``residual`` by the model without all copies.

    Attributes
    ----------
    raw : ndarray of shape (n_rows, n_outputs)
        NaN where the objective without the copies has no unique optimum.
    residual : ndarray of shape (n_rows, n_outputs)
        Derivative of the loss there.
    spread_left : ndarray of shape (n_rows, n_outputs)
        1 / s + x^T H^-1 x without the copies, s being the weight of all rows that are
        this one, target and all: what the variance of ``residual`` is over that of a
        row. Least squares only.
    own : ndarray of shape (n_rows, n_outputs)
        What the copies take off the weighted sum of squares when they leave.
    n_own, n_all : ndarray of shape (n_rows,) and int
        Observations among the copies, and among all rows: rows of weight whose target
        or X differ.
    """

    spread_left: np.ndarray = None
    own: np.ndarray = None
    n_own: np.ndarray = None
    n_all: int = 0


def remove_together(fitted, removal, copies):
    """Leave each training row out with all of its copies.

    Parameters
    ----------
    fitted : FittedHead
    removal : Removal
        Of each row alone.
    copies : Copies

    Returns
    -------
    removal : JointRemoval
    """
    # An approximation holds too little of single rows to take several out of it.
    fitted = fitted.exactly()
    raw = raw_without_copies(fitted, copies)
    residual = fitted.objective.loss.gradient(fitted.objective.targets, raw)
    alone = {f.name: getattr(removal, f.name) for f in fields(Removal)}
    joint = JointRemoval(**{**alone, "raw": raw, "residual": residual})
    if fitted.objective.loss.is_quadratic:
        _measure_noise(joint, fitted, copies)
    return joint


def raw_without_copies(fitted, copies):
    """Raw predictions of all rows by the Newton step without their copies.

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs)
        NaN where that step is not defined.
    """
    design, first = fitted.objective.design, copies.first
    curvature = copies.total(_weighted_curvature(fitted, slice(None)))
    residual = copies.total(fitted.coefficients)
    moved = np.empty_like(residual)
    n_outputs = residual.shape[1]
    for at in block_slices(len(first), design.n_columns + 4 * n_outputs**2):
        B = fitted.row_blocks(design.rows(first[at]))
        moved[at] = apply_block(B, removed_residual(-curvature[at], B, residual[at]))
    raw = fitted.raw + moved[copies.row]
    for rows in copies.near_rows():
        raw[rows] = fitted.raw[rows] + move_without(fitted, rows)
    return raw


def move_without(fitted, rows):
    """What one Newton step for the objective without rows moves their predictions."""
    change = _newton_change(fitted, rows)
    return fitted.objective.design.rows(rows) @ change.T


def _measure_noise(joint, fitted, copies):
    """Set what studentised residuals are made of."""
    objective = fitted.objective
    weight, counted, n_own = _observations(objective, copies)
    products = objective.weights[:, None] * fitted.residual * joint.residual
    joint.own = _sum_by_group(products, copies)
    joint.n_own, joint.n_all = n_own, counted
    left = _blocks_without_copies(fitted, copies)
    for rows in copies.near_rows():
        left[rows] = _blocks_without(fitted, rows)
    joint.spread_left = 1.0 / np.where(weight > 0, weight, 1.0)[:, None] + left


def _blocks_without_copies(fitted, copies):
    """x^T H^-1 x of least squares, H being the Hessian without a row's equals."""
    design, first = fitted.objective.design, copies.first
    total = copies.total(fitted.objective.weights)[:, None]
    left = np.full((len(first), fitted.raw.shape[1]), np.nan)
    for at in block_slices(len(first), 4 * design.n_columns):
        B = fitted.row_blocks(design.rows(first[at]))
        kept = 1.0 - total[at] * B
        np.divide(B, kept, out=left[at], where=kept > 0)
    return left[copies.row]


def _observations(objective, copies):
    """Weight of each observation, how many there are, and how many among the copies."""
    key = np.column_stack([copies.of_rows, objective.targets])
    _, first, same = np.unique(key, axis=0, return_index=True, return_inverse=True)
    weight = np.bincount(same, weights=objective.weights)
    group = copies.of_rows
    n_own = np.bincount(group[first], weights=weight > 0, minlength=group.max() + 1)
    return weight[same], int(np.count_nonzero(weight > 0)), n_own[group]


def _sum_by_group(values, copies):
    group = copies.of_rows
    total = [np.bincount(group, weights=column) for column in values.T]
    return np.column_stack(total)[group]


def _blocks_without(fitted, rows):
    """x^T H^-1 x of rows, H being the Hessian without them."""
    try:
        state = init_state(fitted.solver, _without(fitted, rows).hessian(fitted.raw))
    except SingularHessianError:
        return np.nan
    design = fitted.objective.design
    return replace(fitted, state=state).row_blocks(design.rows(rows))
