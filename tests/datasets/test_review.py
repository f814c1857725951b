"""A review brought back: what was written is what the labels become, no more."""

import csv
import re
from io import StringIO

import numpy as np
import pandas as pd
import polars
import pytest
from numpy.testing import assert_array_equal

from sklinfluence.datasets import apply_review

HEAD = "row,given_label,verdict,new_label\n"
HOSTILE = [
    "plain", "=1+1", "'=1", "''=1", "'", "-1", "-1,5", "+x", "@a", "\tx", "\rx", "a\nb",
    'q"uo"te', "a,b;c", "", " edge ", "0012", "NA", "None", "nan", "True", "\u202eevil",
    "\x00nul", "é", "𝒳", "__proto__", "<script>",
]  # fmt: skip


def review(*lines, head=HEAD):
    return StringIO(head + "".join(f"{line}\n" for line in lines))


def guarded(text):
    """By the rule as it is told, in other words than the package's."""
    if re.fullmatch(r"[-+]?\d+([.]\d*)?", text):
        return text
    return "'" + text if text.lstrip("'")[:1] in set("=+-@\t\r") else text


def as_exported(lines, delimiter=","):
    out = StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(["row", "given_label", "verdict", "new_label"])
    writer.writerows([[guarded(str(cell)) for cell in line] for line in lines])
    return out.getvalue()


@pytest.mark.parametrize("seed", range(60))
def test_any_review_of_any_labels_is_applied_as_written(seed, tmp_path):
    rng = np.random.default_rng(seed)
    classes = rng.permutation(HOSTILE)[: rng.integers(2, 9)].tolist()
    y = [classes[i] for i in rng.integers(len(classes), size=40)]
    expected, keep, lines = list(y), np.ones(40, dtype=bool), []
    wrong = rng.choice(["relabel", "drop", "nothing"])
    for row in rng.permutation(40)[:25].tolist():
        verdict = str(rng.choice(["wrong", "right", "unsure", ""]))
        # An empty new label says that no class is right, unless one is empty.
        new = str(rng.choice([*sorted(set(y)), ""])) if verdict == "wrong" else ""
        lines.append([row, y[row], verdict, new])
        if verdict != "wrong" or wrong == "nothing":
            continue
        if wrong == "relabel" and new in y:
            expected[row] = new
        else:
            keep[row] = False
    path = tmp_path / "review.csv"
    text = as_exported(lines, str(rng.choice([",", ";", "\t"])))
    path.write_bytes(text.encode(rng.choice(["utf-8", "utf-8-sig"])))
    given = list(y)
    new_y, new_keep = apply_review(path, y, wrong=str(wrong))
    assert new_y == expected
    assert_array_equal(new_keep, keep)
    assert y == given


@pytest.mark.parametrize(
    "container",
    [list, tuple, np.array, pd.Series, polars.Series, lambda y: pd.Categorical(y)],
)
def test_labels_come_back_in_their_container(container):
    y = container(["cat", "dog", "owl"])
    new, keep = apply_review(review("1,dog,wrong,cat"), y)
    assert type(new) is type(y)
    assert list(new) == ["cat", "cat", "owl"]
    assert keep.all()


def test_a_series_keeps_its_index_and_name():
    y = pd.Series(["a", "b", "a"], index=[7, 5, 3], name="label")
    new, _ = apply_review(review("0,a,wrong,b"), y)
    pd.testing.assert_series_equal(new, pd.Series(list("bba"), [7, 5, 3], name="label"))


@pytest.mark.parametrize(
    ("y", "line", "expected"),
    [
        ([1, 2, 1], "0,1,wrong,2", [2, 2, 1]),
        ([True, False], "0,TRUE,wrong,FALSE", [False, False]),
        ([0.5, 2.25, 3.5], "1,2.25,wrong,-7.5", [0.5, -7.5, 3.5]),
        (list(range(30)), "3,3,wrong,99", [0, 1, 2, 99, *range(4, 30)]),
        (list(range(30)), "3,3,wrong,2.5", [0, 1, 2, 2.5, *range(4, 30)]),
        ([0.1 + 0.2, 1.5], "0,0.3,wrong,1", [1.0, 1.5]),
    ],
)
def test_labels_that_are_no_texts(y, line, expected):
    assert apply_review(review(line), y)[0] == expected
    assert apply_review(review(line), np.array(y))[0].tolist() == expected


def test_decimal_commas_go_with_semicolons():
    text = StringIO("row;given_label;verdict;new_label\n1;2,25;wrong;-7,5\n")
    assert apply_review(text, [0.5, 2.25])[0] == [0.5, -7.5]


def test_wrong_without_a_new_label_is_not_kept():
    y, keep = apply_review(review("1,b,wrong,"), list("aba"))
    assert y == list("aba")
    assert keep.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["3,a,wrong,b"], r"rows \[3\], and y has 3"),
        (["-1,a,wrong,b"], r"'-1'.*position of a row"),
        (["1.0,a,wrong,b"], "position of a row"),
        (["0,a,wrong,b", "0,a,right,"], r"rows \[0\] more than once"),
        (["0,b,right,", "1,b,right,"], r"In 1 rows .*rows \[0\]. Row 0 .*'b'"),
        (["0,a,wrong,c", "1,b,wrong,d"], r"new_label holds \['c', 'd'\].*\['a', 'b'\]"),
        (["0,a,maybe,"], "verdict holds .'maybe'"),
        (["0,a,wrong"], "Entry 2 of the review has 3 cells"),
        (['0,"a,wrong,b'], "breaks off"),
    ],
)
@pytest.mark.parametrize("wrong", ["relabel", "drop", "nothing"])
def test_what_does_not_fit_is_named(lines, message, wrong):
    with pytest.raises(ValueError, match=message):
        apply_review(review(*lines), list("aba"), wrong=wrong)


def test_new_targets_that_are_no_numbers_are_named():
    with pytest.raises(ValueError, match=r"\['inf', 'x'\], and y holds numbers"):
        apply_review(review("0,0.5,wrong,x", "1,1.5,wrong,inf"), [0.5, 1.5])


def test_what_is_no_review_is_told_apart(tmp_path):
    with pytest.raises(ValueError, match=r"no column .'verdict', 'new_label'"):
        apply_review(StringIO("row,given_label\n"), ["a", "b"])
    with pytest.raises(ValueError, match="no column"):
        apply_review(StringIO(""), ["a", "b"])
    path = tmp_path / "review.csv"
    path.write_bytes((HEAD + "0,é,right,\n").encode("latin-1"))
    with pytest.raises(ValueError, match=r"not UTF-8 .byte 36.*CSV UTF-8"):
        apply_review(path, ["é", "b"])


def test_further_columns_and_another_order_are_passed_over():
    text = "verdict,note,new_label,row,given_label\nwrong,=x,b,2,a\n"
    assert apply_review(StringIO(text), list("aba"))[0] == list("abb")
