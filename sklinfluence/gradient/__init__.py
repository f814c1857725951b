"""Rankers from gradients."""

from sklinfluence._removal import NORMALIZATIONS
from sklinfluence.gradient._influence_ranker import InfluenceRanker
from sklinfluence.gradient._leave_one_out import (
    class_probabilities,
    leaving_together,
    observations,
)
from sklinfluence.gradient._representer_ranker import RepresenterRanker

__all__ = ["InfluenceRanker", "RepresenterRanker"]
