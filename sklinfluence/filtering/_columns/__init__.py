"""What the filter's own models read any table as: columns of numbers."""

from sklinfluence.filtering._columns._columns import ColumnReader
from sklinfluence.filtering._columns._read_columns import ReadColumns, needs_reading
from sklinfluence.filtering._columns._representation import (
    MAX_COLUMNS,
    Representation,
)
from sklinfluence.filtering._columns._winsorize import (
    MAX_OUTLIER_SHARE,
    MAX_SPREAD,
    value_range,
)

__all__ = [
    "MAX_COLUMNS",
    "MAX_OUTLIER_SHARE",
    "MAX_SPREAD",
    "ColumnReader",
    "ReadColumns",
    "Representation",
    "needs_reading",
    "value_range",
]
