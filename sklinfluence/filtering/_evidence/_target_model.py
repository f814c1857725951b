"""What judges real targets without a ranker, with a ranker's face to a filter."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    _check_sample_weight,
    with_callbacks,
)
from sklinfluence.filtering._columns import ColumnReader, Representation
from sklinfluence.filtering._evidence._residuals import (
    residual_evidence,
    residual_scale,
    studentized,
)
from sklinfluence.filtering._evidence._trimming import drowning, trim
from sklinfluence.filtering._votes import VOTES, Views, fit_targets, voters


class PooledTargetModel(CallbackSupportMixin, RegressorMixin, BaseEstimator):
    """Votes on real targets, pooled, fitted to the rows that are no gross errors.

    Parameters
    ----------
    pool : sequence of str, default=("linear", "kernel", "forest")
    fdr : float or None, default=0.05
        Level at which gross errors are taken out of the fit; None takes out those
        only that would drown it.
    n_jobs : int, default=None
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    pool_ : tuple of str
        The votes that were taken.
    loo_prediction_ : ndarray of shape (n,)
        Prediction of every training row by votes that never saw it.
    scale_ : float
        Of the residuals of honest rows: what label scores are measured in.
    """

    label_score_names_ = ("studentized",)
    evidence_ = "pooled"
    goes_with_rows = ("copies",)

    def __init__(self, *, pool=VOTES, fdr=0.05, n_jobs=None, random_state=None):
        self.pool = pool
        self.fdr = fdr
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    def fit(self, X, y, sample_weight=None, copies=None):
        self._reader = ColumnReader(self, self.random_state, "Ridge()")
        columns = self._reader.fit_read(X, sample_weight)
        weight = np.ones(len(y))
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, columns, dtype=np.float64, ensure_non_negative=True
            )
        tracker = FitTracker(self, X, y)
        y = np.asarray(y, dtype=np.float64)
        rng = check_random_state(self.random_state)
        self._representation = Representation(rng)
        parts = columns, weight
        if copies is not None:  # fitted as one row of their weight and mean target
            parts = columns[copies.first], copies.total(weight)
        with tracker.task("scale the columns"):
            Z = self._representation.fit_transform(*parts)
        seed = rng.randint(np.iinfo(np.int32).max)
        views, self.pool_ = Views(parts[0], Z), voters(self.pool, self._representation)

        def residuals_without(trimmed):
            kept = np.where(trimmed, 0.0, weight)
            self._fit_votes(views, y, kept, copies, np.random.RandomState(seed))
            return y - self.loo_prediction_

        with tracker.task("fit the votes"):
            residuals = trim(residuals_without, drowning(y, weight), weight, self.fdr)
        self.scale_ = residual_scale(residuals, weight)
        self.target_evidence_ = residual_evidence(y, self.loo_prediction_, self.scale_)
        tracker.done()
        return self

    def _fit_votes(self, views, y, weight, copies, rng):
        # The squares of the largest numbers must stay numbers.
        self._middle, self._unit = _place(y, weight)
        small, groups = (0.5 * y - 0.5 * self._middle) / self._unit, ()
        if copies is not None:
            small, groups = copies.mean(small, weight), copies.near()
            weight = copies.total(weight)
        # Rounding of a mean must not decide between splits that trees hold for equal.
        parts = views, np.round(small, 12), weight, rng, self.n_jobs, groups
        self._pooled = fit_targets(self.pool_, *parts)
        loo = self._on_targets(self._pooled.loo)
        self.loo_prediction_ = loo if copies is None else loo[copies.row]

    def _on_targets(self, small):
        return self._middle + 2.0 * (self._unit * small)

    def label_scores(self, score, X=None, y=None):
        """Absolute residuals in units of their scale, whatever ``score`` says."""
        check_is_fitted(self)
        if X is None:
            return self.target_evidence_.scores
        given = np.asarray(y, dtype=np.float64)
        return studentized(given, self.predict(X), self.scale_)

    def predict(self, X):
        check_is_fitted(self)
        columns = self._reader.read(X)
        views = Views(columns, self._representation.transform(columns))
        return self._on_targets(self._pooled.predict(views))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def _place(y, weight):
    """The middle of the targets in use, and half their spread."""
    used = y[weight > 0]
    lowest, highest = used.min(), used.max()
    return 0.5 * lowest + 0.5 * highest, (0.5 * highest - 0.5 * lowest) or 1.0
