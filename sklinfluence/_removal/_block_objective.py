"""From a block of rows to the objective of a fitted estimator's head on them.

What holds for all rows (class weights that balance the classes, the penalty) is settled
before; a block is then coded, embedded and weighted as all rows would be.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_non_negative

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import check_weight_range
from sklinfluence._messages import shown
from sklinfluence._removal._embedding import check_embedding
from sklinfluence._removal._scales import row_magnitudes
from sklinfluence._source import largest, sums
from sklinfluence.curvature import (
    Design,
    Elsewhere,
    Objective,
    ObjectiveRows,
    ReducedDesign,
    ReducedObjective,
)
from sklinfluence.heads import linear_head


@dataclass(frozen=True)
class WeightedRows(Objective):
    """The objective of a block's rows, with the sample weights that came.

    Attributes
    ----------
    sample_weight : ndarray of shape (n_block,) or None
    """

    sample_weight: np.ndarray | None = None


class BlockObjective:
    """The objective of an estimator's head on a block, without its penalty.

    Parameters
    ----------
    estimator : estimator
        Fitted, its class weights one number a class.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def __call__(self, block):
        try:
            head = linear_head(self.estimator, block.y)
            embedding = check_embedding(head.embed(block.X))
            weights = head.weights
            if block.weights is not None:
                weights = weights * _checked_weights(block.weights)
        except ValueError as error:
            raise ValueError(f"{_place(block)}: {error}") from error
        design = Design(embedding, head.fit_intercept)
        penalty = np.zeros_like(head.penalty)
        parts = (design, head.loss, head.targets, weights, penalty)
        return WeightedRows(*parts, sample_weight=block.weights)


def _checked_weights(weights):
    weights = np.asarray(weights, dtype=float)
    check_non_negative(weights, "sample_weight")
    if not np.isfinite(weights).all():
        raise ValueError("sample_weight holds NaN or infinity.")
    return weights


def _place(block):
    """Which chunk it is, and which of its rows hold what is no number."""
    last = block.start + len(block) - 1
    place = f"Chunk {block.number} (rows {block.start} to {last})"
    rows = block.start + _not_finite(block)
    return f"{place}, row(s) {shown(rows)}" if rows.size else place


def _not_finite(block):
    """Rows whose X, target or weight is NaN or infinite."""
    bad = np.zeros(len(block), dtype=bool)
    for values in (block.X, block.y, block.weights):
        if values is None or np.dtype(getattr(values, "dtype", object)).kind != "f":
            continue
        if sparse.issparse(values):
            rows = values.tocoo().row[~np.isfinite(values.tocoo().data)]
            bad[rows] = True
        else:
            bad |= ~np.isfinite(values).reshape(len(block), -1).all(axis=1)
    return np.flatnonzero(bad)


def objective_of_source(source, head, estimator, theta):
    """The objective of a head on all rows of a source, and what a pass says of it.

    Parameters
    ----------
    source : DaskSource
    head : LinearHead
        Of the estimator, on any rows.
    estimator : estimator
    theta : ndarray of shape (n_outputs, n_columns)

    Returns
    -------
    objective : ReducedObjective
    survey : dict
        ``moments`` of the columns (number of rows, mean, sum of squared deviations),
        ``dtype`` of the embedding.
    """
    rows = ObjectiveRows(source, BlockObjective(estimator))
    survey = source.reduce(_survey, _join_surveys, rows.shared, theta)
    counts = np.zeros(len(source.sizes), dtype=int)
    for number, n_weighted in survey.pop("n_weighted"):
        counts[number] = n_weighted
    magnitudes = survey.pop("magnitudes")
    check_weight_range(np.array([survey.pop("largest_weight")]))
    totals = {**survey.pop("totals"), "n_weighted": counts}
    objective = ReducedObjective(
        ReducedDesign(source.n_rows, theta.shape[1], head.fit_intercept, Elsewhere()),
        head.loss,
        Elsewhere(),
        Elsewhere(),
        head.penalty,
        rows=rows,
        whole_loss=head.loss,
        totals=totals,
        surveyed={row_magnitudes: magnitudes},
    )
    return objective, survey


def _survey(block, recipe, theta):
    objective = recipe(block)
    weights, X = objective.weights, objective.design.X
    return {
        "magnitudes": row_magnitudes(objective, theta),
        "totals": {"weights": weights.sum(), "targets": weights @ objective.targets},
        "n_weighted": [(block.number, int(np.count_nonzero(weights)))],
        "largest_weight": _largest_weight(block.weights),
        "moments": None if sparse.issparse(X) else _moments(X),
        "dtype": X.dtype,
    }


def _largest_weight(weights):
    return 1.0 if weights is None else float(np.max(weights, initial=0.0))


def _moments(X):
    found = []
    for at in block_slices(*X.shape):
        part = np.asarray(X[at], dtype=float)
        mean = part.mean(axis=0)
        found.append((len(part), mean, np.sum((part - mean) ** 2, axis=0)))
    return _join_moments(found)


def _join_surveys(parts):
    each = {name: [part[name] for part in parts] for name in parts[0]}
    is_sparse = any(moments is None for moments in each["moments"])
    return {
        "magnitudes": largest(each["magnitudes"]),
        "totals": sums(each["totals"]),
        "n_weighted": [pair for pairs in each["n_weighted"] for pair in pairs],
        "largest_weight": max(each["largest_weight"]),
        "moments": None if is_sparse else _join_moments(each["moments"]),
        "dtype": np.result_type(*each["dtype"]),
    }


def _join_moments(parts):
    """Chan's formula: no digit is lost to columns far from zero."""
    n, mean, squares = parts[0]
    for m, other, more in parts[1:]:
        apart = other - mean
        squares = squares + more + apart**2 * (n * m / (n + m))
        mean = mean + apart * (m / (n + m))
        n += m
    return n, mean, squares
