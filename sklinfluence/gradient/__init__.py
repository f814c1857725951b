"""Rankers from gradients."""

from sklinfluence.gradient._influence_ranker import InfluenceRanker

__all__ = ["InfluenceRanker"]
