"""The filter's own models: each says of a row what it predicts without the row."""

from sklinfluence.filtering._votes._copies import (
    SharedSurrogate,
    distinct_objective,
    warn_about_copies,
    weighing_once,
)
from sklinfluence.filtering._votes._forest_vote import ForestVote, LeafMeans
from sklinfluence.filtering._votes._leave_one_out import MAX_LEVERAGE
from sklinfluence.filtering._votes._linear_search import (
    FREE,
    LOG10_C_BOUNDS,
    RIDGE_PENALTIES,
    downhill,
)
from sklinfluence.filtering._votes._linear_surrogate import (
    MAX_COUPLED,
    LinearModel,
    LinearSurrogate,
    ScaledAxes,
    class_log_proba,
    minimize_lbfgs,
)
from sklinfluence.filtering._votes._pooled_detector import (
    VOTES,
    PooledDetector,
    Views,
    VoteModel,
    check_pool,
    relative_weights,
    voters,
)
from sklinfluence.filtering._votes._rbf_ridge import (
    GAMMAS,
    PENALTIES,
    WIDTH_LANDMARKS,
    RBFModel,
    distinct_landmarks,
    kernel,
    kernel_factor,
    median_distance,
)
from sklinfluence.filtering._votes._ridge_smoother import MIN_SLACK
from sklinfluence.filtering._votes._target_votes import fit_targets

__all__ = [
    "FREE",
    "GAMMAS",
    "LOG10_C_BOUNDS",
    "MAX_COUPLED",
    "MAX_LEVERAGE",
    "MIN_SLACK",
    "PENALTIES",
    "RIDGE_PENALTIES",
    "VOTES",
    "WIDTH_LANDMARKS",
    "LinearModel",
    "LinearSurrogate",
    "PooledDetector",
    "RBFModel",
    "ScaledAxes",
    "SharedSurrogate",
    "Views",
    "VoteModel",
    "check_pool",
    "class_log_proba",
    "distinct_landmarks",
    "distinct_objective",
    "downhill",
    "fit_targets",
    "kernel",
    "kernel_factor",
    "median_distance",
    "minimize_lbfgs",
    "relative_weights",
    "voters",
    "warn_about_copies",
    "weighing_once",
]
