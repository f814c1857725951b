"""Gross errors in real targets."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d

from sklinfluence._sklearn_compat import Interval, validate_params
from sklinfluence._typing import RandomState
from sklinfluence.datasets._rows import in_container


@validate_params(
    {
        "y": ["array-like"],
        "rate": [Interval(Real, 0, 1, closed="left")],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def corrupt_targets(
    y: ArrayLike, rate: float, *, scale: float = 3.0, random_state: RandomState = None
) -> tuple[Any, NDArray]:
    """Add gross errors to some real targets and say to which.

    Exactly ``round(rate * n_samples)`` rows are moved up or down, with equal chance,
    by between one and two times `scale` standard deviations of `y`. The lower bound
    makes every error one that could be found: errors drawn from a normal distribution
    would mostly be too small to matter, yet count as missed.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Real targets, taken to be right.

    rate : float in [0, 1)
        Share of rows to corrupt.

    scale : float, default=3.0
        Size of the smallest error, in standard deviations of `y`.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    y_noisy : array-like of shape (n_samples,)
        The targets after the corruption, as floats, in the container of `y` (an array
        when `y` is a list).

    is_corrupted : ndarray of shape (n_samples,), dtype=bool
        Which rows were changed.

    See Also
    --------
    flip_labels : The same for class labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklinfluence.datasets import corrupt_targets
    >>> y = np.arange(10.0)
    >>> y_noisy, is_corrupted = corrupt_targets(y, 0.2, random_state=0)
    >>> is_corrupted.nonzero()[0]
    array([2, 8])
    >>> bool(np.all(abs(y_noisy - y)[is_corrupted] >= 3 * y.std()))
    True
    """
    values = _check_targets(y)
    spread = _standard_deviation(values)
    if spread == 0:
        raise ValueError("y is constant, so errors in its standard deviations are 0.")
    rng = check_random_state(random_state)
    rows = rng.choice(len(values), size=round(rate * len(values)), replace=False)
    sizes = rng.uniform(1, 2, size=len(rows))
    sizes *= rng.choice([-1.0, 1.0], size=len(rows))
    values[rows] = _move(values[rows], scale, spread, sizes)
    is_corrupted = np.zeros(len(values), dtype=bool)
    is_corrupted[rows] = True
    return in_container(y, values), is_corrupted


def _check_targets(y):
    """A copy of the targets as floats."""
    values = column_or_1d(y)
    if len(values) == 0:
        raise ValueError("y is empty: there are no targets to corrupt.")
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"y must hold real numbers: {error}.") from error
    if values.dtype.kind not in "biuf":
        raise ValueError(f"y must hold real numbers, and its dtype is {values.dtype}.")
    # Integers would truncate the errors; float32 stays float32.
    values = values.astype(np.result_type(values, np.float32), copy=True)
    assert_all_finite(values, input_name="y")
    return values


def _standard_deviation(values):
    """In float64, of numbers whose squares may be beyond its range."""
    # A power of two, so that nothing is rounded.
    unit = np.ldexp(1.0, np.frexp(np.abs(values).max())[1] - 1)
    return (values / unit).std(dtype=np.float64) * unit


def _move(values, scale, spread, sizes):
    """Targets with errors of ``sizes`` times scale and spread added."""
    with np.errstate(over="ignore"):
        moved = (values + scale * spread * sizes).astype(values.dtype)
    too_large = ~np.isfinite(moved)
    bad = too_large | (moved == values)
    if np.any(bad):
        fate = "too large for" if np.any(too_large) else "lost in rounding to"
        raise ValueError(
            f"scale={scale!r} makes errors that are {fate} {values.dtype}, beside "
            f"targets such as {values[bad][0]!r}. Choose another scale, or rescale y."
        )
    return moved
