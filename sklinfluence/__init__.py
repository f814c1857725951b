"""Influence functions and mislabel filters for scikit-learn estimators."""

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker

__version__ = "0.1.0"

__all__ = [
    "FilteredClassifier",
    "FilteredRegressor",
    "InfluenceRanker",
    "MislabelFilter",
    "MislabelSampler",
    "__version__",
]
