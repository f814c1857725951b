"""Warnings about what a solver left unsolved."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklinfluence._warn import warn_user


def warn_about_residual(solver, info):
    """A ConvergenceWarning when a right-hand side missed the solver's tolerance."""
    residual, tol = np.asarray(info.get("residual", ())), solver.tol
    if tol is None or residual.size == 0 or not np.any(residual > tol):
        return
    n_missed = int(np.sum(residual > tol))
    warn_user(
        f"{solver.class_name} left {n_missed} of {residual.size} right-hand sides "
        f"above its tolerance: the largest relative residual is {residual.max():.1e}, "
        f"tol={tol:.1e}. Influences are off by about that much. " + solver.remedy,
        ConvergenceWarning,
    )
