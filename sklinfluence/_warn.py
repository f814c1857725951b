"""Warnings that point at the line of the user's that led to them."""

import sys
import warnings

# Frames of these between a warning and its cause are nobody's code who reads it.
_PASSED_OVER = ("sklinfluence", "sklearn", "contextlib")


def warn_user(message, category=UserWarning):
    """A warning at the first line outside of this package and scikit-learn."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame) in _PASSED_OVER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
