"""What an objective's numbers must be for its Hessian to be one of floats."""

import numpy as np

from sklinfluence._estimators import LARGEST, LARGEST_VALUE, SMALLEST, extreme
from sklinfluence._source import largest

# Squared length of a row, less its 1, of which rounding leaves six digits at least.
_PLAIN = 1e-10
_REMEDY = (
    "Scale the columns, the targets or sample_weight (with the penalty) towards 1."
)


def check_scales(objective, theta):
    """A ValueError that names what leaves the range of floats in a head's objective.

    Parameters
    ----------
    objective : Objective
        Damped as it will be.
    theta : ndarray of shape (n_outputs, n_columns)
        The estimator's own parameters.
    """
    found = objective.reduced(row_magnitudes, largest, theta)
    _refuse_vanishing("the columns", found["columns"])
    if objective.loss.is_quadratic:
        _refuse_vanishing("the targets", found["targets"])
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        _refuse_beyond(_largest_parts(objective, theta, found["parts"]), LARGEST)
    _refuse_beyond({"a raw prediction": found["raw"]}, LARGEST_VALUE)
    penalty = objective.penalty.max(initial=0.0)
    curved = max(found["curvature"], penalty, objective.proximal)
    if curved < SMALLEST:
        raise ValueError(
            f"The largest entry of the training objective's Hessian is about "
            f"{curved:.1e}, below {SMALLEST:.0e}: its inverse leaves the range of "
            f"floats. {_REMEDY}"
        )


def _largest(values):
    return np.max(np.abs(values), initial=0.0)


def _refuse_vanishing(name, magnitude):
    """Squares of what is not 0 must not be: steps and residuals would be."""
    if 0 < magnitude < SMALLEST:
        raise ValueError(
            f"The largest magnitude in {name} is {magnitude:.1e}, below "
            f"{SMALLEST:.0e}: its square vanishes. {_REMEDY}"
        )


def row_magnitudes(objective, theta):
    """The largest numbers that rows bring into an objective, as a dict."""
    design = objective.design
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        raw, norms = objective.raw(theta), design.squared_norms()
        rows = objective.hessian(raw).row_bounds(norms).max(initial=0.0)
        parts = _largest_of_rows(objective, raw, norms)
    return {
        "columns": _magnitude_of_columns(design, norms),
        "targets": extreme(objective.targets),
        "raw": _largest(raw),
        "curvature": rows,
        "parts": parts,
    }


def _magnitude_of_columns(design, norms):
    """Their largest magnitude; the longest row's length where that is plain to see."""
    length = norms.max(initial=0.0) - design.fit_intercept
    return np.sqrt(length) if length > _PLAIN else extreme(design.X)


def _largest_of_rows(objective, raw, norms):
    weights = objective.weights
    residual = _largest_by_row(objective.residual(raw))
    if objective.loss.is_quadratic:
        residual = np.maximum(residual, _largest_by_row(objective.targets))
    return {
        "a row's weight times its squared length": _largest(weights * norms),
        "a row's gradient": _largest(weights * residual * np.sqrt(norms)),
        "a row's weighted loss": _largest(weights * residual**2),
    }


def _largest_parts(objective, theta, of_rows):
    """Largest magnitude of each thing that enters Hessian and gradient."""
    return {
        "a parameter of the estimator": _largest(theta),
        "the penalty": _largest(objective.penalty),
        "damping times the sum of the weights": objective.proximal,
        **of_rows,
        "the penalty's gradient": _largest(objective.penalty * theta),
    }


def _largest_by_row(values):
    return np.max(np.abs(values), axis=1, initial=0.0)


def _refuse_beyond(parts, bound):
    for name, value in parts.items():
        if not value <= bound:
            raise ValueError(
                f"The magnitude of {name} is {value:.1e}, beyond {bound:.0e}: what is "
                f"computed from it leaves the range of floats. {_REMEDY}"
            )
