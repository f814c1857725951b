"""The folds that a user asks for."""

from sklearn.model_selection import check_cv


def check_folds(cv, y, is_classification):
    """The splitter that ``cv`` stands for.

    Parameters
    ----------
    cv : int, splitter, iterable of (train, test), or None
    y : ndarray of shape (n_rows,)
    is_classification : bool
        Whether a number means stratified folds.

    Raises
    ------
    ValueError
        If it is an iterable of nothing, or of anything but pairs.
    """
    if hasattr(cv, "__iter__") and not hasattr(cv, "split"):
        pairs = list(cv)
        if not pairs or not all(
            hasattr(pair, "__len__") and len(pair) == 2 for pair in pairs
        ):
            raise ValueError(
                f"cv={cv!r} must be an int, a splitter or an iterable of pairs of "
                "index arrays, (train, test)."
            )
        cv = pairs
    return check_cv(cv, y, classifier=is_classification)
