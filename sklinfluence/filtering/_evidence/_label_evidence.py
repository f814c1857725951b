"""What models that never saw a row say about its label."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student_t

from sklinfluence._warn import warn_user
from sklinfluence.filtering._evidence._given_ranker import has_head
from sklinfluence.filtering._inputs import unfrozen
from sklinfluence.filtering._noise import fit_error_law
from sklinfluence.filtering._thresholds import flag_disagreement, log_odds_against
from sklinfluence.gradient import leaving_together, observations

# What label models call their one score.
NOISE_ODDS = "auto"
# Relative difference of two probabilities that only rounding makes.
_TIE = 1e-6


@dataclass(frozen=True)
class LabelEvidence:
    """Scores and predictions of rows, one entry a row.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Higher: likelier mislabelled.

    prediction : ndarray of shape (n_samples, n_classes) or (n_samples,)
        Class probabilities (in the order of ``classes``) or predicted targets.

    classes : ndarray of shape (n_classes,) or None
        Sorted labels; None where targets are real.

    p_values : ndarray of shape (n_samples,) or None
        Regression: two-sided p-value of the deleted studentised residual; NaN where
        the ranker gives none. None leaves it to the law of the residuals.

    residuals : ndarray of shape (n_samples,) or None
        Regression: by models that never saw the row, all on one scale (deleted
        studentised residuals, where there is a ranker); NaN where it gives none.

    held_out : bool
        Whether the quality of labels is by models that never saw the row.

    log_odds : ndarray of shape (n_samples,) or None
        Log odds that the given label is wrong, where a noise model tells; else they
        follow from `prediction`.

    tilt : ndarray of shape (n_classes,) or None
        What weights and copies added to log-probabilities before it was taken out of
        `prediction`; None where it is still in it.
    """

    scores: np.ndarray
    prediction: np.ndarray
    classes: np.ndarray | None = None
    p_values: np.ndarray | None = None
    residuals: np.ndarray | None = None
    held_out: bool = True
    log_odds: np.ndarray | None = None
    tilt: np.ndarray | None = None

    @property
    def weighted_prediction(self):
        """Class probabilities as the rows' weights make them."""
        if self.tilt is None:
            return self.prediction
        weighted = self.prediction * np.exp(self.tilt)
        return weighted / weighted.sum(axis=1, keepdims=True)

    def on(self, labels, sample_weight=None):
        """What the evidence says of given labels or targets.

        Parameters
        ----------
        labels : ndarray of shape (n_samples,)
        sample_weight : ndarray of shape (n_samples,), default=None
            By which residuals tell the law of honest ones; a weight of 2 is a row
            twice.

        Returns
        -------
        verdict : Verdict
        """
        if self.classes is None:
            labels = np.asarray(labels, dtype=np.float64)  # numbers may be objects
            unknown = np.isnan(self.prediction)
            predicted = np.where(unknown, labels, self.prediction)
            residuals = np.copysign(self.residuals, labels - predicted)
            law = fit_error_law(residuals, sample_weight)
            quality = self.p_values
            if quality is None:
                quality = law.p_values(residuals)
            right = law.local_fdr(residuals)
            return Verdict(None, labels, predicted, quality, right=right)
        given = self.codes_of(labels)
        quality = self.prediction[np.arange(len(given)), given]
        unknown = np.isnan(self.prediction).any(axis=1)
        # A tie contradicts nobody: it must not fall to the class that comes first.
        unknown |= quality >= np.max(self.prediction, axis=1) * (1.0 - _TIE)
        predicted = np.where(unknown, given, np.argmax(self.prediction, axis=1))
        odds = log_odds_against(quality) if self.log_odds is None else self.log_odds
        contradicted = flag_disagreement(given, predicted, odds)
        return Verdict(self.classes, given, predicted, quality, contradicted)

    def codes_of(self, labels):
        """The numbers of labels among the classes."""
        return np.searchsorted(self.classes, labels)


@dataclass(frozen=True)
class Verdict:
    """What evidence says of given labels, one entry a row.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,) or None
        None where targets are real.

    given : ndarray of shape (n_samples,)
        Numbers of the given classes, or the given targets.

    predicted : ndarray of shape (n_samples,)
        The same of what is predicted; what is given where there is no answer.

    quality : ndarray of shape (n_samples,)
        Probability of the given class, or p-value of the given target.

    contradicted : ndarray of shape (n_samples,), dtype=bool, or None
        Rows whose given class the evidence speaks against, by the flag rule.

    right : ndarray of shape (n_samples,) or None
        Posterior probability that the given class is the true one, or that the given
        target is no gross error; None where nobody can say.
    """

    classes: np.ndarray | None
    given: np.ndarray
    predicted: np.ndarray
    quality: np.ndarray
    contradicted: np.ndarray | None = None
    right: np.ndarray | None = None

    def take(self, rows):
        """The verdict on some of the rows."""
        return replace(
            self,
            given=self.given[rows],
            predicted=self.predicted[rows],
            quality=self.quality[rows],
            contradicted=None if self.classes is None else self.contradicted[rows],
            right=None if self.right is None else self.right[rows],
        )

    @property
    def predicted_labels(self):
        """Labels or targets that are predicted."""
        if self.classes is None:
            return self.predicted
        return self.classes[self.predicted]


def scorer(ranker, score, copies):
    """The ranker that is asked for a label score: what it says without a row's copies.

    Of scores by models that never saw the row; the others are of the row itself.
    """
    is_out = score == "studentized" or score.startswith("loo_")
    return _without_copies(ranker, copies) if is_out else ranker


def _without_copies(ranker, copies):
    ranker = ranker if copies is None else unfrozen(ranker)
    if copies is None or not has_head(ranker):
        return ranker
    return leaving_together(ranker, copies)


def training_evidence(ranker, score, X, copies=None):
    """Evidence on the rows the ranker was fitted on, from its leave-one-out answers.

    Parameters
    ----------
    ranker : ranker or label model
        Fitted. Where it has ``classes_``, ``loo_proba_`` or ``loo_decision_function_``
        are asked for; else ``loo_prediction_``. Without them it predicts rows that it
        has seen, and the evidence says so.
    score : str
        One that its ``label_scores`` gives.
    X : array-like of shape (n_samples, n_features)
    copies : Copies, default=None
        Rows that leave together. A label model has heard of them in its fit.
    """
    if hasattr(ranker, "target_evidence_"):
        return ranker.target_evidence_
    scores = scorer(ranker, score, copies).label_scores(score)
    ranker = _without_copies(ranker, copies)
    if hasattr(ranker, "classes_"):
        probabilities = _training_probabilities(ranker)
        held_out = probabilities is not None
        if not held_out:
            probabilities = _new_probabilities(ranker, X)
        return _of_classes(ranker, score, scores, probabilities, held_out)
    held_out = hasattr(ranker, "loo_prediction_")
    prediction = ranker.loo_prediction_ if held_out else ranker.predict(X)
    return _of_targets(ranker, scores, prediction, held_out)


def new_evidence(ranker, score, X, y, copies=None):
    """Evidence on labelled rows that the ranker never saw; the copies are its own."""
    scores = scorer(ranker, score, copies).label_scores(score, X, y)
    if hasattr(ranker, "target_evidence_"):
        return LabelEvidence(scores, ranker.predict(X), residuals=scores)
    ranker = _without_copies(ranker, copies)
    if hasattr(ranker, "classes_"):
        return _of_classes(ranker, score, scores, _new_probabilities(ranker, X))
    return _of_targets(ranker, scores, ranker.predict(X), True, X, y)


def kind_of(model, evidence):
    """What rows were held out by; None where the model saw the rows that it judges."""
    own = getattr(model, "evidence_", "leave-one-out")
    return own if evidence.held_out else None


def known_scores(ranker):
    """The label scores that a fitted ranker says it gives; None if it does not say."""
    return getattr(ranker, "label_score_names_", None)


def _of_classes(ranker, score, scores, probabilities, held_out=True):
    # What a label model calls its score are log odds under its noise model.
    odds = scores if score == NOISE_ODDS else None
    tilt = getattr(ranker, "tilt_", None)
    return LabelEvidence(
        scores,
        probabilities,
        ranker.classes_,
        held_out=held_out,
        log_odds=odds,
        tilt=tilt,
    )


def _of_targets(ranker, scores, prediction, held_out, *rows):
    known = known_scores(ranker)
    held_out = held_out and (known is None or "studentized" in known)
    prediction = _one_a_row(prediction)
    residuals = p_values = np.full(len(scores), np.nan)
    if held_out:
        residuals = ranker.label_scores("studentized", *rows)
        p_values = _p_values(residuals, residual_dof(ranker, is_new=bool(rows)))
        # Without degrees of freedom none can look wrong.
        residuals = np.where(np.isnan(p_values), np.nan, residuals)
    return LabelEvidence(
        scores, prediction, p_values=p_values, residuals=residuals, held_out=held_out
    )


def _one_a_row(prediction):
    # Regression nets mostly predict a column.
    return np.asarray(prediction, dtype=np.float64).reshape(len(prediction))


def residual_dof(ranker, is_new=False):
    """Degrees of freedom of the deleted studentised residuals of a least-squares fit.

    Rows of positive weight, less the effective number of parameters (the sum of the
    leverages), less the deleted row itself, or all that leave with it: then one number
    for each row of the fit.
    """
    n_rows, n_left_out = observations(ranker)
    n_left_out = 1 if is_new else n_left_out
    left = n_rows - np.nansum(ranker.leverage_) - n_left_out
    if np.min(left) <= 0:
        warn_user(
            "The regression leaves no degrees of freedom: it fits every row, and none "
            "can look wrong. Penalise it more (a larger alpha) or drop columns.",
        )
    return np.maximum(left, 0.0)


def _training_probabilities(ranker):
    """Leave-one-out class probabilities, or None where the ranker has none."""
    if hasattr(ranker, "loo_proba_"):
        return np.asarray(ranker.loo_proba_, dtype=np.float64)
    if hasattr(ranker, "loo_decision_function_"):
        return _probabilities_from_codes(ranker.loo_decision_function_)
    return None


def _new_probabilities(ranker, X):
    if hasattr(ranker, "predict_proba"):
        return np.asarray(ranker.predict_proba(X), dtype=np.float64)
    return _probabilities_from_codes(ranker.decision_function(X))


def _probabilities_from_codes(decision):
    """Class probabilities of least squares on -1/+1 codes.

    With unit-variance normal errors around the codes, the posterior of class k is
    proportional to exp(-||f - code_k||^2 / 2), that is, to exp(2 f_k): the likelihood
    whose negative logarithm is the squared loss being fitted. Two classes share one
    column, f and -f.
    """
    decision = np.asarray(decision, dtype=np.float64)
    if decision.ndim == 1:
        decision = np.column_stack([-decision, decision]) / 2
    return softmax(2 * decision, axis=1)


def _p_values(studentized, dof):
    """Two-sided p-values of deleted studentised residuals; NaN where undefined."""
    return 2 * student_t.sf(np.abs(studentized), dof)
