"""``sklinfluence apply``: the file as it was, but for what a person found wrong."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from sklinfluence._command import main

DATA = "x,label\n1,cat\n2,dog\n3,cat\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_review(folder, *lines):
    head = "row,given_label,verdict,new_label"
    (folder / "review.csv").write_text("\n".join([head, *lines, ""]), encoding="utf-8")


def apply(data="data.csv", *more, target="label", output="fixed.csv"):
    asked = ["apply", data, "review.csv", "--target", target, "--output", output]
    return main([*asked, *more])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (DATA, "x,label\n1,cat\n2,cat\n"),
        (DATA.rstrip("\n"), "x,label\n1,cat\n2,cat\n"),
        (DATA.replace("\n", "\r\n"), "x,label\r\n1,cat\r\n2,cat\r\n"),
        (DATA.replace("\n", "\r"), "x,label\r1,cat\r2,cat\r"),
        (DATA.replace(",", ";"), "x;label\n1;cat\n2;cat\n"),
        (DATA.replace(",", "\t"), "x\tlabel\n1\tcat\n2\tcat\n"),
        ("\ufeff" + DATA, "\ufeffx,label\n1,cat\n2,cat\n"),
        (DATA.replace("dog", '"dog"'), 'x,label\n1,cat\n2,"cat"\n'),
        (
            '"x","label"\n"1","cat"\n\n2,dog\n3,cat\n',
            '"x","label"\n"1","cat"\n\n2,cat\n',
        ),
        ('label,x\ncat,"a,\n""b"\ndog,  \ncat,3\n', 'label,x\ncat,"a,\n""b"\ncat,  \n'),
    ],
)
def test_all_else_stays_byte_for_byte(folder, data, expected, capsys):
    (folder / "data.csv").write_bytes(data.encode())
    write_review(folder, "1,dog,wrong,cat", "2,cat,wrong,", "0,cat,right,")
    assert apply() == 0
    assert (folder / "fixed.csv").read_bytes() == expected.encode()
    assert "1 of 3 rows have a new label, 1 are left out" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-8-sig"])
def test_the_encoding_stays(folder, encoding):
    data = DATA.replace("dog", "chïen").encode(encoding)
    (folder / "data.csv").write_bytes(data)
    write_review(folder, "0,cat,wrong,chïen")
    assert apply("data.csv", "--encoding", encoding) == 0
    expected = DATA.replace("dog", "chïen").replace("1,cat", "1,chïen")
    assert (folder / "fixed.csv").read_bytes() == expected.encode(encoding)


@pytest.mark.parametrize("seed", range(20))
def test_any_file_keeps_its_bytes(folder, seed):
    """Cells are found by Python's own reader, the rest by cutting the lines."""
    rng = np.random.default_rng(seed)
    letters = list('ab,;"\n\r é=-\t')
    labels = ["cat", "do,g", 'o"wl', "=x", "new\nline"]

    def written(cell, force):
        if force or any(c in cell for c in ',"\n\r'):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    end = str(rng.choice(["\n", "\r\n"]))
    lines, given, starts = [], [], []
    for _ in range(12):
        cell = "".join(rng.choice(letters, size=rng.integers(5)))
        cell = "q" + cell if cell.startswith('"') else cell
        label = str(rng.choice(labels))
        given.append(label)
        quoted = rng.integers(2, size=2)
        starts.append(written(cell, quoted[0]) + ",")
        lines.append((label, bool(quoted[1]) or written(label, False)[0] == '"'))
    text = f"x,label{end}" + "".join(
        start + written(label, force) + end
        for start, (label, force) in zip(starts, lines, strict=True)
    )
    (folder / "data.csv").write_bytes(text.encode())
    parsed = list(csv.reader(io.StringIO(text, newline="")))
    assert [line[1] for line in parsed[1:]] == given
    change = {r: str(rng.choice(given)) for r in rng.permutation(12)[:5].tolist()}
    drop = int(rng.integers(12))
    change.pop(drop, None)
    out = io.StringIO()
    csv.writer(out).writerows(
        [
            ["row", "given_label", "verdict", "new_label"],
            [drop, given[drop], "wrong", ""],
        ]
        + [[row, given[row], "wrong", new] for row, new in change.items()]
    )
    (folder / "review.csv").write_bytes(out.getvalue().encode())
    assert apply() == 0
    expected = f"x,label{end}" + "".join(
        start + written(change.get(row, label), force) + end
        for row, (start, (label, force)) in enumerate(zip(starts, lines, strict=True))
        if row != drop
    )
    assert (folder / "fixed.csv").read_bytes() == expected.encode()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("relabel", "1,cat\n2,cat\n3,cat\n"),
        ("drop", "1,cat\n3,cat\n"),
        ("nothing", None),
    ],
)
def test_what_becomes_of_wrong_rows(folder, wrong, expected):
    (folder / "data.csv").write_text(DATA)
    write_review(folder, "1,dog,wrong,cat")
    assert apply("data.csv", "--wrong", wrong) == 0
    expected = DATA if expected is None else "x,label\n" + expected
    assert (folder / "fixed.csv").read_text() == expected


def test_numbers_are_written_in_the_style_of_the_file(folder):
    values = [f"{i},5" for i in range(30)]
    (folder / "data.csv").write_text(
        "x;y\n" + "".join(f"{i};{v}\n" for i, v in enumerate(values))
    )
    write_review(folder, "3,3.5,wrong,-7.25", "4,4.5,wrong,8", "5,5.5,wrong,")
    assert apply(target="y") == 0
    lines = (folder / "fixed.csv").read_text().splitlines()
    assert lines[4:7] == ["3;-7,25", "4;8", "6;6,5"]


@pytest.mark.parametrize("kind", ["str", "category", "int64", "float64"])
def test_parquet_keeps_its_schema(folder, kind):
    parquet = pytest.importorskip("pyarrow.parquet")
    values = {"str": ["a", "b"], "category": ["a", "b"], "int64": [1, 2]}
    values = values.get(kind, [0.5, 1.5])
    y = pd.Series([values[i % 2] for i in range(8)]).astype(kind)
    frame = pd.DataFrame({"x": range(8), "label": y})
    frame.to_parquet("data.parquet")
    write_review(folder, f"0,{values[0]},wrong,{values[1]}", f"1,{values[1]},wrong,")
    assert apply("data.parquet", output="fixed.parquet") == 0
    before, after = (parquet.read_table(f"{n}.parquet") for n in ("data", "fixed"))
    assert after.schema == before.schema
    assert after["label"].to_pylist() == [values[1], *y.tolist()[2:]]
    assert after["x"].to_pylist() == [0, *range(2, 8)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,cat,wrong,dog", "given label of the review is not that of y: rows [1]"),
        ("1,dog,wrong,owl", "new_label holds ['owl']"),
        ("9,dog,wrong,cat", "names the rows [9]"),
    ],
)
def test_a_review_that_does_not_fit_leaves_nothing(folder, capsys, line, message):
    (folder / "data.csv").write_text(DATA)
    write_review(folder, line)
    assert apply() == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and message in err
    assert not (folder / "fixed.csv").exists()


@pytest.mark.parametrize("output", ["data.csv", "review.csv"])
def test_what_is_read_is_not_overwritten(folder, capsys, output):
    (folder / "data.csv").write_text(DATA)
    write_review(folder)
    assert apply(output=output) == 2
    assert "is what is read" in capsys.readouterr().err


def test_no_review_is_told(folder, capsys):
    (folder / "data.csv").write_text(DATA)
    assert apply() == 2
    assert "'review.csv' cannot be read: No such file" in capsys.readouterr().err
