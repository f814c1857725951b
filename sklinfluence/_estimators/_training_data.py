"""Targets and weights of training rows, checked."""

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target

from sklinfluence._estimators._ranges import check_numbers
from sklinfluence._estimators._targets import refuse_named_targets, refuse_sparse
from sklinfluence._sklearn_compat import _check_sample_weight


def check_training(ranker, X, y, sample_weight):
    """Targets and weights as arrays, one a row."""
    name = type(ranker).__name__
    if y is None:
        raise ValueError(
            f"This {name} estimator requires y to be passed, but the target y is None."
        )
    refuse_named_targets(name, y)
    refuse_sparse(name, y)
    kind = type_of_target(y, input_name="y")
    y = np.asarray(y)
    check_consistent_length(X, y, sample_weight)
    check_numbers(y, "y", "Divide y by its standard deviation.")
    refused = ("multilabel-indicator", "multiclass-multioutput")
    if kind in refused and not is_regressor(ranker.estimator):
        raise ValueError(
            f"y is {kind}: {name} takes one label a row. Fit one ranker for each "
            "output, y[:, k]."
        )
    if sample_weight is not None:
        sample_weight = _check_sample_weight(
            sample_weight, np.empty(len(y)), dtype=float, ensure_non_negative=True
        )
    return y, sample_weight
