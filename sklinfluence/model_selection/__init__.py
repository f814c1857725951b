"""Choosing an estimator's parameters by leave-one-out, at one fit a candidate."""

from sklinfluence.model_selection._search import LeaveOneOutSearch

__all__ = ["LeaveOneOutSearch"]
