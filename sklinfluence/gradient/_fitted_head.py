"""A head at its optimum on the training rows, its Hessian factored there."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklinfluence.curvature._active_set import ActiveSetObjective, WholeDesign
from sklinfluence.curvature._design import Design
from sklinfluence.curvature._newton import read_as_is
from sklinfluence.curvature._objective import Objective
from sklinfluence.curvature._solvers import SingularHessianError
from sklinfluence.curvature._solvers._approximate import ApproximateSolver
from sklinfluence.curvature._solvers._auto import (
    explain_solver,
    resolve_solver,
    solver_name,
)
from sklinfluence.gradient._cached import Cache
from sklinfluence.gradient._scales import check_scales
from sklinfluence.heads._l1 import on_active_columns

# Training gradients on which a factor's residual is measured (a factor serves every
# row at once, so no right-hand side of its own is solved a row).
_N_PROBES = 64
_REMEDY = (
    "Raise max_iter, scale the columns of X, penalise the estimator more or set "
    "damping above 0."
)


@dataclass
class FittedHead:
    """What every influence of a linear head is a function of.

    Attributes
    ----------
    objective : Objective
        With the damping asked for as its proximal term.
    theta : ndarray of shape (n_outputs, n_columns)
    raw : ndarray of shape (n_rows, n_outputs)
        Raw predictions of the training rows.
    residual : ndarray of shape (n_rows, n_outputs)
        Unweighted derivative of each row's loss.
    operator : Hessian
    solver : object with ``init`` and ``solve``
    state : object
        The solver's state for ``operator``.
    gap : float
        Largest change of a training raw prediction that polishing made.
    reason : str
        Why this solver.
    """

    objective: Objective
    theta: np.ndarray
    raw: np.ndarray
    residual: np.ndarray
    operator: object
    solver: object
    state: object
    gap: float
    reason: str = "given"

    @property
    def query_residual(self):
        """Residuals of the training rows as queries: of the unweighted loss."""
        loss = self.objective.loss.unweighted()
        if loss is self.objective.loss:
            return self.residual
        return loss.gradient(self.objective.targets, self.raw)

    @property
    def coefficients(self):
        """Weighted residuals s_i r_i: row i's gradient is s_i r_i (x) x_i."""
        return self.objective.weights[:, None] * self.residual

    @property
    def is_exact(self):
        """Whether the solver gives H^-1 itself, to rounding or to a tolerance."""
        return getattr(self.solver, "is_exact", False)

    @property
    def has_exact_rows(self):
        """Whether `row_blocks` are those of H^-1 itself."""
        return getattr(self.state, "has_exact_rows", True)

    @property
    def exact_solver(self):
        """The solver, or one that Newton's method ends with if it approximates."""
        if self.is_exact:
            return getattr(self.solver, "polisher", self.solver)
        return resolve_solver(
            "auto",
            self.theta.shape,
            is_block_diagonal=self.operator.is_block_diagonal,
            has_equal_blocks=self.operator.has_equal_blocks,
        )

    def exactly(self):
        """This head; with `exact_solver` where its own solver approximates."""
        if self.is_exact:
            return self
        solver = self.exact_solver
        return replace(self, solver=solver, state=solver.init(self.operator))

    def refuse_approximate_rows(self, what, instead=""):
        """A ValueError that names the solver, unless `row_blocks` are those of H^-1."""
        if self.is_exact and self.has_exact_rows:
            return
        raise ValueError(
            f"{what} the inverse Hessian itself, and {self.solver!r} approximates it, "
            f"for rows at least: use solver='cholesky'{instead}."
        )

    def solve(self, B):
        """H^+ B, with a warning for a residual above the solver's tolerance."""
        X, info = self.solver.solve(self.state, B)
        warn_about_residual(self.solver, info)
        return X

    def solve_rows(self, coefficients, rows):
        """H^+ (c_i (x) x_i) of a block of rows, (p, n_chosen)."""
        B = gradient_rows(coefficients, rows).T
        if hasattr(self.state, "apply_inverse"):
            return self.state.apply_inverse(B)
        return self.solve(B)

    def row_blocks(self, rows):
        """(I (x) x)^T H^+ (I (x) x) of each row: (b, K), or (b, K, K) for a softmax."""
        if hasattr(self.state, "row_blocks"):
            return self.state.row_blocks(rows)
        K, q = self.theta.shape
        if self.objective.loss.separable:
            solved = self.solve(np.tile(rows.T, (K, 1))).reshape(K, q, len(rows))
            return np.einsum("kqb,bq->bk", solved, rows)
        solved = self.solve(outer_rows(rows, K)).reshape(K, q, len(rows), K)
        return np.einsum("kqbm,bq->bkm", solved, rows)

    @property
    def has_factor(self):
        """Whether one factor serves all rows, so that whole-data passes are cheap."""
        return hasattr(self.state, "row_blocks")


def gradient_rows(coefficients, rows):
    """Gradients r (x) x of a block of rows, (n_chosen, p)."""
    if coefficients.shape[1] == 1:
        return coefficients * rows
    size = coefficients.shape[1] * rows.shape[1]
    return (coefficients[:, :, None] * rows[:, None, :]).reshape(len(rows), size)


def outer_rows(rows, n_outputs):
    """e_k (x) x_j for every row j and output k: (p, n_chosen * n_outputs)."""
    b, q = rows.shape
    B = np.zeros((n_outputs, q, b, n_outputs))
    for k in range(n_outputs):
        B[k, :, :, k] = rows.T
    return B.reshape(n_outputs * q, b * n_outputs)


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
    check_scales(objective.damped(damping, theta), theta)
    solver, reason = explain_solver(
        solver,
        objective.design.n_rows,
        theta.shape,
        is_block_diagonal=head.loss.separable,
        has_equal_blocks=objective.hessian(None).has_equal_blocks,
        is_penalized=head.l1 is None
        and bool(np.all(head.penalty[:, : embedding.shape[1]] > 0)),
    )
    if refit_head and not damping:
        _refuse_classes_without_weight(head, objective)
    # Approximate inverses name the solver that finds the optimum for them.
    polisher, cache = getattr(solver, "polisher", solver), Cache(memory)
    try:
        end = _settle(objective, theta, polisher, damping, refit_head, cache)
    except SingularHessianError as error:
        # The advice at its end, in the words of the estimator.
        cause = str(error).partition(" Penalise the estimator")[0]
        raise SingularHessianError(f"{cause} {head.penalty_advice}") from error
    operator, state = end.operator, end.state
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
    totals = objective.weights @ objective.targets
    if len(totals) == 1:
        totals = np.append(objective.weights.sum() - totals, totals)
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


def describe_solver(fitted, damping):
    """The dict that estimators publish as ``solver_info_``."""
    objective, K = fitted.objective, fitted.theta.shape[0]
    weighted = np.flatnonzero(objective.weights)
    n_probes = min(_N_PROBES, len(weighted))
    probes = weighted[np.linspace(0, len(weighted) - 1, n_probes).astype(int)]
    gradients = gradient_rows(
        fitted.coefficients[probes], objective.design.rows(probes)
    )
    _, info = fitted.solver.solve(fitted.state, gradients.T)
    warn_about_residual(fitted.solver, info)
    _warn_about_approximation(fitted.solver, info)
    out = {
        "solver": solver_name(fitted.solver),
        "n_parameters": K * fitted.theta.shape[1],
        "damping": damping,
        "damping_in_force": objective.proximal,
        "rows": getattr(fitted.state, "rows_from", "solver"),
        "reason": fitted.reason,
        **info,
    }
    if hasattr(fitted.state, "eigenvalue_range"):
        low, high = fitted.state.eigenvalue_range()
        out["smallest_eigenvalue"], out["largest_eigenvalue"] = low, high
        out["condition_number"] = high / low if low > 0 else np.inf
    return out


def warn_about_residual(solver, info):
    """A ConvergenceWarning when a right-hand side missed the solver's tolerance."""
    residual = np.asarray(info.get("residual", ()))
    tol = getattr(solver, "tol", None)
    if tol is None or residual.size == 0 or not np.any(residual > tol):
        return
    n_missed = int(np.sum(residual > tol))
    warnings.warn(
        f"{type(solver).__name__} left {n_missed} of {residual.size} right-hand sides "
        f"above its tolerance: the largest relative residual is {residual.max():.1e}, "
        f"tol={tol:.1e}. Influences are off by about that much. "
        + getattr(solver, "remedy", _REMEDY),
        ConvergenceWarning,
        stacklevel=3,
    )


def _warn_about_approximation(solver, info):
    """Name an approximation that is too coarse: its solutions are worse than none."""
    if not isinstance(solver, ApproximateSolver) or np.size(info["residual"]) == 0:
        return
    residual = np.median(info["residual"])
    if residual > 1.0:
        finer = "Raise its rank, penalise" if hasattr(solver, "rank") else "Penalise"
        warnings.warn(
            f"{solver!r} is no useful inverse of this Hessian: the median relative "
            f"residual of its solutions is {residual:.2g}, and 1 is that of the "
            "solution 0. Influence on single queries can be far off. "
            f"{finer} the estimator more, set damping above 0 or use solver='cg'.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _warn_about_active_set(objective, end):
    """Name an l1 fit whose coefficients at zero are not those of its optimum."""
    if not isinstance(objective, ActiveSetObjective):
        return
    if objective.breaks(end.theta, end.raw, np.zeros((1, *end.theta.shape)))[0]:
        warnings.warn(
            "The coefficients that the estimator left at zero, or their signs, are not "
            "those of the optimum of its l1 objective. Influences are those on the set "
            "that it found. Lower the estimator's tol or raise its max_iter.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _spread(values):
    return np.ptp(values) if values.size else 0.0


def _warn_about_gap(end, head, objective):
    """Name a head that was far from the optimum of its own objective."""
    if not end.converged:
        warnings.warn(
            "Polishing the head stopped before its optimum: the objective may have "
            f"none (no penalty and separable classes). {head.penalty_advice}",
            ConvergenceWarning,
            stacklevel=4,
        )
    # A logit off by less than 0.1 changes no loss by more than 0.1 nats.
    raw, targets = objective.in_force(end.raw), objective.in_force(head.targets)
    scale = 0.5 * _spread(raw)
    # A constant model has no spread: its targets' says what is rounding.
    floor = 1e-8 * _spread(targets) if head.loss.is_quadratic else 1.0
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
        warnings.warn(
            "The head that the estimator fitted is far from the optimum of its "
            f"objective: {outcome} {head.training_advice}",
            ConvergenceWarning,
            stacklevel=4,
        )
