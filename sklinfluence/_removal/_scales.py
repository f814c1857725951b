"""What an objective's numbers must be for its Hessian to be one of floats."""

import numpy as np

from sklinfluence._estimators import LARGEST, LARGEST_VALUE, SMALLEST, extreme

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
    _refuse_vanishing({"the columns": objective.design.X})
    if objective.loss.is_quadratic:
        _refuse_vanishing({"the targets": objective.targets})
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        raw = objective.raw(theta)
        parts = _largest_parts(objective, theta, raw)
        _refuse_beyond(parts, LARGEST)
        _refuse_beyond({"a raw prediction": _largest(raw)}, LARGEST_VALUE)
        rows = objective.hessian(raw).row_bounds().max(initial=0.0)
    curved = max(rows, objective.penalty.max(initial=0.0), objective.proximal)
    if curved < SMALLEST:
        raise ValueError(
            f"The largest entry of the training objective's Hessian is about "
            f"{curved:.1e}, below {SMALLEST:.0e}: its inverse leaves the range of "
            f"floats. {_REMEDY}"
        )


def _largest(values):
    return np.max(np.abs(values), initial=0.0)


def _refuse_vanishing(parts):
    """Squares of what is not 0 must not be: steps and residuals would be."""
    for name, values in parts.items():
        largest = extreme(values)
        if 0 < largest < SMALLEST:
            raise ValueError(
                f"The largest magnitude in {name} is {largest:.1e}, below "
                f"{SMALLEST:.0e}: its square vanishes. {_REMEDY}"
            )


def _largest_parts(objective, theta, raw):
    """Largest magnitude of each thing that enters Hessian and gradient."""
    weights = objective.weights
    squares = weights * objective.design.squared_norms()
    residual = _largest_by_row(objective.residual(raw))
    if objective.loss.is_quadratic:
        residual = np.maximum(residual, _largest_by_row(objective.targets))
    return {
        "a parameter of the estimator": _largest(theta),
        "the penalty": _largest(objective.penalty),
        "damping times the sum of the weights": objective.proximal,
        "a row's weight times its squared length": _largest(squares),
        "a row's gradient": _largest(
            weights * residual * np.sqrt(objective.design.squared_norms())
        ),
        "the penalty's gradient": _largest(objective.penalty * theta),
        "a row's weighted loss": _largest(weights * residual**2),
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
