"""The rows themselves, as a page shows them: images, texts, or what is unusual."""

import numpy as np

from sklinfluence.inspection._report._columns import oddities, read_columns
from sklinfluence.inspection._report._text import pieces_of_label, pieces_of_text
from sklinfluence.inspection._report._thumbnails import Thumbnails

# Unusual values of a row that are listed, and columns of a row that can be unfolded.
_MAX_ODD = 4
_MAX_CELLS = 60
# Characters of a text before it is folded, of one that speaks for or against, and of a
# cell in such a row.
_FOLDED_AT = 320
_QUOTED = 140
_BRIEF_CELL = 40


class Images:
    """Pictures: a row is a thumbnail, stored once however often it is shown."""

    kind, heading = "images", "image"

    def __init__(self, images):
        self._thumbnails = Thumbnails(images)
        self._is_coarse = _is_coarse(images)

    @property
    def is_coarse(self):
        """Whether pixels are to be seen as squares, small images being enlarged."""
        return self._is_coarse

    def own(self, row, group):
        """What the template needs of a suspect."""
        return {"picture": row}

    def brief(self, row, own):
        """What it needs of a row that speaks for or against one."""
        return {"picture": row}

    def pictures(self, rows):
        """The thumbnails' style rules, by row."""
        return {row: self._rule(row) for row in rows}

    def _rule(self, row):
        return f".t{row}{{background-image:url({self._thumbnails.data_url(row)})}}"


def _is_coarse(images):
    shape = np.shape(images[0]) if len(images) else ()
    return len(shape) >= 2 and max(shape) <= 32


class Texts:
    """Texts: long ones folded, very long ones cut."""

    kind, heading = "texts", "text"

    def __init__(self, texts):
        self._texts = texts.to_list() if hasattr(texts, "to_list") else list(texts)

    def own(self, row, group):
        """What the template needs of a suspect."""
        pieces, n_left = pieces_of_text(self._texts[row])
        is_long = sum(len(text) for text, _ in pieces) > _FOLDED_AT
        start = _start(self._texts[row], _FOLDED_AT) if is_long else None
        return {"text": pieces, "start": start, "n_left": n_left}

    def brief(self, row, own):
        """What it needs of a row that speaks for or against one."""
        return {"quote": _start(self._texts[row], _QUOTED)}

    def pictures(self, rows):
        """No thumbnails."""
        return {}


class Table:
    """Rows of a table: what is unusual for the given label, the rest folded."""

    kind = "table"

    def __init__(self, table, names, hide, groups, is_kept, what):
        self.heading = f"unusual for the given {what}"
        self._columns = read_columns(table, names, hide)
        for column in self._columns:
            column.learn(groups, is_kept)

    def own(self, row, group):
        """What the template needs of a suspect."""
        found = oddities(self._columns, row, group, _MAX_ODD)
        n_left = max(len(self._columns) - _MAX_CELLS, 0)
        return {
            "odd": [self._odd(row, odd) for odd in found],
            "cells": [self._cell(row, column) for column in self._columns[:_MAX_CELLS]],
            "n_left": n_left,
            "of": [odd.column for odd in found] or range(min(3, len(self._columns))),
        }

    def brief(self, row, own):
        """What it needs of a row that speaks for or against one: the same columns."""
        columns = [self._columns[number] for number in own["of"]]
        return {
            "cells": [
                (pieces_of_label(column.name), _start(column.text(row), _BRIEF_CELL))
                for column in columns
            ]
        }

    def pictures(self, rows):
        """No thumbnails."""
        return {}

    def _odd(self, row, odd):
        name, (value, _) = self._cell(row, self._columns[odd.column])
        return {"name": name, "value": value, "mark": odd.direction, "usual": odd.usual}

    def _cell(self, row, column):
        return pieces_of_label(column.name), pieces_of_text(column.text(row))


def _start(text, n_characters):
    """The first characters of a text in pieces, with dots where there are more."""
    text = (
        " ".join(str(text)[: 2 * n_characters].split())
        if isinstance(text, str)
        else text
    )
    text = str(text)
    cut = text[:n_characters]
    pieces, _ = pieces_of_text(cut)
    return [*pieces, ("…", False)] if len(text) > len(cut) else pieces


def thing_to_show(X, findings, images, texts, columns, feature_names, hide):
    """What a report shows of its rows: what it was given, else X itself.

    Raises
    ------
    ValueError
        If more than one of `images`, `texts` and `columns` is given, or columns are to
        be hidden or named where none are shown.
    """
    given = {"images": images, "texts": texts, "columns": columns}
    given = [name for name, value in given.items() if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(given)} were given; a report shows one of them."
        )
    if texts is None and not given and _are_texts(X):
        texts = X
    is_table = images is None and texts is None
    if feature_names is not None and not is_table:
        raise ValueError(
            "feature_names names the columns of a table, and this report shows "
            f"{'images' if images is not None else 'texts'}. Leave it out."
        )
    if not is_table:
        _check_hidden(X, hide)
        return Images(images) if images is not None else Texts(texts)
    table = X if columns is None else columns
    kept = ~findings.is_flagged
    return Table(table, feature_names, hide, findings.groups, kept, findings.what)


def _check_hidden(X, hide):
    """Columns of X are not shown beside images and texts; unknown ones are refused."""
    if hide:
        read_columns(X, None, hide)


def _are_texts(X):
    """Whether X is a sequence of strings."""
    if hasattr(X, "columns") or len(getattr(X, "shape", (0,))) != 1 or not len(X):
        return False
    first = X.iloc[0] if hasattr(X, "iloc") else X[0]
    return isinstance(first, str)
