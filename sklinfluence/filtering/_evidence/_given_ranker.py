"""What may stand in the ranker's place: a ranker, an estimator, or "precomputed"."""

from sklearn.base import is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator

PRECOMPUTED = "precomputed"


def is_precomputed(ranker):
    """Whether X is what models said, not what they are asked about."""
    return isinstance(ranker, str) and ranker == PRECOMPUTED


def is_estimator(ranker):
    """Whether it is a classifier or regressor, to be held out by the filter."""
    is_none = ranker is None or is_precomputed(ranker)
    return not is_none and not hasattr(ranker, "label_scores")


def has_head(ranker):
    """Whether rows, one or several at a time, leave a linear head that it reads."""
    return hasattr(type(ranker), "group_influence")


def goes_with_rows(model):
    """What a label model takes of the rows beside X, y and weights, as it declares."""
    return getattr(model, "goes_with_rows", ())


def refuse_no_ranker(ranker):
    """Name what can be neither asked nor fitted anew.

    Raises
    ------
    TypeError
        If it is no ranker and predicts neither classes nor real targets.
    ValueError
        If it, or a predictor in it, is frozen.
    """
    if not is_estimator(ranker):
        return
    name = type(ranker).__name__
    if isinstance(ranker, type):
        raise TypeError(
            f"ranker={ranker.__name__} is a class: pass an instance, "
            f"ranker={ranker.__name__}()."
        )
    frozen = frozen_predictor(ranker)
    if frozen is not None:
        raise ValueError(
            f"ranker={name}(...) holds a fitted {type(frozen).__name__} "
            "(FrozenEstimator), which has seen the rows that it would judge and cannot "
            "be fitted without them. Pass it unfitted; or pass its probabilities on "
            "rows that it was not trained on (real targets: its predictions) as X, "
            "with ranker='precomputed'."
        )
    if not (is_classifier(ranker) or is_regressor(ranker)):
        raise TypeError(
            f"ranker={name}(...) is neither a ranker (it has no label_scores) nor a "
            "classifier or regressor."
        )


def frozen_predictor(estimator):
    """A classifier or regressor in it that is never fitted; None if there is none.

    A frozen transformer is taken for one that was made elsewhere, of other labels.
    """
    parts = [estimator]
    if hasattr(estimator, "get_params") and not isinstance(estimator, FrozenEstimator):
        parts += estimator.get_params().values()
    for part in parts:
        if isinstance(part, FrozenEstimator):
            held = part.estimator
            if is_classifier(held) or is_regressor(held):
                return held
    return None


def refuse_score(ranker, label_score, is_real):
    """A score that only rankers give."""
    known = ("auto", "studentized") if is_real else ("auto",)
    if label_score in known:
        return
    name = repr(ranker) if is_precomputed(ranker) else f"{type(ranker).__name__}(...)"
    raise ValueError(
        f"label_score={label_score!r} is one that a ranker may give, and "
        f"ranker={name} is none. It gives {', '.join(map(repr, known))}; estimators "
        "with a linear head give others in InfluenceRanker(estimator)."
    )
