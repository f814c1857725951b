"""Whether a utility has a closed form, and whether that form says what a fit says."""

import numpy as np
from sklearn.frozen import FrozenEstimator

from sklinfluence.retraining._closed_forms._leaves import leaf_utility
from sklinfluence.retraining._closed_forms._neighbors import neighbors_utility
from sklinfluence.retraining._closed_forms._ridge import ridge_utility

# Relative to the size of the score, or to 1: some digits above what rounding makes of
# an ill-posed fit, far below what another score would be off by.
_AGREEMENT = 1e-8


def in_closed_form(utility):
    """The utility in closed form where it has one, else the utility itself.

    The first score, of all players, is compared with that of a fit. What differs, as
    a vote of rows equally far may, is left to fits.

    Raises
    ------
    ValueError
        If the estimator is frozen, and no form tells what it would be of other rows.
    """
    if isinstance(utility.estimator, FrozenEstimator):
        return _of_frozen(utility)
    closed = ridge_utility(utility) or neighbors_utility(utility)
    if closed is None:
        return utility
    everyone = np.arange(utility.n_players)
    return closed if _agree(closed(everyone), utility(everyone)) else utility


def _agree(one, other):
    (value, error), (expected, failure) = one, other
    if error is not None or failure is not None:
        return (error is None) == (failure is None)
    return abs(value - expected) <= _AGREEMENT * max(1.0, abs(expected))


def _of_frozen(utility):
    model = utility.estimator.estimator
    closed = leaf_utility(utility)
    name = type(model).__name__
    if closed is None:
        raise ValueError(
            f"FrozenEstimator({name}) is never fitted, so that no row changes its "
            "score. Pass the unfrozen estimator; a fitted forest or tree that "
            "averages targets in its leaves may be frozen, and keeps its splits."
        )
    if not _agree(closed.of_rows(closed.trained_on()), (utility.score(model), None)):
        raise ValueError(
            f"The leaves of the fitted {name} are not means of the rows of X: pass the "
            "rows and weights that it was trained on, or the unfrozen estimator."
        )
    return closed
