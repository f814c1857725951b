"""Cells that spreadsheets run as formulas: guarded, and no two texts become one."""

from itertools import product

import numpy as np
import pytest

from sklinfluence._spreadsheet import guard, label_text, reads_as_number, unguard

ALPHABET = "'=+-@\t\ra1.,"
TEXTS = ["".join(t) for n in range(5) for t in product(ALPHABET, repeat=n)]
TRIGGERS = tuple("=+-@\t\r")


@pytest.mark.parametrize("decimal", ".,")
def test_every_text_comes_back(decimal):
    guarded = [guard(text, decimal) for text in TEXTS]
    assert len(set(guarded)) == len(TEXTS)
    assert [unguard(text) for text in guarded] == TEXTS


@pytest.mark.parametrize("decimal", ".,")
def test_no_text_is_run_and_no_number_becomes_a_text(decimal):
    for text in TEXTS:
        try:
            float(text.replace(".", "x").replace(",", ".") if decimal == "," else text)
            is_number = text == text.strip() and "_" not in text
        except ValueError:
            is_number = False
        assert reads_as_number(text, decimal) == is_number
        if is_number:
            assert guard(text, decimal) == text
        else:
            assert not guard(text, decimal).startswith(TRIGGERS)


@pytest.mark.parametrize(
    "text", ["-inf", "+nan", "-1_0", "-٣", "=1", "-1-1", "+1e", "-"]
)
def test_what_python_or_a_locale_reads_as_a_number_is_guarded(text):
    assert guard(text) == "'" + text


def test_labels_are_text_that_a_file_can_hold():
    assert label_text(np.float64(0.1)) == "0.1"
    assert label_text(np.int64(3)) == label_text(3) == "3"
    assert label_text("\ud800x") == "\\ud800x"
    assert label_text(np.bool_(True)) == "True"
