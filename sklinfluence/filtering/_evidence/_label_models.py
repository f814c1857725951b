"""The models behind ``label_score="auto"``, with the face that a ranker shows a filter.

A filter asks of what it fits: ``label_score_names_``, ``label_scores``,
``loo_proba_``, ``predict`` and ``predict_proba``. Both classes here give them under a
label-noise model fitted by expectation-maximisation on leave-one-out predictions.
"""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import label_index
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    _check_sample_weight,
    with_callbacks,
)
from sklinfluence._warn import warn_user
from sklinfluence.filtering._columns import ColumnReader
from sklinfluence.filtering._evidence._label_evidence import NOISE_ODDS
from sklinfluence.filtering._noise import fit_em, suggest_codes
from sklinfluence.filtering._votes import (
    VOTES,
    LinearSurrogate,
    PooledDetector,
    SharedSurrogate,
    distinct_objective,
    weighing_once,
)

# One-step leave-one-out predictions turn optimistic as heads interpolate: on data
# whose degrees of freedom a row exceed this, their loss can be far from five folds'.
MAX_MEAN_LEVERAGE = 0.35


class PooledLabelModel(CallbackSupportMixin, BaseEstimator):
    """A linear head, an RBF ridge and a forest, pooled by what they say out of sample.

    What a filter fits when it is given no ranker.

    Parameters
    ----------
    noise : {"class", "uniform"} or None, default="class"
    n_rounds : int, default=3
    pool : sequence of str, default=("linear", "kernel", "forest")
    n_jobs : int, default=None
    random_state : int, RandomState instance or None, default=None
    """

    label_score_names_ = (NOISE_ODDS,)
    goes_with_rows = ("copies",)
    evidence_ = "pooled"

    def __init__(
        self, *, noise="class", n_rounds=3, pool=VOTES, n_jobs=None, random_state=None
    ):
        self.noise = noise
        self.n_rounds = n_rounds
        self.pool = pool
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    def fit(self, X, y, sample_weight=None, copies=None):
        self._reader = ColumnReader(self, self.random_state, "LogisticRegression()")
        X = self._reader.fit_read(X, sample_weight)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        self.classes_, codes = np.unique(y, return_inverse=True)
        tracker = FitTracker(self, X, y)
        self._detector = PooledDetector(
            noise=self.noise,
            n_rounds=self.n_rounds,
            pool=self.pool,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        ).fit(X, codes, len(self.classes_), sample_weight, tracker, copies)
        self.loo_proba_, self.tilt_ = self._detector.loo_proba_, self._detector.tilt_
        tracker.done()
        return self

    def suggest_labels(self, is_doubted):
        """The given labels, or the likeliest other ones of doubted training rows."""
        return self.classes_[self._detector.suggest_codes(is_doubted)]

    def label_scores(self, score, X=None, y=None):
        """Log odds that given labels are wrong, whatever ``score`` says."""
        check_is_fitted(self)
        if X is None:
            return self._detector.scores_
        codes = label_index(y, self.classes_)
        return self._detector.score_samples(self._reader.read(X), codes)

    def predict_proba(self, X):
        check_is_fitted(self)
        return self._detector.predict_proba(self._reader.read(X))

    def predict(self, X):
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


class NoiseAwareRanker(CallbackSupportMixin, BaseEstimator):
    """A user's ranker, alone, its head refitted under a label-noise model.

    Parameters
    ----------
    ranker : InfluenceRanker
        A ranker of classes with a fitted linear head.
    noise : {"class", "uniform"} or None, default="class"
    n_rounds : int, default=3
    """

    label_score_names_ = (NOISE_ODDS,)
    goes_with_rows = ("copies",)

    def __init__(self, ranker, *, noise="class", n_rounds=3):
        self.ranker = ranker
        self.noise = noise
        self.n_rounds = n_rounds

    @with_callbacks
    def fit(self, X, y, sample_weight=None, copies=None):
        ranker = clone(self.ranker)
        keywords = {} if sample_weight is None else {"sample_weight": sample_weight}
        tracker = FitTracker(self, X, y)
        with tracker.fitting("fit the ranker", ranker):
            self.ranker_ = ranker.fit(X, y, **keywords)
        self.classes_ = ranker.classes_
        fitted, n_classes = ranker.reading_.fitted, len(ranker.classes_)
        # The weights of the head's classes are its own business.
        given = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight)
        codes = label_index(y, self.classes_)
        self._result = fit_em(
            [_surrogate(fitted, copies)],
            codes,
            n_classes,
            fitted.objective.weights,
            self.noise,
            self.n_rounds,
            tracker.each,
            weighing_once(fitted.objective.weights, copies, given),
        )
        leverage = ranker.leverage_
        leverage = leverage if copies is None else copies.total(leverage)
        self._warn_about_leverage(np.nanmean(leverage))
        self.loo_proba_, self.tilt_ = self._result.loo_proba, self._result.tilt
        self._codes = codes
        tracker.done()
        return self

    def suggest_labels(self, is_doubted):
        """The given labels, or the likeliest other ones of doubted training rows."""
        return self.classes_[suggest_codes(self._result, self._codes, is_doubted)]

    def label_scores(self, score, X=None, y=None):
        """Log odds that given labels are wrong, whatever ``score`` says."""
        check_is_fitted(self)
        if X is None:
            return self._result.scores
        codes = label_index(y, self.classes_)
        return self._result.score_samples(self.ranker_.head_.embed(X), codes)

    def predict_proba(self, X):
        check_is_fitted(self)
        embedding = self.ranker_.head_.embed(X)
        return self._result.predict_proba(embedding)

    def predict(self, X):
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def _warn_about_leverage(self, mean_leverage):
        if mean_leverage > MAX_MEAN_LEVERAGE:
            warn_user(
                f"The ranker's head has {mean_leverage:.2f} degrees of freedom a row, "
                f"more than {MAX_MEAN_LEVERAGE}: its leave-one-out predictions are "
                "optimistic, and wrong labels may hide. Penalise it more (a smaller "
                "C, a larger alpha), or leave ranker=None, which tunes its own.",
            )


def _surrogate(fitted, copies):
    """The fitted head, to be refitted; copies of a row leave it together."""
    objective = fitted.objective
    if copies is None:
        return LinearSurrogate(objective, fitted.theta)
    distinct = distinct_objective(objective, copies)
    surrogate = LinearSurrogate(distinct, fitted.theta, groups=copies.near())
    return SharedSurrogate(surrogate, copies, objective.weights)
