"""How much a semivalue makes of a gain, by the size of the set that gained."""

import numpy as np
from scipy.special import betaln, gammaln


def size_weights(semivalue, n_players):
    """n C(n - 1, s) p(s): what a marginal at place s of a permutation counts.

    A permutation meets sets of every size s alike often, 1 / n, and each of the
    C(n - 1, s) sets of one size alike often: times this weight, the mean over
    permutations is the semivalue, the sum of p(s) [v(S + i) - v(S)] over all S.

    Parameters
    ----------
    semivalue : {"shapley", "banzhaf"} or tuple of two floats
        A pair is Beta(a, b) of Kwon and Zou (2022): a above b weighs small sets.
    n_players : int

    Returns
    -------
    weights : ndarray of shape (n_players,)
        Their mean is 1.
    """
    n, s = n_players, np.arange(n_players)
    if semivalue == "shapley":
        return np.ones(n)
    if semivalue == "banzhaf":
        log_share = log_binomial(n - 1, s) - (n - 1) * np.log(2.0)
    else:
        a, b = semivalue
        log_share = log_binomial(n - 1, s) - betaln(a, b)
        log_share = log_share + betaln(s + b, n - 1 - s + a)
    return n * np.exp(log_share)


def log_binomial(n, k):
    """log C(n, k), without numbers that overflow."""
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
