"""The target: labels as they are written, or numbers."""

from dataclasses import dataclass

import numpy as np

from sklinfluence._command._bad_input import BadInput
from sklinfluence._command._cells import is_number
from sklinfluence._messages import shown

# Whole numbers of at most so many values are classes, if values repeat.
_MAX_CLASSES = 20


@dataclass(frozen=True)
class Target:
    """What the filter is fitted to, and how the task was found out."""

    y: np.ndarray
    is_classification: bool
    note: str

    @property
    def task(self):
        """The task as the command line names it."""
        return "classification" if self.is_classification else "regression"


def read_target(name, cells, task, decimal):
    """Labels as text, or all cells as numbers.

    Parameters
    ----------
    name : str
        Of the column.
    cells : list of str
    task : {"classification", "regression"} or None
    decimal : str

    Raises
    ------
    BadInput
        If there is one class, a number is wanted and a cell is none, or empty cells
        stand among numbers.
    """
    are_numbers = np.array([is_number(cell.strip(), decimal) for cell in cells])
    values = set(cells)
    if task is None:
        task, why = _guess(name, cells, are_numbers, values, decimal)
    else:
        why = "as --task says"
    other = "regression" if task == "classification" else "classification"
    note = f"Task: {task} ({why}; --task {other} overrules)."
    if task == "classification":
        if len(values) < 2:
            raise BadInput(
                f"--target {name}: all rows have one class, {shown(values)}. There is "
                "nothing to tell it from."
            )
        return Target(np.array(cells, dtype=object), True, note)
    if not are_numbers.all():
        at = np.flatnonzero(~are_numbers)
        raise BadInput(
            f"--target {name}: {len(at)} cells are no numbers, {shown(cells[at[0]])} "
            f"in row {at[0]} among them. Fill or drop these rows, or use --task "
            "classification."
        )
    y = np.array([float(cell.strip().replace(decimal, ".")) for cell in cells])
    if not np.isfinite(y).all():
        raise BadInput(f"--target {name}: numbers too large for a computer's.")
    return Target(y, False, note)


def _guess(name, cells, are_numbers, values, decimal):
    """The task by what the cells look like, and why."""
    empty = [row for row, cell in enumerate(cells) if not cell.strip()]
    given = len(cells) - len(empty)
    if empty and are_numbers.sum() == given and len(values) - 1 > _MAX_CLASSES:
        raise BadInput(
            f"--target {name}: {len(empty)} cells are empty, rows {shown(empty)}, and "
            "the others are numbers. Fill or drop these rows."
        )
    if not are_numbers.all():
        return "classification", f"{len(values)} different texts in {name!r}"
    are_whole = all(float(cell.replace(decimal, ".")).is_integer() for cell in values)
    repeat = len(values) < len(cells)
    if are_whole and repeat and len(values) <= _MAX_CLASSES:
        return "classification", f"{len(values)} different whole numbers in {name!r}"
    return "regression", f"{len(values)} different numbers in {name!r}"
