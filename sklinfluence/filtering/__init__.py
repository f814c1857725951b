"""Find mislabelled training rows, and train without them."""

from sklinfluence.filtering._filter import MislabelFilter
from sklinfluence.filtering._filtered import FilteredClassifier, FilteredRegressor
from sklinfluence.filtering._sampler import MislabelSampler

__all__ = [
    "FilteredClassifier",
    "FilteredRegressor",
    "MislabelFilter",
    "MislabelSampler",
]
