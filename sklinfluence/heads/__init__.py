"""Fitted estimators read as an embedding and a linear last layer."""

# The adapters enter themselves in linear_head's registry when they are imported.
from sklinfluence.heads import (  # noqa: F401
    _l1,
    _least_squares,
    _logistic,
    _mlp,
    _pipeline,
    _sgd,
)
from sklinfluence.heads._linear_head import LinearHead, linear_head

__all__ = ["LinearHead", "linear_head"]
