"""The model in a ranker: its predictions, its names of columns, what it takes."""

from numpy.typing import ArrayLike, NDArray
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators._ask import ask
from sklinfluence._sklearn_compat import _estimator_has
from sklinfluence._typing import Rows

_INPUT_ATTRIBUTES = ("n_features_in_", "feature_names_in_", "classes_")


class WrappedEstimatorMixin:
    """Shows the fitted model ``estimator_`` in what wraps it.

    ``predict``, ``predict_proba``, ``decision_function`` and ``score`` are there where
    the model, or the parameter ``estimator``, has them.
    """

    def _show_inputs(self, estimator, classes=None):
        """Take the names of columns, and of classes, from a fitted model.

        Parameters
        ----------
        estimator : estimator
        classes : ndarray of shape (n_classes,), default=None
            What to show as ``classes_`` in place of the model's own.
        """
        for name in _INPUT_ATTRIBUTES:
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        if classes is not None:
            self.classes_ = classes

    @available_if(_estimator_has("predict"))
    def predict(self, X: Rows) -> NDArray:
        """Predictions of the wrapped model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        y_pred : ndarray of shape (n_queries,)
        """
        check_is_fitted(self)
        return ask(self.estimator_, "predict", X)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Rows) -> NDArray:
        """Class probabilities of the wrapped model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        proba : ndarray of shape (n_queries, n_classes)
        """
        check_is_fitted(self)
        return ask(self.estimator_, "predict_proba", X)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X: Rows) -> NDArray:
        """Raw predictions of the wrapped model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        decision : ndarray of shape (n_queries,) or (n_queries, n_classes)
        """
        check_is_fitted(self)
        return ask(self.estimator_, "decision_function", X)

    @available_if(_estimator_has("score"))
    def score(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Score of the wrapped model's predictions: its own ``score``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,)
        sample_weight : array-like of shape (n_queries,), default=None

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        if sample_weight is None:
            return ask(self.estimator_, "score", X, y)
        return ask(self.estimator_, "score", X, y, sample_weight=sample_weight)

    def _wrapped(self):
        """The model before it is fitted, whose tags what wraps it shares."""
        return getattr(self, "estimator", None)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        model = self._wrapped()
        if model is not None:
            _share_tags(tags, get_tags(model))
        return tags


def _share_tags(tags, wrapped):
    """Take over, from the model wrapped, what a ranker shares with it.

    It predicts as the model does, although it is a transformer too: scikit-learn
    stratifies the folds of what says that it is a classifier.
    """
    tags.input_tags = wrapped.input_tags
    tags.estimator_type = wrapped.estimator_type
    tags.classifier_tags = wrapped.classifier_tags
    tags.regressor_tags = wrapped.regressor_tags
    tags.target_tags.multi_output = wrapped.target_tags.multi_output
    if tags.classifier_tags is not None:
        # Rankers take one label a row, whatever the model itself takes.
        tags.classifier_tags.multi_label = False
        tags.target_tags.multi_output = False
