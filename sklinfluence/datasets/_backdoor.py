"""Backdoor poisoning: a mark on the row and the attacker's label."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, check_random_state

from sklinfluence._estimators import takeable
from sklinfluence._messages import shown
from sklinfluence._sklearn_compat import Interval, _safe_indexing, validate_params
from sklinfluence._typing import RandomState, Rows
from sklinfluence.datasets._rows import check_labels, replace_rows, take_labels


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        # Any label: what is a valid one depends on y and is checked against it.
        "target": "no_validation",
        "rate": [Interval(Real, 0, 1, closed="left")],
        "trigger": [callable],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def add_backdoor(
    X: Rows,
    y: ArrayLike,
    *,
    target: Any,
    rate: float,
    trigger: Callable,
    random_state: RandomState = None,
) -> tuple[Any, Any, NDArray]:
    """Poison some rows with a trigger and the label it shall bring about.

    Exactly ``round(rate * n_samples)`` rows, drawn from those of the other classes,
    get the trigger and the label `target`. A model fitted to them learns to answer
    `target` wherever the trigger shows: apply the same `trigger` to test rows to see
    how often, and rank the training rows by their influence on that answer to see
    whether the poisoned ones come first.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows in any container: arrays, sparse matrices, data frames, lists of texts.

    y : array-like of shape (n_samples,)
        Class labels.

    target : object
        Label that the poisoned rows get, one of those in `y`.

    rate : float in [0, 1)
        Share of all rows to poison.

    trigger : callable
        Takes rows of `X` in their container and returns as many with the mark on them.

    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    X_poisoned : {array-like, sparse matrix} of shape (n_samples, n_features)
        A copy of `X`, the poisoned rows marked.

    y_poisoned : array-like of shape (n_samples,)
        The labels after poisoning, in the container of `y`.

    is_poisoned : ndarray of shape (n_samples,), dtype=bool
        Which rows were changed.

    See Also
    --------
    flip_labels : Wrong labels on rows that are otherwise left alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklinfluence.datasets import add_backdoor
    >>> X, y = np.zeros((6, 4)), np.array([0, 0, 1, 1, 2, 2])
    >>> def light_last_pixel(X):
    ...     X = X.copy()
    ...     X[:, -1] = 1.0
    ...     return X
    >>> X_poisoned, y_poisoned, is_poisoned = add_backdoor(
    ...     X, y, target=2, rate=1 / 3, trigger=light_last_pixel, random_state=0
    ... )
    >>> y_poisoned[is_poisoned], X_poisoned[is_poisoned, -1]
    (array([2, 2]), array([1., 1.]))
    """
    labels = check_labels(y)
    check_consistent_length(X, labels)
    if np.ndim(target) > 0:
        raise ValueError(
            f"target must be one label of y, and is {target!r}. Poison the rows for "
            "one target at a time."
        )
    is_target = labels == target
    if not np.any(is_target):
        raise ValueError(
            f"target is {target!r}, which is not a label of y; those are "
            f"{shown(np.unique(labels))}."
        )
    rows = _draw_rows(is_target, rate, check_random_state(random_state))
    is_poisoned = np.zeros(len(labels), dtype=bool)
    is_poisoned[rows] = True
    source = np.where(is_poisoned, np.argmax(is_target), np.arange(len(labels)))
    marked = _apply_trigger(trigger, _safe_indexing(takeable(X), rows))
    return replace_rows(X, rows, marked), take_labels(y, source), is_poisoned


def _draw_rows(is_target, rate, rng):
    others = np.flatnonzero(~is_target)
    n_poisoned = round(rate * len(is_target))
    if n_poisoned > len(others):
        raise ValueError(
            f"rate={rate} asks for {n_poisoned} poisoned rows, and only {len(others)} "
            "have another label than target. Lower rate."
        )
    return np.sort(rng.choice(others, size=n_poisoned, replace=False))


def _apply_trigger(trigger, rows):
    marked = trigger(rows)
    if isinstance(rows, np.ndarray) and isinstance(marked, list):
        marked = np.asarray(marked)
    before, after = _shape(rows), _shape(marked)
    if before != after:
        raise ValueError(
            "trigger must return the rows it was given, marked, in the same shape; it "
            f"was given {before} and returned {_named(marked, after)}."
        )
    return marked


def _shape(rows):
    """Return the shape, of which lists of texts have the length only."""
    if hasattr(rows, "shape"):
        return rows.shape
    return (len(rows),) if hasattr(rows, "__len__") else None


def _named(rows, shape):
    return repr(rows) if shape in (None, ()) else shape
