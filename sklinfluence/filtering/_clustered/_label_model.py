"""The filter's own votes on rows that lie on a cluster."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from sklinfluence._estimators import Copies, label_index, row_digests
from sklinfluence._progress import untracked
from sklinfluence._source import Output, row_source
from sklinfluence.filtering._clustered._kernel import ClusterKernel
from sklinfluence.filtering._clustered._linear import tune_linear
from sklinfluence.filtering._clustered._parts import (
    ClusterRows,
    Copied,
    along,
    kept,
)
from sklinfluence.filtering._clustered._rounds import fit_em_apart
from sklinfluence.filtering._clustered._scaling import check_columns, fit_scaling
from sklinfluence.filtering._evidence import Verdict
from sklinfluence.filtering._noise import LOG_TINY
from sklinfluence.filtering._thresholds import flag_disagreement
from sklinfluence.filtering._votes import Views, relative_weights, warn_about_copies

# Relative difference of two probabilities that only rounding makes.
_TIE = 1e-6


class ClusterLabelModel(BaseEstimator):
    """A linear head and an RBF ridge, pooled, on a dask array.

    Parameters
    ----------
    noise, n_rounds, pool, random_state : object
        As those of `MislabelFilter`; the pool is of "linear" and "kernel".
    duplicates : 0.0 or None
    """

    label_score_names_ = ("auto",)
    evidence_ = "pooled"

    def __init__(self, *, noise, n_rounds, pool, duplicates, random_state):
        self.noise = noise
        self.n_rounds = n_rounds
        self.pool = pool
        self.duplicates = duplicates
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        """Score the rows.

        Parameters
        ----------
        X : dask array of shape (n_rows, n_columns)
        y : ndarray of shape (n_rows,)
        sample_weight : ndarray of shape (n_rows,), default=None
        """
        source = row_source(X)
        check_columns(source)
        self.classes_, codes = np.unique(y, return_inverse=True)
        copies = _find_copies(source, self.duplicates)
        weight = relative_weights(sample_weight, len(y), copies)
        self.present_ = np.unique(codes[weight > 0])
        inner, known = self._inner_codes(codes)
        rows = _counted(X, np.where(known, weight, 0.0), copies)
        self._check_classes(rows)
        inner = along(source, inner)
        self.scaling_ = fit_scaling(rows.source(), rows.weight)
        outputs = (Output(float, after=(len(self.present_),)),)
        given = rows.of_all(X, inner).map(_one_hot, len(self.present_), outputs=outputs)
        targets = kept(given)[0]
        votes = self._votes(rows, rows.shared(targets))
        parts = votes, rows, inner, targets, self.noise, self.n_rounds
        self.result_, opinion = fit_em_apart(*parts, untracked)
        self._keep(opinion, codes, known)
        return self

    def _votes(self, rows, targets):
        rng, votes = check_random_state(self.random_state), []
        if "linear" in self.pool:
            linear, self.C_ = tune_linear(rows, self.scaling_, targets)
            votes.append(linear)
        if "kernel" in self.pool:
            votes.append(ClusterKernel(rows, self.scaling_, targets, rng))
        return votes

    def _check_classes(self, rows):
        if len(self.present_) < 2:
            raise ValueError(
                "Wrong labels can only be told from right ones among at least two "
                f"classes; the rows in use have {len(self.present_)} class."
            )
        if np.count_nonzero(rows.weight) < 2:
            raise ValueError("X has fewer than two distinct rows: nothing tells them.")

    def _inner_codes(self, codes):
        """Codes among the classes in use, and whether they have one."""
        place = np.full(len(self.classes_), -1)
        place[self.present_] = np.arange(len(self.present_))
        inner = place[codes]
        return np.maximum(inner, 0), inner >= 0

    def _keep(self, opinion, codes, known):
        """What a filter asks of each row, labels as numbers of all classes."""
        self.scores_ = np.where(known, self.result_.scores, -LOG_TINY)
        quality = np.where(known, opinion.quality, 0.0)
        best = self.present_[opinion.best]
        is_tied = quality >= opinion.best_proba * (1.0 - _TIE)
        self.quality_ = quality
        self.predicted_ = np.where(is_tied, codes, best)
        self._codes, self._known = codes, known
        self._others = np.where(known, self.present_[opinion.suggested], best)

    def suggest_labels(self, is_doubted):
        """The given labels, or the likeliest other ones of doubted rows."""
        stays = self._known & ~is_doubted
        return self.classes_[np.where(stays, self._codes, self._others)]

    @property
    def verdict_(self):
        """What the votes say of the given labels."""
        given, predicted = self._codes, self.predicted_
        contradicted = flag_disagreement(given, predicted, self.scores_)
        return Verdict(self.classes_, given, predicted, self.quality_, contradicted)

    def label_scores(self, score, X, y):
        """Log odds that given labels of new rows are wrong."""
        check_is_fitted(self)
        inner, known = self._inner_codes(label_index(y, self.classes_))
        scores = self.result_.score_samples(self._views(X), inner)
        return np.where(known, scores, -LOG_TINY)

    def predict_proba(self, X):
        check_is_fitted(self)
        proba = np.zeros((len(X), len(self.classes_)))
        proba[:, self.present_] = self.result_.predict_proba(self._views(X))
        return proba

    def predict(self, X):
        return self.classes_[np.argmax(self.predict_proba(X), axis=1)]

    def _views(self, X):
        X = check_array(X, dtype=np.float64)
        return Views(X, self.scaling_.transform(X))


def _one_hot(block, n_classes):
    return (np.eye(n_classes)[block.y],)


def _find_copies(source, duplicates):
    """Rows of equal digests; a warning says how many there are."""
    if duplicates is None:
        return None
    outputs = (Output(np.uint64, after=(2,)),)
    (digests,) = source.map(_digests, outputs=outputs)
    copies = Copies.of_digests(np.asarray(digests))
    warn_about_copies(copies, source.n_rows)
    return copies


def _digests(block):
    return (row_digests(block.X),)


def _counted(X, weight, copies):
    """The rows and how much each counts: one of several copies for all of them."""
    if copies is None:
        nobody = np.zeros(0, dtype=int)
        alone = Copied(nobody, nobody, nobody, nobody)
        return ClusterRows.counted(X, weight, weight, alone)
    fitted = np.zeros(len(weight))
    fitted[copies.first] = copies.total(weight)
    return ClusterRows.counted(X, fitted, weight, _copied(copies, weight))


def _copied(copies, weight):
    rows = np.flatnonzero(np.bincount(copies.row)[copies.row] > 1)
    total = copies.total(weight)[copies.row]
    counted = np.where(total > 0, weight, 1.0)
    share = counted / copies.total(counted)[copies.row]
    group = np.unique(copies.row[rows], return_inverse=True)[1]
    return Copied(rows, group, total[rows], share[rows])
