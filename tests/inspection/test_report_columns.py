"""Columns of a table as a page shows them."""

import numpy as np
import pytest

from sklinfluence.inspection._report._columns import MISSING, _column

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

HOLES = [None, np.nan, pd.NA, pd.NaT, np.datetime64("NaT")]


@pytest.mark.parametrize(
    "values",
    [
        *(pd.Series(["a", hole], dtype=object) for hole in HOLES),
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", None], dtype="category"),
        pl.Series(["a", None]),
        np.array(["a", None], dtype=object),
    ],
    ids=lambda values: f"{type(values).__module__}-{values.dtype}-{values[1]}",
)
def test_whatever_stands_for_nothing_is_missing(values):
    assert _column("name", values).values.tolist() == ["a", MISSING]


def test_texts_that_look_like_holes_are_texts():
    values = np.array(["NaT", "<NA>", "nan", "None"], dtype=object)
    assert _column("name", values).values.tolist() == ["NaT", "<NA>", "nan", "None"]
