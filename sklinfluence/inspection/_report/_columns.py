"""Columns of any table, and what in a row is unusual among rows of its label."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklinfluence._messages import shown
from sklinfluence._spreadsheet import label_text
from sklinfluence.inspection._report._text import number_text

# A value is unusual where fewer rows than these are as far out, or share it.
_RARE_TAIL = 0.1
_RARE_CATEGORY = 0.05
# Columns of more different texts than this hold names or prose: nothing is usual.
_MAX_CATEGORIES = 50
# The middle of a label's values, which is called typical.
_TYPICAL = (0.1, 0.9)
MISSING = "missing"


@dataclass(frozen=True)
class Oddity:
    """One value that is unusual: its column, how rare it is, and what is usual."""

    column: int
    share: float
    direction: str
    usual: str


class NumberColumn:
    """A column of numbers or dates."""

    def __init__(self, name, values, text=number_text):
        self.name, self.values, self._text = name, values, text

    def text(self, row):
        """The row's value as it is shown."""
        value = self.values[row]
        return MISSING if np.isnan(value) else self._text(value)

    def learn(self, groups, is_used):
        """Take note of the values of every group of rows."""
        values = {
            code: self.values[is_used & (groups == code)] for code in np.unique(groups)
        }
        self._holes = {code: np.isnan(v).mean() for code, v in values.items() if len(v)}
        self._sorted = {code: np.sort(v[~np.isnan(v)]) for code, v in values.items()}
        self._typical = {c: self._range(v) for c, v in self._sorted.items() if len(v)}

    def _range(self, usual):
        low, high = (self._text(value) for value in np.quantile(usual, _TYPICAL))
        return f"typical {low}" if low == high else f"typical {low} to {high}"

    def oddity(self, row, group):
        """(share, direction, what is usual) where the value is unusual, else None."""
        value, usual = self.values[row], self._sorted[group]
        if np.isnan(value):
            share = self._holes.get(group, 1.0)
            if share > _RARE_CATEGORY:
                return None
            return share, "", f"in {share:.1%} of such rows"
        if not len(usual):
            return None
        n_below = np.searchsorted(usual, value, side="right")
        n_above = len(usual) - np.searchsorted(usual, value, side="left")
        share = 2 * (min(n_below, n_above) + 1) / (len(usual) + 1)
        if share > _RARE_TAIL:
            return None
        direction = "▲" if n_above < n_below else "▼"
        return share, direction, self._typical[group]


class CategoryColumn:
    """A column of anything else, each value as its text."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def text(self, row):
        """The row's value as it is shown."""
        return self.values[row]

    def learn(self, groups, is_used):
        """Take note of how often each value stands in every group of rows."""
        kinds, codes = np.unique(self.values, return_inverse=True)
        self._shares = None
        if len(kinds) > _MAX_CATEGORIES:
            return
        self._codes = codes
        counts = {
            code: np.bincount(codes[is_used & (groups == code)], minlength=len(kinds))
            for code in np.unique(groups)
        }
        self._shares = {c: (n + 1) / (n.sum() + 1) for c, n in counts.items()}

    def oddity(self, row, group):
        """(share, direction, what is usual) where the value is unusual, else None."""
        if self._shares is None:
            return None
        share = self._shares[group][self._codes[row]]
        if share > _RARE_CATEGORY:
            return None
        return share, "", f"in {share:.1%} of such rows"


def oddities(columns, row, group, n_listed):
    """The most unusual values of a row among those of its group, rarest first."""
    found = []
    for number, column in enumerate(columns):
        odd = column.oddity(row, group)
        if odd is not None:
            found.append(Oddity(number, *odd))
    return sorted(found, key=lambda odd: odd.share)[:n_listed]


def read_columns(table, names, hide):
    """Columns of a frame, an array or a sparse matrix, without the hidden ones.

    Raises
    ------
    ValueError
        If names are of another number than columns, or a hidden one is not there.
    """
    is_frame = hasattr(table, "columns")
    if not is_frame and not sparse.issparse(table):
        table = np.asarray(table)
        table = table.reshape(len(table), -1) if table.ndim != 2 else table
    names = _names(table, names, is_frame)
    absent = sorted(set(hide) - set(names))
    if absent:
        raise ValueError(
            f"hide= names {shown(absent)}, and the columns are {shown(names)}."
        )
    shown_ones = [i for i, name in enumerate(names) if name not in set(hide)]
    if sparse.issparse(table):
        table = table.tocsc()
    return [_column(names[i], _values(table, i, is_frame)) for i in shown_ones]


def _names(table, names, is_frame):
    n_columns = table.shape[1]
    if names is None:
        own = table.columns if is_frame else (f"x{i}" for i in range(n_columns))
        return [label_text(name) for name in own]
    if len(names) != n_columns:
        raise ValueError(
            f"feature_names has {len(names)} names, and there are {n_columns} columns. "
            "Give a name for each."
        )
    return [label_text(name) for name in names]


def _values(table, number, is_frame):
    if is_frame and hasattr(table, "iloc"):
        return table.iloc[:, number]
    if is_frame:
        return table[:, number]
    if sparse.issparse(table):
        return table[:, [number]].toarray().ravel()
    return table[:, number]


def _column(name, values):
    numbers = _as_numbers(values)
    if numbers is not None:
        return NumberColumn(name, numbers)
    dates = _as_dates(values)
    if dates is not None:
        return NumberColumn(name, dates, _date_text)
    values = values.to_list() if hasattr(values, "to_list") else values.tolist()
    texts = [MISSING if _is_hole(value) else label_text(value) for value in values]
    return CategoryColumn(name, np.array(texts, dtype=object))


def _as_numbers(values):
    """Floats, or None where the column is no numbers; truth values are categories."""
    is_bool = str(values.dtype).lower() in ("bool", "boolean", "category", "object")
    if is_bool or "date" in str(values.dtype).lower():
        return None
    try:
        if hasattr(values, "iloc"):
            return values.to_numpy(dtype=float, na_value=np.nan)
        return np.asarray(
            values.to_numpy() if hasattr(values, "to_list") else values, float
        )
    except (TypeError, ValueError):
        return None


def _as_dates(values):
    """Seconds since 1970, or None where the column is no dates."""
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if getattr(array.dtype, "kind", "") != "M":
        return None
    seconds = array.astype("datetime64[s]").astype(float)
    return np.where(np.isnat(array), np.nan, seconds)


def _date_text(seconds):
    text = str(np.datetime64(round(seconds), "s"))
    return text.removesuffix("T00:00:00").replace("T", " ")


def _is_hole(value):
    # pandas' NA is neither equal to itself nor unequal.
    return value is None or type(value).__name__ == "NAType" or value != value
