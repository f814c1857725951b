"""Flagged rows counted: by class or range, and given against suggested label."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from sklinfluence.inspection._report._findings import range_edges
from sklinfluence.inspection._report._text import (
    number_text,
    pieces_of_label,
    plain_label,
)

# Above so many classes the commonest confusions stand for the matrix.
_MAX_MATRIX = 20
_MAX_LINES = 20


@lru_cache(10_000)
def shown_label(text):
    """A label as the template takes it: boxed for the page, plain for attributes."""
    return {"pieces": pieces_of_label(text), "plain": plain_label(text)}


def flagged_by_group(findings):
    """Rows and flagged rows of every class, most flagged share first; or of ranges."""
    n_groups = int(findings.groups.max()) + 1
    n_rows = np.bincount(findings.groups, minlength=n_groups)
    flagged = findings.groups[findings.is_flagged]
    n_flagged = np.bincount(flagged, minlength=n_groups)
    share = n_flagged / np.maximum(n_rows, 1)
    order = np.arange(n_groups)
    if findings.is_classification:
        order = np.flatnonzero(n_rows)
        order = order[np.lexsort((-n_flagged[order], -share[order]))]
    listed = order
    if len(order) > _MAX_LINES:
        listed = order[np.argsort(-n_flagged[order], kind="stable")][:_MAX_LINES]
    names = findings.labels or _range_names(findings.given)
    largest = share.max() or 1.0
    lines = [
        {
            "label": shown_label(names[code]),
            "n_rows": n_rows[code],
            "n_flagged": n_flagged[code],
            "share": f"{share[code]:.1%}",
            "part": f"{share[code] / largest:.3f}",
        }
        for code in listed
    ]
    by = "class" if findings.is_classification else "given value"
    heading = "given label" if findings.is_classification else "given value"
    n_more = len(order) - len(listed)
    return {
        "title": f"Flagged by {by}",
        "heading": heading,
        "lines": lines,
        "n_more": n_more,
    }


def _range_names(targets):
    edges = range_edges(targets)
    ends = [number_text(edge) for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(ends)]
    return [f"up to {ends[0]}", *between, f"above {ends[-1]}"]


def matrix(findings):
    """Counts of given × suggested labels of flagged rows; None for many classes."""
    pairs = _pairs(findings)
    codes = np.unique(pairs)
    if not findings.is_classification or not len(codes) or len(codes) > _MAX_MATRIX:
        return None
    place = np.searchsorted(codes, pairs)
    counts = np.zeros((len(codes), len(codes)), dtype=int)
    np.add.at(counts, tuple(place.T), 1)
    labels = [shown_label(findings.labels[code]) for code in codes]
    parts = counts / counts.max()
    lines = [
        (label, [(n, f"{part:.3f}") for n, part in zip(*line, strict=True)])
        for label, line in zip(labels, zip(counts, parts, strict=True), strict=True)
    ]
    return {"labels": labels, "lines": lines}


def confusions(findings):
    """The commonest pairs of given and suggested labels among flagged rows."""
    if not findings.is_classification:
        return []
    pairs, counts = np.unique(_pairs(findings), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_LINES]
    return [
        {
            "given": shown_label(findings.labels[pairs[i, 0]]),
            "suggested": shown_label(findings.labels[pairs[i, 1]]),
            "count": counts[i],
            "part": f"{counts[i] / counts.max():.3f}",
        }
        for i in order
    ]


def _pairs(findings):
    rows = findings.suspects
    return np.column_stack([findings.given[rows], findings.suggested[rows]])
