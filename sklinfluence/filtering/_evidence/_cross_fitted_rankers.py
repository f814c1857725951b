"""Evidence on every row from rankers fitted without the row's fold."""

from dataclasses import replace

import numpy as np

from sklinfluence._messages import shown
from sklinfluence.filtering._evidence._folds import splits
from sklinfluence.filtering._evidence._label_evidence import new_evidence


def cross_fit(fit, score, rows, cv, fallback, each_fit):
    """Score every row by models fitted without the row's fold.

    Rows held out by several folds (repeated splitters) get the mean. Two kinds of rows
    cannot be scored by a fold: rows that no fold holds out (shuffled splits), and rows
    whose label the rest of the data lacks, so that the fold's model never heard of
    it. They take the evidence of `fallback`, the leave-one-out answers of the model
    that was fitted on all rows: also those of a model that never saw the row.

    Parameters
    ----------
    fit : callable
        ``fit(rows, fitting)`` gives a model, fitted in the context ``fitting(model)``.

    score : str
        What the models are asked for.

    rows : TrainingRows

    cv : int, splitter or iterable

    fallback : LabelEvidence
        Of all rows, by the model fitted on them.

    each_fit : callable
        Reports progress: `FitTracker.each_fit`.

    Returns
    -------
    evidence : LabelEvidence
    """
    mean = _RunningMean(fallback)
    is_classification = fallback.classes is not None
    pairs = splits(cv, rows.X, rows.y, rows.groups, is_classification, rows.copies)
    numbered = list(enumerate(pairs))
    for (number, (train, test)), fitting in each_fit("fit without a fold", numbered):
        if fallback.classes is not None:
            test = test[np.isin(rows.y[test], rows.y[train])]
            if len(test) == 0 or len(np.unique(rows.y[train])) < 2:
                continue
        rest, held_out = rows.take(train), rows.take(test)
        try:
            model = fit(rest, fitting)
        except ValueError as error:
            raise ValueError(
                f"The ranker could not be fitted without fold {number} of cv, on "
                f"{len(rest)} rows{_of_classes(rest.y, fallback.classes)}: {error}"
            ) from error
        found = new_evidence(model, score, held_out.X, held_out.y, rest.copies)
        mean.add(test, found)
    return mean.evidence()


def _of_classes(y, classes):
    return "" if classes is None else f" of the classes {shown(np.unique(y))}"


class _RunningMean:
    """Mean of the evidence that folds bring, row by row."""

    def __init__(self, fallback):
        self._fallback = fallback
        self._n_seen = np.zeros(len(fallback.scores))
        self._scores = np.zeros(len(fallback.scores))
        self._prediction = np.zeros(fallback.prediction.shape)
        self._residuals = np.zeros(len(fallback.scores))
        self._p_values = np.zeros(len(fallback.scores))
        self._held_out = True

    def add(self, rows, evidence):
        self._n_seen[rows] += 1
        self._scores[rows] += evidence.scores
        self._held_out &= evidence.held_out
        if evidence.classes is None:
            self._prediction[rows] += evidence.prediction
            self._residuals[rows] += np.abs(evidence.residuals)
            if evidence.p_values is not None:
                self._p_values[rows] += evidence.p_values
        else:
            # A fold may lack a class, and its model the column.
            columns = self._fallback.codes_of(evidence.classes)
            self._prediction[np.ix_(rows, columns)] += evidence.prediction

    def evidence(self):
        seen, fallback = self._n_seen > 0, self._fallback
        scores, prediction = fallback.scores.copy(), fallback.prediction.copy()
        n_seen = self._n_seen[seen]
        scores[seen] = self._scores[seen] / n_seen
        n_seen_columns = n_seen.reshape(-1, *[1] * (prediction.ndim - 1))
        prediction[seen] = self._prediction[seen] / n_seen_columns
        residuals, p_values = fallback.residuals, fallback.p_values
        if residuals is not None:
            residuals = residuals.copy()
            residuals[seen] = self._residuals[seen] / n_seen
        if p_values is not None:
            p_values = p_values.copy()
            p_values[seen] = self._p_values[seen] / n_seen
        held_out = fallback.held_out or (self._held_out and bool(seen.all()))
        log_odds = None if fallback.log_odds is None else scores
        return replace(
            fallback,
            scores=scores,
            prediction=prediction,
            p_values=p_values,
            residuals=residuals,
            held_out=held_out,
            log_odds=log_odds,
        )
