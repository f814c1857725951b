"""Influence functions and mislabel filters for scikit-learn estimators."""

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.model_selection import LeaveOneOutSearch
from sklinfluence.retraining import ExpectedRanker

__version__ = "0.1.0"

__all__ = [
    "ExpectedRanker",
    "FilteredClassifier",
    "FilteredRegressor",
    "InfluenceRanker",
    "LeaveOneOutSearch",
    "MislabelFilter",
    "MislabelSampler",
    "RepresenterRanker",
    "__version__",
]
