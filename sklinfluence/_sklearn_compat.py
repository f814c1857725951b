"""Every private import from scikit-learn, in one place, so a rename breaks one file."""

from sklearn.base import _fit_context as _validated
from sklearn.ensemble._base import _set_random_states
from sklearn.metrics._scorer import _BaseScorer, _PassthroughScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import (
    METHODS,
    SIMPLE_METHODS,
    _raise_for_params,
    _routing_enabled,
)
from sklearn.utils._missing import is_scalar_nan
from sklearn.utils._optional_dependencies import (
    check_matplotlib_support,
    check_pandas_support,
)
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_params,
)
from sklearn.utils._plotting import _validate_style_kwargs
from sklearn.utils.validation import (
    _check_method_params,
    _check_sample_weight,
    _estimator_has,
)

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
    "is_scalar_nan",
    "n_rows_of_ensemble",
    "validate_params",
    "with_callbacks",
]


def n_rows_of_ensemble(ensemble):
    """How many rows a fitted bagging ensemble or forest was trained on."""
    return ensemble._n_samples


def draws_by_weight(ensemble):
    """Whether a fitted bagging ensemble or forest draws rows by their weights.

    Those of scikit-learn before 1.9 draw them alike and weigh what they drew.
    """
    return hasattr(ensemble, "_sample_weight")
