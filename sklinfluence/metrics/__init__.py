"""How good a ranking is: detection, fidelity to retraining, stability, poisoning."""

from sklinfluence.metrics._detection_curve import check_truth, detection_curve
from sklinfluence.metrics._fidelity import lds, loo_correlation
from sklinfluence.metrics._flip_detection import flip_detection_scorer
from sklinfluence.metrics._layers import layers
from sklinfluence.metrics._metric_influence import metric_influence
from sklinfluence.metrics._pbrf import pbrf
from sklinfluence.metrics._poisoning import poisoning_ratio
from sklinfluence.metrics._stability import stability

__all__ = [
    "detection_curve",
    "flip_detection_scorer",
    "lds",
    "loo_correlation",
    "metric_influence",
    "pbrf",
    "poisoning_ratio",
    "stability",
]
