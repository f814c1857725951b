"""``sklinfluence suspects``: what a user wants of every kind of file."""

import csv
import io
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from sklinfluence._command import main
from sklinfluence.filtering import MislabelFilter

pytest.importorskip("skrub")
pytest.importorskip("jinja2")


def rows(n=60, labels=("no", "yes"), seed=0, wrong=(3, 10)):
    """Lines of x, colour and a label that x tells, two of which are wrong."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(2, size=n)
    x = codes * 4 + rng.normal(size=n)
    given = codes.copy()
    given[list(wrong)] = 1 - given[list(wrong)]
    colours = ("red", "blue")
    return [
        [f"{value:.3f}", colours[code], labels[label]]
        for value, code, label in zip(x, codes, given, strict=True)
    ]


def as_csv(lines, head=("x", "colour", "label"), mark=",", quoting=csv.QUOTE_MINIMAL):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=mark, lineterminator="\n", quoting=quoting)
    writer.writerows([head, *lines])
    return out.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, model="linear"):
    model = ("--model", model) if model else ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return main(["suspects", *arguments, *model])


def read(path, mark=","):
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))


def test_the_flagged_rows_worst_first_with_their_data(folder, capsys):
    lines = rows()
    (folder / "data.csv").write_text(as_csv(lines))
    assert run("data.csv", "--target", "label", "--output", "suspects.csv") == 0
    head, *found = read(folder / "suspects.csv")
    own = ["row", "score", "given_label", "suggested_label"]
    assert head == [*own, "x", "colour", "label"]
    assert {int(line[0]) for line in found} >= {3, 10}
    scores = [float(line[1]) for line in found]
    assert scores == sorted(scores, reverse=True)
    for row, _, given, suggested, *data in found:
        assert data == lines[int(row)]
        assert given == data[2] != suggested
    out, err = capsys.readouterr()
    assert f"60 rows, {len(found)} flagged" in out
    assert "Task: classification" in err and "--task regression overrules" in err
    assert sorted(os.listdir(folder)) == ["data.csv", "suspects.csv"]


@pytest.mark.parametrize("model", [None, "forest", "boosting"])
def test_every_model_finds_them(folder, capsys, model):
    (folder / "data.csv").write_text(as_csv(rows(n=100)))
    assert run("data.csv", "--target", "label", "--json", model=model) == 0
    assert json.loads(capsys.readouterr().out)["flagged"] >= 2
    assert os.listdir(folder) == ["data.csv"]


def test_one_json_object_and_nothing_else_on_standard_output(folder, capsys):
    (folder / "data.csv").write_text(as_csv(rows()))
    asked = ["data.csv", "--target", "label", "--json", "--report", "r.html"]
    assert run(*asked) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["rows"] == 60
    assert summary["share"] == summary["flagged"] / 60
    assert summary["task"] == "classification"
    assert [c["label"] for c in summary["classes"]] == ["no", "yes"]
    assert sum(c["flagged"] for c in summary["classes"]) == summary["flagged"]
    assert summary["report"] == "r.html" and summary["output"] is None
    assert "Suspected label errors" in (folder / "r.html").read_text()


@pytest.mark.parametrize(("share", "code"), [("0.5", 0), ("0.01", 1), ("0", 1)])
def test_a_gate_by_the_share_that_still_writes(folder, share, code):
    (folder / "data.csv").write_text(as_csv(rows()))
    asked = ["data.csv", "--target", "label", "--output", "s.csv", "--fail-over", share]
    assert run(*asked) == code
    assert (folder / "s.csv").exists()


@pytest.mark.parametrize("labels", [("NA", "None"), ("0012", "0013"), ("null", "")])
def test_labels_are_text_as_written(folder, labels):
    lines = rows(labels=labels)
    (folder / "data.csv").write_text(as_csv(lines))
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 0
    given = {line[2] for line in read(folder / "s.csv")[1:]}
    assert given and given <= set(labels)


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([1, 2], "classification"),
        (["1", "2"], "classification"),
        (list(range(20)), "classification"),
        (list(range(21)), "regression"),
        ([0.5, 1.5], "regression"),
        (["01", "02"], "classification"),
        ([f"{i:02d}" for i in range(28)], "classification"),
        (["1", "x"], "classification"),
    ],
)
def test_the_task_is_guessed_and_told(folder, capsys, values, task):
    rng = np.random.default_rng(0)
    n = 84
    lines = [[f"{rng.normal():.3f}", values[i % len(values)]] for i in range(n)]
    (folder / "data.csv").write_text(as_csv(lines, ("x", "label")))
    assert run("data.csv", "--target", "label", "--json") == 0
    assert json.loads(capsys.readouterr().out)["task"] == task


def test_the_task_is_overruled(folder, capsys):
    rng = np.random.default_rng(0)
    lines = [
        [f"{i % 5 + rng.normal() / 9:.3f}", i % 5 + 10 * (i == 7)] for i in range(60)
    ]
    (folder / "data.csv").write_text(as_csv(lines, ("x", "y")))
    for model in ("linear", None):
        asked = ["data.csv", "--target", "y", "--task", "regression", "--json"]
        assert run(*asked, "--output", "s.csv", model=model) == 0
        assert json.loads(capsys.readouterr().out)["task"] == "regression"
        assert read(folder / "s.csv")[1][:1] == ["7"]


def test_semicolons_and_decimal_commas_are_told_and_kept(folder, capsys):
    lines = [[x.replace(".", ","), c, y] for x, c, y in rows()]
    (folder / "data.csv").write_text(as_csv(lines, mark=";"))
    asked = ["data.csv", "--target", "label", "--output", "s.csv"]
    assert run(*asked) == 0
    assert "semicolons and numbers have decimal commas" in capsys.readouterr().err
    head, *found = read(folder / "s.csv", ";")
    assert head[4:] == ["x", "colour", "label"]
    for row, score, _, _, *data in found:
        assert "." not in score and data == lines[int(row)]


def test_columns_that_bear_names_of_the_output_are_renamed(folder, capsys):
    head = ("row", "data_row", "label")
    (folder / "data.csv").write_text(as_csv(rows(), head))
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 0
    assert read(folder / "s.csv")[0][4:] == ["data_data_row", "data_row", "label"]
    assert "'data_data_row'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_nameless_first_column_is_kept_out_of_the_models(folder, capsys, name):
    lines = [[label, *cells, label] for *cells, label in rows()]
    head = (name, "x", "colour", "label")
    (folder / "data.csv").write_text(as_csv(lines, head))
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 0
    # It repeats the label: models that saw it would find nothing wrong.
    assert {"3", "10"} <= {line[0] for line in read(folder / "s.csv")[1:]}
    assert read(folder / "s.csv")[0][4] == name
    assert "no name" in capsys.readouterr().err


def test_cells_are_written_as_they_were_and_run_in_no_spreadsheet(folder):
    lines = rows()
    extra = [
        "=1+1",
        "-5",
        "0012",
        "9007199254740993",
        "2020-01-02",
        "'=x",
        "\t1",
        "a\rb",
    ]
    lines = [[*line[:2], extra[i % 8], line[2]] for i, line in enumerate(lines)]
    head = ("x", "colour", "=note", "label")
    text = as_csv(lines, head, quoting=csv.QUOTE_ALL)
    (folder / "data.csv").write_text(text, newline="")
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 0
    raw = (folder / "s.csv").read_bytes()
    assert raw.count(b"\r\n") == len(read(folder / "s.csv"))
    head, *found = read(folder / "s.csv")
    assert head[6] == "'=note"
    for line in found:
        cell = extra[int(line[0]) % 8]
        is_run = cell.lstrip("'")[0] in "=\t"
        assert line[6] == ("'" + cell if is_run else cell)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_hidden_columns_are_in_no_byte(folder, capsys, form):
    secret = "SENTINEL"
    lines = [[f"{secret}{i}", *line] for i, line in enumerate(rows())]
    frame = pd.DataFrame(lines, columns=[f"{secret}name", "x", "colour", "label"])
    name = f"data.{form}"
    frame.to_csv(name, index=False) if form == "csv" else frame.to_parquet(name)
    asked = [name, "--target", "label", "--hide", f"{secret}name"]
    assert run(*asked, "--output", "s.csv", "--report", "r.html") == 0
    assert run(*asked, "--json") == 0
    assert run(*asked, "--ignore", "x", "--ignore", "colour", "--json") == 0
    out = "".join(capsys.readouterr())
    files = [(folder / file).read_text() for file in ("s.csv", "r.html")]
    assert len(read(folder / "s.csv")) > 1
    assert all(secret not in text for text in (out, *files))


def test_hidden_columns_are_still_seen_by_the_models(folder, capsys):
    lines = [[x, label] for x, _, label in rows()]
    lines = [[x, f"{np.random.default_rng(i).normal():.3f}", y]
             for i, (x, y) in enumerate(lines)]  # fmt: skip
    (folder / "data.csv").write_text(as_csv(lines))
    asked = ["data.csv", "--target", "label", "--hide", "x", "--output", "s.csv"]
    assert run(*asked) == 0
    assert {"3", "10"} <= {line[0] for line in read(folder / "s.csv")[1:]}
    assert run(*asked, "--ignore", "x") == 0
    assert {line[0] for line in read(folder / "s.csv")[1:]} != {"3", "10"}


def test_parquet_is_read_as_the_csv_is(folder):
    lines = rows()
    frame = pd.DataFrame(lines, columns=["x", "colour", "label"]).astype({"x": float})
    frame.to_parquet("data.parquet")
    frame.to_csv("data.csv", index=False)
    for data in ("data.parquet", "data.csv"):
        assert run(data, "--target", "label", "--output", f"{data}.out") == 0
    first, second = (read(folder / f"data.{e}.out") for e in ("parquet", "csv"))
    assert first == second


def test_a_footer_that_claims_billions_of_rows_is_refused_unread(folder, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    pd.DataFrame({"x": [1.5] * 100, "y": ["a", "b"] * 50}).to_parquet("data.parquet")
    raw = (folder / "data.parquet").read_bytes()
    length = int.from_bytes(raw[-8:-4], "little")
    footer = raw[-8 - length : -8]
    # 100 rows, and the number of 2 000 000 000, as Thrift's compact protocol has them.
    few, many = b"\x16" + _varint(100), b"\x16" + _varint(2 * 10**9)
    assert few in footer
    at = footer.index(few)
    footer = footer[:at] + many + footer[at + len(few) :]
    claims = raw[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    (folder / "data.parquet").write_bytes(claims)
    assert parquet.ParquetFile("data.parquet").metadata.num_rows == 2 * 10**9
    assert run("data.parquet", "--target", "y") == 2
    assert "would take 32 GB" in capsys.readouterr().err


def test_a_footer_that_claims_gigabytes_is_refused(folder, capsys):
    pd.DataFrame({"x": [1.5] * 9, "y": list("abcabcabc")}).to_parquet("data.parquet")
    raw = (folder / "data.parquet").read_bytes()
    (folder / "data.parquet").write_bytes(raw[:-8] + b"\xff\xff\xff\x7f" + b"PAR1")
    assert run("data.parquet", "--target", "y") == 2
    assert "no whole Parquet file" in capsys.readouterr().err


def _varint(number):
    number, out = 2 * number, []
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


GOOD = as_csv(rows())
BAD = {
    "empty": ("", "is empty"),
    "header only": ("x,colour,label\n", "no rows"),
    "no target": (GOOD.replace("label", "lable"), r"no column ['label']"),
    "one class": (as_csv([[x, c, "a"] for x, c, _ in rows()]), "one class"),
    "ragged": (GOOD + "1,2\n", "line 62 has 2 cells, and the first line names 3"),
    "more fields": (GOOD + "1,2,3,4\n", "line 62 has 4 cells"),
    "open quote": (GOOD + '1,"2,no\n', "line 62 opens a quote"),
    "text after quote": (GOOD + '1,"2"x,no\n', "line 62 has text after a quote"),
    "twice": (GOOD.replace("colour", "x", 1), "named ['x']"),
    "latin-1": ((GOOD + "1,é,no\n").encode("latin-1"), "line 62 is not utf-8"),
    "utf-16": (GOOD.encode("utf-16"), "--encoding"),
    "nul": (GOOD.encode("utf-16-le"), "--encoding utf-16"),
    "holes among numbers": (
        as_csv([[i, "a", f"{i}.5" if i else ""] for i in range(40)]),
        "1 cells are empty, rows [0]",
    ),
    "nothing to see": (as_csv([["", "", y] for *_, y in rows()]), "are empty"),
    "infinite": (as_csv([["1e999", "a", y] for *_, y in rows()]), "infinity"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_line_that_says_what_to_do(folder, capsys, kind):
    data, message = BAD[kind]
    data = data if isinstance(data, bytes) else data.encode()
    (folder / "data.csv").write_bytes(data)
    before = os.listdir(folder)
    asked = ["data.csv", "--target", "label", "--output", "s.csv", "--report", "r.html"]
    assert run(*asked) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert message in err and err.startswith("sklinfluence suspects: ")
    assert os.listdir(folder) == before


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["no.csv", "--target", "label"], "No such file"),
        (["data.csv"], "--target"),
        (["data.csv", "--target", "label", "--model", "net"], "invalid choice"),
        (["data.csv", "--target", "label", "--fail-over", "5"], "between 0 and 1"),
        (["data.csv", "--target", "label", "--hide", "label"], "this is the target"),
        (["data.csv", "--target", "label", "--ignore", "z"], "no column ['z']"),
        (["data.csv", "--target", "label", "--output", "data.csv"], "what is read"),
        (["data.csv", "--target", "label", "--output", "no/s.csv"], "no folder 'no'"),
        (["data.csv", "--target", "label", "--output", "a", "--report", "a"], "one f"),
        (["data.csv", "--target", "label", "--task", "regression"], "no numbers, ["),
        (["data.csv", "--target", "label", "--ignore", "x", "--ignore", "colour"],
         "No column is left"),
        (["data.csv", "--target", "label", "--encoding", "utf-99"], "no encoding"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told_before_any_work(
    folder, capsys, monkeypatch, asked, message
):
    def fit(*_):
        raise AssertionError("was fitted")

    monkeypatch.setattr(MislabelFilter, "fit", fit)
    (folder / "data.csv").write_text(GOOD)
    try:
        code = main(["suspects", *asked])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and message in err


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_other_encodings_are_named_by_hand(folder, encoding):
    lines = [[x, c + "é", y] for x, c, y in rows()]
    (folder / "data.csv").write_bytes(as_csv(lines).encode(encoding))
    asked = ["data.csv", "--target", "label", "--encoding", encoding]
    assert run(*asked, "--output", "s.csv") == 0
    assert read(folder / "s.csv")[1][5] in ("redé", "blueé")
    # Spreadsheets know UTF-8 by its mark.
    assert (folder / "s.csv").read_bytes().startswith(b"\xef\xbb\xbf")


def test_rows_are_counted_without_blank_lines_and_within_quotes(folder):
    lines = rows()
    lines[0][1] = "two\nlines"
    text = as_csv(lines).replace("\n", "\n\n", 1)
    (folder / "data.csv").write_text("\n" + text + "\n\n", newline="")
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 0
    for row, _, _, _, *data in read(folder / "s.csv")[1:]:
        assert data == lines[int(row)]


def test_what_goes_wrong_within_is_no_gate(folder, capsys, monkeypatch):
    def fit(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(MislabelFilter, "fit", fit)
    (folder / "data.csv").write_text(GOOD)
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert os.listdir(folder) == ["data.csv"]


def test_no_file_is_half_written(folder, monkeypatch):
    def replace(*_):
        raise OSError("disk is full")

    (folder / "data.csv").write_text(GOOD)
    (folder / "s.csv").write_text("was here")
    monkeypatch.setattr(os, "replace", replace)
    assert run("data.csv", "--target", "label", "--output", "s.csv") == 2
    assert (folder / "s.csv").read_text() == "was here"
    assert sorted(os.listdir(folder)) == ["data.csv", "s.csv"]


def test_a_column_of_texts_is_shown_as_texts(folder):
    words = {"no": "see you soon", "yes": "free money now"}
    lines = [[f"{words[y]} number {i} of many", y] for i, (*_, y) in enumerate(rows())]
    (folder / "data.csv").write_text(as_csv(lines, ("text", "label")))
    asked = ["data.csv", "--target", "label", "--report", "r.html"]
    assert run(*asked) == 0
    assert '<table class="list texts' in (folder / "r.html").read_text()


def test_python_m_is_the_command(folder):
    (folder / "data.csv").write_text(as_csv(rows(labels=("no", "no"))))
    command = [sys.executable, "-m", "sklinfluence", "suspects", "data.csv"]
    done = subprocess.run(
        [*command, "--target", "label"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1
