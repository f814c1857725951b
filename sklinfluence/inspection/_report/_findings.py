"""What a filter found, as numbers of rows and labels that a page can show."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklinfluence._spreadsheet import label_text
from sklinfluence.inspection._report._summary import read_summary

_EVIDENCE = {
    "leave-one-out": "leave-one-out: every row is judged by the model without it",
    "out-of-bag": "out-of-bag: every row is judged by trees that did not draw it",
    "cross-fitted": "cross-fitted: every row is judged by a model without its fold",
    "pooled": "the filter's own models, pooled: every row is judged by fits without it",
    "precomputed": "predictions that were passed in",
    None: "a ranker that has seen the rows it judges",
}
# Real targets are compared with others of about their size: this many ranges.
_N_RANGES = 5


@dataclass(frozen=True)
class Findings:
    """What is known of all rows, by position, and which are suspects, worst first.

    `labels` are the classes as text; `given` and `suggested` are then numbers of
    classes, else the targets themselves. `groups` are rows alike in their given label:
    its class, or one of five ranges.
    """

    name: str
    ranker: str
    evidence: str
    is_classification: bool
    expected_wrong: str | None
    n_unjudged: int
    labels: list
    given: np.ndarray
    suggested: np.ndarray
    groups: np.ndarray
    scores: np.ndarray
    quality: np.ndarray
    is_flagged: np.ndarray
    suspects: np.ndarray
    is_signed: bool

    @property
    def what(self):
        """What may be wrong with a row."""
        return "label" if self.is_classification else "value"

    @property
    def score_heading(self):
        """What the number beside a suspect is."""
        if self.is_signed:
            return "residual, SE"
        is_probability = self.is_classification and not np.isnan(self.quality).all()
        return "P(given)" if is_probability else "score"

    @property
    def score_explanation(self):
        """The same as a sentence."""
        if self.is_signed:
            return (
                "Residual: given less suggested value, in standard errors, by a model "
                "without the row."
            )
        if self.score_heading == "P(given)":
            return (
                "P(given): probability of the given label by models that never saw the "
                "row. Score: what the list is sorted by, higher is likelier wrong."
            )
        return "Score: what the list is sorted by, higher is likelier wrong."


def findings(mislabel_filter, y):
    """Read a fitted filter by its public names.

    Raises
    ------
    TypeError
        If it is no filter.
    ValueError
        If y is not what the filter was fitted on.
    """
    _check_filter(mislabel_filter)
    y = column_or_1d(y)
    scores = mislabel_filter.scores_
    # The report's lines are by falling score, ties in the order of the rows.
    worst_first = np.argsort(-scores, kind="stable")
    _check_labels(y, worst_first, mislabel_filter)
    summary = read_summary(mislabel_filter.summary())
    expected_wrong, n_unjudged, is_classification = summary
    suggested = mislabel_filter.suggested_labels_
    if is_classification:
        labels, given, suggested = _coded(y, suggested)
    else:
        labels, given = [], y.astype(float)
    is_flagged = ~mislabel_filter.get_support()
    are_residuals = mislabel_filter.label_score in ("auto", "studentized")
    return Findings(
        name=type(mislabel_filter).__name__,
        ranker=type(mislabel_filter.ranker_).__name__,
        evidence=_evidence(mislabel_filter),
        is_classification=is_classification,
        expected_wrong=expected_wrong,
        n_unjudged=n_unjudged,
        labels=labels,
        given=given,
        suggested=suggested,
        groups=given if is_classification else _ranges(given),
        scores=scores,
        quality=mislabel_filter.label_quality_,
        is_flagged=is_flagged,
        suspects=worst_first[is_flagged[worst_first]],
        is_signed=not is_classification and are_residuals,
    )


def _check_filter(mislabel_filter):
    if not hasattr(mislabel_filter, "get_support"):
        name = type(mislabel_filter).__name__
        raise TypeError(
            f"filter={name}(...) finds no suspects: pass a fitted MislabelFilter, such "
            f"as MislabelFilter({name}(...)).fit(X, y)."
        )
    check_is_fitted(mislabel_filter)


def _check_labels(y, worst_first, mislabel_filter):
    name = type(mislabel_filter).__name__
    if len(y) != len(worst_first):
        raise ValueError(
            f"y has {len(y)} labels, and {name} was fitted on {len(worst_first)} rows. "
            "Pass the X and y of its fit."
        )
    if not _are_alike(y[worst_first], mislabel_filter):
        raise ValueError(
            f"y holds other labels than those that {name} was fitted on. Pass the X "
            "and y of its fit, in their order."
        )


def _evidence(mislabel_filter):
    """How rows were held out, and what speaks for and against them, in words."""
    kind, ranker = mislabel_filter.evidence_, mislabel_filter.ranker_
    words = _EVIDENCE.get(kind, str(kind))
    if hasattr(ranker, "influence"):
        words += f"; rows for and against: influence by {type(ranker).__name__}"
    return words


def _are_alike(y, mislabel_filter):
    """Whether labels, worst first, are those of the filter's fit."""
    try:
        fitted_on = mislabel_filter.report()["given_label"]
    except UnicodeEncodeError:
        # A frame cannot hold lone surrogates, and nothing else tells the labels.
        return True
    pairs = zip(y.tolist(), fitted_on.tolist(), strict=True)
    return all(a == b or a != a for a, b in pairs)


def check_lengths(n_rows, **things):
    """Refuse what is shown of other rows than those judged."""
    for name, thing in things.items():
        if thing is None:
            continue
        n_given = thing.shape[0] if hasattr(thing, "shape") else len(thing)
        if n_given != n_rows:
            raise ValueError(
                f"{name} has {n_given} rows, and the filter was fitted on {n_rows}. "
                "Pass one for each row, in the order of y."
            )


def _coded(y, suggested):
    """Classes as text, in order, and both labels as numbers of them."""
    check_consistent_length(y, suggested)
    values = list(dict.fromkeys([*y.tolist(), *np.asarray(suggested).tolist()]))
    values.sort(key=_sort_key(values))
    number = {value: code for code, value in enumerate(values)}
    codes = [
        np.array([number[label] for label in np.asarray(of).tolist()], dtype=int)
        for of in (y, suggested)
    ]
    return [label_text(value) for value in values], *codes


def _sort_key(values):
    """Numbers by size, in texts too; else texts in order."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return str
    return float if np.isfinite(numbers).all() else str


def _ranges(targets):
    """Which fifth of the targets each is in, equal ones together."""
    edges = range_edges(targets)
    return np.searchsorted(edges, targets, side="left")


def range_edges(targets):
    """Upper ends of all ranges of targets but the last."""
    shares = np.arange(1, _N_RANGES) / _N_RANGES
    return np.unique(np.quantile(targets, shares, method="inverted_cdf"))
