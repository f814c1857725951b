"""suspects.csv: the flagged rows, worst first, with the data as it was written."""

import csv
import io

import numpy as np

from sklinfluence._messages import shown
from sklinfluence._spreadsheet import guard

_OWN = ("row", "score", "given_label", "suggested_label")


def suspects_csv(table, target, cells, found, hide, said):
    """The file's bytes, in the delimiter and decimal style of the data.

    Parameters
    ----------
    table : Table
    target : Target
    cells : list of str
        Of the target, as written.
    found : MislabelFilter
        Fitted.
    hide : list of str
        Names of columns that are left out.
    said : Said
    """
    names = [name for name in table.columns if name not in hide]
    lines = [[*_OWN, *_renamed(names, said)]]
    for row in _worst_first(found):
        score = number_text(found.scores_[row], table.decimal)
        suggested = found.suggested_labels_[row]
        if not target.is_classification:
            suggested = number_text(suggested, table.decimal)
        own = [str(row), score, cells[row], suggested]
        lines.append([*own, *(table.columns[name][row] for name in names)])
    guarded = [[guard(cell, table.decimal) for cell in line] for line in lines]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=table.delimiter, lineterminator="\r\n").writerows(
        guarded
    )
    text = buffer.getvalue()
    # Spreadsheets know UTF-8 by its mark; where it says nothing it stays away.
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def number_text(value, decimal):
    """A number in the file's decimal style, whole ones without a point."""
    value = float(value)
    if value.is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"
    return repr(value).replace(".", decimal)


def _worst_first(found):
    order = np.argsort(-found.scores_, kind="stable")
    return order[~found.get_support()[order]].tolist()


def _renamed(names, said):
    """Names of the data's columns, apart from the file's own."""
    taken, renamed = {*_OWN, *names}, []
    for name in names:
        new = name
        while new in _OWN or (new != name and new in taken):
            new = f"data_{new}"
        if new != name:
            taken.add(new)
            said.note(
                f"Column {shown([name])} of the data is {shown([new])} in the output."
            )
        renamed.append(new)
    return renamed
