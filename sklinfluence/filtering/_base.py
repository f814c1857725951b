"""What MislabelFilter and MislabelSampler share: finding the mislabelled rows."""

from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    get_tags,
    indexable,
)
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from sklinfluence._parts import PartsMixin
from sklinfluence._progress import FitTracker
from sklinfluence._sklearn_compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    StrOptions,
    _check_sample_weight,
    _fit_context,
    _safe_indexing,
)
from sklinfluence.filtering._cross_fit import cross_fit, fit_ranker
from sklinfluence.filtering._evidence import is_classification, training_evidence
from sklinfluence.filtering._inputs import check_columns, rows_with_holes
from sklinfluence.filtering._label_models import NoiseAwareRanker, PooledLabelModel
from sklinfluence.filtering._net_targets import keeps_column
from sklinfluence.filtering._parameter_only import ParameterOnly
from sklinfluence.filtering._report import report_table, summary_text
from sklinfluence.filtering._task import (
    auto_score,
    default_regression_ranker,
    takes_classes,
)
from sklinfluence.filtering._thresholds import (
    bound_flags,
    flag_discoveries,
    flag_share,
    warn_about_share,
)
from sklinfluence.filtering._trimming import fit_trimmed
from sklinfluence.filtering._uneven import warn_about_classes
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.heads._ask import sliceable
from sklinfluence.heads._ranges import check_weight_range
from sklinfluence.heads._targets import refuse_missing_labels


class _LabelNoiseDetector(PartsMixin, CallbackSupportMixin, BaseEstimator):
    """Score every row's label by a ranker and decide which rows to flag."""

    score = ParameterOnly()

    _parameter_constraints: dict = {
        # That it has label_scores is checked in fit, with advice for bare models.
        "ranker": [HasMethods("fit"), None],
        # Which names there are depends on the ranker, which lists them in its error.
        "score": [str],
        "noise": [StrOptions({"class", "uniform"}), None],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "threshold": [StrOptions({"auto"}), Interval(Real, None, None, closed="both")],
        "fdr": [Interval(Real, 0, 1, closed="neither")],
        "contamination": [Interval(Real, 0, 1, closed="neither"), None],
        "cv": ["cv_object"],
        "min_per_class": [Interval(Integral, 1, None, closed="left")],
        "max_share": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
    }

    _written_out = {"ranker": "InfluenceRanker(LogisticRegression())"}

    def __init__(
        self,
        ranker=None,
        *,
        score="auto",
        noise="class",
        n_rounds=3,
        threshold="auto",
        fdr=0.05,
        contamination=None,
        cv=None,
        min_per_class=1,
        max_share=0.5,
        random_state=None,
    ):
        self.ranker = ranker
        self.score = score
        self.noise = noise
        self.n_rounds = n_rounds
        self.threshold = threshold
        self.fdr = fdr
        self.contamination = contamination
        self.cv = cv
        self.min_per_class = min_per_class
        self.max_share = max_share
        self.random_state = random_state

    def get_params(self, deep=True):
        """Get the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the ranker's parameters, as ``ranker__<name>``.

        Returns
        -------
        params : dict
            Parameter names mapped to their values.
        """
        params = {}
        for name in self._get_param_names():
            value = vars(self)[name]
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                nested = value.get_params().items()
                params.update((f"{name}__{key}", part) for key, part in nested)
            params[name] = value
        return params

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
        shape = (-1, 1) if keeps_column(self.ranker, y) else (-1,)
        X, y, sample_weight = self._check_training_data(X, y, sample_weight, groups)
        unfitted = self._model_for(y)
        tracker = FitTracker(self, X, y)
        whole = partial(tracker.fitting, "fit the ranker")

        def fit(X, y, sample_weight, fitting=whole):
            y = y.reshape(shape)
            model = clone(unfitted)
            with fitting(model):
                fit_ranker(model, X, y, sample_weight)
            if self._trims(model):
                by_rule = self.threshold == "auto" and self.contamination is None
                fdr = self.fdr if by_rule else None
                model = fit_trimmed(model, X, y, sample_weight, fdr)
            return model

        model = fit(X, y, sample_weight)
        score = vars(self)["score"]
        score = auto_score(model) if score == "auto" else score
        evidence = training_evidence(model, score, X)
        self._check_scored_rows(evidence, len(y))
        if self.cv is not None:
            evidence = cross_fit(
                fit,
                model,
                score,
                X,
                y,
                sample_weight,
                self.cv,
                groups,
                evidence,
                tracker.each_fit,
            )
        self._model, self._score_name = model, score
        self.ranker_ = getattr(model, "ranker_", model)
        self._in_use = (
            np.ones(len(y), dtype=bool) if sample_weight is None else sample_weight > 0
        )
        self._flag(evidence, y)
        tracker.done()
        return self

    def _model_for(self, y):
        """What is fitted: a ranker, or a label model for ``score="auto"``."""
        ranker = self._get_ranker()
        if not takes_classes(ranker, y):
            return default_regression_ranker() if self.ranker is None else ranker
        if vars(self)["score"] != "auto":
            return ranker
        if self.ranker is None:
            return PooledLabelModel(
                noise=self.noise,
                n_rounds=self.n_rounds,
                random_state=self.random_state,
            )
        if isinstance(ranker, InfluenceRanker):
            return NoiseAwareRanker(ranker, noise=self.noise, n_rounds=self.n_rounds)
        return ranker

    def _trims(self, model):
        """Whether gross errors in real targets are to be taken out of the fit."""
        by_residual = vars(self)["score"] in ("auto", "studentized")
        return by_residual and hasattr(model, "loo_prediction_")

    def _flag(self, evidence, y):
        """Set every fitted attribute that follows from the evidence on the labels."""
        classification = is_classification(self._model)
        given = np.searchsorted(self._model.classes_, y) if classification else y
        predicted = evidence.predicted(given)
        strata = given if classification else np.zeros(len(y))
        self.scores_ = _without_nan(evidence.scores)
        self.label_quality_ = evidence.quality(given)
        self._predicted_labels = (
            self._model.classes_[predicted] if classification else predicted
        )
        flags = np.zeros(len(y), dtype=bool)
        # Rows of weight zero are out already: they are neither flagged nor counted.
        rows = np.flatnonzero(self._in_use)
        flags[rows] = self._flagged(evidence, given, strata, rows)
        if classification:
            warn_about_classes(flags[rows], given[rows], self._model.classes_)
        # A noise model knows which class such a given label mostly stands for; a
        # plain one can only say what it predicts.
        self.suggested_labels_ = self._predicted_labels
        if hasattr(self._model, "suggest_labels"):
            doubted = evidence.contradicts(given)
            self.suggested_labels_ = self._model.suggest_labels(doubted)
        self._support = ~flags
        self._given_labels = y
        self.threshold_ = self._threshold(flags)

    def _flagged(self, evidence, given, strata, rows):
        """Flags of the rows in use, within the bounds."""
        scores = self.scores_[rows]
        bounds = (scores, strata[rows], self.min_per_class, self.max_share)
        if self.contamination is not None:
            allowed = bound_flags(np.ones(len(rows), dtype=bool), *bounds)
            return flag_share(scores, self.contamination, allowed)
        if self.threshold != "auto":
            return bound_flags(scores >= self.threshold, *bounds)
        self._check_auto_threshold(evidence)
        if is_classification(self._model):
            flags = evidence.contradicts(given)[rows]
        else:
            flags = flag_discoveries(self.label_quality_[rows], self.fdr)
        warn_about_share(np.mean(flags))
        return bound_flags(flags, *bounds)

    def _threshold(self, flags):
        if self.contamination is None and self.threshold != "auto":
            return float(self.threshold)
        return float(np.min(self.scores_, where=flags, initial=np.inf))

    def get_support(self, indices=False):
        """Tell which training rows are kept.

        Parameters
        ----------
        indices : bool, default=False
            Whether to return the rows' numbers instead of a mask.

        Returns
        -------
        support : ndarray of shape (n_samples,) or (n_kept,)
            A mask that is True for kept rows, or their numbers.
        """
        check_is_fitted(self)
        return np.flatnonzero(self._support) if indices else self._support.copy()

    def score_samples(self, X, y=None):
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
        X = self._check_new_rows(X)
        y = self._model.predict(X) if y is None else column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        return self._model.label_scores(self._score_name, X, y)

    def report(self):
        """Tabulate the labels, the worst first.

        Needs pandas (the extra ``report``).

        Returns
        -------
        report : pandas.DataFrame
            One line a training row, indexed as the training X was, with the columns

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
        """
        check_is_fitted(self)
        columns = {
            "is_label_issue": ~self._support,
            "score": self.scores_,
            "label_quality": self.label_quality_,
            "given_label": self._given_labels,
            "predicted_label": self._predicted_labels,
            "suggested_label": self.suggested_labels_,
        }
        caller = f"{type(self).__name__}.report"
        return report_table(columns, self.scores_, self._index, caller)

    def summary(self):
        """Say in a few lines how many rows are flagged, by class.

        Returns
        -------
        summary : str
            One line for all rows, and for classes one a given class: its rows, and
            how many of them are flagged. Of more than 20 classes those that lose most
            rows are listed.
        """
        check_is_fitted(self)
        return summary_text(
            type(self).__name__,
            ~self._support,
            self._given_labels,
            self._in_use,
            is_classification(self._model),
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
        return _safe_indexing(self._as_rows(X), rows), _safe_indexing(y, rows), rows

    def _get_ranker(self):
        return InfluenceRanker() if self.ranker is None else self.ranker

    def _check_training_data(self, X, y, sample_weight, groups):
        """Check all but the columns of X, which are the ranker's business."""
        self._check_parameters(groups)
        # A refit on text must not keep the columns of an earlier table.
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        X = sliceable(X)
        check_columns(self, X, y)
        X, y, groups = indexable(X, y, groups)
        if np.ndim(y) == 2 and np.shape(y)[1] > 1:
            raise ValueError(
                f"{type(self).__name__} needs one label or target a row, and y has "
                f"{np.shape(y)[1]} columns: multilabel and multi-output targets are "
                "not supported. Filter each column of y on its own."
            )
        refuse_missing_labels(y)
        # Nullable integers and booleans as they are, not as scikit-learn's floats.
        plain = np.asarray(y)
        y = y if plain.dtype.kind == "O" else plain
        y = column_or_1d(y, warn=not keeps_column(self.ranker, y))
        assert_all_finite(y, input_name="y", estimator_name=type(self).__name__)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, np.empty(len(y)), ensure_non_negative=True
            )
            check_weight_range(sample_weight)
        self._index = X.index if hasattr(X, "iloc") else None
        self._seen_table = hasattr(X, "columns")
        return self._as_rows(X), y, sample_weight

    def _check_parameters(self, groups):
        if self.ranker is not None and not hasattr(self.ranker, "label_scores"):
            name = type(self.ranker).__name__
            raise TypeError(
                f"ranker={name}(...) is no ranker: it has no label_scores. A model is "
                f"wrapped in one, ranker=InfluenceRanker({name}(...))."
            )
        if self.cv is not None and isinstance(self.ranker, FrozenEstimator):
            raise ValueError(
                f"cv={self.cv!r} scores every row by a ranker fitted without its fold, "
                "and a FrozenEstimator is never fitted. Pass the ranker itself, or "
                "leave cv=None."
            )
        if groups is not None and self.cv is None:
            raise ValueError(
                "groups were given, but cv=None scores every row by leave-one-out and "
                "uses no folds. Set cv to a splitter that takes groups, such as "
                "GroupKFold()."
            )
        if self.contamination is None:
            return
        if self.threshold != "auto":
            raise ValueError(
                f"threshold={self.threshold!r} and contamination="
                f"{self.contamination!r} both say which rows to flag. Leave one of "
                "them at its default."
            )
        if self.contamination > self.max_share:
            raise ValueError(
                f"contamination={self.contamination!r} asks for more rows to be "
                f"flagged than max_share={self.max_share!r} allows. Lower the former "
                "or raise the latter."
            )

    def _check_auto_threshold(self, evidence):
        if not evidence.held_out:
            raise ValueError(
                "threshold='auto' flags rows whose leave-one-out prediction "
                f"contradicts their label, and {type(self.ranker_).__name__} has no "
                "leave-one-out predictions. Set cv (every row is then predicted by a "
                "ranker fitted without its fold), contamination, or threshold to a "
                "number."
            )

    def _check_new_rows(self, X):
        if not hasattr(self, "n_features_in_"):
            return X
        # Checked, then passed on as it came: only the ranker knows what X may hold.
        seen = validate_data(
            self,
            X,
            reset=False,
            accept_sparse=True,
            dtype=None,
            ensure_all_finite=False,
        )
        X = self._as_rows(X)
        holes = rows_with_holes(seen)
        if holes.size:
            # Whether it takes them is for the model to say, as it did in fit.
            self._model.predict(_safe_indexing(X, holes))
        return X

    def _as_rows(self, X):
        """Turn nested lists into an array; leave every other container, and text."""
        X = sliceable(X)
        if issparse(X):
            return X.tocsr()
        if hasattr(X, "shape") or not hasattr(self, "n_features_in_"):
            return X
        return np.asarray(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        ranker_tags = get_tags(self._get_ranker())
        tags.input_tags.sparse = ranker_tags.input_tags.sparse
        tags.input_tags.allow_nan = ranker_tags.input_tags.allow_nan
        tags.input_tags.string = ranker_tags.input_tags.string
        tags.target_tags.required = True
        return tags


def _without_nan(scores):
    """Give rows that cannot be scored the lowest score: nothing speaks against them."""
    known = scores[~np.isnan(scores)]
    return np.where(np.isnan(scores), known.min() if known.size else 0.0, scores)
