"""Columns as the models take them: numbers with holes, and text."""

import re

from sklinfluence._command._cells import HOLES, as_numbers

# What a table's own index is called where it was written along.
_UNNAMED = re.compile(r"(Unnamed: 0(\.[0-9]+)?|__index_level_0__|)")


def unnamed_first(columns):
    """The name of a first column that has none, else None."""
    first = next(iter(columns))
    return first if _UNNAMED.fullmatch(first) else None


def typed_frame(columns, decimal):
    """A data frame of columns: floats where all cells are numbers, else text."""
    import pandas

    series = {name: _typed(cells, decimal) for name, cells in columns.items()}
    return pandas.DataFrame(series)


def _typed(cells, decimal):
    import pandas

    numbers = as_numbers(cells, decimal)
    if numbers is None and decimal == ",":
        numbers = as_numbers(cells, ".")
    if numbers is not None:
        return pandas.Series(numbers)
    texts = [None if cell.strip() in HOLES else cell for cell in cells]
    return pandas.Series(texts, dtype="str")


def empty_columns(frame):
    """Names of columns in which every cell is a hole."""
    return [name for name in frame.columns if frame[name].isna().all()]


def only_text(frame):
    """The one column of a frame, where it is of text that is no category; else None."""
    if frame.shape[1] != 1:
        return None
    column = frame.iloc[:, 0]
    is_text = column.dtype.kind not in "fiub" and column.nunique() > len(column) / 2
    return column.fillna("").tolist() if is_text else None
