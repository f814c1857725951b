"""Values of training rows to a nearest-neighbours model, in closed form."""

from sklinfluence.neighbors._leave_one_out import KNNLeaveOneOutRanker
from sklinfluence.neighbors._shapley import KNNShapleyRanker

__all__ = ["KNNLeaveOneOutRanker", "KNNShapleyRanker"]
