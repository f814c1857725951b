"""Evidence on every row from rankers fitted without the row's fold."""

import numpy as np
from sklearn.model_selection import check_cv

from sklinfluence._estimators import refuse_weights, takes_weights
from sklinfluence._messages import shown
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.filtering._evidence import (
    LabelEvidence,
    is_classification,
    new_evidence,
)


def cross_fit(fit, fitted, score, X, y, sample_weight, cv, groups, fallback, each_fit):
    """Score every row by models fitted without the row's fold.

    Rows held out by several folds (repeated splitters) get the mean. Two kinds of rows
    cannot be scored by a fold: rows that no fold holds out (shuffled splits), and rows
    whose label the rest of the data lacks, so that the fold's model never heard of
    it. They take the evidence of `fallback`, the leave-one-out answers of the model
    that was fitted on all rows: also those of a model that never saw the row.

    Parameters
    ----------
    fit : callable
        ``fit(X, y, sample_weight, fitting)`` gives a model, fitted in the context
        ``fitting(model)``.

    fitted : ranker or label model
        Fitted on all rows.

    fallback : LabelEvidence
        Of the training rows of `fitted`.

    each_fit : callable
        Reports progress: `FitTracker.each_fit`.

    Returns
    -------
    evidence : LabelEvidence
    """
    classification = is_classification(fitted)
    splitter = check_cv(cv, y, classifier=classification)
    classes = fitted.classes_ if classification else None
    mean = _RunningMean(fallback)
    folds = list(splitter.split(X, y, groups))
    numbered = each_fit("fit without a fold", list(enumerate(folds)))
    for (number, (train, test)), fitting in numbered:
        if classification:
            test = test[np.isin(y[test], y[train])]
            if len(test) == 0 or len(np.unique(y[train])) < 2:
                continue
        weight = None if sample_weight is None else sample_weight[train]
        try:
            model = fit(_safe_indexing(X, train), y[train], weight, fitting)
        except ValueError as error:
            raise ValueError(
                f"The ranker could not be fitted without fold {number} of cv, on "
                f"{len(train)} rows{_of_classes(y[train], classes)}: {error}"
            ) from error
        evidence = new_evidence(model, score, _safe_indexing(X, test), y[test])
        columns = np.searchsorted(classes, model.classes_) if classification else None
        mean.add(test, evidence, columns)
    return mean.evidence()


def _of_classes(y, classes):
    return "" if classes is None else f" of the classes {shown(np.unique(y))}"


def fit_ranker(ranker, X, y, sample_weight):
    """Fit without naming a weight that was not given: not every ranker takes one."""
    if sample_weight is None:
        return ranker.fit(X, y)
    if not takes_weights(ranker):
        refuse_weights(ranker)
    return ranker.fit(X, y, sample_weight=sample_weight)


class _RunningMean:
    """Mean of the evidence that folds bring, row by row."""

    def __init__(self, fallback):
        self._fallback = fallback
        self._n_seen = np.zeros(len(fallback.scores))
        self._scores = np.zeros(len(fallback.scores))
        self._prediction = np.zeros(fallback.prediction.shape)
        self._p_values = np.zeros(len(fallback.scores))

    def add(self, rows, evidence, columns=None):
        self._n_seen[rows] += 1
        self._scores[rows] += evidence.scores
        if columns is None:
            self._prediction[rows] += evidence.prediction
            self._p_values[rows] += evidence.p_values
        else:
            self._prediction[np.ix_(rows, columns)] += evidence.prediction

    def evidence(self):
        seen, fallback = self._n_seen > 0, self._fallback
        scores, prediction = fallback.scores.copy(), fallback.prediction.copy()
        n_seen = self._n_seen[seen]
        scores[seen] = self._scores[seen] / n_seen
        n_seen_columns = n_seen.reshape(-1, *[1] * (prediction.ndim - 1))
        prediction[seen] = self._prediction[seen] / n_seen_columns
        p_values = fallback.p_values
        if p_values is not None:
            p_values = p_values.copy()
            p_values[seen] = self._p_values[seen] / n_seen
        held_out = fallback.held_out or bool(seen.all())
        log_odds = None if fallback.log_odds is None else scores
        return LabelEvidence(scores, prediction, p_values, held_out, log_odds)
