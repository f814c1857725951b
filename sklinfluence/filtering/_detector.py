"""What MislabelFilter and MislabelSampler share: finding the mislabelled rows."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sklinfluence._estimators import check_count, weight_keywords
from sklinfluence._in_memory import InMemoryMixin, is_dask, refuse_dask
from sklinfluence._parts import PartsMixin
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    StrOptions,
    _fit_context,
    _safe_indexing,
)
from sklinfluence._typing import Rows
from sklinfluence.filtering._evidence import (
    PRECOMPUTED,
    cross_fit,
    fit_trimmed,
    goes_with_rows,
    has_head,
    is_precomputed,
    kind_of,
    model_for,
    ranker_of,
    score_to_ask,
    scorer,
    training_evidence,
)
from sklinfluence.filtering._flagging import FlagRule
from sklinfluence.filtering._inputs import as_rows, check_new_rows
from sklinfluence.filtering._noise import probability_right
from sklinfluence.filtering._parameters import check_parameters
from sklinfluence.filtering._report import report_table, summary_text
from sklinfluence.filtering._thresholds import expected_wrong_share
from sklinfluence.filtering._training_rows import check_training_rows
from sklinfluence.filtering._votes import relative_weights

# Lines of a report on rows that may be more than a table holds.
_LINES_OF_CLUSTER = 1000


class _LabelNoiseDetector(
    InMemoryMixin, PartsMixin, CallbackSupportMixin, BaseEstimator
):
    """Score every row's label by a ranker and decide which rows to flag."""

    _parameter_constraints: dict = {
        # What it must be besides is checked in fit, with advice.
        "ranker": [HasMethods("fit"), StrOptions({PRECOMPUTED}), None],
        # Which names there are depends on the ranker, which lists them in its error.
        "label_score": [str],
        "noise": [StrOptions({"class", "uniform"}), None],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "threshold": [
            StrOptions({"auto", "fdr"}),
            Interval(Real, None, None, closed="both"),
        ],
        "fdr": [Interval(Real, 0, 1, closed="neither")],
        "contamination": [Interval(Real, 0, 1, closed="neither"), None],
        "cv": ["cv_object"],
        "duplicates": [Interval(Real, 0, None, closed="left"), None],
        "classes": ["array-like", None],
        # Which names there are is said by its own error.
        "pool": [tuple, list],
        "min_per_class": [Interval(Integral, 1, None, closed="left")],
        "max_share": [Interval(Real, 0, 1, closed="right")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    _written_out = {"ranker": "InfluenceRanker(LogisticRegression())"}

    def __init__(
        self,
        ranker,
        *,
        label_score,
        noise,
        n_rounds,
        threshold,
        fdr,
        contamination,
        cv,
        duplicates,
        classes,
        pool,
        min_per_class,
        max_share,
        n_jobs,
        random_state,
    ):
        self.ranker = ranker
        self.label_score = label_score
        self.noise = noise
        self.n_rounds = n_rounds
        self.threshold = threshold
        self.fdr = fdr
        self.contamination = contamination
        self.cv = cv
        self.duplicates = duplicates
        self.classes = classes
        self.pool = pool
        self.min_per_class = min_per_class
        self.max_share = max_share
        self.n_jobs = n_jobs
        self.random_state = random_state

    # The ranker and what it holds validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, groups=None):
        """Score every row and decide which ones to flag.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows: whatever the ranker's estimator takes, text included.

        y : array-like of shape (n_samples,)
            Given labels or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the ranker's fit.

        groups : array-like of shape (n_samples,), default=None
            Groups of rows that `cv` keeps together.

        Returns
        -------
        self : object
            The fitted detector.
        """
        if is_dask(X):
            return self._fit_on_cluster(X, y, sample_weight, groups)
        given = {"y": y, "sample_weight": sample_weight, "groups": groups}
        refuse_dask(f"{type(self).__name__}.fit", **given)
        check_parameters(self, groups)
        rows = check_training_rows(self, X, y, sample_weight, groups)
        rule = FlagRule.of(self)
        unfitted = model_for(self, rows, rule.fit_level)
        tracker = FitTracker(self, rows.X, rows.y)
        fit = partial(self._fit_model, unfitted, rule.fit_level)
        model = fit(rows, partial(tracker.fitting, "fit the ranker"))
        score = score_to_ask(model, self.label_score)
        evidence = training_evidence(model, score, rows.X, rows.copies)
        self._check_scored_rows(evidence, len(rows))
        self.evidence_ = kind_of(model, evidence)
        # What takes groups has made folds of its own.
        if self.cv is not None and "groups" not in goes_with_rows(model):
            each_fit = tracker.each_fit
            evidence = cross_fit(fit, score, rows, self.cv, evidence, each_fit)
            self.evidence_ = "cross-fitted"
        self._model, self._score_name = model, score
        self._scorer = scorer(model, score, rows.copies)
        self.ranker_ = getattr(model, "ranker_", model)
        self._along = None
        self._index = rows.X.index if hasattr(rows.X, "iloc") else None
        self._seen_table = hasattr(rows.X, "columns")
        self._judge(evidence, rows, rule)
        tracker.done()
        return self

    def _fit_on_cluster(self, X, y, sample_weight, groups):
        """The same by votes that are taken where the rows lie."""
        clustered = import_module("sklinfluence.filtering._clustered")
        clustered.check_asked(self, groups)
        check_parameters(self, groups)
        model, labels, weight = clustered.judge(self, X, y, sample_weight)
        vars(self).pop("feature_names_in_", None)
        self.n_features_in_ = X.shape[1]
        self.evidence_ = model.evidence_
        self._model = self._scorer = self.ranker_ = model
        self._score_name, self._index, self._seen_table = "auto", None, False
        self._along = clustered.HandedOut(X.chunks[0])
        self._decide(model.scores_, model.verdict_, labels, weight, FlagRule.of(self))
        for name in ("scores_", "label_quality_", "suggested_labels_"):
            setattr(self, name, self._along(getattr(self, name)))
        return self

    def _fit_model(self, unfitted, fdr, rows, fitting):
        """A clone fitted to rows; of real targets, without the gross errors."""
        X, y, weight = rows.X, rows.targets, rows.sample_weight
        model = clone(unfitted)
        keywords = weight_keywords(model, weight)
        keywords |= {name: getattr(rows, name) for name in goes_with_rows(model)}
        with fitting(model):
            model.fit(X, y, **keywords)
        asked = score_to_ask(model, self.label_score)
        if has_head(model) and asked == "studentized":
            return fit_trimmed(model, X, y, weight, fdr, rows.copies)
        return model

    def _judge(self, evidence, rows, rule):
        """Set every fitted attribute that follows from the evidence on the labels."""
        if rule.is_automatic:
            self._check_held_out(evidence)
        scores, verdict = _without_nan(evidence.scores), self._verdict(evidence, rows)
        self._decide(scores, verdict, rows.y, rows.weights, rule)

    def _decide(self, scores, verdict, labels, weight, rule):
        """Flag rows, and note what is known of each."""
        self._classes, self._given_labels = verdict.classes, labels
        self._in_use, self._predicted_labels = weight > 0, verdict.predicted_labels
        self.scores_, self.label_quality_ = scores, verdict.quality
        flags = rule.flag(self.scores_, verdict, weight)
        # A noise model knows which class such a given label mostly stands for; a
        # plain one can only say what it predicts.
        self.suggested_labels_ = self._predicted_labels
        if hasattr(self._model, "suggest_labels"):
            self.suggested_labels_ = self._model.suggest_labels(verdict.contradicted)
        # As arrays, wherever the public ones are handed out.
        self._told = self.scores_, self.label_quality_, self.suggested_labels_
        self._support = ~flags
        self.threshold_ = rule.threshold_in_force(self.scores_, flags)
        self._expected_wrong = expected_wrong_share(verdict, flags, weight)

    def _verdict(self, evidence, rows):
        """What held-out evidence says of the given labels, and how sure it is."""
        weight = relative_weights(rows.weights, len(rows))
        verdict = evidence.on(rows.y, weight)
        if evidence.classes is None or not evidence.held_out:
            return verdict
        # The noise is fitted under the weights: so are the probabilities beside it.
        proba, given = evidence.weighted_prediction, verdict.given
        right = probability_right(proba, given, weight, self.noise)
        return replace(verdict, right=right)

    def get_support(self, indices: bool = False) -> NDArray:
        """Tell which training rows are kept.

        Parameters
        ----------
        indices : bool, default=False
            Whether to return the rows' numbers instead of a mask.

        Returns
        -------
        support : ndarray of shape (n_samples,) or (n_kept,)
            A mask that is True for kept rows, or their numbers. The mask of a fit on
            a dask array is one, in the chunks of X's rows.
        """
        check_is_fitted(self)
        if indices:
            return np.flatnonzero(self._support)
        support = self._support.copy()
        return support if self._along is None else self._along(support)

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Score new labelled rows by the ranker that was fitted on all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Rows that were not trained on.

        y : array-like of shape (n_queries,), default=None
            Their labels or targets. By default the ranker's own predictions.

        Returns
        -------
        scores : ndarray of shape (n_queries,)
            Higher is likelier mislabelled, on the scale of `scores_`.
        """
        check_is_fitted(self)
        X = check_new_rows(self, X, self._model)
        y = self._model.predict(X) if y is None else column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        return self._scorer.label_scores(self._score_name, X, y)

    def report(self, n: int | None = None) -> Any:
        """Tabulate the labels, the worst first.

        Needs pandas (the extra ``report``).

        Parameters
        ----------
        n : int, default=None
            How many lines, those of the worst rows. None is all; of a fit on a dask
            array the worst 1000.

        Returns
        -------
        report : pandas.DataFrame
            One line a training row (of the worst ``n``), indexed as the training X was,
            with the columns

            - `is_label_issue`: whether the row is flagged;
            - `score`: what the lines are sorted by, `scores_`;
            - `label_quality`: leave-one-out probability of the given label
              (regression: two-sided p-value of the given target);
            - `given_label`;
            - `predicted_label`: leave-one-out prediction;
            - `suggested_label`: what relabelling writes, `suggested_labels_`: a noise
              model knows what the given label mostly stands for (regression: the
              prediction).

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If ``n`` is no number of lines.
        """
        check_is_fitted(self)
        if n is not None:
            check_count(n, "n")
        scores, quality, suggested = self._told
        columns = {
            "is_label_issue": ~self._support,
            "score": scores,
            "label_quality": quality,
            "given_label": self._given_labels,
            "predicted_label": self._predicted_labels,
            "suggested_label": suggested,
        }
        n = _LINES_OF_CLUSTER if n is None and self._along is not None else n
        caller = f"{type(self).__name__}.report"
        return report_table(columns, scores, self._index, caller, n)

    def summary(self) -> Any:
        """Say in a few lines how many rows are flagged, by class.

        Returns
        -------
        summary : str
            One line for all rows: how many are flagged, and what share of these is
            expected to be wrong, where the evidence tells; see :ref:`how_sure` on when
            to believe it. For classes one line a given class follows: its rows, and
            how many of them are flagged. Of more than 20 classes those that lose most
            rows are listed.
        """
        check_is_fitted(self)
        return summary_text(
            type(self).__name__,
            ~self._support,
            self._given_labels,
            self._in_use,
            self._classes is not None,
            self._expected_wrong,
        )

    def _check_scored_rows(self, evidence, n_rows):
        n_scored = len(evidence.scores)
        if n_scored != n_rows:
            raise ValueError(
                f"ranker={type(self.ranker).__name__}(...) scores {n_scored} rows, and "
                f"fit got {n_rows}: a ranker that is fitted already (FrozenEstimator) "
                "knows its own rows alone. Pass it unfitted."
            )

    def _check_seen_rows(self, n_rows):
        if len(self._support) != n_rows:
            raise ValueError(
                f"{type(self).__name__} was fitted on {len(self._support)} rows, and "
                f"there are {n_rows} to filter: it names rows by their number. Pass it "
                "unfitted, to be fitted on the rows at hand, or give the rows that it "
                "was fitted on."
            )

    def _take_action(self, X, y):
        """X and y as the fitted filter leaves them, and which rows these are."""
        rows = np.flatnonzero(self._support)
        return _safe_indexing(as_rows(self, X), rows), _safe_indexing(y, rows), rows

    def _check_held_out(self, evidence):
        if evidence.held_out:
            return
        name, ways = type(self.ranker_).__name__, "contamination, or threshold to a"
        if evidence.classes is None:
            raise ValueError(
                f"threshold={self.threshold!r} flags real targets by their deleted "
                f"studentised residuals, and {name} gives no 'studentized' of rows it "
                f"has not seen. Set {ways} number."
            )
        raise ValueError(
            f"threshold={self.threshold!r} flags rows whose leave-one-out prediction "
            f"contradicts their label, and {name} has no leave-one-out predictions. "
            "Set cv (every row is then predicted by a ranker fitted without its fold), "
            f"{ways} number."
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if is_precomputed(self.ranker):
            tags.target_tags.required = True
            return tags
        ranker_tags = get_tags(ranker_of(self))
        tags.input_tags.sparse = ranker_tags.input_tags.sparse
        # Its own models take holes: a forest as they are, the others filled.
        is_own = self.ranker is None
        tags.input_tags.allow_nan = is_own or ranker_tags.input_tags.allow_nan
        tags.input_tags.string = ranker_tags.input_tags.string
        tags.target_tags.required = True
        return tags


def _without_nan(scores):
    """Give rows that cannot be scored the lowest score: nothing speaks against them."""
    known = scores[~np.isnan(scores)]
    return np.where(np.isnan(scores), known.min() if known.size else 0.0, scores)
