"""Ridge regression on every prefix of many permutations, by rank-one updates."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, root_mean_squared_error

from sklinfluence.retraining._closed_forms._closed_utility import (
    ClosedUtility,
    as_floats,
    as_targets,
    is_positive,
    is_r2,
    row_weights,
)

_LARGEST_STEP = 2**25  # bytes that the permutations walked at once may take


@dataclass(frozen=True, eq=False)
class RidgeUtility(ClosedUtility):
    """R2 or squared error of a ridge regression.

    Sets of up to twice as many rows as columns are solved directly; each further row
    of a permutation updates the inverse, since the error of an update is made where
    the problem is ill-posed and then carried. The score is a quadratic form in the
    coefficients, of the validation rows' moments.

    Attributes
    ----------
    design : ndarray of shape (n_rows, n_columns)
    targets, weights : ndarray of shape (n_rows,)
    asked : Moments
        Of the validation rows.
    kind : {"r2", "mse", "rmse"}
    """

    design: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    asked: "Moments"
    kind: str

    closed_form = "ridge"

    @property
    def has_intercept(self):
        return self.estimator.fit_intercept

    def of_rows(self, rows):
        fit, _ = self._direct(rows[None])
        return self._scores(fit)[0], None

    def _walk(self, rows):
        p = self.design.shape[1]
        of_one = 8 * p * max(p, min(2 * p, rows.shape[1]))
        at_once = max(1, _LARGEST_STEP // of_one)
        parts = [
            self._walk_together(rows[start : start + at_once])
            for start in range(0, len(rows), at_once)
        ]
        return np.vstack(parts), None

    def _walk_together(self, rows):
        n_direct = min(2 * self.design.shape[1], rows.shape[1])
        scores = np.empty(rows.shape)
        for size in range(1, n_direct + 1):
            fit, gram = self._direct(rows[:, :size])
            scores[:, size - 1] = self._scores(fit)
        if n_direct < rows.shape[1]:
            fit.inverse = np.linalg.inv(gram)
        for place in range(n_direct, rows.shape[1]):
            row = rows[:, place]
            fit.add(self.design[row], self.targets[row], self.weights[row])
            scores[:, place] = self._scores(fit)
        return scores

    def _direct(self, rows):
        """Fits on sets of rows of one size, (n_sets, size), and their Gram matrices.

        Of fewer rows than columns it is the rows' inner products that are solved with,
        and there is no Gram matrix.
        """
        x, y, w = self.design[rows], self.targets[rows], self.weights[rows]
        total = w.sum(axis=1)
        center, level = np.zeros((len(x), x.shape[2])), np.zeros(len(x))
        if self.has_intercept:
            center, level = means(x, w, total), dots(w, y) / total
        root = np.sqrt(w)
        x = (x - center[:, None]) * root[:, :, None]
        y = ((y - level[:, None]) * root)[:, :, None]
        turned = x.transpose(0, 2, 1)
        if x.shape[1] < x.shape[2]:
            theta = turned @ np.linalg.solve(self._penalized(x @ turned), y)
            gram = None
        else:
            gram = self._penalized(turned @ x)
            theta = np.linalg.solve(gram, turned @ y)
        fit = Fits(total, center, level, theta[:, :, 0], self.has_intercept)
        return fit, gram

    def _penalized(self, products):
        at = np.arange(products.shape[1])
        products[:, at, at] += self.estimator.alpha
        return products

    def _scores(self, fit):
        left = self.asked.squared_error(fit)
        if self.kind == "r2":
            return 1.0 - left / self.asked.spread
        mean = left / self.asked.total
        return -mean if self.kind == "mse" else -np.sqrt(mean)


@dataclass(eq=False)
class Fits:
    """Regressions on sets of rows of one size, and how they change with another row.

    Attributes
    ----------
    total, level : ndarray of shape (n_sets,)
        Summed weights; mean targets (0 without an intercept).
    center : ndarray of shape (n_sets, n_columns)
        Mean rows (0 without an intercept).
    theta : ndarray of shape (n_sets, n_columns)
        Coefficients.
    has_intercept : bool
    inverse : ndarray of shape (n_sets, n_columns, n_columns) or None
        Of the penalised Gram matrices.
    """

    total: np.ndarray
    center: np.ndarray
    level: np.ndarray
    theta: np.ndarray
    has_intercept: bool
    inverse: np.ndarray | None = None

    def add(self, x, y, w):
        """Another row for each set: (n_sets, n_columns), (n_sets,), (n_sets,)."""
        away, off, share = x, y, w
        if self.has_intercept:
            # Welford's recursion: the scatter grows by the product of what is off the
            # mean, at the weight of the one set of rows beside the other.
            away, off = x - self.center, y - self.level
            share = w * self.total / (self.total + w)
            self.center += away * (w / (self.total + w))[:, None]
            self.level += off * (w / (self.total + w))
        self.total += w
        step = times(self.inverse, away)
        growth = share / (1.0 + share * dots(away, step))
        error = off - dots(away, self.theta)
        self.theta += (growth * error)[:, None] * step
        self.inverse -= (growth[:, None] * step)[:, :, None] * step[:, None, :]


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted moments of the validation rows: all that a squared error needs of them.

    Attributes
    ----------
    total, level, spread : float
        Summed weights, mean target, scatter of the targets.
    center, across : ndarray of shape (n_columns,)
        Mean row; scatter of the columns with the target.
    scatter : ndarray of shape (n_columns, n_columns)
    """

    total: float
    level: float
    spread: float
    center: np.ndarray
    across: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, X, y, weights):
        total = weights.sum()
        center, level = weights @ X / total, weights @ y / total
        X, y = X - center, y - level
        weighted = X * weights[:, None]
        return cls(total, level, weights @ y**2, center, weighted.T @ y, weighted.T @ X)

    def squared_error(self, fit):
        """Weighted sum of the squared errors of each regression, (n_sets,)."""
        theta = fit.theta
        gap = self.level - fit.level - dots(self.center - fit.center, theta)
        bent = dots(times(self.scatter, theta), theta) - 2 * times(self.across, theta)
        return np.maximum(self.spread + bent + self.total * gap**2, 0.0)


# Products of one set at a time: a product of all at once would round each by how many
# there are, and a score must not depend on what is computed beside it.


def dots(a, b):
    """Inner products of rows of a and b, (n_sets,)."""
    # BLAS's own sum of odd lengths depends on where in memory a set begins (SSE), and
    # so on how many sets go together: values would not be equal to the bit.
    return (a * b).sum(axis=1)


def times(matrix, vectors):
    """Each set's matrix, or the one of all, times its vector."""
    return (matrix @ vectors[:, :, None])[..., 0]


def means(x, weights, total):
    """Weighted mean rows of sets, (n_sets, n_columns)."""
    return (weights[:, None, :] @ x)[:, 0] / total[:, None]


def ridge_utility(utility):
    """The closed form of a utility, or None where it has none."""
    model = utility.estimator
    kind = _kind(utility.scorer, model) if type(model) is Ridge else None
    if kind is None or not _is_solved_directly(model):
        return None
    X, y = as_floats(utility.X), as_targets(utility.y)
    X_val, y_val = as_floats(utility.X_val), as_targets(utility.y_val)
    if any(part is None for part in (X, y, X_val, y_val)):
        return None
    if _is_rounding(model.alpha, X, row_weights(utility)):
        return None
    weights = np.ones(len(y_val))
    if utility.sample_weight_val is not None:
        weights = np.asarray(utility.sample_weight_val, dtype=np.float64)
    asked = Moments.of(X_val, y_val, weights)
    if kind == "r2" and not asked.spread > 0:
        return None
    return RidgeUtility(
        **utility.own_fields(),
        design=X,
        targets=y,
        weights=row_weights(utility),
        asked=asked,
        kind=kind,
    )


def _is_rounding(alpha, X, weights):
    """Whether a penalty is lost beside the squares: few rows are singular then."""
    squares = weights @ np.einsum("ij,ij->i", X, X)
    return not alpha > np.finfo(np.float64).eps * squares


def _is_solved_directly(model):
    exact = model.solver in ("auto", "cholesky", "svd")
    return exact and not model.positive and is_positive(model.alpha)


def _kind(scorer, model):
    if is_r2(scorer, model):
        return "r2"
    kinds = {mean_squared_error: "mse", root_mean_squared_error: "rmse"}
    plain = getattr(scorer, "_sign", None) == -1 and not scorer._kwargs
    return kinds.get(scorer._score_func) if plain else None
