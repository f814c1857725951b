"""Rankers from retraining."""

from sklinfluence.retraining._expected import ExpectedRanker

__all__ = ["ExpectedRanker"]
