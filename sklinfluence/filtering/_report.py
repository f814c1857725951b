"""What was found, to be read: a table of the rows, a summary by class."""

import numpy as np

from sklinfluence._messages import printable
from sklinfluence._sklearn_compat import check_pandas_support
from sklinfluence.filtering._thresholds import worst_first

# Classes that a summary lists; of more, those that lose most rows.
_MAX_LISTED = 20


def report_table(columns, scores, index, caller, n=None):
    """The columns as a data frame, by falling score, of the n worst rows.

    Parameters
    ----------
    columns : dict of ndarrays of shape (n,)
    scores : ndarray of shape (n,)
    index : pandas.Index or None
    caller : str
        Who is named when pandas is missing.
    n : int, default=None
        None is all rows.
    """
    try:
        pandas = check_pandas_support(caller)
    except ImportError as error:
        raise ImportError(
            f"{caller} gives a pandas table and needs pandas, which is not installed: "
            "`pip install pandas`, or with this package, `pip install "
            "sklinfluence[report]`. summary() needs none, and scores_, "
            "suggested_labels_ and get_support() hold the same as arrays."
        ) from error
    rows = worst_first(scores, np.arange(len(scores)))[:n]
    index = rows if index is None else index[rows]
    return pandas.DataFrame({k: v[rows] for k, v in columns.items()}, index=index)


def summary_text(name, flags, given, in_use, is_classification, expected_wrong):
    """How many rows, how many flagged, by class.

    Parameters
    ----------
    name : str
        Of the detector.
    flags, in_use : ndarray of shape (n,), dtype=bool
    given : ndarray of shape (n,)
    is_classification : bool
    expected_wrong : float
        Share of the flagged rows that is expected to be wrong; NaN if unknown.
    """
    n_out = np.count_nonzero(~in_use)
    flags, given = flags[in_use], given[in_use]
    head = f"{name}: {_counted(len(flags), flags.sum())}"
    if not np.isnan(expected_wrong):
        head += f", of which {expected_wrong:.0%} are expected to be wrong"
    if n_out:
        head += f"; {n_out} more of weight 0, which are not judged"
    if not is_classification:
        return head
    classes, codes = np.unique(given, return_inverse=True)
    n_rows = np.bincount(codes)
    n_flagged = np.bincount(codes, weights=flags).astype(int)
    listed = np.arange(len(classes))
    if len(classes) > _MAX_LISTED:
        listed = np.sort(np.argsort(-n_flagged, kind="stable")[:_MAX_LISTED])
    names = [printable(classes[code]) for code in listed]
    width = max(map(len, names))
    lines = [
        f"  {label:<{width}}  {_counted(n_rows[code], n_flagged[code])}"
        for label, code in zip(names, listed, strict=True)
    ]
    others = np.setdiff1d(np.arange(len(classes)), listed)
    if len(others):
        counts = _counted(n_rows[others].sum(), n_flagged[others].sum())
        lines.append(f"  {len(others)} other classes: {counts}")
    return "\n".join([head, *lines])


def _counted(n_rows, n_flagged):
    return f"{n_rows} rows, {n_flagged} flagged ({n_flagged / max(n_rows, 1):.1%})"
