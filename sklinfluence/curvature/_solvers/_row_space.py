"""The inverse of one output's Hessian where there are fewer rows than columns.

H = X^T C X + L with the rows' curvatures C and a positive diagonal L. By the Woodbury
identity its inverse is L^-1 less a matrix of rank n_rows, and what is factored is
I + C^1/2 X L^-1 X^T C^1/2: one number a pair of rows, X itself only multiplied by. A
free intercept has no L; it is eliminated first, which takes the weighted mean off the
rows.
"""

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotrs

from sklinfluence.curvature._solvers._range import extreme_eigenvalue, inverse_of
from sklinfluence.curvature._solvers._solver import HoldsOperator

# Woodbury's difference loses as many digits as the rows' part exceeds the penalty.
_MAX_RATIO = 1e8
# With fewer rows than this share of the columns, factoring their products is cheaper.
FEW_ROWS = 0.8


def is_wide(operator):
    """Whether the outputs' Hessians are better factored over rows than over columns."""
    design = operator.design
    # A network's parameters are no columns.
    if design is None or not operator.rows_at_hand:
        return False
    if design.n_rows > FEW_ROWS * operator.n_columns:
        return False
    penalty = operator.diagonal_terms[:, : design.X.shape[1]]
    if not operator.has_one_set or penalty.min() <= 0:
        return False
    return operator.block_traces().max() < _MAX_RATIO * penalty.min()


def output_factors(operator, stretch=None):
    """A factor over the rows for each output; the same one where all are equal.

    Parameters
    ----------
    operator : Hessian
    stretch : ndarray of shape (n_outputs,), default=None
        What each output's rows are multiplied with.
    """
    objective = operator.objective
    curvature = objective.loss.curvature_diagonal(objective.targets, operator.raw)
    curvature = objective.weights[:, None] * curvature
    if stretch is not None:
        curvature *= stretch
    products, terms = RowProducts(objective.design), operator.diagonal_terms
    n_distinct = 1 if operator.has_equal_blocks else operator.n_outputs
    factors = [
        RowSpaceFactor(operator, products, curvature[:, k], terms[k])
        for k in range(n_distinct)
    ]
    return factors * (operator.n_outputs // n_distinct)


class RowProducts:
    """X L^-1 X^T, computed once for all outputs that share L."""

    def __init__(self, design):
        self.design = design
        # In one attribute, so that no thread meets terms and products of two calls.
        self._held = (None, None)

    def __call__(self, terms):
        """The products where the columns' diagonal terms are ``terms``."""
        held_terms, products = self._held
        if held_terms is None or not np.array_equal(terms, held_terms):
            X = self.design.X
            if sparse.issparse(X):
                products = (X @ sparse.diags_array(1.0 / terms) @ X.T).toarray()
            else:
                scaled = np.asarray(X, dtype=float) / np.sqrt(terms)
                products = scaled @ scaled.T
            products = np.asarray(products, dtype=float)
            self._held = (terms, products)
        return products


class RowSpaceFactor(HoldsOperator):
    """Factor of one output's Hessian over its rows.

    Parameters
    ----------
    operator : Hessian
        Whose rows these are.
    products : RowProducts
    curvature : ndarray of shape (n_rows,)
        Weighted curvature of every row in this output, not negative.
    terms : ndarray of shape (n_columns,)
        Penalty and proximal term; positive, but for the intercept's.
    """

    serves_threads = False

    def __init__(self, operator, products, curvature, terms):
        self.operator, self.curvature, self.terms = operator, curvature, terms
        self.size = len(terms)
        self.basis = np.zeros((self.size, 0))
        self.n_features = self.design.X.shape[1]
        self.penalty = terms[: self.n_features, None]
        self.root, self.share = np.sqrt(curvature)[:, None], 0.0
        if self.design.fit_intercept:
            self._eliminate_intercept(terms[-1])
        inner = self._from_right(self._from_left(products(terms[: self.n_features])))
        inner[np.diag_indices_from(inner)] += 1.0
        self.packed, _ = dpotrf(inner, lower=1, overwrite_a=1)

    @property
    def design(self):
        return self.operator.objective.design

    def _eliminate_intercept(self, penalty):
        total = self.curvature.sum()
        # Without any curvature or penalty it is no parameter: any corner will do.
        self.corner = (total + penalty) or 1.0
        self.border = self.design.transpose_dot(self.curvature[:, None])[:-1]
        self.direction = self.root / (np.sqrt(total) or 1.0)
        self.share = 1.0 - np.sqrt(max(1.0 - total / self.corner, 0.0))

    def _from_left(self, V):
        """R^T V, where R R^T is the rows' curvature without the intercept's part."""
        V = self.root * V
        if self.share:
            V -= self.share * self.direction * (self.direction.T @ V)
        return V

    def _from_right(self, V):
        """V R for a symmetric product R^T ... R."""
        return self._from_left(V.T).T

    def _outwards(self, t):
        """R t."""
        if self.share:
            t = t - self.share * self.direction * (self.direction.T @ t)
        return self.root * t

    def _features(self, V):
        """Rows times V, without the intercept."""
        return np.asarray(self.design.X @ V)

    def solve(self, B):
        """H^-1 B, (size, m)."""
        d = self.n_features
        solved = np.empty_like(B)
        right = B[:d]
        if self.design.fit_intercept:
            last = B[d] / self.corner
            right = right - self.border * last
        scaled = right / self.penalty
        seen = self._from_left(self._features(scaled))
        inside, _ = dpotrs(self.packed, seen, lower=1)
        back = self.design.transpose_dot(self._outwards(inside))[:d]
        solved[:d] = scaled - back / self.penalty
        if self.design.fit_intercept:
            solved[d] = last - (self.border.T @ solved[:d])[0] / self.corner
        return solved

    apply_inverse = solve

    def prepare(self):
        """Nothing is left for later."""

    def product(self, V):
        """H V."""
        bent = self.curvature[:, None] * self.design.dot(V)
        return self.design.transpose_dot(bent) + self.terms[:, None] * V

    def leverage(self, rows):
        """x^T H^-1 x of each row, (n_chosen,)."""
        right, extra = rows[:, : self.n_features].T, 0.0
        if self.design.fit_intercept:
            last = rows[:, -1] / self.corner
            right = right - self.border * last
            extra = rows[:, -1] * last
        scaled = right / self.penalty
        seen = self._from_left(self._features(scaled))
        half = solve_triangular(self.packed, seen, lower=True, overwrite_b=True)
        whole = np.einsum("ij,ij->j", right, scaled)
        return whole - np.einsum("ij,ij->j", half, half) + extra

    def eigenvalue_range(self):
        """Estimates of the smallest and largest eigenvalue of H."""
        high = extreme_eigenvalue(self.product, self.size)
        low = inverse_of(extreme_eigenvalue(self.solve, self.size))
        if np.ptp(self.penalty) == 0:
            # What no row sees has the penalty alone, and there is such a direction.
            low = min(low, self.penalty.item(0))
        return low, high
