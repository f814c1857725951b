"""Evidence from clones that were fitted without the row's fold."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.base import clone

from sklinfluence._estimators import ask, fit_weighted, takes_weights
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.filtering._evidence._class_columns import fit_classes
from sklinfluence.filtering._evidence._residuals import one_a_row
from sklinfluence.filtering._evidence._soft_labels import is_hard, repeated


class CrossFittedClasses:
    """Class probabilities of every row by classifiers fitted without its fold.

    Folds are kept from one fit to the next. Soft labels are rows repeated once a
    class, for classifiers that take weights; without weights, what was said of the
    given labels is said again.

    Parameters
    ----------
    estimator : classifier
    sample : Sample
    classes : ndarray of shape (K,)

    Attributes
    ----------
    unheard : ndarray of shape (n,), dtype=bool
        Rows of which nothing is known: no fold holds them out, or those that do have
        models that never heard of their class.
    """

    evidence = "cross-fitted"

    def __init__(self, estimator, sample, classes):
        self.estimator = estimator
        self.sample = sample
        self.classes = classes
        self.folds = sample.make_folds()
        codes = np.searchsorted(classes, sample.y)
        self.unheard = np.ones(len(sample), dtype=bool)
        for train, test in self.folds:
            self.unheard[test[np.isin(codes[test], codes[train])]] = False
        self.takes_soft = takes_weights(estimator)
        self._said = None

    def refit(self, targets):
        """Fit to class memberships, fold by fold.

        Parameters
        ----------
        targets : ndarray of shape (n, K)

        Returns
        -------
        log_proba : ndarray of shape (n, K)
            Of every row by the models without it; level where nothing is known.
        model : MeanOfModels
            The mean of those models.
        """
        if self._said is not None and not self.takes_soft:
            return self._said
        parts = self.estimator, self.sample, self.classes, targets
        fit_fold = partial(_fit_fold, *parts)
        fits = map_fits(
            fit_fold, *zip(*self.folds, strict=True), n_jobs=self.sample.n_jobs
        )
        total = np.full(targets.shape, -np.inf)
        n_seen = np.zeros(len(targets))
        for (_, test), (_, said) in zip(self.folds, fits, strict=True):
            total[test] = np.logaddexp(total[test], said)
            n_seen[test] += 1
        log_proba = np.full(targets.shape, -np.log(targets.shape[1]))
        known = ~self.unheard
        log_proba[known] = total[known] - np.log(n_seen[known])[:, np.newaxis]
        self._said = log_proba, MeanOfModels([model for model, _ in fits])
        return self._said


@dataclass(frozen=True)
class MeanOfModels:
    """The mean of what the models of all folds say: none of them knows a new row."""

    models: list

    def predict_log_proba(self, X):
        """Log of the mean probability of the classes, (n, K)."""
        said = [model.predict_log_proba(X) for model in self.models]
        return logsumexp(said, axis=0) - np.log(len(said))

    def predict(self, X):
        """Mean prediction of real targets, (n,)."""
        return np.mean(
            [one_a_row(ask(model, "predict", X)) for model in self.models], 0
        )


class CrossFittedTargets:
    """Predictions of every row's real target by regressors fitted without its fold."""

    evidence = "cross-fitted"

    def __init__(self, estimator, sample):
        self.estimator = estimator
        self.sample = sample
        self.folds = sample.make_folds()

    def refit(self, kept):
        """Fit on some of the rows, fold by fold.

        Parameters
        ----------
        kept : ndarray of shape (n,), dtype=bool
            The rows to train on. All rows are predicted.

        Returns
        -------
        prediction : ndarray of shape (n,)
            By models without the row; NaN where no fold holds it out.
        model : MeanOfModels
        """
        trains, tests = zip(*self.folds, strict=True)
        trains = [train[kept[train]] for train in trains]
        fit_fold = partial(_fit_targets, self.estimator, self.sample)
        fits = map_fits(fit_fold, trains, tests, n_jobs=self.sample.n_jobs)
        total, n_seen = np.zeros(len(kept)), np.zeros(len(kept))
        for (_, test), (_, said) in zip(self.folds, fits, strict=True):
            total[test] += said
            n_seen[test] += 1
        with np.errstate(invalid="ignore"):
            prediction = total / n_seen
        return prediction, MeanOfModels([model for model, _ in fits])


def _fit_fold(estimator, sample, classes, targets, train, test):
    if is_hard(targets):
        X, weight = sample.rows(train)
        codes = targets[train].argmax(axis=1)
        model = fit_classes(estimator, X, codes, classes, weight)
    else:
        model = fit_soft(estimator, sample, classes, targets, train)
    return model, model.predict_log_proba(_safe_indexing(sample.X, test))


def fit_soft(estimator, sample, classes, targets, train):
    """A clone fitted on some rows to soft labels."""
    weight = sample.sample_weight
    weight = None if weight is None else weight[train]
    rows, codes, weights = repeated(targets[train], weight)
    X = _safe_indexing(sample.X, train[rows])
    # Weights that stand for soft labels go to the estimator, whatever it requests.
    own = config_context(enable_metadata_routing=False)
    with own if weight is None else nullcontext():
        return fit_classes(estimator, X, codes, classes, weights)


def _fit_targets(estimator, sample, train, test):
    X, weight = sample.rows(train)
    model = fit_weighted(clone(estimator), X, sample.y[train], weight)
    said = ask(model, "predict", _safe_indexing(sample.X, test))
    return model, one_a_row(said)
