"""What all rankers of a linear head share."""

import numpy as np
from sklearn.base import is_regressor
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_consistent_length

from sklinfluence._sklearn_compat import _check_sample_weight
from sklinfluence.base import BaseRanker
from sklinfluence.gradient._inputs import check_embedding, kind_of_targets
from sklinfluence.gradient._scores import Queries
from sklinfluence.heads._ask import ask
from sklinfluence.heads._ranges import check_weight_range
from sklinfluence.heads._targets import (
    refuse_missing_labels,
    refuse_named_targets,
    refuse_sparse,
)


class HeadRanker(BaseRanker):
    """A ranker with ``estimator``; when fitted, ``_fitted``, ``head_``, ``_dtype``."""

    _written_out = {"estimator": "LogisticRegression(), or Ridge() for real targets"}

    def _set_input_attributes(self, head):
        for name in ("n_features_in_", "feature_names_in_", "classes_"):
            self.__dict__.pop(name, None)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        if head.classes is not None:
            self.classes_ = head.classes

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

    @property
    def _n_train(self):
        return len(self._fitted.residual)

    def _queries(self, X, y):
        """X and y as queries; without y, of the model's own prediction."""
        if y is None and hasattr(self, "classes_"):
            y = ask(self.estimator_, "predict", X)
        elif y is None and self._fitted.raw.shape[1] > 1:
            raise ValueError(
                "Without targets, influence is on the prediction itself, and this "
                f"model predicts {self._fitted.raw.shape[1]} of them at once. Call "
                "influence(X, y) with y of shape (n_queries, n_targets), or fit one "
                "ranker for each target."
            )
        targets = None if y is None else self.head_.encode(y)
        embedding = check_embedding(self.head_.embed(X))
        return Queries.at(self._fitted, embedding, targets), embedding.dtype

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        estimator = LogisticRegression() if self.estimator is None else self.estimator
        self._tags_of_model(tags, estimator)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
