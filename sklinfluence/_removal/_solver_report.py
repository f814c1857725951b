"""What estimators publish of their solver, and warn about."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklinfluence._removal._fitted_head import gradient_rows
from sklinfluence._scheduling import blas_on_one_thread
from sklinfluence._warn import warn_user
from sklinfluence.curvature import solutions, solver_name, warn_about_residual

# Training gradients on which a factor's residual is measured (a factor serves every
# row at once, so no right-hand side of its own is solved a row).
_N_PROBES = 64


def describe_solver(fitted, damping):
    """The dict that estimators publish as ``solver_info_``."""
    objective, K = fitted.objective, fitted.theta.shape[0]
    probes = objective.some_weighted(_N_PROBES)
    residual = probes.residual(probes.raw(fitted.theta))
    gradients = gradient_rows(
        probes.weights[:, None] * residual, probes.design.rows(slice(None))
    )
    _, info = solutions(fitted.solver, fitted.state, gradients.T)
    warn_about_residual(fitted.solver, info)
    _warn_about_approximation(fitted.solver, info)
    out = {
        "solver": solver_name(fitted.solver),
        "n_parameters": K * fitted.theta.shape[1],
        "damping": damping,
        "damping_in_force": objective.proximal,
        "rows": fitted.state.rows_from,
        "reason": fitted.reason,
        **info,
    }
    if fitted.state.eigenvalue_range is not None:
        fitted.state.prepare()
        # Single vectors wait for memory, and threads of BLAS's for one another.
        with blas_on_one_thread:
            low, high = fitted.state.eigenvalue_range()
        out["smallest_eigenvalue"], out["largest_eigenvalue"] = low, high
        out["condition_number"] = high / low if low > 0 else np.inf
    return out


def _warn_about_approximation(solver, info):
    """Name an approximation that is too coarse: its solutions are worse than none."""
    # One that iterates to a tolerance has been held against that.
    if solver.exact or solver.tol is not None or np.size(info["residual"]) == 0:
        return
    residual = np.median(info["residual"])
    if residual > 1.0:
        warn_user(
            f"{solver!r} is no useful inverse of this Hessian: the median relative "
            f"residual of its solutions is {residual:.2g}, and 1 is that of the "
            "solution 0. Influence on single queries can be far off. "
            f"{solver.remedy}",
            ConvergenceWarning,
        )
