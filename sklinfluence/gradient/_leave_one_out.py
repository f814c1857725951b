"""What a ranker knows about every row from the model that never saw it."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.utils.validation import check_is_fitted

from sklinfluence.curvature._design import block_slices
from sklinfluence.curvature._losses import SoftmaxLoss
from sklinfluence.gradient import _label_scores as label_scores
from sklinfluence.gradient._normalize import self_scale
from sklinfluence.gradient._removal import apply_block
from sklinfluence.gradient._scores import (
    added_row,
    gradient_lengths,
    inverse_ratio,
    query_curvature,
)
from sklinfluence.heads._ranges import in_type


class LeaveOneOutMixin:
    """Leave-one-out predictions, label scores and scores of new rows.

    Mixed into a ranker with a fitted head (``_fitted``), its leave-one-out pass
    (``_leave_each_out``) and its queries (``_queries``).
    """

    @property
    def leverage_(self):
        check_is_fitted(self)
        return self._leave_each_out().leverage

    @property
    def loo_decision_function_(self):
        self._check_task("loo_decision_function_", classification=True)
        return _squeezed(self._leave_each_out().raw)

    @property
    def loo_proba_(self):
        self._check_task("loo_proba_", classification=True)
        if self._fitted.objective.loss.is_quadratic:
            raise AttributeError(
                "loo_proba_ needs a logistic head; this one is fitted by least "
                "squares. Use loo_decision_function_."
            )
        loss = self._fitted.objective.loss
        return class_probabilities(loss, self._leave_each_out().raw)

    @property
    def loo_prediction_(self):
        self._check_task("loo_prediction_", classification=False)
        return _squeezed(self._leave_each_out().raw)

    @property
    def loo_score_(self):
        check_is_fitted(self)
        objective, raw = self._fitted.objective, self._leave_each_out().raw
        if objective.loss.is_quadratic:
            losses = np.mean((raw - objective.targets) ** 2, axis=1)
        else:
            losses = objective.loss.unweighted().loss(objective.targets, raw)
        return -_weighted_mean(losses, self._sample_weight)

    def _check_task(self, name, classification):
        check_is_fitted(self)
        if hasattr(self, "classes_") != classification:
            task, other = ("classification", "loo_prediction_")
            if not classification:
                task, other = ("regression", "loo_decision_function_")
            raise AttributeError(f"{name} is for {task} only. Use {other}.")

    def _known_label_scores(self):
        if hasattr(self, "classes_"):
            return label_scores.CLASSIFICATION_SCORES
        return label_scores.REGRESSION_SCORES

    def _label_scores(self, score, X, y):
        if score == "self_influence":
            return super()._label_scores(score, X, y)
        if X is None:
            return self._training_label_scores(score)
        if y is None:
            raise ValueError(
                f"score={score!r} of new rows needs their given labels, y."
            )
        queries, _ = self._queries(X, y)
        return self._new_label_scores(score, queries)

    def _training_label_scores(self, score):
        fitted = self._fitted
        objective = fitted.objective
        raw = fitted.raw
        if score.startswith("loo_") or score in ("cook", "studentized"):
            removal = self._leave_each_out()
            raw = removal.raw
        if score == "cook":
            return inverse_ratio(removal.moved, self._cook_unit())
        if score == "studentized":
            return np.max(np.abs(label_scores.studentized(fitted, removal)), axis=1)
        return self._plain_score(
            score, objective.design, objective.targets, raw, fitted.query_residual
        )

    def _new_label_scores(self, score, queries):
        if score not in ("cook", "studentized"):
            return self._plain_score(
                score, queries.design, queries.targets, queries.raw, queries.residual
            )
        scores = [
            self._outside_score(score, queries.take(block))
            for block in self._query_blocks(queries)
        ]
        return np.concatenate(scores)

    def _plain_score(self, score, design, targets, raw, residual):
        if score in ("loss", "loo_loss"):
            return self._fitted.objective.loss.unweighted().loss(targets, raw)
        if score in ("margin", "loo_margin"):
            return label_scores.margin(targets, raw)
        if score == "gradient_norm":
            return gradient_lengths(design, residual)
        fitted = self._fitted
        mean = fitted.objective.design.transpose_dot(fitted.coefficients).T
        return label_scores.opposition(design, residual, mean)

    def _outside_score(self, score, queries):
        """Cook's distance of taking a row in; its residual over its standard error."""
        if score == "cook":
            change, residual = added_row(self._fitted, queries)
            moved = -np.einsum("ik,ik->i", residual, change)
            return inverse_ratio(moved, self._cook_unit())
        B, _ = query_curvature(self._fitted, queries)
        variance = label_scores.noise_variance(self._fitted, self._leave_each_out())
        error = np.sqrt(variance * (1.0 + B))
        return np.max(inverse_ratio(np.abs(queries.residual), error), axis=1)

    def _cook_unit(self):
        """The number of parameters and the noise, which Cook's distance is over."""
        fitted, removal = self._fitted, self._leave_each_out()
        variance = np.mean(label_scores.noise_variance(fitted, removal))
        return np.sum(fitted.objective.n_seen()) * variance

    def _query_blocks(self, queries):
        K = queries.raw.shape[1]
        return block_slices(len(queries.raw), 2 * self._fitted.theta.size + 4 * K * K)

    def score_samples(self, X, y=None):
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
        queries, dtype = self._queries(X, self._check_query_targets(X, y))
        scores = [self._own_influence(queries, b) for b in self._query_blocks(queries)]
        return in_type(np.concatenate([np.zeros(0), *scores]), dtype)

    def _own_influence(self, queries, block):
        fitted, part = self._fitted, queries.take(block)
        residual = part.residual
        if self.method == "grad_dot":
            own = gradient_lengths(part.design, residual) ** 2
        elif self.method == "influence":
            B, _ = query_curvature(fitted, part)
            own = np.einsum("ik,ik->i", residual, apply_block(B, residual))
        else:
            change, residual = added_row(fitted, part)
            own = part.loss.loss(part.targets, part.raw)
            own = own - part.loss.loss(part.targets, part.raw + change)
        return own * self_scale(
            fitted, part, self.method, self.normalize, residual, own
        )


def _weighted_mean(losses, weights):
    """Mean over the rows that can be left out; weights None for one a row."""
    weights = np.ones(len(losses)) if weights is None else weights
    known = ~np.isnan(losses) & (weights > 0)
    if not known.any():
        return np.nan
    # Of extreme weights the sum may overflow where their mean does not.
    weights = weights[known] / np.max(weights[known])
    return float(np.average(losses[known], weights=weights))


def class_probabilities(loss, raw):
    """Probabilities of all classes from a logistic head's raw predictions."""
    if isinstance(loss, SoftmaxLoss):
        return softmax(raw, axis=1)
    proba = expit(raw)
    if proba.shape[1] == 1:
        return np.hstack([1.0 - proba, proba])
    # One-vs-rest, as scikit-learn normalises it.
    total = proba.sum(axis=1, keepdims=True)
    return np.where(total == 0, 1.0 / raw.shape[1], inverse_ratio(proba, total))


def _squeezed(raw):
    return raw[:, 0] if raw.shape[1] == 1 else raw
