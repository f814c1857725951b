"""Displays of what a ranker or a filter found."""

from sklinfluence.inspection._detection_curve import DetectionCurveDisplay
from sklinfluence.inspection._diagnostics import diagnostics

__all__ = ["DetectionCurveDisplay", "diagnostics"]
