"""What models that never saw a row say about its label."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax
from scipy.stats import t as student_t

from sklinfluence.filtering._thresholds import flag_disagreement, log_odds_against
from sklinfluence.filtering._warn import warn_user

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
        the ranker gives none.

    held_out : bool
        Whether `quality` comes from models that never saw the row.

    log_odds : ndarray of shape (n_samples,) or None
        Log odds that the given label is wrong, where a noise model tells; else they
        follow from `prediction`.
    """

    scores: np.ndarray
    prediction: np.ndarray
    classes: np.ndarray | None = None
    p_values: np.ndarray | None = None
    held_out: bool = True
    log_odds: np.ndarray | None = None

    def take(self, rows):
        """Evidence on some of the rows."""
        p_values, log_odds = self.p_values, self.log_odds
        return replace(
            self,
            scores=self.scores[rows],
            prediction=self.prediction[rows],
            p_values=None if p_values is None else p_values[rows],
            log_odds=None if log_odds is None else log_odds[rows],
        )

    def coded(self, labels):
        """Labels as numbers of classes; targets as they are."""
        if self.classes is None:
            return labels
        return np.searchsorted(self.classes, labels)

    def decoded(self, codes):
        """What `coded` made numbers of."""
        return codes if self.classes is None else self.classes[codes]

    def predicted(self, given):
        """Predicted class codes or targets; the given ones where there is no answer."""
        if self.classes is None:
            return np.where(np.isnan(self.prediction), given, self.prediction)
        unknown = np.isnan(self.prediction).any(axis=1)
        # A tie contradicts nobody: it must not fall to the class that comes first.
        highest = np.max(self.prediction, axis=1)
        unknown |= self.quality(given) >= highest * (1.0 - _TIE)
        return np.where(unknown, given, np.argmax(self.prediction, axis=1))

    def quality(self, given):
        """Probability of the given class, or the p-value of the given target."""
        if self.classes is None:
            return self.p_values
        return self.prediction[np.arange(len(given)), given]

    def contradicts(self, given):
        """Rows whose given class the evidence speaks against, by the flag rule."""
        odds = self.log_odds
        if odds is None:
            odds = log_odds_against(self.quality(given))
        return flag_disagreement(given, self.predicted(given), odds)


def training_evidence(ranker, score, X):
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
    """
    scores = ranker.label_scores(score)
    if hasattr(ranker, "classes_"):
        probabilities = _training_probabilities(ranker)
        held_out = probabilities is not None
        if not held_out:
            probabilities = _new_probabilities(ranker, X)
        return _of_classes(ranker, score, scores, probabilities, held_out)
    held_out = hasattr(ranker, "loo_prediction_")
    prediction = ranker.loo_prediction_ if held_out else ranker.predict(X)
    return _of_targets(ranker, scores, prediction, held_out)


def new_evidence(ranker, score, X, y):
    """Evidence on labelled rows that the ranker never saw."""
    scores = ranker.label_scores(score, X, y)
    if hasattr(ranker, "classes_"):
        return _of_classes(ranker, score, scores, _new_probabilities(ranker, X))
    return _of_targets(ranker, scores, ranker.predict(X), True, X, y)


def known_scores(ranker):
    """The label scores that a fitted ranker says it gives; None if it does not say."""
    return getattr(ranker, "label_score_names_", None)


def _of_classes(ranker, score, scores, probabilities, held_out=True):
    # What a label model calls its score are log odds under its noise model.
    odds = scores if score == NOISE_ODDS else None
    return LabelEvidence(
        scores, probabilities, ranker.classes_, held_out=held_out, log_odds=odds
    )


def _of_targets(ranker, scores, prediction, held_out, *rows):
    known = known_scores(ranker)
    held_out = held_out and (known is None or "studentized" in known)
    p_values = np.full(len(scores), np.nan)
    if held_out:
        residuals = ranker.label_scores("studentized", *rows)
        p_values = _p_values(residuals, residual_dof(ranker))
    prediction = _one_a_row(prediction)
    return LabelEvidence(scores, prediction, p_values=p_values, held_out=held_out)


def _one_a_row(prediction):
    # Regression nets mostly predict a column.
    return np.asarray(prediction, dtype=np.float64).reshape(len(prediction))


def residual_dof(ranker):
    """Degrees of freedom of the deleted studentised residuals of a least-squares fit.

    Rows of positive weight, less the effective number of parameters (the sum of the
    leverages), less the deleted row itself.
    """
    n_rows = np.count_nonzero(ranker.head_.weights)
    left = n_rows - np.nansum(ranker.leverage_) - 1
    if left <= 0:
        warn_user(
            "The regression leaves no degrees of freedom: it fits every row, and none "
            "can look wrong. Penalise it more (a larger alpha) or drop columns.",
        )
    return max(left, 0.0)


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
