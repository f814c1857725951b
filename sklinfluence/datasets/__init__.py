"""Corruptions of training data whose truth is kept, to measure detectors with."""

from sklinfluence.datasets._backdoor import add_backdoor
from sklinfluence.datasets._labels import flip_labels
from sklinfluence.datasets._rows import take_labels
from sklinfluence.datasets._targets import corrupt_targets

__all__ = ["add_backdoor", "corrupt_targets", "flip_labels"]
