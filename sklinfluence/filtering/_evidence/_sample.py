"""The rows of positive weight, as every kind of evidence takes them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sklinfluence._estimators import Copies
from sklinfluence._sklearn_compat import _safe_indexing


@dataclass(frozen=True)
class Sample:
    """Rows, their targets, and how they may be held out.

    Attributes
    ----------
    X : rows
    y : ndarray of shape (n,)
        Given labels or targets, as the estimator takes them.
    sample_weight : ndarray of shape (n,) or None
        Positive.
    make_folds : callable
        ``make_folds()`` gives pairs (train, test) of row numbers.
    needs_folds : bool
        Whether rows are to be held out by folds, whatever else would do: a splitter,
        or groups, were given.
    n_jobs : int or None
        Fits at a time.
    copies : Copies or None
        Rows that leave together.
    """

    X: object
    y: np.ndarray
    sample_weight: np.ndarray | None
    make_folds: Callable
    needs_folds: bool = False
    n_jobs: int | None = None
    copies: Copies | None = None

    def __len__(self):
        return len(self.y)

    @property
    def weights(self):
        """Weights of the rows; ones where none were given."""
        return np.ones(len(self)) if self.sample_weight is None else self.sample_weight

    def rows(self, index):
        """X, and weights or None, of the rows of these numbers."""
        weight = self.sample_weight
        return _safe_indexing(self.X, index), None if weight is None else weight[index]
