"""The filter's own models: each says of a row what it predicts without the row."""

from sklinfluence.filtering._votes._copies import (
    SharedSurrogate,
    distinct_objective,
    warn_about_copies,
)
from sklinfluence.filtering._votes._forest_vote import ForestVote, LeafMeans
from sklinfluence.filtering._votes._linear_surrogate import LinearSurrogate
from sklinfluence.filtering._votes._pooled_detector import (
    VOTES,
    PooledDetector,
    Views,
    check_pool,
    relative_weights,
    voters,
)
from sklinfluence.filtering._votes._target_votes import fit_targets

__all__ = [
    "VOTES",
    "ForestVote",
    "LeafMeans",
    "LinearSurrogate",
    "PooledDetector",
    "SharedSurrogate",
    "Views",
    "check_pool",
    "distinct_objective",
    "fit_targets",
    "relative_weights",
    "voters",
    "warn_about_copies",
]
