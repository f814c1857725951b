"""Deep networks through skorch, with the interface of everything else."""

from sklinfluence.deep._anomaly import TracInAnomalyDetector
from sklinfluence.deep._deep_influence import DeepInfluenceRanker
from sklinfluence.deep._embedding import SkorchEmbedding
from sklinfluence.deep._hydra import HydraRanker
from sklinfluence.deep._path._checkpoints import CheckpointRecorder
from sklinfluence.deep._sgd_influence import SGDInfluenceRanker
from sklinfluence.deep._tracin import TracInRanker

__all__ = [
    "CheckpointRecorder",
    "DeepInfluenceRanker",
    "HydraRanker",
    "SGDInfluenceRanker",
    "SkorchEmbedding",
    "TracInAnomalyDetector",
    "TracInRanker",
]
