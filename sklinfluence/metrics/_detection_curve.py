"""How many of the mislabelled rows are found for how many inspected."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_curve
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklinfluence._sklearn_compat import validate_params


@validate_params(
    {"is_mislabelled": ["array-like"], "scores": ["array-like"]},
    prefer_skip_nested_validation=True,
)
def detection_curve(
    is_mislabelled: ArrayLike, scores: ArrayLike
) -> tuple[NDArray, NDArray]:
    """Share of mislabelled rows found against share of rows inspected.

    Rows are inspected from the highest score down; rows with the same score are
    inspected together, so their order in the data does not matter.

    Parameters
    ----------
    is_mislabelled : array-like of shape (n_samples,), dtype=bool
        Which rows are mislabelled in truth.

    scores : array-like of shape (n_samples,)
        Higher = likelier mislabelled.

    Returns
    -------
    inspected : ndarray of shape (n_points,)
        Share of all rows inspected, from 0 to 1: a point for every distinct score.

    found : ndarray of shape (n_points,)
        Share of the mislabelled rows found among them, from 0 to 1.

    See Also
    --------
    sklinfluence.inspection.DetectionCurveDisplay : Draws the curve.

    Examples
    --------
    >>> from sklinfluence.metrics import detection_curve
    >>> truth = [True, False, True, False]
    >>> inspected, found = detection_curve(truth, [0.9, 0.1, 0.4, 0.5])
    >>> inspected
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    >>> found
    array([0. , 0.5, 0.5, 1. , 1. ])
    """
    is_mislabelled = check_truth(is_mislabelled)
    scores = check_array(scores, ensure_2d=False, input_name="scores")
    check_consistent_length(is_mislabelled, scores)
    # Every threshold is kept: dropping the collinear ones would thin the points out
    # unevenly, and a reader may want the value at each.
    false_rate, found, _ = roc_curve(is_mislabelled, scores, drop_intermediate=False)
    prevalence = np.mean(is_mislabelled)
    return prevalence * found + (1 - prevalence) * false_rate, found


def check_truth(is_mislabelled):
    """Return the truth as booleans, both of which must occur."""
    truth = column_or_1d(is_mislabelled)
    if not np.all(np.isin(truth, [0, 1])):
        raise ValueError(
            "is_mislabelled must say True or False (1 or 0) for every row; it holds "
            f"{np.unique(truth).tolist()[:5]}."
        )
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        raise ValueError(
            f"is_mislabelled marks {'every' if truth.all() else 'no'} row: without "
            "both mislabelled and clean rows there is nothing to tell apart."
        )
    return truth
