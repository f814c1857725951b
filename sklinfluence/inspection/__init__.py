"""Displays of what a ranker or a filter found."""

from sklinfluence.inspection._detection_curve import DetectionCurveDisplay

__all__ = ["DetectionCurveDisplay"]
