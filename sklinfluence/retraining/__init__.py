"""Rankers and valuers that retrain."""

from sklinfluence.retraining._ame import AMERanker
from sklinfluence.retraining._banzhaf import BanzhafRanker
from sklinfluence.retraining._consistency import consistency_score
from sklinfluence.retraining._data_oob import DataOOBRanker
from sklinfluence.retraining._downsampling import DownsamplingRanker
from sklinfluence.retraining._expected import ExpectedRanker
from sklinfluence.retraining._interaction import shapley_interaction
from sklinfluence.retraining._leave_one_out import LeaveOneOutRanker
from sklinfluence.retraining._shapley import ShapleyRanker

__all__ = [
    "AMERanker",
    "BanzhafRanker",
    "DataOOBRanker",
    "DownsamplingRanker",
    "ExpectedRanker",
    "LeaveOneOutRanker",
    "ShapleyRanker",
    "consistency_score",
    "shapley_interaction",
]
