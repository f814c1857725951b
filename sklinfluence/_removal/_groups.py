"""Groups of training rows, and where the parameters go when a group leaves.

Removing a group U takes g_U = sum_U s_i r_i (x) x_i and H_U = sum_U s_i S_i (x) x_i
x_i^T out of the objective, whose penalty stays as it is. One Newton step then moves
the parameters by (H - H_U)^-1 g_U. Its expansion in H^-1 H_U gives the cheaper orders:
H^-1 g_U (the sum of the rows' first-order influences; Koh et al. 2019) and
(I + H^-1 H_U) H^-1 g_U (Basu, You and Feizi 2020, for an objective in sum form).
"""

from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklinfluence._estimators import check_rows
from sklinfluence._removal._fitted_head import gradient_rows, outer_rows
from sklinfluence._scheduling import map_blocks
from sklinfluence._warn import warn_user
from sklinfluence.curvature import (
    SingularHessianError,
    expand,
    init_state,
    minimize,
    solutions,
)

ORDERS = ("first", "second", "newton", "exact")

# Length of the gradient at which the objective without a group counts as minimised.
_STATIONARY = 1e-8
# Below this eigenvalue, what a group leaves of the curvature is rounding.
_SINGULAR = 1e-9


def group_indices(groups, n_train):
    """Row indices of every group.

    Parameters
    ----------
    groups : array-like of shape (n_train,), list of index arrays, or boolean matrix \
            of shape (n_groups, n_train)
        Labels (groups in the order of ``numpy.unique``), rows, or masks; a single
        boolean mask of shape (n_train,) is one group.
    n_train : int

    Returns
    -------
    indices : list of ndarray
    """
    if isinstance(groups, list | tuple) and any(np.ndim(g) == 1 for g in groups):
        if any(np.ndim(g) != 1 for g in groups):
            raise ValueError("A list of groups must hold index arrays only.")
        if not all(_is_mask(g, n_train) for g in groups):
            return [_checked_rows(g, at, n_train) for at, g in enumerate(groups)]
    groups = np.asarray(groups)
    if groups.dtype == bool and groups.shape[-1:] == (n_train,) and groups.ndim <= 2:
        return [np.flatnonzero(mask) for mask in np.atleast_2d(groups)]
    if groups.shape == (n_train,):
        _, label = np.unique(groups, return_inverse=True)
        order = np.argsort(label, kind="stable")
        return np.split(order, np.cumsum(np.bincount(label))[:-1])
    raise ValueError(
        f"groups must be a label for each of the {n_train} training rows, a list of "
        "index arrays, or a boolean matrix with a column for each training row; got "
        f"an array of shape {groups.shape} and dtype {groups.dtype}."
    )


def _is_mask(group, n_train):
    return np.asarray(group).dtype == bool and len(group) == n_train


def _checked_rows(group, number, n_train):
    rows, _ = check_rows(group, n_train, name=f"Group {number}")
    rows, counts = np.unique(rows, return_counts=True)
    if np.any(counts > 1):
        raise ValueError(f"Group {number} names row {rows[counts > 1][0]} twice.")
    return rows


def class_codes(targets):
    """The class of each row from its coded target, an index into the classes."""
    if targets.shape[1] == 1:
        return (targets[:, 0] > 0.5).astype(int)
    return np.argmax(targets, axis=1)


def refuse_emptied(indices, head):
    """A ValueError that names the first group without which a class has no row."""
    weighted = head.weights > 0
    if head.classes is None:
        codes, names = np.zeros(len(weighted), dtype=int), None
    else:
        codes, names = class_codes(head.targets), head.classes.tolist()
    n_classes = 1 if names is None else len(names)
    have = np.bincount(codes[weighted], minlength=n_classes)
    for number, group in enumerate(indices):
        lost = np.bincount(codes[group][weighted[group]], minlength=n_classes)
        emptied = np.flatnonzero((lost == have) & (have > 0))
        if emptied.size and names is None:
            raise ValueError(f"Group {number} holds every training row with a weight.")
        if emptied.size:
            raise ValueError(
                f"Group {number} holds every training row of class "
                f"{names[emptied[0]]!r}: without it the model would not know the "
                "class, and the loss of its queries is not defined."
            )


def group_changes(fitted, indices, order="newton", n_jobs=None):
    """Parameters without each group less the parameters, (n_groups, K, q).

    Parameters
    ----------
    fitted : FittedHead
    indices : list of ndarray
    order : {"first", "second", "newton", "exact"}
    n_jobs : int, default=None
        Threads that share the groups.

    Returns
    -------
    changes : ndarray of shape (n_groups, n_outputs, n_columns)
        NaN where the objective without the group has no unique optimum.
    """
    if order in ("first", "second"):
        changes = _expanded(fitted, indices, order)
    else:
        # An approximation holds too much or too little of single rows to take them
        # out of it: leverages above 1, steps many times too long.
        fitted = fitted.exactly()
        one = _newton_change if order == "newton" else _exact_change
        changes = map_blocks(partial(one, fitted), indices, n_jobs=n_jobs)
        changes = np.array(changes).reshape(len(indices), *fitted.theta.shape)
    _warn_about_undefined(changes)
    return changes


def _without(fitted, group):
    weights = fitted.objective.weights.copy()
    weights[group] = 0.0
    return fitted.objective.reweighted(weights)


def _only(fitted, group):
    """Gradients of a group's rows, summed: (p,)."""
    rows = fitted.objective.design.rows(group)
    return (fitted.coefficients[group].T @ rows).ravel()


def _expanded(fitted, indices, order):
    gradients = np.array([_only(fitted, group) for group in indices])
    gradients = gradients.reshape(len(indices), fitted.theta.size)
    first = fitted.solve(gradients.T)
    if order == "second":
        bent = np.column_stack(
            [
                _group_product(fitted, group, first[:, at])
                for at, group in enumerate(indices)
            ]
        )
        first = first + fitted.solve(bent)
    return first.T.reshape(len(indices), *fitted.theta.shape)


def _weighted_curvature(fitted, group):
    objective = fitted.objective
    S = objective.loss.curvature(objective.targets[group], fitted.raw[group])
    return S * objective.weights[group].reshape(-1, *[1] * (S.ndim - 1))


def _group_product(fitted, group, direction):
    """H_U times a parameter vector, (p,)."""
    rows = fitted.objective.design.rows(group)
    moved = rows @ direction.reshape(fitted.theta.shape).T
    C = _weighted_curvature(fitted, group)
    bent = C * moved if C.ndim == 2 else np.einsum("ikm,im->ik", C, moved)
    return (bent.T @ rows).ravel()


def _newton_change(fitted, group):
    """One exact Newton step, by Woodbury or a new factor, whichever is smaller."""
    (K, q), m = fitted.theta.shape, len(group)
    if m == 0:
        return np.zeros((K, q))
    if fitted.has_factor and m < q:
        inside = fitted.contrasts
        if inside is not None:
            return expand(_woodbury(inside, group).reshape(K - 1, q))
        change = _woodbury(fitted, group)
    else:
        change = _refactored(fitted, group)
    return change.reshape(K, q)


def _refactored(fitted, group):
    try:
        state = init_state(fitted.solver, _without(fitted, group).hessian(fitted.raw))
    except SingularHessianError:
        return np.full(fitted.theta.size, np.nan)
    solved, _ = solutions(fitted.solver, state, _only(fitted, group)[:, None])
    return solved[:, 0]


def _woodbury(fitted, group):
    """(H - Z C Z^T)^-1 Z c from H^-1 Z, Z holding a column a row and output.

    With C = L L^T, the step is H^-1 Z (c + L (I - L^T B L)^-1 L^T B c), B = Z^T H^-1 Z:
    the matrix to factor is symmetric, and singular where the group's leverage is 1.
    """
    rows = fitted.objective.design.rows(group)
    weighted = fitted.coefficients[group]
    C = _weighted_curvature(fitted, group)
    (K, q), m = fitted.theta.shape, len(group)
    if C.ndim == 2:
        solved = fitted.solve(np.tile(rows.T, (K, 1))).reshape(K, q, m)
        change = np.empty((K, q))
        for k in range(K):
            B = rows @ solved[k]
            left = _removed(B, weighted[:, k], partial(_scaled, np.sqrt(C[:, k])))
            change[k] = solved[k] @ left
        return change
    solved = fitted.solve(outer_rows(rows, K))
    B = np.einsum("iq,kqjl->ikjl", rows, solved.reshape(K, q, m, K), optimize=True)
    values, vectors = np.linalg.eigh(C)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    roots = roots @ vectors.transpose(0, 2, 1)

    def apply_root(V):
        return (roots @ V.reshape(m, K, -1)).reshape(V.shape)

    left = _removed(B.reshape(m * K, m * K), weighted.ravel(), apply_root)
    return solved @ left


def _scaled(root, V):
    return root.reshape(-1, *[1] * (V.ndim - 1)) * V


def _removed(B, c, apply_root):
    """c + L (I - L B L)^-1 L B c for a symmetric root L; NaN where singular."""
    kept = np.eye(len(B)) - apply_root(apply_root(B).T)
    values, vectors = np.linalg.eigh((kept + kept.T) / 2)
    if values[0] < _SINGULAR:
        return np.full_like(c, np.nan)
    along = vectors.T @ apply_root(B @ c)
    return c + apply_root(vectors @ (along.T / values).T)


def move_of_group(rows, curvature, pull, hessian, solve):
    """How predictions at rows move when the rows leave, for outputs of one Hessian.

    Parameters
    ----------
    rows : ndarray of shape (m, q)
    curvature : ndarray of shape (m,)
        Weighted.
    pull : ndarray of shape (m, n_outputs)
        Weighted residuals.
    hessian : callable
        Gives H of all rows, (q, q).
    solve : callable
        H^-1 times a matrix.

    Returns
    -------
    move : ndarray of shape (m, n_outputs)
        rows (H - rows^T C rows)^-1 rows^T pull; NaN where that is not defined.
    """
    root = np.sqrt(curvature)
    if len(rows) < rows.shape[1]:
        B = rows @ solve(rows.T)
        return B @ _removed(B, pull, partial(_scaled, root))
    whole = hessian()
    unit = np.sqrt(np.diag(whole))
    rows, whole = rows / unit, whole / unit / unit[:, None]
    weighted = root[:, None] * rows
    values, vectors = np.linalg.eigh(whole - weighted.T @ weighted)
    if values[0] < _SINGULAR:
        return np.full_like(pull, np.nan)
    along = vectors.T @ (rows.T @ pull)
    return rows @ (vectors @ (along.T / values).T)


def _exact_change(fitted, group):
    """Damped Newton steps to the optimum without the group."""
    if len(group) == 0:
        return np.zeros_like(fitted.theta)
    objective = _without(fitted, group)
    if objective.sees_less_than(fitted.objective):
        return np.full_like(fitted.theta, np.nan)
    start = fitted.theta + np.nan_to_num(_newton_change(fitted, group))
    try:
        # A step that overshot is a worse start than none.
        if not objective.value(start) < objective.value(fitted.theta):
            start = fitted.theta
        end = minimize(objective, start, fitted.exact_solver)
    except SingularHessianError:
        return np.full_like(fitted.theta, np.nan)
    _warn_about_gradient(objective, end)
    return end.theta - fitted.theta


def _warn_about_gradient(objective, end):
    length = np.linalg.norm(objective.gradient(end.theta, end.raw))
    rounding = 1e-13 * objective.design.n_rows * np.max(np.abs(end.raw), initial=1.0)
    if length > max(_STATIONARY, rounding):
        warn_user(
            f"The refit without a group ended where the gradient's length is "
            f"{length:.1e}, above {_STATIONARY:.0e}: its influence is off by about "
            "that much over the smallest curvature.",
            ConvergenceWarning,
        )


def _warn_about_undefined(changes):
    undefined = np.flatnonzero(np.isnan(changes).any(axis=(1, 2)))
    if undefined.size:
        named = ", ".join(map(str, undefined[:10]))
        warn_user(
            f"Without group(s) {named} the objective has no unique optimum, so their "
            "influence is NaN.",
        )


def linear_rise(queries, changes):
    """Change of each query's loss along its gradient, (n_queries, n_groups)."""
    gradients = gradient_rows(queries.residual, queries.design.rows(slice(None)))
    return gradients @ changes.reshape(len(changes), -1).T


def shifts_of(queries, changes):
    """Move of each query's raw prediction, (n_queries, n_groups, K)."""
    n_groups, K, q = changes.shape
    moved = queries.design.dot(changes.reshape(n_groups * K, q).T)
    return np.asarray(moved).reshape(-1, n_groups, K)
