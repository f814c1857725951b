"""A ranker's answers about single training rows, each a function of its reading."""

from copy import copy
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklinfluence._blocks import block_slices
from sklinfluence._estimators import check_count, check_rows
from sklinfluence._in_memory import in_memory
from sklinfluence._raw_change import RawChange
from sklinfluence._removal import CLASSIFICATION_SCORES, REGRESSION_SCORES
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence._top_n import as_sparse, strongest
from sklinfluence._typing import Rows
from sklinfluence.gradient._candidates import (
    influence_of_candidates,
    values_per_query,
)
from sklinfluence.gradient._damping_path import PATH_SCORES, along_dampings
from sklinfluence.gradient._head_ranker import HeadRanker
from sklinfluence.gradient._influence import (
    influence_on,
    influence_on_own,
    parameter_influence_of,
    strongest_on,
)
from sklinfluence.gradient._label_scores import (
    new_label_scores,
    training_label_scores,
)
from sklinfluence.gradient._leave_one_out import (
    leverage,
    loo_decision,
    loo_probabilities,
    loo_score,
)
from sklinfluence.gradient._query_source import mean_over, scores_of
from sklinfluence.gradient._raw_change import raw_change_of
from sklinfluence.gradient._row_answers import answer

# It takes its queries in blocks, from memory.
_mean_by_blocks = in_memory(HeadRanker.mean_influence)


class RowRanker(HeadRanker):
    """What is asked about training rows one at a time: a check and a call each."""

    def _in_memory_only(self, what):
        """Refuse, by name, what asks for training rows that lie on a cluster."""
        check_is_fitted(self)
        self.reading_.refuse_blocks(f"{what} of {type(self).__name__}")

    def _queries(self, X, y):
        """X and y as queries; without y, of the model's own prediction."""
        n_outputs = len(self.reading_.fitted.theta)
        if y is None and n_outputs > 1:
            raise ValueError(
                "Without targets, influence is on the prediction itself, and this "
                f"model predicts {n_outputs} of them at once. Call influence(X, y) "
                "with y of shape (n_queries, n_targets), or fit one ranker for each "
                "target."
            )
        return self.reading_.queries(X, y)

    def _asked_blocks(self, X, y, values_per_query):
        """The queries in blocks that fit ``working_memory``."""
        X, y = self._asked(X, y)
        return (
            self._queries(
                _safe_indexing(X, block),
                None if y is None else _safe_indexing(y, block),
            )
            for block in block_slices(_num_samples(X), values_per_query)
        )

    def _without_rows(self):
        """The ranker as queries need it, on its way to where they are."""
        self.reading_.fitted.refuse_without_blocks("score_samples")
        light = copy(self)
        light.reading_ = self.reading_.without_rows()
        light._kept_self_influence = None
        return light

    @property
    def _values_per_query(self):
        return self.reading_.values_per_query

    def _influence_block(self, X, y):
        return influence_on(self.reading_, self._queries(X, y))

    def _strongest_block(self, X, y, n, by):
        return strongest_on(self.reading_, self._queries(X, y), n, by)

    def _self_influence(self):
        return answer(self.reading_, influence_on_own)

    @property
    def ranking_(self):
        """Rank of each training row, 1 for the largest self-influence."""
        return self.reading_.ranked(self.self_influence_)

    def influence(
        self, X: Rows, y: ArrayLike | None = None, *, candidates: int | None = None
    ) -> Any:
        """Influence of training rows on every query.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            Queries.
        y : array-like of shape (n_queries,), default=None
            Their targets. None: a classifier's queries take the label that the model
            predicts; for regression the influence is on the prediction itself,
            f(x) - f(x) without the row, positive where the row pushes it up.
        candidates : int, default=None
            Only the training rows that are this many nearest to each query in
            embedding space are asked about (FastIF). None: all.

        Returns
        -------
        influence : ndarray or CSR matrix of shape (n_queries, n_train)
            The rise in each query's loss when each training row is left out. With
            ``candidates``, sparse, and it holds these entries only.

        Raises
        ------
        ValueError
            If a label in ``y`` was not seen in training.
        """
        if candidates is None:
            return super().influence(X, y)
        values, index = self._of_candidates(X, y, candidates)
        return as_sparse(values, index, self.n_train_)

    def proponents(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        n: int = 5,
        *,
        candidates: int | None = None,
    ) -> tuple[NDArray, NDArray]:
        """The training rows without which each query's loss would rise most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5
        candidates : int, default=None
            As in `influence`; at least ``n``.

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Largest first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        if candidates is None:
            return super().proponents(X, y, n)
        return self._strongest_candidates(X, y, n, candidates, "largest")

    def opponents(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        n: int = 5,
        *,
        candidates: int | None = None,
    ) -> tuple[NDArray, NDArray]:
        """The training rows without which each query's loss would fall most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        n : int, default=5
        candidates : int, default=None
            As in `influence`; at least ``n``.

        Returns
        -------
        influence : ndarray of shape (n_queries, n)
            Most negative first.
        index : ndarray of shape (n_queries, n)
            Training rows.
        """
        if candidates is None:
            return super().opponents(X, y, n)
        return self._strongest_candidates(X, y, n, candidates, "smallest")

    def _strongest_candidates(self, X, y, n, candidates, by):
        self._check_candidates(candidates)
        check_count(n, "n", candidates, "candidates")
        return strongest(*self._of_candidates(X, y, candidates), n, by)

    def _check_candidates(self, candidates):
        self._in_memory_only("candidates")
        n_weighted = np.count_nonzero(self.reading_.fitted.objective.weights > 0)
        rows = "the number of training rows with a weight"
        check_count(candidates, "candidates", n_weighted, rows)

    def _of_candidates(self, X, y, candidates):
        self._check_candidates(candidates)
        fitted = self.reading_.fitted
        blocks = self._asked_blocks(X, y, values_per_query(fitted, candidates))
        return influence_of_candidates(self.reading_, blocks, candidates)

    def mean_influence(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Mean influence of every training row over all queries.

        First-order influence takes one solve for the mean gradient; the Newton
        step, which is not linear in the query, goes block by block.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
        y : array-like of shape (n_queries,), default=None
            As in `influence`.

        Returns
        -------
        influence : ndarray of shape (n_train,)
        """
        self._refuse_no_queries(X)
        if self.reading_.method == "newton":
            return _mean_by_blocks(self, X, y)
        return mean_over(self, X, y)

    def raw_change(self, X: Rows) -> RawChange:
        """How the raw predictions of queries change when training rows leave.

        To first order, and by the Newton step without each row, whatever ``method``
        is: what :func:`~sklinfluence.metrics.metric_influence` asks.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)

        Returns
        -------
        change : RawChange

        Raises
        ------
        ValueError
            For ``method="grad_dot"``, which knows no change, and where influence is
            normalised: predictions are not.
        """
        self._in_memory_only("raw_change")
        if not self.reading_.uses_curvature or self.reading_.normalize is not None:
            raise ValueError(
                "Raw predictions change by curvature, and have no normalisation: set "
                "method='influence' or method='newton', and normalize=None; got "
                f"method={self.reading_.method!r}, "
                f"normalize={self.reading_.normalize!r}."
            )
        X, _ = self._query_inputs(X, None)
        is_classification = hasattr(self, "classes_")
        return raw_change_of(self.reading_, X, is_classification=is_classification)

    def score_samples(self, X: Rows, y: ArrayLike | None = None) -> NDArray:
        """Self-influence that new rows would have under the fitted model.

        The rise in a row's own loss between the model that was also trained on it
        (by one step from the fitted one) and the fitted model, which was not; to
        first order r^T B r, as `self_influence_` of a training row of weight 1.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,), default=None
            Given labels or targets. None: the label that a classifier predicts; for
            regression, self-influence on the prediction, the row's leverage.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
        """
        check_is_fitted(self)
        return scores_of(self, X, y)

    def parameter_influence(self, index: ArrayLike | int) -> NDArray:
        """How far each row holds the head's parameters from where they would be.

        Parameters
        ----------
        index : int, array-like of shape (n_chosen,) or mask of shape (n_train,)
            Training rows; negative ints count from the end.

        Returns
        -------
        change : ndarray of shape (n_chosen, n_outputs, n_columns)
            theta - theta without the row (Cook's vector), the intercept's column
            last; (n_outputs, n_columns) for a single int.

        Raises
        ------
        ValueError
            For ``method="grad_dot"``, which knows no parameter change, and for an
            ``index`` that names no training row.
        """
        self._in_memory_only("parameter_influence")
        if not self.reading_.uses_curvature:
            raise ValueError(
                "method='grad_dot' has no parameter change: it uses no curvature. "
                "Use method='influence' or method='newton'."
            )
        rows, is_single = check_rows(index, self.n_train_)
        change = parameter_influence_of(self.reading_, rows)
        return change[0] if is_single else change

    def damping_path(
        self,
        dampings: ArrayLike,
        X: Rows | None = None,
        y: ArrayLike | None = None,
        *,
        score: Literal["influence", "self_influence", "loo_score"] = "influence",
    ) -> NDArray:
        """What the ranker would give at each of many dampings.

        One eigendecomposition of the undamped Hessian at the fitted head serves them
        all, whatever ``solver`` and ``damping`` are.

        Parameters
        ----------
        dampings : array-like of shape (n_dampings,)
            Each as the parameter ``damping``: added to the mean Hessian.
        X : {array-like, sparse matrix} of shape (n_queries, n_features), \
                default=None
            Queries; needed for ``score="influence"``.
        y : array-like of shape (n_queries,), default=None
            As in `influence`.
        score : {"influence", "self_influence", "loo_score"}, default="influence"
            What to compute; the last two are of the training rows, as
            ``self_influence_`` and ``loo_score_``.

        Returns
        -------
        path : ndarray of shape (n_dampings, n_queries, n_train), \
                (n_dampings, n_train) or (n_dampings,)
            One entry for each damping, in the order given.

        Raises
        ------
        ValueError
            For ``method="grad_dot"``, which has no damping, or without queries.
        SingularHessianError
            If a damping is 0 and the Hessian is singular.
        """
        self._in_memory_only("damping_path")
        dampings = check_array(
            dampings, ensure_2d=False, dtype=float, input_name="dampings"
        )
        self._check_path(dampings, X, score)
        queries = None
        if score == "influence":
            queries = self._queries(*self._asked(X, y))
        return along_dampings(self.reading_, dampings, score, queries)

    def _check_path(self, dampings, X, score):
        if score not in PATH_SCORES:
            raise ValueError(f"score={score!r} is none of {', '.join(PATH_SCORES)}.")
        if dampings.ndim != 1 or np.any(dampings < 0):
            raise ValueError(
                "dampings must be one-dimensional and none of them negative; got "
                f"{dampings!r}."
            )
        if not self.reading_.uses_curvature:
            raise ValueError(
                "method='grad_dot' uses no curvature, so damping changes nothing. Use "
                "method='influence' or method='newton'."
            )
        if X is None and score == "influence":
            raise ValueError(
                "damping_path needs queries X for score='influence'. For the training "
                "rows themselves pass score='self_influence' or score='loo_score'."
            )

    @property
    def leverage_(self):
        check_is_fitted(self)
        return answer(self.reading_, leverage)

    @property
    def active_set_changes_(self):
        self._in_memory_only("active_set_changes_")
        return self.reading_.active_set_changes

    @property
    def loo_decision_function_(self):
        self._check_task("loo_decision_function_", classification=True)
        return answer(self.reading_, loo_decision)

    @property
    def loo_proba_(self):
        self._check_task("loo_proba_", classification=True)
        loss = self.reading_.fitted.objective.loss
        if loss.is_quadratic:
            raise AttributeError(
                "loo_proba_ needs a logistic head; this one is fitted by least "
                "squares. Use loo_decision_function_."
            )
        return answer(self.reading_, loo_probabilities)

    @property
    def loo_prediction_(self):
        self._check_task("loo_prediction_", classification=False)
        return answer(self.reading_, loo_decision)

    @property
    def loo_score_(self):
        check_is_fitted(self)
        return loo_score(self.reading_)

    def _check_task(self, name, classification):
        check_is_fitted(self)
        if hasattr(self, "classes_") != classification:
            task, other = ("classification", "loo_prediction_")
            if not classification:
                task, other = ("regression", "loo_decision_function_")
            raise AttributeError(f"{name} is for {task} only. Use {other}.")

    def _known_label_scores(self):
        if hasattr(self, "classes_"):
            return CLASSIFICATION_SCORES
        return REGRESSION_SCORES

    def _label_scores(self, score, X, y):
        if score == "self_influence":
            return super()._label_scores(score, X, y)
        self._in_memory_only(f"the label score {score!r}")
        if X is None:
            return training_label_scores(self.reading_, score)
        if y is None:
            raise ValueError(
                f"score={score!r} of new rows needs their given labels, y."
            )
        return new_label_scores(self.reading_, score, self._queries(X, y))
