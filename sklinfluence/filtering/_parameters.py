"""Parameters of a filter that contradict one another are refused before any work."""

from sklearn.frozen import FrozenEstimator

from sklinfluence.filtering._evidence import (
    is_estimator,
    is_precomputed,
    refuse_no_ranker,
)
from sklinfluence.filtering._votes import check_pool


def check_parameters(detector, groups):
    """Refuse parameters of a detector that contradict one another.

    Parameters
    ----------
    detector : estimator
        With the parameters of `MislabelFilter`.
    groups : array-like or None
        As its `fit` got them.

    Raises
    ------
    TypeError, ValueError
    """
    refuse_no_ranker(detector.ranker)
    _check_precomputed(detector, groups)
    check_pool(detector.pool)
    _check_folds(detector, groups)
    _check_contamination(detector)


def _check_folds(detector, groups):
    """Folds of what is never fitted, groups where there are no folds."""
    if detector.cv is not None and isinstance(detector.ranker, FrozenEstimator):
        raise ValueError(
            f"cv={detector.cv!r} scores every row by a ranker fitted without its fold, "
            "and a FrozenEstimator is never fitted. Pass the ranker itself, or "
            "leave cv=None."
        )
    is_ours_to_split = is_estimator(detector.ranker)
    if groups is not None and detector.cv is None and not is_ours_to_split:
        raise ValueError(
            "groups were given, but cv=None scores every row by leave-one-out and "
            "uses no folds. Set cv to a splitter that takes groups, such as "
            "GroupKFold()."
        )


def _check_contamination(detector):
    """Two rules of what to flag, or more flags than are allowed."""
    if detector.contamination is None:
        return
    if detector.threshold != "auto":
        raise ValueError(
            f"threshold={detector.threshold!r} and contamination="
            f"{detector.contamination!r} both say which rows to flag. Leave one of "
            "them at its default."
        )
    if detector.contamination > detector.max_share:
        raise ValueError(
            f"contamination={detector.contamination!r} asks for more rows to be "
            f"flagged than max_share={detector.max_share!r} allows. Lower the former "
            "or raise the latter."
        )


def _check_precomputed(detector, groups):
    """Parameters that are for probabilities alone, or are not for them."""
    if not is_precomputed(detector.ranker):
        if detector.classes is not None:
            raise ValueError(
                f"classes={detector.classes!r} says which class each column of "
                "probabilities is about, and is for ranker='precomputed'. Leave "
                "classes=None: the classes are those of y."
            )
        return
    for name, given in (("cv", detector.cv), ("groups", groups)):
        if given is not None:
            raise ValueError(
                f"{name} says how rows are held out, and with ranker='precomputed' "
                "nothing is fitted: X must hold what models say of rows that they "
                f"have not seen. Leave {name}=None."
            )
