"""What the filter's own models read any table as: columns of numbers."""

from sklinfluence.filtering._columns._columns import ColumnReader
from sklinfluence.filtering._columns._representation import Representation
from sklinfluence.filtering._columns._winsorize import Winsorizer, value_range

__all__ = [
    "ColumnReader",
    "Representation",
    "Winsorizer",
    "value_range",
]
