"""Warnings about what a solver left unsolved."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

_REMEDY = (
    "Raise max_iter, scale the columns of X, penalise the estimator more or set "
    "damping above 0."
)


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
