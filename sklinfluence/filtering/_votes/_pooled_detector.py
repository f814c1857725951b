"""The default mislabel score: surrogates pooled under a label-noise model.

Three votes, by their names: a linear head, an RBF ridge ("kernel"), and an out-of-bag
forest. The first two see scaled columns without holes, the forest the columns as they
came.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state

from sklinfluence._progress import FitTracker
from sklinfluence.filtering._columns import Representation
from sklinfluence.filtering._noise import LOG_TINY, fit_em, suggest_codes
from sklinfluence.filtering._votes._copies import SharedSurrogate, weighing_once
from sklinfluence.filtering._votes._linear_search import tune_linear_surrogate
from sklinfluence.filtering._votes._own_forest import grow_classes
from sklinfluence.filtering._votes._rbf_ridge import RBFRidge

VOTES = ("linear", "kernel", "forest")

# How far from one the mean weight may be for weights to count as copies of rows.
_NEAR_ONE = 10.0


def check_pool(pool):
    """Refuse what names no votes."""
    known = ", ".join(map(repr, VOTES))
    unknown = [name for name in pool if name not in VOTES]
    if unknown:
        raise ValueError(f"pool={pool!r} names {unknown[0]!r}; there are {known}.")
    if not pool or len(set(pool)) < len(pool):
        raise ValueError(
            f"pool={pool!r} must name at least one vote, each once; there are {known}."
        )


def voters(pool, representation):
    """The votes of a pool that are taken on such columns.

    Trees make little of many columns that are nearly all zeros (terms of texts; average
    precision .899 without them and .900 with them, at twice the time): there the forest
    votes only where nothing else does.
    """
    if not representation.holds_terms_:
        return tuple(pool)
    return tuple(name for name in pool if name != "forest") or ("forest",)


class PooledDetector:
    """Score labels by expectation-maximisation on leave-one-out predictions.

    Works on arrays that are already validated; `MislabelFilter` is the estimator.

    Parameters
    ----------
    noise : {"class", "uniform"} or None, default="class"
        What the noise model may learn: a transition matrix, one rate, or nothing
        (the plain leave-one-out odds).
    n_rounds : int, default=3
    pool : sequence of str, default=VOTES
        Names of the votes, see `voters`. Without a linear head there is no ``C_``.
    n_jobs : int, default=None
        Threads that grow trees.
    random_state : int, RandomState instance or None, default=None
        Draws the landmarks of the RBF vote, and the forest.

    Attributes
    ----------
    scores_ : ndarray of shape (n,)
        Log odds that the given label is wrong, mean over the rounds.
    loo_proba_ : ndarray of shape (n, n_classes)
        Probability of every class being the true one, for each row by fits without
        it. Zero for classes that no row in use has.
    tilt_ : ndarray of shape (n_classes,)
        What weights added to the logarithms before it was taken out of them.
    C_ : float
        Inverse penalty of the linear surrogate.
    pool_ : tuple of str
        The votes that were taken.
    result_ : EMResult
        What each round found; its codes count the classes in use only.
    """

    def __init__(
        self, *, noise="class", n_rounds=3, pool=VOTES, n_jobs=None, random_state=None
    ):
        self.noise = noise
        self.n_rounds = n_rounds
        self.pool = pool
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X, codes, n_classes, sample_weight=None, tracker=None, copies=None):
        """Fit the surrogates and the noise model, and score the rows.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n, d)
            Finite, or with holes (NaN).
        codes : ndarray of shape (n,), int
            Given labels, 0 to n_classes - 1.
        n_classes : int
        sample_weight : ndarray of shape (n,), default=None
            A weight of 2 is a row twice. Where their mean is far from one, beyond
            ten times, only their ratios count.
        tracker : FitTracker, default=None
            Reports progress.
        copies : Copies, default=None
            Rows that are fitted as one of their weight, and leave together.

        Returns
        -------
        self
        """
        tracker = FitTracker(self) if tracker is None else tracker
        rng = check_random_state(self.random_state)
        weight = relative_weights(sample_weight, len(codes), copies)
        self.n_classes_ = n_classes
        self.present_ = np.unique(codes[weight > 0])
        if len(self.present_) < 2:
            raise ValueError(
                "Wrong labels can only be told from right ones among at least two "
                f"classes; {_whose_classes(sample_weight)} {len(self.present_)} class."
            )
        inner = self._inner_codes(codes)
        known = inner >= 0
        # A row of weight zero may have a label that no row in use has.
        inner = np.where(known, inner, 0)
        weight = np.where(known, weight, 0.0)
        surrogates = self._tune(X, inner, weight, copies, rng, tracker)
        self.result_ = fit_em(
            surrogates,
            inner,
            len(self.present_),
            weight,
            self.noise,
            self.n_rounds,
            tracker.each,
            weighing_once(weight, copies),
        )
        self._inner, self._known = inner, known
        self.scores_ = np.where(known, self.result_.scores, -LOG_TINY)
        self.loo_proba_ = self._outer_proba(self.result_.loo_proba)
        self.tilt_ = self._outer_proba(np.array([self.result_.tilt]))[0]
        return self

    def _tune(self, X, inner, weight, copies, rng, tracker):
        """The votes of the pool, tuned on the labels of the distinct rows."""
        targets = np.eye(len(self.present_))[inner]
        if copies is None:
            return self._votes(X, targets, weight, (), rng, tracker)
        parts = X[copies.first], copies.mean(targets, weight), copies.total(weight)
        votes = self._votes(*parts, copies.near(), rng, tracker)
        return [SharedSurrogate(vote, copies, weight) for vote in votes]

    def _votes(self, X, targets, weight, groups, rng, tracker):
        """The votes of the pool, tuned on the given labels; groups leave together."""
        surrogates = []
        self.representation_ = Representation(rng)
        with tracker.task("scale the columns"):
            Z = self.representation_.fit_transform(X, weight)
        views, self.pool_ = Views(X, Z), voters(self.pool, self.representation_)
        if "linear" in self.pool_:
            with tracker.task("tune the linear head"):
                linear, self.C_ = tune_linear_surrogate(Z, targets, weight, groups)
            surrogates.append(Vote(linear, "scaled"))
        if "kernel" in self.pool_:
            with tracker.task("tune the RBF ridge"):
                rbf = RBFRidge(random_state=rng).fit(Z, targets, weight, groups)
            surrogates.append(Vote(rbf, "scaled"))
        if "forest" in self.pool_:
            with tracker.task("grow the forest"):
                parts = views.raw, targets, weight, rng
                forest = grow_classes(*parts, self.n_jobs, groups)
            surrogates.append(Vote(forest, "raw"))
        return surrogates

    def score_samples(self, X, codes):
        """Scores of labelled rows that were not fitted.

        Parameters
        ----------
        X : {ndarray, CSR matrix} of shape (n, d)
        codes : ndarray of shape (n,), int

        Returns
        -------
        scores : ndarray of shape (n,)
            On the scale of `scores_`; the largest that is told apart for a label
            that no fitted row had.
        """
        inner = self._inner_codes(codes)
        views = Views(X, self.representation_.transform(X))
        scores = self.result_.score_samples(views, np.maximum(inner, 0))
        return np.where(inner >= 0, scores, -LOG_TINY)

    def predict_proba(self, X):
        """Probability of every class being the true one, (n, n_classes)."""
        views = Views(X, self.representation_.transform(X))
        return self._outer_proba(self.result_.predict_proba(views))

    def _inner_codes(self, codes):
        """Codes among the classes in use; -1 for others."""
        place = np.full(self.n_classes_, -1)
        place[self.present_] = np.arange(len(self.present_))
        return place[codes]

    def _outer_proba(self, inner):
        proba = np.zeros((len(inner), self.n_classes_))
        proba[:, self.present_] = inner
        return proba

    def suggest_codes(self, is_doubted):
        """The given codes, or the likeliest other ones where they are doubted."""
        inner = suggest_codes(self.result_, self._inner, is_doubted)
        return np.where(
            self._known, self.present_[inner], self.loo_proba_.argmax(axis=1)
        )


@dataclass(frozen=True)
class Views:
    """The same rows as each vote sees them.

    Attributes
    ----------
    X : {ndarray, CSR matrix} of shape (n, d)
    scaled : ndarray of shape (n, n_axes)
    """

    X: object
    scaled: np.ndarray

    @property
    def raw(self):
        """The columns as they came, dense."""
        return self.X.toarray() if sparse.issparse(self.X) else self.X


@dataclass(frozen=True)
class Vote:
    """A surrogate on one view of the rows."""

    surrogate: object
    view: str

    def refit(self, targets):
        log_proba, model = self.surrogate.refit(targets)
        return log_proba, VoteModel(model, self.view)


@dataclass(frozen=True)
class VoteModel:
    """A fitted surrogate on one view of the rows."""

    model: object
    view: str

    def predict_log_proba(self, views):
        return self.model.predict_log_proba(getattr(views, self.view))


def relative_weights(sample_weight, n_rows, copies=None):
    """Weights as they are where rows of weight one would have such; else of mean one.

    The mean is over distinct rows: four copies are a row of weight four.

    The penalties that the surrogates try are those that suit a row of weight one;
    weights that sum to one, or to 1e90, would leave the best of them out of reach.
    """
    if sample_weight is None and copies is None:
        return np.ones(n_rows)
    sample_weight = np.ones(n_rows) if sample_weight is None else sample_weight
    sample_weight = np.asarray(sample_weight, dtype=np.float64)
    distinct = sample_weight if copies is None else copies.total(sample_weight)
    used = distinct > 0
    if not used.any():
        return sample_weight
    mean = distinct.mean(where=used)
    is_near = 1.0 / _NEAR_ONE <= mean <= _NEAR_ONE
    return sample_weight if is_near else sample_weight / mean


def _whose_classes(sample_weight):
    if sample_weight is None:
        return "y has"
    return "the rows of positive sample_weight have"
