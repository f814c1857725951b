"""Gross errors in real targets."""

from numbers import Real

import numpy as np
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d

from sklinfluence._sklearn_compat import Interval, validate_params


@validate_params(
    {
        "y": ["array-like"],
        "rate": [Interval(Real, 0, 1, closed="left")],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def corrupt_targets(y, rate, *, scale=3.0, random_state=None):
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
    y_noisy : ndarray or Series of shape (n_samples,)
        The targets after the corruption, as floats; a pandas Series when `y` is one.

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
    values = column_or_1d(y)
    # Integers would truncate the errors; float32 stays float32.
    values = values.astype(np.result_type(values, np.float32), copy=True)
    assert_all_finite(values, input_name="y")
    spread = values.std()
    if spread == 0:
        raise ValueError("y is constant, so errors in its standard deviations are 0.")
    rng = check_random_state(random_state)
    rows = rng.choice(len(values), size=round(rate * len(values)), replace=False)
    sizes = scale * spread * rng.uniform(1, 2, size=len(rows))
    values[rows] += rng.choice([-1.0, 1.0], size=len(rows)) * sizes
    is_corrupted = np.zeros(len(values), dtype=bool)
    is_corrupted[rows] = True
    if hasattr(y, "iloc"):
        values = type(y)(values, index=y.index, name=y.name)
    return values, is_corrupted
