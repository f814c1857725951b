"""How values are written in messages."""

import numpy as np

_MOST = 10  # an error message with a thousand classes helps nobody


def shown(labels):
    """Labels as a list in a message, control characters escaped; the first of many.

    A label may come from anywhere: one that holds a line break or a terminal's escape
    codes must not write the message on.
    """
    labels = np.asarray(labels, dtype=object).ravel().tolist()
    dots = ", ..." if len(labels) > _MOST else ""
    return f"[{', '.join(map(_escaped, labels[:_MOST]))}{dots}]"


def printable(label):
    """One label as it reads, without quotes, in one line: in a sentence or a column."""
    return _escaped(str(label))[1:-1]


def _escaped(label):
    # Python's own number or string: NumPy's repr would name its type.
    return repr(label.item() if isinstance(label, np.generic) else label)
