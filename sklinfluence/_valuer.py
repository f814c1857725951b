"""The contract of what says how much a training row is worth."""

from abc import ABCMeta, abstractmethod
from inspect import getattr_static
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import WrappedEstimatorMixin
from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._parts import PartsMixin
from sklinfluence._sklearn_compat import CallbackSupportMixin
from sklinfluence._typing import Rows


class BaseValuer(
    InMemoryMixin,
    PartsMixin,
    WrappedEstimatorMixin,
    CallbackSupportMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base class of everything that says what each training row is worth.

    A subclass sets, in `fit`, ``values_`` of shape (n_train,), higher for a row that
    is better to have, and calls `_begin`. If it wraps a model it sets ``estimator_``,
    and the model's ``predict`` and the rest are there.

    See Also
    --------
    BaseRanker : Base class of what also gives influence on single queries.

    Notes
    -----
    A filter asks for ``label_score_names_`` and `label_scores`. A method that predicts
    every training row by a model that never saw it shows these predictions as
    ``loo_proba_``, (n_train, n_classes), or ``loo_decision_function_``; for real
    targets as ``loo_prediction_``, (n_train,), and gives the score "studentized".
    Without them a filter flags a share, or by a number, or takes them from ``cv``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.utils.validation import validate_data
    >>> from sklinfluence.base import BaseValuer
    >>> class Rareness(BaseValuer):
    ...     def fit(self, X, y):
    ...         X, y = validate_data(self, X, y)
    ...         labels, code, count = np.unique(
    ...             y, return_inverse=True, return_counts=True
    ...         )
    ...         self._begin(len(y), classes=labels)
    ...         self.values_ = 1.0 / count[code]
    ...         return self
    >>> Rareness().fit([[0.0], [1.0], [3.0]], [0, 1, 1]).ranking_
    array([3, 1, 2])
    """

    @abstractmethod
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit or read the model and value the training rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows.

        Returns
        -------
        self : object
        """

    def _begin(self, n_train, estimator=None, classes=None):
        """What every `fit` settles: how many rows there are, and what they look like.

        Parameters
        ----------
        n_train : int
            Number of training rows.
        estimator : estimator, default=None
            A fitted model, to take the names of columns and classes from.
        classes : ndarray of shape (n_classes,), default=None
            Labels; None where targets are real, or where ``estimator`` knows them.
        """
        self.n_train_ = n_train
        # There from the start: a name that came with the first question would change
        # the attributes while another thread's check_is_fitted walks over them.
        self._kept_self_influence = None
        if estimator is not None:
            self._show_inputs(estimator, classes)
        elif classes is not None:
            self.classes_ = classes
        else:
            self.__dict__.pop("classes_", None)

    def __dir__(self):
        # scikit-learn's own asks hasattr of every name. A property may take a pass over
        # all rows, and is there even where it refuses to be computed.
        of_class = type(self)
        return [
            name
            for name in object.__dir__(self)
            if isinstance(getattr_static(of_class, name, None), property)
            or hasattr(self, name)
        ]

    @property
    def ranking_(self):
        """Rank of each training row, 1 for the lowest value: the first suspect."""
        # A row that was never measured is no suspect: it comes last.
        return ranks(np.nan_to_num(self.values_, nan=np.inf))

    @property
    def label_score_names_(self):
        """The scores that `label_scores` gives."""
        check_is_fitted(self)
        return self._known_label_scores()

    def label_scores(
        self, score: str, X: Rows | None = None, y: ArrayLike | None = None
    ) -> NDArray:
        """Scores of given labels, higher where a label is likelier wrong.

        Parameters
        ----------
        score : str
            One of ``label_score_names_``.
        X : {array-like, sparse matrix} of shape (n_rows, n_features), default=None
            None: the training rows.
        y : array-like of shape (n_rows,), default=None
            Given labels of ``X``.

        Returns
        -------
        scores : ndarray of shape (n_rows,)

        Raises
        ------
        ValueError
            If this ranker does not know ``score``; lists those it does.
        """
        known = self.label_score_names_
        if not isinstance(score, str) or score not in known:
            raise ValueError(
                f"score={score!r} is not one that {type(self).__name__} gives here. "
                f"It gives {', '.join(map(repr, known))}."
            )
        return self._label_scores(score, X, y)

    def _known_label_scores(self):
        return ("value",)

    def _label_scores(self, score, X, y):
        if X is not None:
            raise ValueError(
                f"score={score!r} of {type(self).__name__} is of training rows alone: "
                "call label_scores without X."
            )
        return -self.values_


def ranks(values):
    """1 for the smallest value; equal ones by their order."""
    ranking = np.empty(len(values), dtype=int)
    ranking[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranking
