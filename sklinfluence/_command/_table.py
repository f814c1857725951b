"""A file of rows as columns of text, from CSV or Parquet."""

from dataclasses import dataclass, field
from pathlib import Path

from sklinfluence._command._bad_input import BadInput
from sklinfluence._command._cells import decimal_mark
from sklinfluence._command._csv_text import CsvText
from sklinfluence._command._memory import check_memory
from sklinfluence._command._parquet import parquet_columns
from sklinfluence._messages import shown

# Text in Python takes up to this many times its bytes in the file.
_SPREAD = 10


@dataclass
class Table:
    """Columns of a file by name, every cell as the text that it is written as."""

    path: Path
    columns: dict
    delimiter: str = ","
    decimal: str = "."
    notes: list = field(default_factory=list)

    def __len__(self):
        return len(next(iter(self.columns.values())))


def read_table(path, encoding=None):
    """Read a CSV, or a Parquet file by its ending or its first bytes.

    Raises
    ------
    BadInput
        If the file is not there, is no table, or has no rows.
    """
    path = Path(path)
    table = _read_parquet(path) if is_parquet(path) else _read_csv(path, encoding)
    if not len(table):
        raise BadInput(f"{path.name} has column names and no rows.")
    return table


def is_parquet(path):
    """Whether a file is Parquet, by its ending or its first bytes."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return True
    return read_start(path) == b"PAR1"


def read_start(path):
    """The first bytes of a file that is there."""
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"{str(path)!r} cannot be read: {reason}.") from error


def _read_csv(path, encoding):
    check_memory(path, _SPREAD * path.stat().st_size)
    text = CsvText(path.name, path.read_bytes(), encoding)
    rows = [[cell.value for cell in record.cells] for record in text.records()]
    cells = map(list, zip(*rows, strict=True)) if rows else ([] for _ in text.header)
    columns = dict(zip(text.header, cells, strict=True))
    table = Table(path, columns, text.delimiter)
    table.decimal = decimal_mark(columns.values(), text.delimiter)
    if text.delimiter != ",":
        mark = {";": "semicolons", "\t": "tabs"}[text.delimiter]
        commas = " and numbers have decimal commas" if table.decimal == "," else ""
        table.notes.append(f"Cells of {path.name} are parted by {mark}{commas}.")
    return table


def _read_parquet(path):
    return Table(path, parquet_columns(path))


def check_names(table, option, names):
    """Refuse names that no column has."""
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise BadInput(
            f"{option}: there is no column {shown(absent)} in {table.path.name}; there "
            f"are {shown(list(table.columns))}."
        )
