"""What training rows mean to fitted tree ensembles: boosting and forests."""

from sklinfluence.trees import _gradient_boosting, _hist_gradient_boosting
from sklinfluence.trees._boostin import BoostInRanker
from sklinfluence.trees._embedding import LeafEmbedding
from sklinfluence.trees._forest_ranker import ForestRanker
from sklinfluence.trees._leaf_influence import LeafInfluenceRanker
from sklinfluence.trees._leaf_refit import LeafRefitRanker
from sklinfluence.trees._trex import TrexRanker

__all__ = [
    "BoostInRanker",
    "ForestRanker",
    "LeafEmbedding",
    "LeafInfluenceRanker",
    "LeafRefitRanker",
    "TrexRanker",
]
