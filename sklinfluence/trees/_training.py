"""What rankers of trees are trained on: one target a row, and its weight.

Forests may have several targets; what is said of rows here is said of one.
"""

from sklearn.utils import column_or_1d

from sklinfluence._estimators import check_training


def check_one_target(ranker, X, y, sample_weight):
    """Targets, one a row, and weights as arrays.

    Raises
    ------
    ValueError
        If there are several targets a row.
    """
    y, sample_weight = check_training(ranker, X, y, sample_weight)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"y has {y.shape[1]} columns: {type(ranker).__name__} takes one target a "
            "row. Fit one ranker for each, y[:, k]."
        )
    return column_or_1d(y, warn=True), sample_weight
