"""The face that a filter sees of labels judged under a noise model."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import label_index
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.filtering._evidence._label_evidence import NOISE_ODDS
from sklinfluence.filtering._noise import LOG_TINY, suggest_codes


class NoisyLabelsMixin:
    """Scores, probabilities and suggestions that follow from rounds of `fit_em`.

    A model that inherits it sets ``classes_``, all labels, in `fit`, calls `_begin`,
    sets ``_result`` (an `EMResult` on the rows in use, its codes those of
    ``present_``), and calls `_speak`.
    """

    label_score_names_ = (NOISE_ODDS,)

    def _begin(self, given, has_weights):
        """Note the classes of the rows in use, which must be two at least."""
        self.present_ = np.unique(given)
        if len(self.present_) < 2:
            whose = (
                "the rows of positive sample_weight have" if has_weights else "y has"
            )
            raise ValueError(
                "Wrong labels can only be told from right ones among at least two "
                f"classes; {whose} {len(self.present_)} class."
            )

    def _speak(self, X, y, in_use, unheard):
        """Say of all rows what the rounds found; of those of weight 0 as of new ones.

        Parameters
        ----------
        X : rows
        y : ndarray of shape (n,)
        in_use : ndarray of shape (n,), dtype=bool
        unheard : ndarray of shape (n_in_use,), dtype=bool
            Rows of which nothing is known: NaN.
        """
        result = self._result
        self._codes = label_index(y[in_use], self.present_)
        self._in_use = in_use
        self._scores = np.empty(len(y))
        self._scores[in_use] = np.where(unheard, np.nan, result.scores)
        self.loo_proba_ = np.empty((len(y), len(self.classes_)))
        self.tilt_ = self._all_classes(np.array([result.tilt]))[0]
        proba = self._all_classes(result.loo_proba)
        proba[unheard] = np.nan
        self.loo_proba_[in_use] = proba
        if not in_use.all():
            others = np.flatnonzero(~in_use)
            rows = _safe_indexing(X, others)
            self._scores[others] = self._scores_of(rows, y[others])
            self.loo_proba_[others] = self._proba_of(rows)

    def suggest_labels(self, is_doubted):
        """The given labels, or the likeliest other ones of doubted training rows."""
        labels = np.empty(len(is_doubted), dtype=self.classes_.dtype)
        codes = suggest_codes(self._result, self._codes, is_doubted[self._in_use])
        labels[self._in_use] = self.present_[codes]
        others = ~self._in_use
        labels[others] = self.classes_[self.loo_proba_[others].argmax(axis=1)]
        return labels

    def label_scores(self, score, X=None, y=None):
        """Log odds that given labels are wrong, whatever ``score`` says."""
        check_is_fitted(self)
        return self._scores if X is None else self._scores_of(self._rows(X), y)

    def predict_proba(self, X):
        check_is_fitted(self)
        return self._proba_of(self._rows(X))

    def predict(self, X):
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def _rows(self, X):
        """Rows as the models of the rounds take them."""
        return X

    def _scores_of(self, X, y):
        place = np.full(len(self.classes_), -1)
        place[np.searchsorted(self.classes_, self.present_)] = np.arange(
            len(self.present_)
        )
        codes = place[label_index(y, self.classes_)]
        scores = self._result.score_samples(X, np.maximum(codes, 0))
        # Of a label that no row in use has, nothing was learnt but that.
        return np.where(codes >= 0, scores, -LOG_TINY)

    def _proba_of(self, X):
        return self._all_classes(self._result.predict_proba(X))

    def _all_classes(self, present):
        """Numbers with a column for every class; 0 for those not in use."""
        proba = np.zeros((len(present), len(self.classes_)))
        proba[:, np.searchsorted(self.classes_, self.present_)] = present
        return proba
