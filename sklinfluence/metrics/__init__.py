"""How good a ranking is: stability between models, detection of poisoned rows."""

from sklinfluence.metrics._poisoning import poisoning_ratio
from sklinfluence.metrics._stability import stability

__all__ = ["poisoning_ratio", "stability"]
