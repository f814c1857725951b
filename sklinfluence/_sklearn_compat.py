"""Every private import from scikit-learn, in one place, so a rename breaks one file."""

import numpy as np
from sklearn.base import _fit_context as _validated
from sklearn.ensemble._base import _set_random_states
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.metrics._scorer import _BaseScorer, _PassthroughScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.preprocessing._data import _handle_zeros_in_scale, _is_constant_feature
from sklearn.utils import _safe_indexing as _indexed
from sklearn.utils._metadata_requests import (
    METHODS,
    SIMPLE_METHODS,
    _raise_for_params,
    _routing_enabled,
)
from sklearn.utils._missing import is_scalar_nan
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from sklearn.utils._optional_dependencies import (
    check_matplotlib_support,
    check_pandas_support,
)
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
)
from sklearn.utils._param_validation import validate_params as _checked
from sklearn.utils._plotting import _validate_style_kwargs
from sklearn.utils.validation import (
    _check_method_params,
    _check_sample_weight,
    _estimator_has,
)

from sklinfluence._in_memory import in_memory
from sklinfluence._whole_fit import whole

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # callbacks came in scikit-learn 1.9, marked experimental

    class CallbackSupportMixin:
        """Estimators of an older scikit-learn have no callbacks."""

    def with_callbacks(method):
        """Nothing to be torn down after a fit."""
        return method


# The method of samplers, added as imbalanced-learn itself adds it when it is imported:
# what is routed must not depend on which of the two was imported first.
for _methods in (SIMPLE_METHODS, METHODS):
    if "fit_resample" not in _methods:
        _methods.append("fit_resample")


def _fit_context(*, prefer_skip_nested_validation):
    """scikit-learn's own, and a fit that breaks off leaves the earlier one."""
    validated = _validated(prefer_skip_nested_validation=prefer_skip_nested_validation)
    return lambda fit: whole(validated(fit))


def validate_params(constraints, *, prefer_skip_nested_validation):
    """scikit-learn's own, and rows that lie on a cluster are refused before."""
    checked = _checked(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return lambda function: in_memory(checked(function))


__all__ = [
    "BaseSearchCV",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_BaseScorer",
    "_PassthroughScorer",
    "_check_method_params",
    "_check_sample_weight",
    "_estimator_has",
    "_fit_context",
    "_raise_for_params",
    "_routing_enabled",
    "_safe_indexing",
    "_set_random_states",
    "_validate_style_kwargs",
    "check_matplotlib_support",
    "check_pandas_support",
    "draws_by_weight",
    "first_raw_prediction",
    "fitted_scale",
    "forest_input",
    "hist_leaf_finder",
    "hist_trees",
    "is_scalar_nan",
    "n_rows_of_ensemble",
    "split_seed",
    "validate_params",
    "weights_in_fit",
    "with_callbacks",
]


def _safe_indexing(X, indices, *, axis=0):
    """scikit-learn's own, for pandas' Index and arrays that Arrow holds too.

    scikit-learn asks those with an ellipsis among the keys, which they do not take.
    """
    is_of_pandas = type(X).__module__.startswith("pandas")
    if axis == 0 and is_of_pandas and not hasattr(X, "iloc"):
        return X[indices if isinstance(indices, slice) else np.asarray(indices)]
    return _indexed(X, indices, axis=axis)


def n_rows_of_ensemble(ensemble):
    """How many rows a fitted bagging ensemble or forest was trained on."""
    return ensemble._n_samples


def hist_trees(model):
    """Nodes of a HistGradientBoosting*'s trees: stages of outputs of structured arrays.

    ``is_leaf`` and ``value``, by which the tree adds to the raw prediction, are fields.
    """
    return [[tree.nodes for tree in stage] for stage in model._predictors]


def hist_leaf_finder(model):
    """The function that says which leaf of a HistGradientBoosting*'s trees rows are in.

    Returns
    -------
    find : callable
        ``find(X)`` yields, a stage at a time, the place of each row's leaf among the
        leaves of each tree, int32 of shape (n_rows, n_outputs).
    """
    return _HistLeafFinder(model)


class _HistLeafFinder:
    # The model's own predictor, of trees whose leaves hold their number as value: it
    # knows of missing values and categories.
    def __init__(self, model):
        self.model = model
        self.stages = [
            [_numbered(tree) for tree in stage] for stage in model._predictors
        ]

    def __call__(self, X):
        X = self.model._preprocess_X(X, reset=False)
        known = self.model._bin_mapper.make_known_categories_bitsets()
        n_threads = _openmp_effective_n_threads()
        for stage in self.stages:
            found = [tree.predict(X, *known, n_threads) for tree in stage]
            yield np.stack(found, axis=1).astype(np.int32)


def _numbered(tree):
    nodes = tree.nodes.copy()
    is_leaf = nodes["is_leaf"].astype(bool)
    nodes["value"][is_leaf] = np.arange(is_leaf.sum())
    return TreePredictor(nodes, tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets)


def first_raw_prediction(model, X):
    """What a gradient boosting model starts from, (n_rows or 1, n_outputs)."""
    if hasattr(model, "_baseline_prediction"):
        return model._baseline_prediction
    return model._raw_predict_init(X)


def split_seed(model):
    """The seed of the split that early stopping of a HistGradientBoosting* made."""
    return model._random_seed


def weights_in_fit(model, sample_weight, codes):
    """Sample weights times class weights, as a HistGradientBoosting* makes them."""
    return model._finalize_sample_weight(sample_weight, codes)


def forest_input(forest, X):
    """X as the trees of a forest read it."""
    return forest._validate_X_predict(X)


def draws_by_weight(ensemble):
    """Whether a fitted bagging ensemble or forest draws rows by their weights.

    Those of scikit-learn before 1.9 draw them alike and weigh what they drew.
    """
    return hasattr(ensemble, "_sample_weight")


def fitted_scale(mean, variance, n_rows):
    """What a StandardScaler with such moments divides columns by, 1 for constants."""
    constant = _is_constant_feature(variance, mean, n_rows)
    return _handle_zeros_in_scale(np.sqrt(variance), constant_mask=constant)
