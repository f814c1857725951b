"""Parquet files: refused before they are read where they cannot fit, and corrected."""

from contextlib import contextmanager

from sklinfluence._command._bad_input import BadInput, one_line
from sklinfluence._command._memory import check_memory
from sklinfluence._messages import shown

# Of a cell, at the least: what a table that is read takes.
_CELL = 8


def parquet_columns(path):
    """Columns of a file by name, as text; holes are empty.

    Raises
    ------
    BadInput
        If pyarrow is not installed, the file is broken or too large, or has columns of
        lists or structures.
    """
    table = read_parquet(path)
    twice = sorted({n for n in table.column_names if table.column_names.count(n) > 1})
    if twice:
        raise BadInput(
            f"{path.name}: more than one column is named {shown(twice)}. Rename them."
        )
    return {
        name: [_text(value) for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def read_parquet(path):
    """The pyarrow table of a file whose footer was checked first."""
    with _told(path) as parquet:
        with parquet.ParquetFile(path) as file:
            _check_footer(path, file.metadata)
            table = file.read()
    nested = [f.name for f in table.schema if f.type.num_fields]
    if nested:
        raise BadInput(
            f"{path.name}: columns {shown(nested)} hold lists or structures. Leave "
            "them out of the file."
        )
    return table


def write_parquet(table, file):
    """Write a pyarrow table to an open file."""
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, file)


def _check_footer(path, metadata):
    # The footer may claim anything, and a small file may rightly hold many equal rows.
    check_memory(path, metadata.num_rows * max(metadata.num_columns, 1) * _CELL)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if sum(group.num_rows for group in groups) != metadata.num_rows:
        raise BadInput(
            f"{path.name} is broken: its footer claims {metadata.num_rows} rows, and "
            "its parts have others. Write it again."
        )


@contextmanager
def _told(path):
    """pyarrow's module, and what it says of broken files in one line."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BadInput(
            f"{path.name} is Parquet, which needs pyarrow: pip install "
            "'sklinfluence[report]'."
        ) from error
    try:
        yield pyarrow.parquet
    except (pyarrow.ArrowException, OSError) as error:
        what = one_line(error)[:160]
        raise BadInput(f"{path.name} is no whole Parquet file: {what}") from error


def _text(value):
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
