"""Fitted estimators read as an embedding and a linear last layer."""

# The adapters enter themselves in linear_head's registry when they are imported.
from sklinfluence.heads import (
    _l1,
    _least_squares,
    _logistic,
    _mlp,
    _pipeline,
    _sgd,
)
from sklinfluence.heads._l1 import on_active_columns
from sklinfluence.heads._linear_head import LinearHead, linear_head
from sklinfluence.heads._logistic import _l1_share
from sklinfluence.heads._pipeline import _search_head

__all__ = ["LinearHead", "linear_head"]
