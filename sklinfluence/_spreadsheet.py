"""Cells that no spreadsheet takes for a formula, and back.

A program that opens a CSV runs a text as a formula where it begins with ``=``, ``+``,
``-``, ``@``, a tab or a carriage return. One apostrophe before it makes it a text.
Texts that begin with apostrophes and one of these get one more, so that no two texts
become one: taking one off gives every text back.
"""

import re

_GUARDED = re.compile(r"'*[=+\-@\t\r]")
_GUARD = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = r"[+-]?([0-9]+({0}[0-9]*)?|{0}[0-9]+)([eE][+-]?[0-9]+)?"
_NUMBERS = {mark: re.compile(_NUMBER.format(re.escape(mark))) for mark in ".,"}


def reads_as_number(cell, decimal="."):
    """Whether a text is a number in a file's decimal style, "." or ","."""
    return _NUMBERS[decimal].fullmatch(cell) is not None


def guard(cell, decimal="."):
    """The cell as spreadsheets may open it; numbers as they are."""
    if reads_as_number(cell, decimal) or not _GUARDED.match(cell):
        return cell
    return "'" + cell


def unguard(cell):
    """The cell as it was before `guard`."""
    return cell[1:] if _GUARD.match(cell) else cell


def label_text(label):
    """A label as it stands in files and on pages: text that UTF-8 can write."""
    if hasattr(label, "item"):
        label = label.item()
    # A lone surrogate is no text: files could not hold it.
    return str(label).encode("utf-8", "backslashreplace").decode("utf-8")
