"""What cells of text stand for: numbers, holes, or themselves."""

import re

import numpy as np

from sklinfluence._spreadsheet import reads_as_number

# What pandas reads as a hole, in features; in the target these are labels.
HOLES = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
    + ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)
# Written like numbers, and meant as names: 0012.
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
_LARGEST_WHOLE = 2**53


def as_numbers(cells, decimal):
    """Floats, NaN for holes; None where a cell is no number, or a name in digits.

    Whole numbers that floats cannot tell apart are names too.
    """
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        cell = cell.strip()
        if cell in HOLES:
            continue
        if not is_number(cell, decimal):
            return None
        values[row] = float(cell.replace(decimal, "."))
    return values


def is_number(cell, decimal):
    """Whether a cell is a number, and not a name in digits."""
    if not reads_as_number(cell, decimal) or _LEADING_ZERO.match(cell):
        return False
    is_whole = cell.lstrip("+-").isdigit()
    return not is_whole or abs(int(cell)) < _LARGEST_WHOLE


def decimal_mark(columns, delimiter):
    """ "," where semicolons or tabs part the cells and a column is of such numbers."""
    if delimiter == ",":
        return "."
    for cells in columns:
        given = [cell.strip() for cell in cells if cell.strip() not in HOLES]
        if any("," in cell for cell in given):
            if all(reads_as_number(cell, ",") for cell in given):
                return ","
    return "."
