"""Many dampings from one eigendecomposition: a reading for each."""

from dataclasses import replace

import numpy as np

from sklinfluence._estimators import in_type
from sklinfluence._removal import (
    _gradient_products,
    query_scale,
    refined_from,
    remove_each_along,
)
from sklinfluence.curvature import MEMORY, Spectral, contrasts_of, init_state
from sklinfluence.gradient._influence import influence_on, influence_on_own
from sklinfluence.gradient._leave_one_out import loo_score

PATH_SCORES = ("influence", "self_influence", "loo_score")


def along_dampings(reading, dampings, score, queries=None):
    """What a ranker would give at each damping.

    Parameters
    ----------
    reading : HeadReading
    dampings : ndarray of shape (n_dampings,)
    score : {"influence", "self_influence", "loo_score"}
    queries : Queries, default=None
        Needed for "influence".

    Returns
    -------
    path : ndarray of shape (n_dampings, n_queries, n_train), (n_dampings, n_train) \
            or (n_dampings,)
    """
    _refuse_large(reading.fitted.operator)
    path = _heads_along(reading.fitted, dampings)
    if score == "influence" and reading.method == "influence":
        return _first_order_along(reading, path, queries)
    readings = _readings_along(reading, path)
    if score == "influence":
        return np.stack([influence_on(at, queries) for at in readings])
    if score == "self_influence":
        return np.stack([influence_on_own(at) for at in readings])
    return np.array([loo_score(at) for at in readings])


def _heads_along(fitted, dampings):
    """The fitted head at each damping, all with one decomposition."""
    solver = Spectral()
    plain = replace(fitted.objective, proximal=0.0, center=None)
    state = init_state(solver, plain.hessian(fitted.raw))
    path = []
    for damping in dampings:
        objective = plain.damped(damping, fitted.theta)
        operator = objective.hessian(fitted.raw)
        head = replace(
            fitted,
            objective=objective,
            operator=operator,
            solver=solver,
            state=state.at(operator, objective.proximal),
        )
        path.append(head)
    return path


def _first_order_along(reading, path, queries):
    """All dampings in one product with the training gradients."""
    shifts = [fitted.state.shift for fitted in path]
    V = path[0].state.apply_many(queries.gradients(), shifts)
    products = _gradient_products(reading.fitted, V.reshape(len(V), -1), reading.n_jobs)
    influence = products.reshape(len(path), len(queries.raw), -1)
    if reading.normalize is not None:
        # Only the loss's scale is of leave-one-out passes, which are cheaper together.
        if reading.normalize == "loss":
            readings = _readings_along(reading, path)
        else:
            readings = [replace(reading, fitted=at, given=None) for at in path]
        influence *= query_scale(queries, reading.normalize)[:, None]
        influence *= np.stack([at.scale for at in readings])[:, None, :]
    return in_type(influence, queries.dtype)


def _readings_along(reading, path):
    """The reading at each head, from one leave-one-out pass for all of them."""
    readings = []
    removals = remove_each_along(path, reading.n_jobs)
    for fitted, removal in zip(path, removals, strict=True):
        given = refined_from(fitted, removal, reading.refine, reading.n_jobs)
        readings.append(replace(reading, fitted=fitted, given=given))
    return readings


def _refuse_large(operator):
    """The decomposition takes the matrix, its vectors and as much again to work in."""
    operator = contrasts_of(operator) or operator
    size, n_blocks = operator.shape[0], 1
    if operator.is_block_diagonal:
        size = operator.n_columns
        n_blocks = 1 if operator.has_equal_blocks else operator.n_outputs
    n_bytes = 8 * size**2 * (n_blocks + 3)
    if n_bytes > MEMORY:
        raise ValueError(
            f"damping_path needs the eigenvectors of {n_blocks} matrices of {size} "
            f"rows, {n_bytes / 2**30:.1f} GiB and more than {MEMORY / 2**30:.0f}. Fit "
            "the ranker at each damping instead."
        )
