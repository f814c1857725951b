"""When sampled values are known well enough."""

import numpy as np

# Updates a row at least, and for each unit of squared skewness: of fewer, the mean of
# skewed marginals is not normal enough for its standard error to cover it (80 to 90 %
# of the time at 16 for ridge's r2 with an outlier, 95 % with this rule).
LEAST_UPDATES = 16
_PER_SKEWNESS = 10.0


def remembered(make_row):
    """A function from outcomes to their rows, each made once: `stop` asks often.

    Parameters
    ----------
    make_row : callable
        ``make_row(k, steps)``: what unit k says, an array.
    """
    rows = []

    def of(outcomes):
        for k in range(len(rows), len(outcomes)):
            rows.append(make_row(k, outcomes[k]))
        return np.array(rows[: len(outcomes)])

    return of


def mean_and_error(samples):
    """Mean of each column and its standard error; NaN entries are left out.

    Parameters
    ----------
    samples : ndarray of shape (n_updates, n_players)

    Returns
    -------
    mean, stderr, n_known : ndarray of shape (n_players,)
        NaN where nothing is known; the error also where only one number is.
    """
    known = ~np.isnan(samples)
    n_known = known.sum(axis=0)
    total = np.where(known, samples, 0.0).sum(axis=0)
    mean = np.divide(total, n_known, out=np.full(len(total), np.nan), where=n_known > 0)
    squares = np.where(known, (samples - mean) ** 2, 0.0).sum(axis=0)
    variance = np.divide(
        squares, n_known - 1, out=np.full(len(total), np.nan), where=n_known > 1
    )
    return mean, np.sqrt(variance / np.maximum(n_known, 1)), n_known


def is_settled(samples, tol):
    """Whether every mean is known to ``tol`` times their spread.

    Parameters
    ----------
    samples : ndarray of shape (n_updates, n_players)
    tol : float
        0: never.
    """
    if not tol:
        return False
    mean, stderr, n_known = mean_and_error(samples)
    if n_known.min() < max(
        LEAST_UPDATES, _PER_SKEWNESS * largest_skewness(samples) ** 2
    ):
        return False
    return bool(np.nanmax(stderr) <= tol * np.ptp(mean))


def largest_skewness(samples):
    """The largest absolute skewness of a column."""
    centred = samples - np.nanmean(samples, axis=0)
    cubes, squares = np.nanmean(centred**3, axis=0), np.nanmean(centred**2, axis=0)
    skewness = np.divide(
        cubes, squares**1.5, out=np.zeros_like(cubes), where=squares > 0
    )
    return np.max(np.abs(skewness))
