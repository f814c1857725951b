"""Corruptions whose truth is kept, to measure detectors with; reviews of labels."""

from sklinfluence.datasets._backdoor import add_backdoor
from sklinfluence.datasets._labels import flip_labels
from sklinfluence.datasets._review import apply_review
from sklinfluence.datasets._rows import take_labels
from sklinfluence.datasets._targets import corrupt_targets

__all__ = ["add_backdoor", "apply_review", "corrupt_targets", "flip_labels"]
