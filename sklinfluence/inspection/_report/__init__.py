"""The page on suspected labels: what was found, written so that people can review it."""

from sklinfluence.inspection._report._label_report import LabelReport

__all__ = ["LabelReport"]
