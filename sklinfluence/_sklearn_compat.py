"""Every private import from scikit-learn, in one place, so a rename breaks one file."""

from sklearn.base import _fit_context
from sklearn.ensemble._base import _set_random_states
from sklearn.metrics._scorer import _BaseScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _raise_for_params, _routing_enabled
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

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # callbacks came in scikit-learn 1.9, marked experimental

    class CallbackSupportMixin:
        """Estimators of an older scikit-learn have no callbacks."""

    def with_callbacks(method):
        """Nothing to be torn down after a fit."""
        return method


__all__ = [
    "BaseSearchCV",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_BaseScorer",
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
    "validate_params",
    "with_callbacks",
]
