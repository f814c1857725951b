"""What a person decided about suspected labels, put to use."""

import csv
import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d

from sklinfluence._messages import shown
from sklinfluence._sklearn_compat import HasMethods, StrOptions, validate_params
from sklinfluence._spreadsheet import label_text, unguard
from sklinfluence.datasets._rows import in_container, take_labels

_COLUMNS = ("row", "given_label", "verdict", "new_label")
_VERDICTS = ("wrong", "right", "unsure")
# Integers of more values than this are real targets: any number may be a new one.
_MAX_CLASSES = 20
# What a spreadsheet leaves of a number that it shows, relative.
_SHOWN_DIGITS = 1e-6


@validate_params(
    {
        "csv": [str, os.PathLike, HasMethods("read")],
        "y": ["array-like"],
        "wrong": [StrOptions({"relabel", "drop", "nothing"})],
    },
    prefer_skip_nested_validation=True,
)
def apply_review(
    csv: str | os.PathLike | TextIO,
    y: ArrayLike,
    wrong: Literal["relabel", "drop", "nothing"] = "relabel",
) -> tuple[Any, NDArray]:
    """Bring the verdicts of a reviewed report back to the labels.

    Every line of the review is held against `y` before anything is done. Only rows
    whose verdict is "wrong" are touched; "right" and "unsure" change nothing. Read more
    in the :ref:`User Guide <review>`.

    Parameters
    ----------
    csv : str, path or file
        The review: the file that the page of
        :class:`~sklinfluence.inspection.LabelReport` exports, or its text in an open
        file. UTF-8, columns ``row`` (position of the row, from 0), ``given_label``,
        ``verdict`` ("wrong", "right", "unsure" or empty) and ``new_label``, apart by
        commas, semicolons or tabs. Further columns are passed over.

    y : array-like of shape (n_samples,)
        The labels or targets that the report was about, in the same order.

    wrong : {'relabel', 'drop', 'nothing'}, default='relabel'
        What becomes of rows with a wrong label: they get the new one, and are not to be
        kept where the review has none; none of them is to be kept; or nothing does, and
        the review is only checked.

    Returns
    -------
    y : array-like of shape (n_samples,)
        The labels after the review, in the container of the given ones. Real targets
        become floats where a new one is no whole number.

    keep : ndarray of shape (n_samples,), dtype=bool
        Which rows to keep.

    Raises
    ------
    ValueError
        If the file is no review, a line names a row that is not there, or twice, or
        has another given label than `y`, or if a new label is none of the classes of
        `y` (real targets: no number). Each is named.

    See Also
    --------
    sklinfluence.inspection.LabelReport : The page whose verdicts these are.

    Examples
    --------
    >>> from io import StringIO
    >>> from sklinfluence.datasets import apply_review
    >>> review = StringIO(
    ...     "row,given_label,verdict,new_label\\n1,dog,wrong,cat\\n2,owl,right,\\n"
    ... )
    >>> apply_review(review, ["cat", "dog", "owl"])
    (['cat', 'cat', 'owl'], array([ True,  True,  True]))
    """
    labels = column_or_1d(y)
    known = _Numbers(labels) if _are_numbers(labels) else _Classes(labels)
    lines, decimal = _read(csv)
    _check_lines(lines, known, len(labels), decimal)
    keep = np.ones(len(labels), dtype=bool)
    news = {}
    for line in lines if wrong != "nothing" else []:
        if line.verdict != "wrong":
            continue
        if wrong == "relabel" and known.has(line.new_label):
            news[line.row] = line.new_label
        else:
            keep[line.row] = False
    return known.replaced(y, news, decimal), keep


@dataclass(frozen=True)
class _Line:
    row: int
    given_label: str
    verdict: str
    new_label: str


def _are_numbers(labels):
    """Whether any number may be a new label."""
    if labels.dtype.kind == "f":
        return True
    return labels.dtype.kind in "iu" and len(np.unique(labels)) > _MAX_CLASSES


class _Classes:
    """Labels that are classes: a new one is one of them."""

    def __init__(self, labels):
        self.texts = [label_text(label) for label in labels.tolist()]
        self.first = {}
        for row, text in enumerate(self.texts):
            self.first.setdefault(text, row)
        # What a spreadsheet or a form makes of a text: True is TRUE, a line break \n.
        self.loose = {}
        for text in self.first:
            self.loose.setdefault(_loosely(text), []).append(text)

    def fits(self, row, text, decimal):
        return self._known(text) == self.texts[row]

    def has(self, text):
        return self._known(text) is not None

    def refused(self, new, decimal):
        """New labels that are no class."""
        # An empty one says that none of the classes is right.
        unknown = {text for text in new if text and not self.has(text)}
        if unknown:
            return (
                f"new_label holds {shown(sorted(unknown))}, and the classes of y are "
                f"{shown(list(self.first))}. Write one of these, or leave it empty."
            )
        return None

    def replaced(self, y, news, decimal):
        source = np.arange(len(self.texts))
        for row, text in news.items():
            source[row] = self.first[self._known(text)]
        return take_labels(y, source)

    def _known(self, text):
        if text in self.first:
            return text
        alike = self.loose.get(_loosely(text), [])
        return alike[0] if len(alike) == 1 else None


def _loosely(text):
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.lower() if text.lower() in ("true", "false") else text


class _Numbers:
    """Real targets: a new one is any number."""

    def __init__(self, labels):
        self.values = labels

    def fits(self, row, text, decimal):
        value, given = _number(text, decimal), float(self.values[row])
        return value is not None and bool(
            np.isclose(value, given, rtol=_SHOWN_DIGITS, atol=0.0)
        )

    def has(self, text):
        return bool(text)

    def refused(self, new, decimal):
        """New targets that are no numbers."""
        unknown = {text for text in new if text and _number(text, decimal) is None}
        if unknown:
            return (
                f"new_label holds {shown(sorted(unknown))}, and y holds numbers. Write "
                "a number, or leave it empty."
            )
        return None

    def replaced(self, y, news, decimal):
        new = [_number(text, decimal) for text in news.values()]
        whole = all(value.is_integer() for value in new)
        values = self.values.astype(self.values.dtype if whole else float, copy=True)
        values[list(news)] = new
        if isinstance(y, list | tuple):
            return type(y)(values.tolist())
        return in_container(y, values)


def _number(text, decimal):
    try:
        value = float(text.replace(decimal, "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _read(file):
    """The lines of a review, and the decimal mark that goes with its delimiter."""
    text = file.read() if hasattr(file, "read") else _text_of(file)
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        table = [cells for cells in reader if any(cells)]
    except csv.Error as error:
        raise ValueError(
            f"The review breaks off in line {reader.line_num}: {error}. Export it "
            "again."
        ) from error
    head = table[0] if table else []
    missing = [name for name in _COLUMNS if name not in head]
    if missing:
        raise ValueError(
            f"The review has no column {shown(missing)}; its first line is "
            f"{shown(head)}. A review is what the report's page exports: "
            f"{','.join(_COLUMNS)}."
        )
    at = [head.index(name) for name in _COLUMNS]
    lines = [_line(number, cells, at) for number, cells in enumerate(table[1:], 2)]
    return lines, "," if delimiter == ";" else "."


def _text_of(path):
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not UTF-8 (byte {error.start}). Save the review "
            "as 'CSV UTF-8'."
        ) from error


def _line(number, cells, at):
    if len(cells) <= max(at):
        raise ValueError(
            f"Entry {number} of the review has {len(cells)} cells: {shown(cells)}. "
            f"Every one has {', '.join(_COLUMNS)}."
        )
    row, given_label, verdict, new_label = (unguard(cells[place]) for place in at)
    if not (row.isascii() and row.isdigit()):
        raise ValueError(
            f"Entry {number} of the review has {shown([row])} for a row: it is the "
            "position of a row, a whole number from 0."
        )
    return _Line(int(row), given_label, verdict.strip().lower(), new_label)


def _check_lines(lines, known, n_rows, decimal):
    """Refuse a review that is not about these labels."""
    verdicts = {line.verdict for line in lines} - {"", *_VERDICTS}
    if verdicts:
        raise ValueError(
            f"verdict holds {shown(sorted(verdicts))}; it is one of {shown(_VERDICTS)}."
        )
    absent = [line.row for line in lines if line.row >= n_rows]
    if absent:
        raise ValueError(
            f"The review names the rows {shown(absent)}, and y has {n_rows}. Is it "
            "about other data?"
        )
    rows, counts = np.unique([line.row for line in lines], return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"The review names the rows {shown(rows[counts > 1])} more than once. Keep "
            "one line of each."
        )
    unlike = [
        line.row
        for line in lines
        if not known.fits(line.row, line.given_label, decimal)
    ]
    if unlike:
        line = next(line for line in lines if line.row == unlike[0])
        raise ValueError(
            f"In {len(unlike)} rows the given label of the review is not that of y: "
            f"rows {shown(unlike)}. Row {line.row} of the review has "
            f"{shown([line.given_label])}. Is y in another order, or changed since?"
        )
    problem = known.refused(
        {line.new_label for line in lines if line.verdict == "wrong"}, decimal
    )
    if problem:
        raise ValueError(problem)
