"""What FilteredClassifier and FilteredRegressor share: fitting on the kept rows."""

from inspect import signature

import numpy as np
from sklearn.base import (
    BaseEstimator,
    MetaEstimatorMixin,
    clone,
)
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from sklinfluence._progress import FitTracker, whole_or_not_at_all
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    HasMethods,
    _check_method_params,
    _estimator_has,
    _fit_context,
    _raise_for_params,
    _routing_enabled,
    _safe_indexing,
)
from sklinfluence.filtering._base import _LabelNoiseDetector
from sklinfluence.filtering._evidence import is_classification
from sklinfluence.filtering._filter import MislabelFilter
from sklinfluence.filtering._net_targets import keeps_column

_DELEGATED = ("predict", "predict_proba", "predict_log_proba", "decision_function")


class _FilteredEstimator(CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit an estimator on the rows that a filter keeps."""

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "filter": [
            HasMethods(["fit", "get_support"]),
            HasMethods("fit_resample"),
            None,
        ],
    }

    def __init__(self, estimator, filter=None):
        self.estimator = estimator
        self.filter = filter

    @_fit_context(
        # The estimator and the filter validate their own parameters.
        prefer_skip_nested_validation=False
    )
    @whole_or_not_at_all
    def fit(self, X, y, **fit_params):
        """Find the mislabelled rows and fit the estimator without them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, text included where both estimator and filter take it.

        y : array-like of shape (n_samples,)
            Given labels or targets.

        **fit_params : dict
            Passed to the estimator's `fit`, those with one entry a row without the
            entries of dropped rows.

            - If `enable_metadata_routing=False` (default): `sample_weight` goes to the
              filter as well; `groups` goes to the filter if it has a `cv`, else to the
              estimator.
            - If `enable_metadata_routing=True`: each goes to whichever of the two
              requests it. Without a filter of your own, the default one requests
              `sample_weight`. See :ref:`Metadata Routing User Guide
              <metadata_routing>`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        validate_data(self, X, y, skip_check_array=True)
        X, y = indexable(X, y)
        self.filter_ = self._clone_filter()
        is_column = keeps_column(self, y)
        if np.ndim(y) == 2 and np.shape(y)[1] == 1:
            # A filter around a net of the same kind takes the column as it is.
            if not keeps_column(getattr(self.filter_, "ranker", None), y):
                y = column_or_1d(y, warn=not is_column)
        y = self._check_targets(y)
        estimator_params, filter_params = self._route(fit_params)
        tracker = FitTracker(self, X, y)
        with tracker.fitting("fit the filter", self.filter_):
            X_kept, y_kept, rows = self._resample(X, y, filter_params)
        if rows is not None:
            self.sample_indices_ = rows
            estimator_params = _check_method_params(X, estimator_params, rows)
        elif estimator_params:
            raise ValueError(
                f"{type(self.filter_).__name__} does not say which rows it kept (it "
                "has no sample_indices_), so that these fit parameters cannot be cut "
                f"to them: {sorted(estimator_params)}."
            )
        if is_column:
            y_kept = np.reshape(y_kept, (-1, 1))
        estimator = clone(self.estimator)
        with tracker.fitting("fit the estimator", estimator):
            self.estimator_ = estimator.fit(X_kept, y_kept, **estimator_params)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        tracker.done()
        return self

    def _resample(self, X, y, filter_params):
        """Rows to train on, their labels, and which rows they are (None: unknown)."""
        if hasattr(self.filter_, "fit_resample"):
            X_kept, y_kept = self.filter_.fit_resample(X, y, **filter_params)
            self._check_filter_task()
            return X_kept, y_kept, getattr(self.filter_, "sample_indices_", None)
        self.filter_.fit(X, y, **filter_params)
        self._check_filter_task()
        rows = self.filter_.get_support(indices=True)
        return _safe_indexing(X, rows), _safe_indexing(y, rows), rows

    def _clone_filter(self):
        # A seed: two fits on the same rows shall drop the same rows.
        default = MislabelFilter(random_state=0)
        return default if self.filter is None else clone(self.filter)

    def _check_targets(self, y):
        """Refuse targets of the other kind, where they can be told."""
        return y

    def _check_filter_task(self):
        if not isinstance(self.filter_, _LabelNoiseDetector):
            return
        if is_classification(self.filter_.ranker_) != self._classifies:
            raise ValueError(
                f"{type(self).__name__} needs a filter of its own kind, and the "
                f"filter's ranker {self.filter_.ranker_!r} treats y as "
                f"{'real targets' if self._classifies else 'classes'}. "
                "Give the filter a ranker around "
                f"{self._ranker_advice}."
            )

    def _route(self, params):
        """Split fit parameters into the estimator's and the filter's."""
        if _routing_enabled():
            routed = process_routing(self, "fit", **params)
            return routed["estimator"]["fit"], routed["filter"]["fit"]
        estimator_params, filter_params = dict(params), {}
        detector = self._clone_filter()
        method = "fit_resample" if hasattr(detector, "fit_resample") else "fit"
        accepted = signature(getattr(detector, method)).parameters
        if params.get("sample_weight") is not None and "sample_weight" in accepted:
            filter_params["sample_weight"] = params["sample_weight"]
        if "groups" in accepted and getattr(detector, "cv", None) is not None:
            filter_params["groups"] = estimator_params.pop("groups", None)
        return estimator_params, filter_params

    def _refuse_missing_values(self, X):
        """Refuse in new rows what the filter would refuse in training rows."""
        taken_by_estimator = get_tags(self.estimator).input_tags.allow_nan
        if taken_by_estimator and not get_tags(self).input_tags.allow_nan:
            validate_data(self, X, reset=False, accept_sparse=True, dtype=None)

    def _delegate(self, method, X, *args, **params):
        check_is_fitted(self)
        self._refuse_missing_values(X)
        if _routing_enabled():
            params = process_routing(self, method, **params)["estimator"][method]
        elif method != "score":
            _raise_for_params(params, self, method)
        return getattr(self.estimator_, method)(X, *args, **params)

    @available_if(_estimator_has("predict"))
    def predict(self, X, **params):
        """Predict by the estimator that was fitted on the kept rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Rows to predict.

        **params : dict
            Routed to the estimator's `predict` (needs
            ``enable_metadata_routing=True``).

        Returns
        -------
        y_pred : ndarray of shape (n_queries,)
            Predicted labels or targets.
        """
        return self._delegate("predict", X, **params)

    @available_if(_estimator_has("score"))
    def score(self, X, y, **params):
        """Score the estimator that was fitted on the kept rows; drops nothing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Test rows.

        y : array-like of shape (n_queries,)
            Their labels or targets.

        **params : dict
            Passed to the estimator's `score`, such as `sample_weight`.

        Returns
        -------
        score : float
            The estimator's own score.
        """
        return self._delegate("score", X, y, **params)

    def get_metadata_routing(self):
        """Get the metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            Which parameters the estimator and the filter ask for.
        """
        estimator_methods = MethodMapping()
        for method in ("fit", "score", *_DELEGATED):
            estimator_methods.add(caller=method, callee=method)
        # The filter is asked under "fit" even when its fit_resample is called:
        # scikit-learn knows the name fit_resample only once imblearn is imported.
        detector = self._clone_filter()
        if self.filter is None and _routing_enabled():
            detector.set_fit_request(sample_weight=True, groups=False)
        return (
            MetadataRouter(owner=self)
            .add(estimator=self.estimator, method_mapping=estimator_methods)
            .add(
                filter=detector,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        parts = [get_tags(self.estimator), get_tags(self._clone_filter())]
        for name in ("sparse", "allow_nan", "string"):
            shared = all(getattr(part.input_tags, name) for part in parts)
            setattr(tags.input_tags, name, shared)
        tags.target_tags.positive_only = parts[0].target_tags.positive_only
        tags.target_tags.required = True
        return tags
