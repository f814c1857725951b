"""LeaveOneOutSearch: a grid search at one fit a candidate."""

import time
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from sklinfluence._estimators import (
    check_weight_range,
    find_copies,
    fit_weighted,
    refuse_missing_labels,
    sliceable,
)
from sklinfluence._in_memory import InMemoryMixin
from sklinfluence._progress import FitTracker, untracked
from sklinfluence._scheduling import map_fits
from sklinfluence._sklearn_compat import (
    BaseSearchCV,
    HasMethods,
    Interval,
    _check_sample_weight,
    _fit_context,
    _routing_enabled,
)
from sklinfluence._typing import Rows
from sklinfluence.heads import _search_head, linear_head
from sklinfluence.model_selection._chains import make_chains, split_chains
from sklinfluence.model_selection._evaluation import (
    compare_on_same_rows,
    score_chain,
    warn_about_supervised_steps,
)
from sklinfluence.model_selection._scoring import check_scoring


class LeaveOneOutSearch(InMemoryMixin, BaseSearchCV):
    """Search a grid by leave-one-out predictions, at one fit a candidate.

    What :class:`~sklearn.model_selection.GridSearchCV` does by a fit for each fold is
    done here by one: the factor of the candidate's Hessian gives every training row's
    prediction by the model that never saw it, in closed form for least squares and by
    one Newton step for logistic heads. Candidates that differ in the penalty of the
    head alone (``C`` of LogisticRegression, ``alpha`` of Ridge, RidgeClassifier and
    SGD with an l2 penalty) share all that comes before the head, and each starts from
    the optimum of its neighbour; their scores are those of fits from scratch.

    Read more in the :ref:`User Guide <leave_one_out_search>`.

    Parameters
    ----------
    estimator : estimator
        Any estimator with a linear head, or a Pipeline that ends in one: whatever
        :func:`sklinfluence.heads.linear_head` knows. Cloned, never changed.
    param_grid : dict or list of dict
        Parameter names mapped to the values to try, as in GridSearchCV. Values may be
        estimators.
    scoring : str, callable, list, tuple or dict, default="neg_log_loss"
        How leave-one-out predictions are scored, higher being better. Names:
        "neg_log_loss", "neg_brier_score", "accuracy", "balanced_accuracy", "roc_auc",
        "average_precision", "f1", ... for classes, "neg_mean_squared_error",
        "neg_mean_absolute_error", "r2", ... for real targets, all scikit-learn's own;
        a callable(y_true, prediction); or a scorer made by
        :func:`sklearn.metrics.make_scorer`. For several scores at once a list of
        names or a dict of names to scores. The default is the log-likelihood; for
        real targets that means "neg_mean_squared_error".
    refit : bool, str or callable, default=True
        Whether to fit the best candidate on all rows, as GridSearchCV does. With
        several scores, the name of the one that decides, or False.
    duplicates : float or None, default=0.0
        Copies leave together: a row is predicted by the model that saw no row of equal
        X. Above 0, rows whose every column differs by no more than this are copies too,
        columns in units of their standard deviation; copies of copies are copies.
        None: every row leaves alone.
    n_jobs : int, default=None
        Processes that share the candidates. None means 1 unless in a
        :func:`joblib.parallel_config` context.

    Attributes
    ----------
    cv_results_ : dict of ndarray
        What GridSearchCV gives for one split: ``params``, ``param_<name>``,
        ``mean_test_score``, ``rank_test_score``, ``mean_fit_time``,
        ``mean_score_time``, their ``std`` (all 0) and ``split0_test_score``. Besides,
        ``n_left_out``: rows whose leave-one-out prediction exists and was scored.
    best_estimator_ : estimator
        The best candidate, fitted on all rows. Needs ``refit``.
    best_params_ : dict
        Parameters of the best candidate.
    best_score_ : float
        Its score.
    best_index_ : int
        Its place in ``cv_results_``.
    scorer_ : callable or dict
        What `score` scores by.
    multimetric_ : bool
        Whether there are several scores.
    refit_time_ : float
        Seconds that the last fit took.
    classes_ : ndarray of shape (n_classes,)
        Class labels, if the best estimator is a classifier.
    n_features_in_ : int
        Number of columns of X, when the best estimator knows it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns, when X has string names.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : Any estimator, a fit for each fold.
    sklearn.linear_model.RidgeCV : The same idea, for ridge alone.
    sklinfluence.gradient.InfluenceRanker : Leave-one-out predictions of one model.

    Notes
    -----
    *Steps before the head are fitted on all rows*, the one left out included. That
    is harmless for scaling and its like. A step that reads y (supervised selection or
    encoding) has seen the label, and scores come out too high; a warning names it.
    The hidden layers of a network have seen it too.

    *A row of leverage 1* cannot be left out: the rest determines no model. A warning
    names it. Rows that no candidate can leave out take no part in the scores; a
    candidate that cannot leave out a row that others can scores NaN and ranks last,
    as does one whose objective has no unique optimum.

    *sample_weight* weighs the fit's rows and the score's, where the score takes
    weights; class weights are the fit's alone. With metadata routing each happens on
    request. A row leaves with all its weight and that of its copies: rows of equal X
    are one row of their summed weight.

    Where a search has rows with leverages near 1 (many columns, a weak penalty), one
    Newton step can be far off for logistic heads, either way (C = 100 on standardised
    wine: -0.112 where refits have -0.067).

    References
    ----------
    .. [1] Rad, K. R. and Maleki, A. (2020). A scalable estimate of the out-of-sample
       prediction error via approximate leave-one-out. Journal of the Royal
       Statistical Society B 82, 965-996.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklinfluence.model_selection import LeaveOneOutSearch
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression())
    >>> grid = {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}
    >>> search = LeaveOneOutSearch(model, grid).fit(X, y)
    >>> search.best_params_
    {'logisticregression__C': 1.0}
    >>> print(f"{search.best_score_:.3f}")
    -0.076
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods("fit")],
        "param_grid": [dict, list],
        # Which names there are depends on the task; an error lists them.
        "scoring": [str, callable, list, tuple, dict],
        "refit": ["boolean", str, callable],
        "duplicates": [Interval(Real, 0, None, closed="left"), None],
        "n_jobs": [Integral, None],
    }
    # Weights are the estimator's and the scorer's to request.
    __metadata_request__fit = {"sample_weight": UNUSED}
    # Read by the formatting of results.
    return_train_score = False

    def __init__(
        self,
        estimator: Any,
        param_grid: list | dict,
        *,
        scoring: str | dict | Callable = "neg_log_loss",
        refit: bool | str | Callable = True,
        duplicates: float | None = 0.0,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.refit = refit
        self.duplicates = duplicates
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Score every candidate and refit the best.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Training rows, in any form that the estimator takes.
        y : array-like of shape (n_rows,) or (n_rows, n_targets)
            Class labels or real targets.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows, non-negative; passed to the last step of a Pipeline.

        Returns
        -------
        self : LeaveOneOutSearch
        """
        X = sliceable(X)
        y, fit_weight, score_weight = self._check_training(X, y, sample_weight)
        scorers, self.multimetric_ = check_scoring(self.scoring)
        metric = "score"
        if self.multimetric_:
            self._check_refit_for_multimetric(scorers)
            metric = self.refit
        tracker = FitTracker(self, X, y)
        scored = self._score_all(X, y, fit_weight, score_weight, scorers, tracker)
        self._keep_results(scored, metric)
        scorers = scored[vars(self).get("best_index_", 0)]["scorers"]
        self.scorer_ = scorers if self.multimetric_ else scorers["score"]
        vars(self).pop("best_estimator_", None)
        if self.refit:
            with tracker.task("refit the best candidate"):
                self._refit(X, y, fit_weight)
        tracker.done()
        return self

    def _check_training(self, X, y, sample_weight):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        refuse_missing_labels(y)
        y = np.asarray(y)
        check_consistent_length(X, y, sample_weight)
        if sample_weight is None:
            return y, None, None
        weight = _check_sample_weight(
            sample_weight, np.empty(len(y)), dtype=float, ensure_non_negative=True
        )
        check_weight_range(weight)
        fit_weight = sample_weight
        if _routing_enabled():
            routed = process_routing(self, "fit", sample_weight=sample_weight)
            fit_weight = routed.estimator.fit.get("sample_weight")
        return y, fit_weight, weight

    def _score_all(self, X, y, fit_weight, score_weight, scorers, tracker):
        """What every candidate scored, in the order of the grid."""
        grid = list(ParameterGrid(self.param_grid))
        if not grid:
            raise ValueError("param_grid holds no candidate.")
        warn_about_supervised_steps(self.estimator)
        chains = make_chains(self.estimator, grid)
        n_jobs = effective_n_jobs(self.n_jobs)
        # Ticks by the candidate where they follow one another, else by the chain.
        serial = n_jobs == 1
        chains = chains if serial else split_chains(chains, n_jobs)
        whole, part = untracked, tracker.each
        if not serial:
            whole, part = tracker.each, untracked
        in_use = None if score_weight is None else score_weight > 0
        score = partial(
            score_chain,
            self.estimator,
            data=(X, y, fit_weight, score_weight),
            scorers=scorers,
            scoring=self.scoring,
            each=part,
            copies=find_copies(X, self.duplicates, in_use),
        )
        chains = whole("score the candidates", chains)
        done = map_fits(score, chains, n_jobs=n_jobs)
        results = [result for chain in done for result in chain]
        results.sort(key=lambda result: result["index"])
        compare_on_same_rows(results)
        return results

    def _keep_results(self, scored, metric):
        params = [result["params"] for result in scored]
        keys = ("test_scores", "fit_time", "score_time")
        out = [{key: result[key] for key in keys} for result in scored]
        if not self.multimetric_:
            for result in out:
                result["test_scores"] = result["test_scores"]["score"]
        counts = {"n_left_out": [result["n_left_out"] for result in scored]}
        results = self._format_results(params, 1, out, counts)
        for name in ("best_index_", "best_params_", "best_score_"):
            vars(self).pop(name, None)
        if self.refit or not self.multimetric_:
            best = self._select_best_index(self.refit, metric, results)
            self.best_index_ = best
            self.best_params_ = params[best]
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{metric}"][best]
        self.cv_results_ = results

    def _refit(self, X, y, sample_weight):
        best = clone(self.best_params_, safe=False)
        estimator = clone(self.estimator).set_params(**best)
        start = time.perf_counter()
        self.best_estimator_ = fit_weighted(estimator, X, y, sample_weight)
        self.refit_time_ = time.perf_counter() - start
        vars(self).pop("feature_names_in_", None)
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            Which parameters the estimator and the scorer ask for.
        """
        router = MetadataRouter(owner=self).add(
            estimator=self.estimator,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )
        scorers, is_multimetric = check_scoring(self.scoring)
        mapping = MethodMapping().add(caller="fit", callee="score")
        for name, scorer in scorers.items():
            decides = not is_multimetric or name == self.refit
            key = "scorer" if decides else f"scorer_{name}"
            if decides:
                mapping = mapping.add(caller="score", callee="score")
            router.add(**{key: scorer}, method_mapping=mapping)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        wrapped = get_tags(self.estimator).target_tags
        tags.target_tags.multi_output = wrapped.multi_output
        if tags.classifier_tags is not None:
            # The head of several labels a row is none that linear_head knows.
            tags.classifier_tags.multi_label = False
            tags.target_tags.multi_output = False
        return tags


# As of scikit-learn's own searches: the head of the best estimator.
linear_head.register(LeaveOneOutSearch, _search_head)
