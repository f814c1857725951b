"""Every subset of the players: semivalues without error, where there are few."""

import numpy as np

from sklinfluence.retraining._semivalues import log_binomial, size_weights
from sklinfluence.retraining._units import SetUnit


def reaches_all_sets(n_players, max_evaluations):
    """Whether so many evaluations are enough for every set."""
    return n_players < 60 and 2**n_players <= max_evaluations


def every_subset(run):
    """Utilities of all sets, by their bits: (2^n,)."""
    n = run.utility.n_players
    run.ends()
    outcomes = run.evaluate(lambda k: SetUnit(members(k, n)), 2**n)
    return np.array([steps[0] for steps in outcomes])


def members(k, n_players):
    """The players whose bits are set in k."""
    return np.flatnonzero((k >> np.arange(n_players)) & 1)


def enumerated(utilities, semivalue):
    """The semivalue of each player, from all utilities: (n_players,)."""
    n = int(np.log2(len(utilities)))
    numbers = np.arange(2**n)
    sizes = np.sum((numbers[:, None] >> np.arange(n)) & 1, axis=1)
    # p(s) = weight(s) / (n C(n - 1, s)).
    share = size_weights(semivalue, n) / n / np.exp(log_binomial(n - 1, np.arange(n)))
    values = np.empty(n)
    for player in range(n):
        without = numbers[(numbers >> player) & 1 == 0]
        gain = utilities[without | (1 << player)] - utilities[without]
        values[player] = share[sizes[without]] @ gain
    return values
