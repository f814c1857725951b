"""``sklinfluence apply``: a review brought back to the file that it is about."""

import io
from pathlib import Path

import numpy as np

from sklinfluence._command._bad_input import BadInput
from sklinfluence._command._csv_text import CsvText
from sklinfluence._command._parquet import parquet_columns, read_parquet, write_parquet
from sklinfluence._command._say import Said
from sklinfluence._command._suspects_csv import number_text
from sklinfluence._command._table import check_names, is_parquet, read_start, read_table
from sklinfluence._command._target import read_target
from sklinfluence._command._write import Outputs, check_place
from sklinfluence.datasets import apply_review


def apply(asked):
    """Run the subcommand."""
    said = Said()
    check_place("--output", asked.output, asked.data, asked.review)
    path = Path(asked.data)
    read_start(path)
    table = read_table(path, asked.encoding)
    check_names(table, "--target", [asked.target])
    cells = table.columns[asked.target]
    target = read_target(asked.target, cells, asked.task, table.decimal)
    said.note(target.note)
    read_start(Path(asked.review))
    new, keep = apply_review(asked.review, target.y, wrong=asked.wrong)
    changes = {
        row: _written(new[row], cells[row], target, table.decimal)
        for row in np.flatnonzero(keep & (new != target.y)).tolist()
    }
    write = _changed_parquet if is_parquet(path) else _changed_csv
    data = write(asked, path, changes, keep)
    with Outputs() as outputs:
        outputs.write(asked.output, data)
        outputs.commit()
    said.say_notes()
    print(
        f"{asked.output}: {len(changes)} of {len(keep)} rows have a new label, "
        f"{np.count_nonzero(~keep)} are left out."
    )
    return 0


def _written(value, cell, target, decimal):
    """A new label as the file would have it."""
    return value if target.is_classification else number_text(value, decimal)


def _changed_csv(asked, path, changes, keep):
    """The file's bytes but for the changed cells and the dropped rows."""
    source = CsvText(path.name, path.read_bytes(), asked.encoding)
    column = source.header.index(asked.target)
    parts, at = [], 0
    for row, record in enumerate(source.records()):
        if not keep[row]:
            parts.append(source.text[at : record.start])
            at = record.end
        elif row in changes:
            cell = record.cells[column]
            parts += [source.text[at : cell.start], source.written(changes[row], cell)]
            at = cell.end
    text = "".join([*parts, source.text[at:]])
    return text.encode(source.encoding)


def _changed_parquet(asked, path, changes, keep):
    """The table with its schema, new values taken from where they stand already."""
    import pyarrow

    table = read_parquet(path)
    number = table.column_names.index(asked.target)
    column = table.column(number)
    values = column.to_pylist()
    texts = parquet_columns(path)[asked.target]
    known = dict(zip(texts, values, strict=True))
    for row, text in changes.items():
        values[row] = known[text] if text in known else float(text)
    try:
        new = pyarrow.array(values, type=column.type)
    except (pyarrow.ArrowException, TypeError) as error:
        raise BadInput(
            f"{path.name}: {asked.target} holds {column.type}, and a new label is none."
        ) from error
    table = table.set_column(number, table.schema.field(number), new)
    buffer = io.BytesIO()
    write_parquet(table.filter(pyarrow.array(keep)), buffer)
    return buffer.getvalue()
