"""What a filter does with given targets: classes or real values, by which score."""

from sklearn import config_context
from sklearn.base import is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from sklinfluence._estimators import are_classes
from sklinfluence.filtering._columns import ReadColumns, needs_reading
from sklinfluence.filtering._evidence._label_evidence import NOISE_ODDS, known_scores
from sklinfluence.filtering._inputs import unfrozen
from sklinfluence.gradient import InfluenceRanker

# What tells wrong labels best: by models that never saw the row, where there are any.
_BEST_FIRST = (
    NOISE_ODDS,
    "studentized",
    "staged_loo_loss",
    "loo_loss",
    "oob_loss",
    "self_influence",
)


def default_class_ranker(X, random_state):
    """What judges classes by a score of rankers' own where no ranker is given."""
    if not needs_reading(X):
        return InfluenceRanker()
    read = ReadColumns("LogisticRegression()", random_state)
    return InfluenceRanker(
        _WeighedPipeline([("read", read), ("head", LogisticRegression())])
    )


def default_regression_ranker(random_state=None):
    """The same of real targets.

    One row of 1e8 would leave the directions of all others without a curvature.
    """
    read = ReadColumns("Ridge()", random_state)
    return InfluenceRanker(_WeighedPipeline([("read", read), ("head", Ridge())]))


class _WeighedPipeline(Pipeline):
    """Columns that are read, and a head; weights go to both, whoever asks."""

    def fit(self, X, y=None, **params):
        weight = params.get("sample_weight", params.get("head__sample_weight"))
        params = {f"{name}__sample_weight": weight for name, _ in self.steps}
        with config_context(enable_metadata_routing=False):
            return super().fit(X, y, **(params if weight is not None else {}))


def takes_classes(ranker, y):
    """Whether a ranker, not fitted yet, will take y for class labels."""
    estimator = getattr(ranker, "estimator", None)
    if is_regressor(ranker) or (estimator is not None and is_regressor(estimator)):
        return False
    return estimator is not None or are_classes(y)


def score_to_ask(model, label_score):
    """The score that a fitted ranker or label model is asked for.

    Parameters
    ----------
    model : ranker or label model
        Fitted. Says which scores it gives by ``label_score_names_``; one that does
        not is asked for what it was told, or for the residual of leaving a row out.
    label_score : str
        "auto", or the name of one.

    Raises
    ------
    ValueError
        If the ranker does not give that score.
    """
    known = known_scores(model)
    if label_score == "auto":
        if known is None:
            return "loo_loss" if hasattr(model, "classes_") else "studentized"
        return next((name for name in _BEST_FIRST if name in known), known[0])
    if known is not None and label_score not in known:
        raise ValueError(
            f"label_score={label_score!r} is not one that "
            f"{type(unfrozen(model)).__name__} gives here. It gives "
            f"{', '.join(map(repr, known))}; 'auto' takes the best of them."
        )
    return label_score
