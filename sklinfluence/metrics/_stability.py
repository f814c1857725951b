"""Agreement of influences computed from two states of a model."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata
from sklearn.utils import check_array

from sklinfluence._sklearn_compat import Interval, validate_params


@validate_params(
    {
        "influence_a": ["array-like"],
        "influence_b": ["array-like"],
        "percentile": [Interval(Real, 0, 100, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def stability(
    influence_a: ArrayLike, influence_b: ArrayLike, *, percentile: float = 90.0
) -> dict:
    """How well two influence matrices agree, query by query.

    For every query, the influences of all training rows by one model are compared with
    those by another (another seed, order or batch size, or another set of models), and
    the figures are averaged over the queries.

    Parameters
    ----------
    influence_a, influence_b : array-like of shape (n_queries, n_train)
        Influences on the same queries by the same rows.
    percentile : float in [0, 100), default=90.0
        Rows whose influence lies at or above this percentile of their query's count as
        the most influential.

    Returns
    -------
    agreement : dict
        "pearson" and "spearman": mean correlations; a query whose influences are all
        the same by one of the matrices counts 0. "overlap": mean share of a query's
        most influential rows by the one that are so by the other, in [0, 1].

    See Also
    --------
    sklinfluence.retraining.ExpectedRanker : Influence that is stable.

    References
    ----------
    .. [1] K, K. and Søgaard, A. (2022). Revisiting methods for finding influential
       examples; tables 1 and 2 (where the overlap is in per cent).

    Examples
    --------
    >>> from sklinfluence.metrics import stability
    >>> agreement = stability([[1.0, 2.0, 3.0]], [[1.0, 3.0, 2.0]], percentile=50)
    >>> {name: round(value, 2) for name, value in agreement.items()}
    {'pearson': 0.5, 'spearman': 0.5, 'overlap': 1.0}
    """
    a = check_array(influence_a, dtype=np.float64, input_name="influence_a")
    b = check_array(influence_b, dtype=np.float64, input_name="influence_b")
    if a.shape != b.shape:
        raise ValueError(
            f"influence_a has shape {a.shape} and influence_b {b.shape}: both must be "
            "of the same queries and training rows."
        )
    ranks = rankdata(a, axis=1), rankdata(b, axis=1)
    # Correlations have no unit; products of raw influences may leave the floats.
    a, b = in_own_unit(a), in_own_unit(b)
    return {
        "pearson": float(np.mean(_correlations(a, b))),
        "spearman": float(np.mean(_correlations(*ranks))),
        "overlap": float(np.mean(_overlaps(a, b, percentile))),
    }


def in_own_unit(influence):
    """Each query's influences relative to its largest, in magnitude."""
    largest = np.abs(influence).max(axis=1, keepdims=True)
    return np.divide(
        influence, largest, out=np.zeros_like(influence), where=largest > 0
    )


def _correlations(a, b):
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = np.einsum("ij,ij->i", a, b)
    return np.divide(products, lengths, out=np.zeros(len(a)), where=lengths > 0)


def _overlaps(a, b, percentile):
    tops = [x >= np.percentile(x, percentile, axis=1, keepdims=True) for x in (a, b)]
    # Ties at the percentile can make one set larger than the other.
    larger = np.maximum(tops[0].sum(axis=1), tops[1].sum(axis=1))
    return (tops[0] & tops[1]).sum(axis=1) / larger


def correlation(a, b):
    """Pearson's correlation of each row of a with the same row of b.

    NaN where a row is constant, or not finite: a refit may give a label no chance.
    """
    finite = (np.isfinite(a) & np.isfinite(b)).all(axis=1, keepdims=True)
    a, b = (in_own_unit(np.where(finite, values, 0.0)) for values in (a, b))
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    product = np.einsum("ij,ij->i", a, b)
    return np.divide(product, lengths, out=np.full(len(a), np.nan), where=lengths > 0)
