"""Values from scores of random sets: with the row, minus without it."""

import numpy as np

from sklinfluence.retraining._stopping import LEAST_UPDATES


def with_minus_without(membership, utilities):
    """Mean utility of the sets that hold a player, less that of those that do not.

    Every set serves all players (Wang and Jia 2023: maximum sample reuse).

    Parameters
    ----------
    membership : ndarray of shape (n_sets, n_players)
        Boolean.
    utilities : ndarray of shape (n_sets,)
        NaN where a set could not be evaluated: it is left out.

    Returns
    -------
    values, stderr : ndarray of shape (n_players,)
        NaN where one of the two sides was never met.
    n_met : ndarray of shape (n_players,)
        Sets on the side that has fewer.
    """
    known = ~np.isnan(utilities)
    membership, utilities = membership[known], utilities[known]
    n_in, mean_in, var_in = _side(membership, utilities)
    n_out, mean_out, var_out = _side(~membership, utilities)
    n_met = np.minimum(n_in, n_out)
    return mean_in - mean_out, np.sqrt(var_in + var_out), n_met


def _side(chosen, utilities):
    """(number, mean, variance of the mean) of the utilities of each column's sets."""
    n = chosen.sum(axis=0)
    nan = np.full(chosen.shape[1], np.nan)
    mean = np.divide(utilities @ chosen, n, out=nan.copy(), where=n > 0)
    # Centred first: utilities may be large beside their spread.
    centred = utilities - utilities.mean() if len(utilities) else utilities
    shifted = np.divide(centred @ chosen, n, out=nan.copy(), where=n > 0)
    squares = centred**2 @ chosen - n * shifted**2
    variance = np.divide(squares, n - 1, out=nan.copy(), where=n > 1)
    return n, mean, np.maximum(variance, 0.0) / np.maximum(n, 1)


def is_settled_by_reuse(membership, utilities, tol):
    """Whether every value is known to ``tol`` times their spread; 0: never."""
    if not tol:
        return False
    values, stderr, n_met = with_minus_without(membership, utilities)
    if n_met.min() < LEAST_UPDATES:
        return False
    return bool(np.max(stderr) <= tol * np.ptp(values))
