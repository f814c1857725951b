"""Whether targets are classes, and the estimator that serves them by default."""

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.multiclass import type_of_target

from sklinfluence._warn import warn_user


def kind_of_targets(y):
    """scikit-learn's `type_of_target`, of numbers beyond the integers too.

    It compares floats with themselves as integers, of which numpy warns for large ones.
    """
    with np.errstate(invalid="ignore"):
        return type_of_target(y, input_name="y")


def are_classes(y):
    """Whether targets are class labels where no estimator says so.

    Real targets may all be whole numbers. Floats of many values are real targets;
    integers of many values are taken as classes, with a warning.
    """
    y = np.asarray(y)
    if kind_of_targets(y).startswith("continuous"):
        return False
    if y.ndim != 1 or y.dtype.kind not in "fiu":
        return True
    n_values = len(np.unique(y))
    if n_values <= max(20, len(y) / 10):
        return True
    if y.dtype.kind == "f":
        return False
    warn_user(
        f"y holds {n_values} different integers in {len(y)} rows and is taken as class "
        "labels. If it is a real target, use Ridge(): InfluenceRanker(Ridge()).",
    )
    return True


def takes_classes(estimator, y):
    """Whether an estimator takes targets for class labels; if it does not say, `y`."""
    if is_regressor(estimator):
        return False
    return is_classifier(estimator) or are_classes(y)


def default_estimator(y):
    """LogisticRegression for class targets, Ridge for real ones."""
    return LogisticRegression() if are_classes(y) else Ridge()
