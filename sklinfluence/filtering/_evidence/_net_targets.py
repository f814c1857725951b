"""Targets in one column: estimators take them flat, regression nets as they are."""

import numpy as np
from sklearn.base import is_regressor

from sklinfluence._estimators import ends_in_net, target_array


def keeps_column(ranker, y):
    """Whether y is a column that the ranker's net compares with one of its own.

    scikit-learn's estimators want one target a row without a second axis. The module
    of a regression net mostly returns shape (n_rows, 1), and its targets must too.
    """
    # What can do no more than become an array has no number of axes to be asked for.
    if np.ndim(target_array(y)) != 2:
        return False
    # A ranker holds its net, and a net may stand in the ranker's place.
    models = (ranker, getattr(ranker, "estimator", None))
    return any(
        model is not None and is_regressor(model) and ends_in_net(model)
        for model in models
    )
