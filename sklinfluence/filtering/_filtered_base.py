"""What FilteredClassifier and FilteredRegressor share: fitting on the kept rows."""

from inspect import signature
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    MetaEstimatorMixin,
    clone,
)
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _num_samples,
    check_is_fitted,
    column_or_1d,
)

from sklinfluence._estimators import interruptible, sliceable, weight_keywords
from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._parts import PartsMixin
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    HasMethods,
    _check_method_params,
    _estimator_has,
    _fit_context,
    _raise_for_params,
    _routing_enabled,
)
from sklinfluence._typing import Rows
from sklinfluence.filtering._detector import _LabelNoiseDetector
from sklinfluence.filtering._evidence import is_estimator, is_precomputed, keeps_column
from sklinfluence.filtering._filter import MislabelFilter
from sklinfluence.filtering._inputs import check_columns, unfrozen

_DELEGATED = ("predict", "predict_proba", "predict_log_proba", "decision_function")


class _FilteredEstimator(
    InMemoryMixin, PartsMixin, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator
):
    """Fit an estimator on the rows that a filter keeps."""

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        # Whether it filters rows is checked in fit, with advice for what does not.
        "filter": [HasMethods("fit"), HasMethods("fit_resample"), None],
    }
    # A router, no consumer: weights are the parts' to ask for.
    __metadata_request__fit = {"sample_weight": UNUSED}

    _written_out = {"filter": "MislabelFilter(random_state=0)"}

    def __init__(self, estimator, filter=None):
        self.estimator = estimator
        self.filter = filter

    @_fit_context(
        # The estimator and the filter validate their own parameters.
        prefer_skip_nested_validation=False
    )
    def fit(
        self,
        X: Rows,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        **fit_params: Any,
    ) -> Self:
        """Find the mislabelled rows and fit the estimator without them.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows, text included where both estimator and filter take it.

        y : array-like of shape (n_samples,)
            Given labels or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, for the estimator (the last step of a Pipeline) and
            the filter.

        **fit_params : dict
            Passed to the estimator's `fit`, those with one entry a row without the
            entries of dropped rows. None is the same as absent.

            - If `enable_metadata_routing=False` (default): `groups` goes to the filter
              if it has a `cv`, or an estimator in its ranker's place, else to the
              estimator.
            - If `enable_metadata_routing=True`: each, `sample_weight` too, goes to
              whichever of the two requests it. Without a filter of your own, the
              default one requests `sample_weight`. See :ref:`Metadata Routing User
              Guide <metadata_routing>`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If `filter` is no filter of rows.
        ValueError
            If the estimator takes no weights and there are some; if `filter` was
            fitted (``FrozenEstimator``) on another number of rows.
        """
        self._refuse_no_row_filter()
        for name in ("n_features_in_", "feature_names_in_", "sample_indices_"):
            vars(self).pop(name, None)
        X = sliceable(X)
        check_columns(self, X, y)
        X, y = indexable(X, y)
        self.filter_ = self._clone_filter()
        is_column = keeps_column(self, y)
        if np.ndim(y) == 2 and np.shape(y)[1] == 1:
            # A filter around a net of the same kind takes the column as it is.
            if not keeps_column(getattr(self.filter_, "ranker", None), y):
                y = column_or_1d(y, warn=not is_column)
        y = self._check_targets(y)
        params = {"sample_weight": sample_weight, **fit_params}
        given = {key: value for key, value in params.items() if value is not None}
        estimator_params, filter_params = self._route(given)
        # Before the filter's work, which may be long.
        weights = estimator_params.pop("sample_weight", None)
        estimator_params.update(weight_keywords(self.estimator, weights))
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
        with interruptible(estimator):
            with tracker.fitting("fit the estimator", estimator):
                self.estimator_ = estimator.fit(X_kept, y_kept, **estimator_params)
        vars(self).pop("classes_", None)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        tracker.done()
        return self

    def _resample(self, X, y, filter_params):
        """Rows to train on, their labels, and which rows they are (None: unknown)."""
        detector = unfrozen(self.filter_)
        if detector is not self.filter_:
            self.filter_.fit(X, y)  # says if it is not fitted, and does no more
            detector._check_seen_rows(_num_samples(X))
            self._check_filter_task()
            return detector._take_action(X, y)
        if _fit_method(detector) == "fit_resample":
            X_kept, y_kept = detector.fit_resample(X, y, **filter_params)
            self._check_filter_task()
            return X_kept, y_kept, _rows_kept(detector, X_kept)
        detector.fit(X, y, **filter_params)
        self._check_filter_task()
        return detector._take_action(X, y)

    def _refuse_no_row_filter(self):
        held = unfrozen(self.filter)
        if held is self.filter and is_precomputed(getattr(held, "ranker", None)):
            raise ValueError(
                f"filter={type(held).__name__}('precomputed') of {type(self).__name__} "
                "takes probabilities or predictions for X, and the estimator its rows. "
                "Fit the filter on the former, and pass it as "
                "FrozenEstimator(fitted_filter)."
            )
        if self.filter is None or isinstance(held, _LabelNoiseDetector):
            return
        if held is self.filter and hasattr(held, "fit_resample"):
            return
        name = type(held).__name__
        why = "it has no fit_resample"
        if isinstance(held, SelectorMixin):
            why = "it selects columns, and belongs before the estimator in a Pipeline"
        elif held is not self.filter and hasattr(held, "fit_resample"):
            why = "frozen, it cannot resample; pass it unfrozen"
        raise TypeError(
            f"filter={name}(...) of {type(self).__name__} is no filter of rows: {why}. "
            "Pass a MislabelFilter, a MislabelSampler or a sampler with fit_resample, "
            "such as those of imbalanced-learn."
        )

    def _clone_filter(self):
        # A seed: two fits on the same rows shall drop the same rows.
        default = MislabelFilter(random_state=0)
        return default if self.filter is None else clone(self.filter)

    def _check_targets(self, y):
        """Refuse targets of the other kind, where they can be told."""
        return y

    def _check_filter_task(self):
        detector = unfrozen(self.filter_)
        if not isinstance(detector, _LabelNoiseDetector):
            return
        if (detector._classes is not None) != self._classifies:
            raise ValueError(
                f"{type(self).__name__} needs a filter of its own kind, and the "
                f"filter's ranker {detector.ranker_!r} treats y as "
                f"{'real targets' if self._classifies else 'classes'}. "
                "Give the filter a ranker around "
                f"{self._ranker_advice}."
            )

    def _route(self, params):
        """Split fit parameters into the estimator's and the filter's."""
        if _routing_enabled():
            routed = process_routing(self, "fit", **params)
            method = _fit_method(self.filter_)
            return routed["estimator"]["fit"], routed["filter"][method]
        estimator_params, filter_params = dict(params), {}
        detector = self.filter_
        accepted = signature(getattr(detector, _fit_method(detector))).parameters
        if params.get("sample_weight") is not None and "sample_weight" in accepted:
            filter_params["sample_weight"] = params["sample_weight"]
        has_folds = getattr(detector, "cv", None) is not None
        has_folds |= is_estimator(getattr(detector, "ranker", None))
        if "groups" in accepted and "groups" in params and has_folds:
            filter_params["groups"] = estimator_params.pop("groups")
        return estimator_params, filter_params

    def _delegate(self, method, X, *args, **params):
        check_is_fitted(self)
        params = {key: value for key, value in params.items() if value is not None}
        if _routing_enabled():
            params = process_routing(self, method, **params)["estimator"][method]
        elif method != "score":
            _raise_for_params(params, self, method)
        return getattr(self.estimator_, method)(X, *args, **params)

    @available_if(_estimator_has("predict"))
    def predict(self, X: Rows, **params: Any) -> NDArray:
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

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            Which parameters the estimator and the filter ask for.
        """
        estimator_methods = MethodMapping()
        for method in ("fit", "score", *_DELEGATED):
            estimator_methods.add(caller=method, callee=method)
        detector = self._clone_filter()
        if self.filter is None and _routing_enabled():
            detector.set_fit_request(sample_weight=True, groups=False)
        return (
            MetadataRouter(owner=self)
            .add(estimator=self.estimator, method_mapping=estimator_methods)
            .add(
                filter=detector,
                method_mapping=MethodMapping().add(
                    caller="fit", callee=_fit_method(detector)
                ),
            )
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        parts = [get_tags(self.estimator), get_tags(self._clone_filter())]
        for name in ("sparse", "string", "allow_nan"):
            shared = all(getattr(part.input_tags, name) for part in parts)
            setattr(tags.input_tags, name, shared)
        tags.target_tags.positive_only = parts[0].target_tags.positive_only
        tags.target_tags.required = True
        return tags


def _fit_method(detector):
    """Name of the method that fits a filter."""
    is_sampler = hasattr(unfrozen(detector), "fit_resample")
    return "fit_resample" if is_sampler and detector is unfrozen(detector) else "fit"


def _rows_kept(sampler, X_kept):
    """The rows that a sampler says it kept, one for each row it returned."""
    rows = getattr(sampler, "sample_indices_", None)
    if rows is not None and len(rows) != _num_samples(X_kept):
        raise ValueError(
            f"{type(sampler).__name__} returned {_num_samples(X_kept)} rows, and its "
            f"sample_indices_ name {len(rows)}: weights cannot follow their rows."
        )
    return rows
