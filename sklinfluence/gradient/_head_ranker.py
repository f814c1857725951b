"""What all rankers of a linear head share."""

import numpy as np
from sklearn.base import clone, is_regressor
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_consistent_length

from sklinfluence._estimators import (
    check_weight_range,
    default_estimator,
    fit_weighted,
    kind_of_targets,
    refuse_missing_labels,
    refuse_named_targets,
    refuse_sparse,
)
from sklinfluence._sklearn_compat import _check_sample_weight, _set_random_states
from sklinfluence.base import BaseRanker


class HeadRanker(BaseRanker):
    """A ranker with ``estimator`` and ``random_state``; when fitted, ``reading_``."""

    _written_out = {"estimator": "LogisticRegression(), or Ridge() for real targets"}

    def _check_training(self, X, y, sample_weight):
        name = type(self).__name__
        if y is None:
            raise ValueError(
                f"This {name} estimator requires y to be passed, but the target y is "
                "None."
            )
        refuse_named_targets(name, y)
        check_consistent_length(X, y, sample_weight)
        refuse_missing_labels(y)
        kind = kind_of_targets(y)
        refused = ("multilabel-indicator", "multiclass-multioutput")
        if kind in refused and not self._is_regression():
            raise ValueError(
                f"y is {kind}: {name} takes one label a row. Fit one ranker for each "
                "output, y[:, k]."
            )
        refuse_sparse(name, y)
        y = np.asarray(y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, np.empty(len(y)), dtype=float, ensure_non_negative=True
            )
            check_weight_range(sample_weight)
        return y, sample_weight

    def _is_regression(self):
        """Whether the estimator takes real targets, which may be whole numbers."""
        return self.estimator is not None and is_regressor(self.estimator)

    def _fit_estimator(self, X, y, sample_weight):
        """The estimator's clone, or the default one, fitted."""
        # Not "if self.estimator": an ensemble has a length, which it lacks unfitted.
        if self.estimator is None:
            estimator = default_estimator(y)
        else:
            estimator = clone(self.estimator)
        if self.random_state is not None:
            _set_random_states(estimator, self.random_state)
        return fit_weighted(estimator, X, y, sample_weight)

    def _wrapped(self):
        return LogisticRegression() if self.estimator is None else self.estimator

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
