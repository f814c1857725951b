"""The page on suspected labels: what was found, for people to review."""

from sklinfluence.inspection._report._label_report import LabelReport
from sklinfluence.inspection._report._summary import read_summary

__all__ = ["LabelReport"]
