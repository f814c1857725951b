"""Displays of what a ranker or a filter found."""

from sklinfluence.inspection._detection_curve import DetectionCurveDisplay
from sklinfluence.inspection._diagnostics import diagnostics
from sklinfluence.inspection._diverse import select_diverse
from sklinfluence.inspection._report import LabelReport, read_summary

__all__ = ["DetectionCurveDisplay", "LabelReport", "diagnostics", "select_diverse"]
