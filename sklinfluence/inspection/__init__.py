"""Displays of what a ranker or a filter found."""

from sklinfluence.inspection._detection_curve import DetectionCurveDisplay
from sklinfluence.inspection._diagnostics import diagnostics
from sklinfluence.inspection._diagnostics_display import DiagnosticsDisplay
from sklinfluence.inspection._diverse import select_diverse
from sklinfluence.inspection._influence_display import InfluenceDisplay
from sklinfluence.inspection._noise_display import NoiseDisplay
from sklinfluence.inspection._proponents_display import ProponentsDisplay
from sklinfluence.inspection._removal_curve_display import RemovalCurveDisplay
from sklinfluence.inspection._report import LabelReport, read_summary

__all__ = [
    "DetectionCurveDisplay",
    "DiagnosticsDisplay",
    "InfluenceDisplay",
    "LabelReport",
    "NoiseDisplay",
    "ProponentsDisplay",
    "RemovalCurveDisplay",
    "diagnostics",
    "select_diverse",
]
