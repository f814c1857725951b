"""Rankers from gradients."""

from sklinfluence.gradient._diverse import select_diverse
from sklinfluence.gradient._expected import ExpectedRanker
from sklinfluence.gradient._influence_ranker import InfluenceRanker
from sklinfluence.gradient._representer_ranker import RepresenterRanker

__all__ = ["ExpectedRanker", "InfluenceRanker", "RepresenterRanker", "select_diverse"]
