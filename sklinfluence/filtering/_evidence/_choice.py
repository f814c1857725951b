"""Which model answers for the labels: a ranker, or a label model around one."""

from sklearn.base import is_regressor

from sklinfluence.filtering._evidence._any_estimator import (
    EstimatorLabelModel,
    EstimatorTargetModel,
    seeded,
)
from sklinfluence.filtering._evidence._given_ranker import (
    has_head,
    is_estimator,
    is_precomputed,
    refuse_score,
)
from sklinfluence.filtering._evidence._label_models import (
    NoiseAwareRanker,
    PooledLabelModel,
)
from sklinfluence.filtering._evidence._linear_evidence import leave_one_out_ranker
from sklinfluence.filtering._evidence._precomputed import (
    PrecomputedLabelModel,
    PrecomputedTargetModel,
    is_one_column,
    refuse_one_column,
)
from sklinfluence.filtering._evidence._steps import warn_about_steps
from sklinfluence.filtering._evidence._target_model import PooledTargetModel
from sklinfluence.filtering._evidence._task import (
    default_class_ranker,
    default_regression_ranker,
    takes_classes,
)
from sklinfluence.gradient import InfluenceRanker


def ranker_of(detector):
    """The ranker that was given, or the one that stands for none."""
    return InfluenceRanker() if detector.ranker is None else detector.ranker


def model_for(detector, rows, fdr):
    """What is fitted: a ranker, or a label model for ``label_score="auto"``.

    Parameters
    ----------
    detector : estimator
        With the parameters of `MislabelFilter`.
    rows : TrainingRows
    fdr : float or None
        Level at which real targets are left out of the fits; None: none is.

    Returns
    -------
    model : estimator
        Unfitted.
    """
    ranker, y = ranker_of(detector), rows.y
    if is_precomputed(ranker):
        return _precomputed_model(detector, rows)
    if is_estimator(ranker):
        return _estimator_model(detector, rows, fdr)
    if detector.cv is None and detector.ranker is not None:
        warn_about_steps(ranker, rows)
    if not takes_classes(ranker, y):
        return target_model(detector, fdr) if detector.ranker is None else ranker
    if detector.label_score != "auto":
        if detector.ranker is None:
            return default_class_ranker(rows.X, detector.random_state)
        return ranker
    if detector.ranker is None:
        pool = _parameters(detector, "pool", "n_jobs", "random_state")
        return PooledLabelModel(**pool, **_noise(detector))
    return NoiseAwareRanker(ranker, **_noise(detector)) if has_head(ranker) else ranker


def target_model(detector, fdr):
    """What judges real targets where no ranker is given.

    Parameters
    ----------
    detector : estimator
    fdr : float or None
        Level at which gross errors are left out of the fits; None: none is.

    Returns
    -------
    model : ranker
        Unfitted.
    """
    if detector.label_score not in ("auto", "studentized"):
        return default_regression_ranker(detector.random_state)
    pool = _parameters(detector, "pool", "n_jobs", "random_state")
    return PooledTargetModel(fdr=fdr, **pool)


def _estimator_model(detector, rows, fdr):
    """The cheapest honest evidence of a classifier or regressor."""
    estimator, is_real = detector.ranker, is_regressor(detector.ranker)
    refuse_score(estimator, detector.label_score, is_real)
    if detector.cv is None and rows.groups is None:
        ranker = leave_one_out_ranker(seeded(estimator, detector.random_state), rows)
        if ranker is not None:
            if is_real:
                return ranker
            return NoiseAwareRanker(ranker, **_noise(detector))
    held_out = _parameters(detector, "cv", "n_jobs", "random_state")
    if is_real:
        return EstimatorTargetModel(estimator, fdr=fdr, **held_out)
    return EstimatorLabelModel(estimator, **_noise(detector), **held_out)


def _precomputed_model(detector, rows):
    """What judges by probabilities, or predictions, that came as X."""
    is_real = is_one_column(rows.X)
    refuse_score(detector.ranker, detector.label_score, is_real)
    if is_real:
        refuse_one_column(rows.y)
        return PrecomputedTargetModel()
    return PrecomputedLabelModel(detector.classes, **_noise(detector))


def _noise(detector):
    return _parameters(detector, "noise", "n_rounds")


def _parameters(detector, *names):
    return {name: getattr(detector, name) for name in names}
