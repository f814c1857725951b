"""Rows that speak for and against a suspect's given label."""

from dataclasses import dataclass

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._sklearn_compat import _safe_indexing

# Rows of each side that are listed.
N_LISTED = 3
# A row of less than this share of the strongest's influence says nothing.
_LEAST = 0.01


@dataclass(frozen=True)
class Opinions:
    """Positions of the rows that speak for and against one given label."""

    speaking_for: list
    against: list


def opinions(ranker, X, y, suspects, is_flagged):
    """For every suspect, the rows of most influence on the loss of its given label.

    The suspect itself is out: it is its own strongest proponent. Rows that the filter
    keeps come first, since the others' labels are in doubt themselves; flagged ones
    fill what is left.

    Parameters
    ----------
    ranker : ranker
        Fitted, with `influence`.
    X : rows of shape (n, ...)
    y : ndarray of shape (n,)
    suspects : ndarray of shape (n_suspects,)
        Positions.
    is_flagged : ndarray of shape (n,), dtype=bool

    Returns
    -------
    opinions : list of Opinions, one a suspect
    """
    found = []
    for block in block_slices(len(suspects), len(is_flagged)):
        rows = suspects[block]
        influence = ranker.influence(_safe_indexing(X, rows), y[rows])
        for row, values in zip(rows, np.asarray(influence, dtype=float), strict=True):
            values[row] = 0.0
            found.append(
                Opinions(
                    _strongest(values, is_flagged).tolist(),
                    _strongest(-values, is_flagged).tolist(),
                )
            )
    return found


def _strongest(values, is_flagged):
    """Rows of the largest positive values, kept ones before flagged ones."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    least = max(_LEAST * values.max(initial=0.0), np.finfo(float).tiny)
    rows = np.flatnonzero(values >= least)
    kept = _largest(values, rows[~is_flagged[rows]])
    flagged = _largest(values, rows[is_flagged[rows]])
    return np.concatenate([kept, flagged])[:N_LISTED]


def _largest(values, rows):
    if len(rows) > N_LISTED:
        last = len(rows) - N_LISTED
        rows = rows[np.argpartition(values[rows], last)[last:]]
    return rows[np.argsort(-values[rows], kind="stable")]
