"""Many dampings from one eigendecomposition."""

import copy
from dataclasses import replace

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from sklinfluence.curvature._solvers._auto import MEMORY
from sklinfluence.curvature._solvers._spectral import Spectral
from sklinfluence.gradient._normalize import query_scale, train_scale
from sklinfluence.gradient._removal import remove_each_along
from sklinfluence.gradient._scores import _gradient_products
from sklinfluence.heads._ranges import in_type


class DampingPathMixin:
    """`damping_path` of a ranker that is made of a fitted head (``_fitted``)."""

    def damping_path(self, dampings, X=None, y=None, *, score="influence"):
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
        check_is_fitted(self)
        dampings = check_array(
            dampings, ensure_2d=False, dtype=float, input_name="dampings"
        )
        self._check_path(dampings, X, score)
        _refuse_large(self._fitted)
        path = self._heads_along(dampings)
        if score == "influence" and self.method == "influence":
            return self._first_order_along(path, X, y)
        rankers = self._rankers_along(path, leave_each_out=True)
        if score == "influence":
            return np.stack([ranker.influence(X, y) for ranker in rankers])
        if score == "self_influence":
            return np.stack([ranker.self_influence_ for ranker in rankers])
        return np.array([ranker.loo_score_ for ranker in rankers])

    def _check_path(self, dampings, X, score):
        known = ("influence", "self_influence", "loo_score")
        if score not in known:
            raise ValueError(f"score={score!r} is none of {', '.join(known)}.")
        if dampings.ndim != 1 or np.any(dampings < 0):
            raise ValueError(
                "dampings must be one-dimensional and none of them negative; got "
                f"{dampings!r}."
            )
        if self.method == "grad_dot":
            raise ValueError(
                "method='grad_dot' uses no curvature, so damping changes nothing. Use "
                "method='influence' or method='newton'."
            )
        if X is None and score == "influence":
            raise ValueError(
                "damping_path needs queries X for score='influence'. For the training "
                "rows themselves pass score='self_influence' or score='loo_score'."
            )

    def _heads_along(self, dampings):
        """The fitted head at each damping, all with one decomposition."""
        fitted, solver = self._fitted, Spectral()
        plain = replace(fitted.objective, proximal=0.0, center=None)
        state = solver.init(plain.hessian(fitted.raw))
        path = []
        for damping in dampings:
            objective = plain.damped(damping, fitted.theta)
            operator = objective.hessian(fitted.raw)
            head = replace(
                fitted,
                objective=objective,
                operator=operator,
                solver=solver,
                state=state.at(operator, objective.proximal),
            )
            path.append(head)
        return path

    def _first_order_along(self, path, X, y):
        """All dampings in one product with the training gradients."""
        queries, dtype = self._queries(X, self._check_query_targets(X, y))
        shifts = [fitted.state.shift for fitted in path]
        V = path[0].state.apply_many(queries.gradients(), shifts)
        products = _gradient_products(self._fitted, V.reshape(len(V), -1))
        influence = products.reshape(len(path), len(queries.raw), -1)
        if self.normalize is not None:
            rankers = self._rankers_along(path, self.normalize == "loss")
            influence *= query_scale(queries, self.normalize)[:, None]
            influence *= np.stack([ranker._scale for ranker in rankers])[:, None, :]
        return in_type(influence, dtype)

    def _rankers_along(self, path, leave_each_out):
        """Rankers like this one on other heads, leave-one-out pass and all."""
        removals = [None] * len(path)
        if leave_each_out:
            removals = remove_each_along(path, self.n_jobs)
        rankers = []
        for fitted, removal in zip(path, removals, strict=True):
            ranker = copy.copy(self)
            refined = None
            if removal is not None:
                refined = self._refined_from(fitted, removal)
            ranker._fitted, ranker._removal, ranker._refined = fitted, removal, refined
            ranker._scale = train_scale(
                fitted, removal, refined, self.method, self.normalize
            )
            rankers.append(ranker)
        return rankers


def _refuse_large(fitted):
    """The decomposition takes the matrix, its vectors and as much again to work in."""
    operator = fitted.operator
    size, n_blocks = operator.shape[0], 1
    if operator.is_block_diagonal:
        size = operator.n_columns
        n_blocks = 1 if operator.has_equal_blocks else operator.n_outputs
    n_bytes = 8 * size**2 * (n_blocks + 3)
    if n_bytes > MEMORY:
        raise ValueError(
            f"damping_path needs the eigenvectors of {n_blocks} matrices of {size} "
            f"rows, {n_bytes / 2**30:.1f} GiB and more than {MEMORY / 2**30:.0f}. Fit "
            "the ranker at each damping instead."
        )
