"""DataOOBRanker: how well a bagged model's members predict the rows they never saw."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils import column_or_1d

from sklinfluence._estimators import (
    are_classes,
    check_training,
    fit_weighted,
    label_index,
    takeable,
)
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    HasMethods,
    _fit_context,
    _safe_indexing,
    _set_random_states,
    n_rows_of_ensemble,
)
from sklinfluence._typing import RandomState, Rows
from sklinfluence.base import BaseValuer


class DataOOBRanker(BaseValuer):
    """Mean out-of-bag correctness of each training row.

    A row is worth what the members of a bagged ensemble that did not train on it make
    of it: the share of them that predict its label, or minus their mean squared
    error. One fit serves all rows, and no validation set is needed.

    Parameters
    ----------
    estimator : estimator, default=None
        A bagging ensemble or a forest with bootstrap samples, whose
        ``estimators_samples_`` say which rows each member saw. A fitted one is passed
        as ``FrozenEstimator(model)``, with its own training rows. None: a random
        forest of 500 trees.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimator's own ``random_state``. None leaves it as it is.

    Attributes
    ----------
    values_ : ndarray of shape (n_train,)
        Share of out-of-bag members that are right, or minus their mean squared error
        in squared target units: higher for a row that is better to have. NaN for a
        row that every member saw; 0 for one of weight 0.
    values_stderr_ : ndarray of shape (n_train,)
        Standard error of each value, over members.
    n_oob_ : ndarray of shape (n_train,)
        Members that did not see each row.
    ranking_ : ndarray of shape (n_train,)
        Rank of each row, 1 for the lowest value.
    estimator_ : estimator
        The fitted ensemble.
    classes_ : ndarray of shape (n_classes,)
        Class labels; classification only.
    n_train_ : int
        Number of training rows.
    n_features_in_ : int
        Number of columns of X, when the estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    ShapleyRanker : What a row adds to a score.

    References
    ----------
    .. [1] Kwon, Y. and Zou, J. (2023). Data-OOB: out-of-bag estimate as a simple and
       efficient data value.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklinfluence.datasets import flip_labels
    >>> from sklinfluence.retraining import DataOOBRanker
    >>> X, y = load_iris(return_X_y=True)
    >>> y_noisy, is_flipped = flip_labels(y, 0.1, random_state=0)
    >>> ranker = DataOOBRanker(random_state=0).fit(X, y_noisy)
    >>> bool(is_flipped[ranker.ranking_ <= 10].mean() > 0.5)
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self, estimator: Any = None, *, random_state: RandomState = None
    ) -> None:
        self.estimator = estimator
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the ensemble and value every row by the members that did not see it.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_train, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_train,)
            Class labels or real targets.
        sample_weight : array-like of shape (n_train,), default=None
            Weights of the rows, for ensembles whose ``fit`` takes them. A row of
            weight 0 is worth 0.

        Returns
        -------
        self : object

        Raises
        ------
        TypeError
            If the ensemble does not say which rows its members saw.
        ValueError
            If every member saw every row.
        """
        y, sample_weight = check_training(self, X, y, sample_weight)
        y = column_or_1d(y, warn=True)
        X = takeable(X)
        tracker = FitTracker(self, X, y)
        model = self._unfitted(y)
        if self.random_state is not None:
            _set_random_states(model, self.random_state)
        with tracker.task("fit the ensemble"):
            model = fit_weighted(model, X, y, sample_weight)
        ensemble = model.estimator if isinstance(model, FrozenEstimator) else model
        samples = _samples(ensemble, len(y))
        classes = ensemble.classes_ if is_classifier(ensemble) else None
        scores = _member_scores(ensemble, X, y, classes, samples, tracker.each)
        mean, stderr, n_known = _running_mean(len(y), scores)
        if sample_weight is not None:
            mean[sample_weight == 0] = stderr[sample_weight == 0] = 0.0
        self.estimator_ = model
        self._begin(len(y), ensemble, classes)
        self.values_, self.values_stderr_, self.n_oob_ = mean, stderr, n_known
        tracker.done()
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A member is right or wrong, or off by a distance, in one target.
        tags.target_tags.multi_output = False
        return tags

    def _unfitted(self, y):
        if self.estimator is None:
            kind = RandomForestClassifier if are_classes(y) else RandomForestRegressor
            return kind(500)
        return clone(self.estimator)

    def _wrapped(self):
        return RandomForestClassifier() if self.estimator is None else self.estimator


def _samples(ensemble, n_rows):
    """The rows that each member saw."""
    name = type(ensemble).__name__
    if not hasattr(ensemble, "estimators_samples_"):
        raise TypeError(
            f"{name} does not say which rows its members saw (estimators_samples_). "
            "Use a random forest, ExtraTrees*(bootstrap=True) or Bagging*, or "
            "cross-validation: ShapleyRanker, LeaveOneOutRanker."
        )
    trained = n_rows_of_ensemble(ensemble)
    if trained != n_rows:
        raise ValueError(
            f"The fitted {name} was trained on {trained} rows, and X has {n_rows}: "
            "pass the rows that it was trained on."
        )
    # Once: the attribute draws all samples anew whenever it is read.
    samples = ensemble.estimators_samples_
    if all(len(np.unique(seen)) == n_rows for seen in samples):
        raise ValueError(
            f"Every member of {name} saw every row (n_samples={n_rows}), so none "
            "is out of bag. Set bootstrap=True, or max_samples below 1."
        )
    return samples


def _member_scores(ensemble, X, y, classes, samples, each):
    """(rows, scores) of each member: what it makes of the rows that it did not see."""
    columns = getattr(ensemble, "estimators_features_", [None] * len(samples))
    # Members of a classifier were trained on the numbers of its classes.
    truth = np.asarray(y, float) if classes is None else label_index(y, classes)
    members = list(zip(ensemble.estimators_, samples, columns, strict=True))
    for member, seen, at in each("ask the members", members):
        out = np.setdiff1d(np.arange(len(truth)), seen)
        if not out.size:
            continue
        rows = _safe_indexing(X, out)
        # Members read arrays, whatever the ensemble was given.
        rows = rows if sparse.issparse(rows) else np.asarray(rows)
        said = member.predict(rows if at is None else rows[:, at])
        if classes is None:
            yield out, -((np.asarray(said, dtype=float) - truth[out]) ** 2)
        else:
            yield out, (said == truth[out]).astype(float)


def _running_mean(n_rows, scores):
    """Mean, standard error and number of each row's scores (Welford's recursion)."""
    count, mean, squares = (
        np.zeros(n_rows, dtype=int),
        np.zeros(n_rows),
        np.zeros(n_rows),
    )
    for rows, score in scores:
        count[rows] += 1
        away = score - mean[rows]
        mean[rows] += away / count[rows]
        squares[rows] += away * (score - mean[rows])
    mean[count == 0] = np.nan
    stderr = np.full(n_rows, np.nan)
    some = count > 1
    stderr[some] = np.sqrt(squares[some] / (count[some] - 1) / count[some])
    return mean, stderr, count
