"""What a filter does with given targets: classes or real values, by which score."""

from sklearn.base import is_regressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklinfluence._estimators import are_classes
from sklinfluence.base import BaseRanker
from sklinfluence.filtering._evidence import is_classification
from sklinfluence.filtering._label_models import NoiseAwareRanker, PooledLabelModel
from sklinfluence.filtering._winsorize import Winsorizer
from sklinfluence.gradient import InfluenceRanker


def default_regression_ranker():
    """What judges real targets where no ranker is given.

    One row of 1e8 would leave the directions of all others without a curvature.
    """
    return InfluenceRanker(make_pipeline(Winsorizer(), Ridge()))


def takes_classes(ranker, y):
    """Whether a ranker, not fitted yet, will take y for class labels."""
    estimator = getattr(ranker, "estimator", None)
    if estimator is not None and is_regressor(estimator):
        return False
    return estimator is not None or are_classes(y)


def auto_score(model):
    """The score that ``label_score="auto"`` stands for, by a fitted model."""
    if isinstance(model, PooledLabelModel | NoiseAwareRanker):
        return "auto"
    if not is_classification(model):
        return "studentized"
    known = model._known_label_scores() if isinstance(model, BaseRanker) else ()
    # A ranker of its own kind is asked for the leave-one-out loss.
    return "self_influence" if known and "loo_loss" not in known else "loo_loss"
