"""Meta-estimators that drop mislabelled rows inside fit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from sklinfluence._estimators import refuse_missing_labels
from sklinfluence._sklearn_compat import _estimator_has
from sklinfluence._typing import Rows
from sklinfluence.filtering._detector import _LabelNoiseDetector
from sklinfluence.filtering._evidence import target_model
from sklinfluence.filtering._filtered_base import _FilteredEstimator
from sklinfluence.filtering._flagging import FlagRule


class FilteredClassifier(ClassifierMixin, _FilteredEstimator):
    """Fit a classifier without the rows that look mislabelled.

    A meta-estimator: rows are dropped inside `fit`, `sample_weight` and all, so it
    works wherever a classifier does, as the last step of a scikit-learn Pipeline
    first of all. Predictions and scores on new rows drop nothing.

    Read more in the :ref:`User Guide <mislabel_filter>`.

    Parameters
    ----------
    estimator : classifier
        Fitted on the rows that are kept.

    filter : MislabelFilter, MislabelSampler or other sampler, default=None
        Finds the mislabelled rows. A :class:`MislabelFilter` has the rows outside its
        support dropped; a :class:`MislabelSampler` has its action taken, and so has
        any sampler with a `fit_resample`, imbalanced-learn's included. One that is
        fitted already comes as a FrozenEstimator and is for the rows it was fitted on.
        ``MislabelFilter(random_state=0)`` when None.

    Attributes
    ----------
    estimator_ : classifier
        Fitted on the rows that are kept.

    filter_ : MislabelFilter, MislabelSampler or other sampler
        Fitted on all rows: its `report`, `scores_` and `get_support` tell what was
        found.

    sample_indices_ : ndarray of shape (n_kept,)
        Training rows the estimator saw, where the filter tells.

    classes_ : ndarray of shape (n_classes,)
        The estimator's classes.

    n_features_in_ : int
        Number of features seen during `fit`, when X is a table.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`, when X has names that are all strings.

    See Also
    --------
    FilteredRegressor : The same for real targets.
    MislabelFilter : A step in the middle of scikit-learn's Pipeline.
    MislabelSampler : A step of imbalanced-learn's Pipeline.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklinfluence.filtering import FilteredClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> y_noisy = y.copy()
    >>> y_noisy[::10] = (y[::10] + 1) % 3
    >>> tree = DecisionTreeClassifier(random_state=0)
    >>> model = make_pipeline(StandardScaler(), FilteredClassifier(tree))
    >>> round(model.fit(X, y_noisy).score(X, y), 2)
    0.99
    >>> round(tree.fit(X, y_noisy).score(X, y), 2)
    0.9
    """

    _classifies = True
    _ranker_advice = "a classifier, such as InfluenceRanker(LogisticRegression())"

    # Said here: an unknown argument is refused in the name of this class.
    def __init__(self, estimator: Any, filter: Any = None) -> None:
        super().__init__(estimator, filter)

    def _check_targets(self, y):
        refuse_missing_labels(y)
        check_classification_targets(y)
        return y

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Rows, **params: Any) -> NDArray:
        """Predict class probabilities by the estimator fitted on the kept rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Rows to predict.

        **params : dict
            Routed to the estimator's `predict_proba` (needs
            ``enable_metadata_routing=True``).

        Returns
        -------
        proba : ndarray of shape (n_queries, n_classes)
            Probabilities, in the order of `classes_`.
        """
        return self._delegate("predict_proba", X, **params)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X: Rows, **params: Any) -> NDArray:
        """Predict log-probabilities by the estimator fitted on the kept rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Rows to predict.

        **params : dict
            Routed to the estimator's `predict_log_proba` (needs
            ``enable_metadata_routing=True``).

        Returns
        -------
        log_proba : ndarray of shape (n_queries, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        return self._delegate("predict_log_proba", X, **params)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Rows, **params: Any) -> NDArray:
        """Decision values of the estimator that was fitted on the kept rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Rows to predict.

        **params : dict
            Routed to the estimator's `decision_function` (needs
            ``enable_metadata_routing=True``).

        Returns
        -------
        decision : ndarray of shape (n_queries,) or (n_queries, n_classes)
            The estimator's decision values.
        """
        return self._delegate("decision_function", X, **params)


class FilteredRegressor(RegressorMixin, _FilteredEstimator):
    """Fit a regressor without the rows whose targets look wrong.

    A meta-estimator: rows are dropped inside `fit`, `sample_weight` and all, so it
    works wherever a regressor does, as the last step of a scikit-learn Pipeline first
    of all. Predictions and scores on new rows drop nothing.

    Read more in the :ref:`User Guide <mislabel_filter>`.

    Parameters
    ----------
    estimator : regressor
        Fitted on the rows that are kept.

    filter : MislabelFilter, MislabelSampler or other sampler, default=None
        Finds the wrong targets. A :class:`MislabelFilter` has the rows outside its
        support dropped; a :class:`MislabelSampler` has its action taken. One that is
        fitted already comes as a FrozenEstimator and is for the rows it was fitted on.
        ``MislabelFilter(random_state=0)`` when None. A filter without a ranker gets
        ``InfluenceRanker(Ridge())`` here, outliers of its columns held at the nearest
        value that is none, integer targets or not.

    Attributes
    ----------
    estimator_ : regressor
        Fitted on the rows that are kept.

    filter_ : MislabelFilter, MislabelSampler or other sampler
        Fitted on all rows: its `report`, `scores_` and `get_support` tell what was
        found.

    sample_indices_ : ndarray of shape (n_kept,)
        Training rows the estimator saw, where the filter tells.

    n_features_in_ : int
        Number of features seen during `fit`, when X is a table.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`, when X has names that are all strings.

    See Also
    --------
    FilteredClassifier : The same for class labels.
    MislabelSampler : A step of imbalanced-learn's Pipeline.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklinfluence.filtering import FilteredRegressor
    >>> X, y = make_regression(n_features=3, noise=1.0, random_state=0)
    >>> y[[5, 50]] += 300
    >>> model = FilteredRegressor(LinearRegression()).fit(X, y)
    >>> model.filter_.get_support(indices=True).shape
    (98,)
    >>> model.filter_.report().index[:2].sort_values().tolist()
    [5, 50]
    """

    _classifies = False
    _written_out = {
        "filter": "MislabelFilter(InfluenceRanker(Ridge()), random_state=0)"
    }
    _ranker_advice = "a regressor, such as InfluenceRanker(Ridge())"

    # Said here: an unknown argument is refused in the name of this class.
    def __init__(self, estimator: Any, filter: Any = None) -> None:
        super().__init__(estimator, filter)

    def _check_targets(self, y):
        # Numbers held as objects would be taken for labels.
        is_object = np.asarray(y).dtype.kind == "O"
        return np.asarray(y, dtype=np.float64) if is_object else y

    def _clone_filter(self):
        detector = super()._clone_filter()
        # By itself the filter takes integers for classes; here they are targets.
        if isinstance(detector, _LabelNoiseDetector) and detector.ranker is None:
            level = FlagRule.of(detector).fit_level
            detector.set_params(ranker=target_model(detector, level))
        return detector
