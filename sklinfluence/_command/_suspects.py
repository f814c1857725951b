"""``sklinfluence suspects``: which labels of a file look wrong."""

import json
import tempfile
from pathlib import Path

import numpy as np

from sklinfluence._command._bad_input import BadInput
from sklinfluence._command._features import (
    empty_columns,
    only_text,
    typed_frame,
    unnamed_first,
)
from sklinfluence._command._models import fit_filter
from sklinfluence._command._say import Said, said_by_libraries
from sklinfluence._command._suspects_csv import suspects_csv
from sklinfluence._command._table import check_names, read_table
from sklinfluence._command._target import read_target
from sklinfluence._command._write import Outputs, check_place
from sklinfluence._messages import shown
from sklinfluence.inspection import LabelReport, read_summary


def suspects(asked):
    """Run the subcommand; 1 if more is flagged than ``--fail-over`` allows, else 0."""
    said = Said(asked.hide)
    _check_places(asked)
    said.progress("reading")
    table = read_table(asked.data, asked.encoding)
    _check_columns(table, asked)
    cells = table.columns[asked.target]
    target = read_target(asked.target, cells, asked.task, table.decimal)
    for note in (*table.notes, target.note):
        said.note(note)
    features = _features(table, asked, said)
    said.progress("looking for wrong labels")
    with said_by_libraries(said):
        found, X = fit_filter(_without_empty(features, said), target, asked.model)
    said.progress("writing")
    with Outputs() as outputs:
        if asked.output:
            data = suspects_csv(table, target, cells, found, asked.hide, said)
            outputs.write(asked.output, data)
        if asked.report:
            outputs.write(asked.report, _report(table, target, found, X, asked))
        outputs.commit()
    said.say_notes()
    share = float(np.mean(~found.get_support()))
    print(
        _json(asked, target, found, share, said) if asked.json else _text(asked, found)
    )
    return int(asked.fail_over is not None and share > asked.fail_over)


def _check_places(asked):
    check_place("--output", asked.output, asked.data)
    check_place("--report", asked.report, asked.data)
    places = [Path(place).resolve() for place in (asked.output, asked.report) if place]
    if len(places) > len(set(places)):
        raise BadInput("--output and --report name one file. Name two.")


def _check_columns(table, asked):
    check_names(table, "--target", [asked.target])
    for option, names in (("--ignore", asked.ignore), ("--hide", asked.hide)):
        check_names(table, option, names)
        if asked.target in names:
            raise BadInput(
                f"{option} {asked.target}: this is the target. Leave it out."
            )


def _features(table, asked, said):
    """Columns for the models: all but the target, ignored ones, a nameless index."""
    left_out = {asked.target, *asked.ignore}
    unnamed = unnamed_first(table.columns)
    if unnamed is not None and unnamed not in left_out:
        left_out.add(unnamed)
        called = f" ({shown([unnamed])})" if unnamed else ""
        note = f"The first column has no name{called} and is kept out of the models."
        said.note(note, unnamed)
    features = {n: cells for n, cells in table.columns.items() if n not in left_out}
    if not features:
        raise BadInput("No column is left beside the target for the models to look at.")
    return typed_frame(features, table.decimal)


def _without_empty(frame, said):
    empty = empty_columns(frame)
    if len(empty) == frame.shape[1]:
        raise BadInput("All columns beside the target are empty.")
    for name in empty:
        said.note(
            f"Column {shown([name])} is empty and tells the models nothing.", name
        )
    return frame.drop(columns=empty)


def _report(table, target, found, X, asked):
    """The page's bytes: of all columns but the target and the hidden ones."""
    out = {asked.target, *asked.hide}
    columns = {n: cells for n, cells in table.columns.items() if n not in out}
    frame = (
        typed_frame(columns, table.decimal) if columns else np.empty((len(table), 0))
    )
    texts = only_text(frame) if columns else None
    thing = {"columns": frame} if texts is None else {"texts": texts}
    report = LabelReport.from_filter(found, X, target.y, **thing)
    with tempfile.TemporaryDirectory() as folder:
        return report.write_html(Path(folder) / "report.html").read_bytes()


def _text(asked, found):
    """The summary for people."""
    written = [
        f"{place} is written." for place in (asked.output, asked.report) if place
    ]
    return "\n".join([found.summary(), *written])


def _json(asked, target, found, share, said):
    """The summary as one JSON object."""
    flags = ~found.get_support()
    wrong, _, _ = read_summary(found.summary())
    summary = {
        "rows": len(flags),
        "flagged": int(flags.sum()),
        "share": share,
        "expected_wrong": None if wrong is None else float(wrong.rstrip("%")) / 100,
        "task": target.task,
        "evidence": found.evidence_,
        "classes": _by_class(target, flags),
        "output": asked.output,
        "report": asked.report,
        "notes": said.notes,
    }
    return json.dumps(summary, ensure_ascii=True)


def _by_class(target, flags):
    if not target.is_classification:
        return None
    classes, codes = np.unique(target.y, return_inverse=True)
    n_flagged = np.bincount(codes, weights=flags)
    return [
        {"label": label, "rows": int(rows), "flagged": int(flagged)}
        for label, rows, flagged in zip(
            classes, np.bincount(codes), n_flagged, strict=True
        )
    ]
