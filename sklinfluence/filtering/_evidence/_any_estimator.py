"""Any classifier or regressor in the ranker's place, with a ranker's face.

What is fitted is the cheapest evidence that is honest, each kind in a file of its own:

- classes: ``refit(targets) -> (out-of-sample log-probabilities, model)`` for soft
  ``targets`` of shape (n, K), which is what `fit_em` asks, and ``predict_log_proba``
  of the model;
- real targets: ``refit(kept) -> (out-of-sample predictions, model)`` for a mask
  ``kept`` of the rows to train on, predictions of all rows, and ``predict``.

Each says what it is by ``evidence``: "leave-one-out", "out-of-bag", "cross-fitted".
They know rows of positive weight alone; the models tell of the others.
"""

from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._estimators import ask, fit_weighted, refuse_weights, takes_weights
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    _safe_indexing,
    with_callbacks,
)
from sklinfluence._warn import warn_user
from sklinfluence.filtering._evidence._class_columns import fit_classes
from sklinfluence.filtering._evidence._folds import training_folds
from sklinfluence.filtering._evidence._kind_of_evidence import (
    class_evidence,
    target_evidence,
)
from sklinfluence.filtering._evidence._noisy_labels import NoisyLabelsMixin
from sklinfluence.filtering._evidence._residuals import (
    first_gross_errors,
    gross_errors,
    one_a_row,
    residual_evidence,
    residual_scale,
    studentized,
)
from sklinfluence.filtering._evidence._sample import Sample
from sklinfluence.filtering._noise import CalibratedEvidence, fit_em, noise_in_force
from sklinfluence.filtering._votes import weighing_once

# Fits without the targets that the last one flagged; a fixed point mostly takes two.
_MAX_REFITS = 3
# More rows than this are no gross errors but another population.
_MAX_DROPPED = 0.5


class EstimatorModel(CallbackSupportMixin, BaseEstimator):
    """An estimator, and how the rows that it is fitted on are held out.

    Parameters
    ----------
    estimator : estimator
        Each fit is of a clone. Where it leaves a random state open, the filter's
        fills it.
    cv : int, splitter, iterable or None
    n_jobs : int or None
    random_state : int, RandomState instance or None

    Attributes
    ----------
    ranker_ : estimator
        Fitted on all rows of positive weight, to the given labels or targets.
    evidence_ : str
    """

    goes_with_rows = ("groups", "copies")

    def _sample(self, X, y, sample_weight, groups, copies, is_classification):
        """The rows in use, and which they are."""
        if sample_weight is not None and not takes_weights(self.estimator):
            refuse_weights(self.estimator)
        weight = None if sample_weight is None else np.asarray(sample_weight, float)
        n_rows = _num_samples(X)
        in_use = np.ones(n_rows, dtype=bool) if weight is None else weight > 0
        rng = check_random_state(self.random_state)
        self._seeded = seeded(self.estimator, self.random_state)
        make_folds = partial(
            training_folds,
            self.cv, X, y, groups, in_use, rng, is_classification=is_classification,
            copies=copies,
        )  # fmt: skip
        if not in_use.all():
            used = np.flatnonzero(in_use)
            X, y, weight = _safe_indexing(X, used), y[used], weight[used]
            copies = None if copies is None else copies.take(used)
        needs_folds = self.cv is not None or groups is not None
        parts = X, y, weight, make_folds, needs_folds, self.n_jobs, copies
        return Sample(*parts), in_use

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class EstimatorLabelModel(NoisyLabelsMixin, EstimatorModel):
    """A classifier under a label-noise model.

    Parameters
    ----------
    estimator : classifier
    noise : {"class", "uniform"} or None, default="class"
    n_rounds : int, default=3
    cv, n_jobs, random_state : see `EstimatorModel`
    """

    def __init__(
        self,
        estimator,
        *,
        noise="class",
        n_rounds=3,
        cv=None,
        n_jobs=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.noise = noise
        self.n_rounds = n_rounds
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    def fit(self, X, y, sample_weight=None, groups=None, copies=None):
        tracker = FitTracker(self, X, y)
        y = np.asarray(y).ravel()
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        sample, in_use = self._sample(X, y, sample_weight, groups, copies, True)
        self._begin(sample.y, sample_weight is not None)
        with tracker.task("fit the estimator"):
            evidence = class_evidence(self._seeded, sample, self.present_)
            self.ranker_ = getattr(evidence, "model", None) or self._fitted(sample)
        self.evidence_ = evidence.evidence
        warn_about_unheard(evidence.unheard)
        self._judge(evidence, sample, tracker.each)
        self._speak(X, y, in_use, evidence.unheard)
        tracker.done()
        return self

    def _fitted(self, sample):
        """The classifier fitted on all rows in use."""
        codes = np.searchsorted(self.present_, sample.y)
        parts = (sample.X, codes, self.present_, sample.sample_weight)
        return fit_classes(self._seeded, *parts).model

    def _judge(self, evidence, sample, each):
        """Run the noise model on the evidence."""
        codes, n_classes = np.searchsorted(self.present_, sample.y), len(self.present_)
        weight = np.where(evidence.unheard, 0.0, sample.weights)
        noise = self.noise
        if not evidence.takes_soft:
            said, _ = evidence.refit(np.eye(n_classes)[codes])
            noise = noise_in_force(said, codes, weight, noise, self.n_rounds)
        surrogates = [CalibratedEvidence(evidence, weight)]
        once = weighing_once(weight, sample.copies)
        self._result = fit_em(
            surrogates, codes, n_classes, weight, noise, self.n_rounds, each, once
        )


class EstimatorTargetModel(EstimatorModel):
    """A regressor whose residuals judge real targets.

    Rows whose targets are flagged are left out of the fits, until nothing changes.

    Parameters
    ----------
    estimator : regressor
    fdr : float or None, default=None
        Level at which a target is left out of the fits; None: none is.
    cv, n_jobs, random_state : see `EstimatorModel`
    """

    label_score_names_ = ("studentized",)

    def __init__(self, estimator, *, fdr=None, cv=None, n_jobs=None, random_state=None):
        self.estimator = estimator
        self.fdr = fdr
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    def fit(self, X, y, sample_weight=None, groups=None, copies=None):
        tracker = FitTracker(self, X, y)
        flat = np.asarray(y, dtype=np.float64).ravel()
        sample, in_use = self._sample(X, y, sample_weight, groups, copies, False)
        with tracker.task("fit the estimator"):
            evidence = target_evidence(self._seeded, sample)
            self.ranker_ = getattr(evidence, "model", None) or self._fitted(sample)
        self.evidence_ = evidence.evidence
        given = np.asarray(sample.y, dtype=np.float64).ravel()
        each = partial(tracker.each, "fit without gross errors")
        prediction, self._models = self._settle(evidence, given, sample.weights, each)
        self.scale_ = residual_scale(given - prediction, sample.weights)
        self._say(X, flat, in_use, prediction)
        tracker.done()
        return self

    def _fitted(self, sample):
        """The regressor fitted on all rows in use."""
        parts = (sample.X, sample.y, sample.sample_weight)
        return fit_weighted(clone(self._seeded), *parts)

    def _settle(self, evidence, given, weight, each):
        """Predictions, and their model, that leave out what they flag."""
        kept, is_settled = np.ones(len(given), dtype=bool), False
        for number in each(range(1 if self.fdr is None else 1 + _MAX_REFITS)):
            if is_settled:
                continue
            prediction, models = evidence.refit(kept)
            if self.fdr is None:
                break
            find = first_gross_errors if number == 0 else gross_errors
            flagged = find(given - prediction, weight, self.fdr)
            is_settled = np.array_equal(flagged, ~kept)
            is_settled |= np.mean(flagged) > _MAX_DROPPED
            kept = kept if is_settled else ~flagged
        return prediction, models

    def _say(self, X, y, in_use, prediction):
        """Evidence on all rows; on those of weight 0 as on new ones."""
        self.loo_prediction_ = np.empty(len(y))
        self.loo_prediction_[in_use] = prediction
        if not in_use.all():
            others = np.flatnonzero(~in_use)
            self.loo_prediction_[others] = self.predict(_safe_indexing(X, others))
        self.target_evidence_ = residual_evidence(y, self.loo_prediction_, self.scale_)

    def label_scores(self, score, X=None, y=None):
        """Absolute residuals in units of their scale, whatever ``score`` says."""
        check_is_fitted(self)
        if X is None:
            return self.target_evidence_.scores
        given = np.asarray(y, dtype=np.float64).ravel()
        return studentized(given, self.predict(X), self.scale_)

    def predict(self, X):
        check_is_fitted(self)
        return one_a_row(ask(self._models, "predict", X))


def seeded(estimator, random_state):
    """The estimator, or a clone whose open random states the filter's has filled."""
    if random_state is None or not hasattr(estimator, "get_params"):
        return estimator
    rng = check_random_state(random_state)
    is_open = {
        name: rng.randint(np.iinfo(np.int32).max)
        for name, value in sorted(estimator.get_params().items())
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return clone(estimator).set_params(**is_open) if is_open else estimator


def warn_about_unheard(unheard):
    """Rows that no fold holds out, or of a class that its other rows lack."""
    if unheard.all():
        raise ValueError(
            "No row is held out by a fold whose other rows have its class: nothing can "
            "be said of any label. Use fewer folds, or folds of other rows (cv)."
        )
    n_unheard = np.count_nonzero(unheard)
    if n_unheard:
        warn_user(
            f"{n_unheard} of {len(unheard)} rows are held out by no fold whose other "
            "rows have their class: nothing speaks for or against their labels, and "
            "they get the lowest score.",
        )
