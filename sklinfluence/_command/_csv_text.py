"""A CSV file cell by cell, with their places: what is not changed stays as it is."""

import codecs
import re
from dataclasses import dataclass

from sklinfluence._command._bad_input import BadInput
from sklinfluence._messages import shown

_BOM = "\ufeff"
# Files with a byte order mark: the codec that leaves it where it is.
_MARKED = (
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}


@dataclass(frozen=True)
class Cell:
    """A cell: what it says, and from where to where it is written."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Record:
    """A line of the table: its number in the file, its cells, its place."""

    line: int
    cells: list
    start: int
    end: int


class CsvText:
    """The text of a CSV file.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    data : bytes
    encoding : str or None
        None is UTF-8.

    Attributes
    ----------
    header : list of str
    delimiter : str
        A comma; a semicolon or a tab where the first line has these and no comma.

    Raises
    ------
    BadInput
        If the file is empty, not in its encoding, or its first line names a column
        twice.
    """

    def __init__(self, name, data, encoding=None):
        self.name = name
        self.text, self.encoding = _decoded(name, data, encoding)
        first = self.text.lstrip(_BOM + "\r\n")
        if not first.strip():
            raise BadInput(f"{name} is empty: it needs a first line of column names.")
        head = re.split("[\r\n]", first, maxsplit=1)[0]
        self.delimiter = ","
        if "," not in head and max(head.count(";"), head.count("\t")):
            self.delimiter = max(";\t", key=head.count)
        self._field = _field_pattern(self.delimiter)
        self._records = self._read()
        self.header = [cell.value for cell in next(self._records).cells]
        twice = sorted({n for n in self.header if self.header.count(n) > 1})
        if twice:
            raise BadInput(
                f"{name}: more than one column is named {shown(twice)}. Rename them."
            )

    def records(self):
        """The lines after the first, blank ones passed over; once.

        Raises
        ------
        BadInput
            At a line with more or fewer cells than columns, or an open quote.
        """
        n_columns = len(self.header)
        for record in self._records:
            if len(record.cells) != n_columns:
                raise BadInput(
                    f"{self.name}: line {record.line} has {len(record.cells)} cells, "
                    f"and the first line names {n_columns} columns. Put cells that "
                    f"hold {self.delimiter!r} between double quotes."
                )
            yield record

    def written(self, value, place):
        """A new value as it is written in the place of a cell, quoted as it was."""
        was_quoted = self.text[place.start : place.start + 1] == '"'
        needs_quotes = re.search(f'[{re.escape(self.delimiter)}"\r\n]', value)
        if was_quoted or needs_quotes:
            return '"' + value.replace('"', '""') + '"'
        return value

    def _read(self):
        text, at, line = self.text, len(_BOM) * self.text.startswith(_BOM), 1
        while at < len(text):
            record = self._record(at, line)
            if not (
                len(record.cells) == 1 and record.cells[0].start == record.cells[0].end
            ):
                yield record
            line += _n_lines(text, record.start, record.end)
            at = record.end

    def _record(self, start, line):
        cells, at = [], start
        while True:
            match = self._field.match(self.text, at)
            if match is None:
                raise self._broken(at, line + _n_lines(self.text, start, at))
            quoted, plain, end = match.groups()
            value = plain if quoted is None else quoted.replace('""', '"')
            cells.append(Cell(value, at, match.start(3)))
            at = match.end()
            if end != self.delimiter:
                return Record(line, cells, start, at)

    def _broken(self, at, line):
        is_open = re.compile(r'"[^"]*(?:""[^"]*)*\Z').match(self.text, at)
        what = (
            "opens a quote that is never closed"
            if is_open
            else "has text after a quote"
        )
        return BadInput(
            f"{self.name}: line {line} {what}. A quote inside a quoted cell is written "
            "twice."
        )


def _field_pattern(delimiter):
    mark = re.escape(delimiter)
    quoted, plain = r'"([^"]*(?:""[^"]*)*)"', rf'([^"{mark}\r\n][^{mark}\r\n]*|)'
    return re.compile(rf"(?:{quoted}|{plain})({mark}|\r\n|\n|\r|\Z)")


def _n_lines(text, start, end):
    n_pairs = text.count("\r\n", start, end)
    return text.count("\n", start, end) + text.count("\r", start, end) - n_pairs


def _decoded(name, data, encoding):
    """The text, byte order mark included, and the codec that gives the bytes back."""
    codec = encoding or "utf-8"
    try:
        codec = codecs.lookup(codec).name
    except LookupError as error:
        raise BadInput(f"There is no encoding {codec!r}: utf-8, latin-1 ...") from error
    if codec in _WITHOUT_MARK:
        marked = [own for mark, own in _MARKED if data.startswith(mark)]
        codec = (marked if codec == "utf-16" else []) or [_WITHOUT_MARK[codec]]
        codec = codec[0]
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{name}: line {line} is not {codec} (byte {data[error.start]:#04x}). Save "
            "the file as 'CSV UTF-8', or say what it is: --encoding latin-1, cp1252, "
            "utf-16 ..."
        ) from error
    if "\0" in text or text.encode(codec) != data:
        raise BadInput(
            f"{name} is no text in {codec}. If it is one of 16 bits a letter, say so: "
            "--encoding utf-16."
        )
    return text, codec
