"""The rows that a filter judges: checked once, and carried together from there."""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import assert_all_finite, indexable
from sklearn.utils.validation import column_or_1d

from sklinfluence._estimators import (
    Copies,
    check_numbers,
    check_weight_range,
    find_copies,
    refuse_missing_labels,
    sliceable,
)
from sklinfluence._sklearn_compat import _check_sample_weight, _safe_indexing
from sklinfluence.filtering._evidence import is_precomputed, keeps_column
from sklinfluence.filtering._inputs import as_rows, check_columns
from sklinfluence.filtering._votes import warn_about_copies


@dataclass(frozen=True)
class TrainingRows:
    """Rows, their given labels, and what goes with a row.

    Attributes
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        In a container whose rows can be taken; its columns are the ranker's business.
    y : ndarray of shape (n_samples,)
        Given labels or targets.
    sample_weight : ndarray of shape (n_samples,) or None
    groups : array-like of shape (n_samples,) or None
    in_column : bool
        Whether the ranker's net compares targets that stand in a column.
    copies : Copies or None
        Which rows leave together; None where each leaves alone.
    """

    X: object
    y: np.ndarray
    sample_weight: np.ndarray | None = None
    groups: object = None
    in_column: bool = False
    copies: Copies | None = None

    def __len__(self):
        return len(self.y)

    @property
    def targets(self):
        """Given labels in the shape that the ranker's fit takes."""
        return self.y.reshape(-1, 1) if self.in_column else self.y

    @property
    def weights(self):
        """Weights of the rows; ones where none were given."""
        return np.ones(len(self)) if self.sample_weight is None else self.sample_weight

    @property
    def in_use(self):
        """Rows of positive weight."""
        return self.weights > 0

    def take(self, index):
        """The rows of these numbers, without their groups: those are for splitting."""
        weight = self.sample_weight
        return replace(
            self,
            X=_safe_indexing(self.X, index),
            y=self.y[index],
            sample_weight=None if weight is None else weight[index],
            groups=None,
            copies=None if self.copies is None else self.copies.take(index),
        )


def check_training_rows(detector, X, y, sample_weight, groups):
    """Check all but the columns of X, which are the ranker's business.

    Parameters
    ----------
    detector : estimator with ``ranker`` and ``duplicates``
        Gets ``n_features_in_`` and ``feature_names_in_`` where X is a table.
    X, y, sample_weight, groups : object
        As its `fit` takes them.

    Returns
    -------
    rows : TrainingRows
    """
    # A refit on text must not keep the columns of an earlier table.
    for name in ("n_features_in_", "feature_names_in_"):
        vars(detector).pop(name, None)
    X = sliceable(X)
    check_columns(detector, X, y)
    X, y, groups = indexable(X, y, groups)
    # Asked here alone: behind this point y is flat, and `targets` knows its shape.
    in_column = keeps_column(detector.ranker, y)
    y = _one_a_row(type(detector).__name__, y, in_column)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(
            sample_weight, np.empty(len(y)), ensure_non_negative=True
        )
        check_weight_range(sample_weight)
    rows = TrainingRows(as_rows(detector, X), y, sample_weight, groups, in_column)
    if is_precomputed(detector.ranker):
        return rows  # what is said of two rows may be the same
    copies = find_copies(rows.X, detector.duplicates, rows.in_use)
    warn_about_copies(copies, len(rows))
    return replace(rows, copies=copies)


def _one_a_row(name, y, in_column):
    """Labels or targets as a flat array, none of them missing."""
    if np.ndim(y) == 2 and np.shape(y)[1] > 1:
        raise ValueError(
            f"{name} needs one label or target a row, and y has {np.shape(y)[1]} "
            "columns: multilabel and multi-output targets are not supported. Filter "
            "each column of y on its own."
        )
    refuse_missing_labels(y)
    # Nullable integers and booleans as they are, not as scikit-learn's floats.
    plain = np.asarray(y)
    y = y if plain.dtype.kind == "O" else plain
    y = column_or_1d(y, warn=not in_column)
    assert_all_finite(y, input_name="y", estimator_name=name)
    check_numbers(y, "y", "Divide y by its standard deviation.")
    return y
