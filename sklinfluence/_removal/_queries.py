"""Influence as pure functions of a fitted head, its rows and its queries.

Signs and units: the rise in a query's unweighted loss when a training row is left
out of the (weighted) training objective, so a proponent is positive, an opponent
negative; shape (n_queries, n_train).
"""

from dataclasses import dataclass

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal._fitted_head import gradient_rows
from sklinfluence._removal._one_row import apply_block, removed_residual
from sklinfluence._scheduling import map_rows
from sklinfluence.curvature import Design, PredictionDrop, row_curvature

# Rows of one product with all queries: wide enough for its full rate.
_PRODUCT_ROWS = 1024
# Queries, and shifts of them, that are turned into rises while they are in cache.
_QUERIES_AT_ONCE = 128
_SHIFTS_AT_ONCE = 2**21


@dataclass
class Queries:
    """Rows whose loss, or prediction, is asked about.

    Attributes
    ----------
    design : Design
    loss : loss object, unweighted
    targets : ndarray of shape (n_queries, n_outputs)
    raw : ndarray of shape (n_queries, n_outputs)
    residual : ndarray of shape (n_queries, n_outputs)
    """

    design: Design
    loss: object
    targets: np.ndarray
    raw: np.ndarray
    residual: np.ndarray

    @classmethod
    def at(cls, fitted, embedding, targets):
        """Queries at a fitted head; without targets, their raw predictions."""
        design = Design(embedding, fitted.objective.design.fit_intercept)
        raw = design.dot(fitted.theta.T)
        if targets is None:
            loss, targets = PredictionDrop(), raw
        else:
            loss = fitted.objective.loss.unweighted()
        return cls(design, loss, targets, raw, loss.gradient(targets, raw))

    @property
    def dtype(self):
        """That of their embedding, and so of what is said about them."""
        return self.design.X.dtype

    def take(self, index):
        """A slice of the queries."""
        design = Design(self.design.X[index], self.design.fit_intercept)
        parts = (self.targets[index], self.raw[index], self.residual[index])
        return Queries(design, self.loss, *parts)

    def at_theta(self, theta):
        """The same queries of a head with other parameters."""
        raw = self.design.dot(theta.T)
        residual = self.loss.gradient(self.targets, raw)
        return Queries(self.design, self.loss, self.targets, raw, residual)

    def gradients(self):
        """(p, n_queries), Fortran order: right-hand sides for the solver."""
        return gradient_rows(self.residual, self.design.rows(slice(None))).T


def first_order(fitted, queries, *, use_curvature=True, n_jobs=None):
    """g_j^T H^+ g_i (or g_j^T g_i), Koh and Liang's influence with its sign turned.

    Returns
    -------
    influence : ndarray of shape (n_queries, n_train)
    """
    V = solved_gradients(fitted, queries, use_curvature)
    return _gradient_products(fitted, V, n_jobs)


def solved_gradients(fitted, queries, use_curvature=True):
    """H^+ g_j of every query (or g_j), (p, n_queries)."""
    V = queries.gradients()
    return fitted.solve(V) if use_curvature else V


def _gradient_products(fitted, V, n_jobs=None):
    """Products of V's columns with every training gradient, (m, n_train)."""
    design, coefficients = fitted.objective.design, fitted.coefficients
    if not fitted.objective.loss.separable:
        # Coefficients sum to zero: what all outputs of V share meets nothing.
        V = V.reshape(*fitted.theta.shape, -1)
        V = (V[:-1] - V[-1]).reshape(-1, V.shape[2])
        coefficients = coefficients[:, :-1]
    out, V = np.empty((V.shape[1], design.n_rows)), np.ascontiguousarray(V.T)

    def of_block(block):
        gradients = gradient_rows(coefficients[block], design.rows(block))
        np.matmul(V, gradients.T, out=out[:, block])

    blocks = block_slices(design.n_rows, sum(V.shape), _PRODUCT_ROWS)
    map_rows(of_block, blocks, n_jobs=n_jobs)
    return out


def mean_first_order(fitted, queries, query_scale, *, use_curvature=True):
    """Mean over the queries of `first_order` times ``query_scale``: (n_train,)."""
    mean = mean_gradient(queries, query_scale / len(query_scale))
    return apply_gradients(fitted, solved_mean(fitted, mean, use_curvature))


def mean_gradient(queries, weights):
    """The queries' gradients, weighted and summed: of theta's shape."""
    return queries.design.transpose_dot(queries.residual * weights[:, None]).T


def solved_mean(fitted, mean, use_curvature=True):
    """H^+ times one gradient (or the gradient), of theta's shape."""
    mean = mean.reshape(-1, 1)
    V = fitted.solve(mean) if use_curvature else mean
    return V.reshape(fitted.theta.shape)


def apply_gradients(fitted, direction):
    """Product of one direction, of theta's shape, with every training gradient."""
    along = fitted.objective.raw(direction)
    return np.einsum("ik,ik->i", fitted.coefficients, along)


def one_step_newton(fitted, removal, queries, n_jobs=None):
    """Each query's loss at the Newton step without each row, less its loss.

    Returns
    -------
    influence : ndarray of shape (n_queries, n_train)
        NaN columns for rows of leverage 1.
    """
    coefficients = fitted.objective.weights[:, None] * removal.residual
    n_queries, K = queries.raw.shape
    n_train, p = len(coefficients), fitted.theta.size
    out = np.empty((n_queries, n_train))
    if _solve_per_row(fitted, n_queries, n_train):
        shifts = row_shifts(fitted, queries)
        _fill_rises(out, fitted, queries, coefficients, shifts, n_jobs)
        return out
    # Solved queries are held in memory: as many at a time as working_memory takes.
    for chunk in block_slices(n_queries, 3 * p * K):
        part = queries.take(chunk)
        shifts = query_shifts(fitted, part)
        _fill_rises(out[chunk], fitted, part, coefficients, shifts, n_jobs)
    return out


def _fill_rises(out, fitted, queries, coefficients, shifts, n_jobs):
    """Fill (n_queries, n_train) block by block of training rows."""
    design, (n_queries, K) = fitted.objective.design, queries.raw.shape
    at_once = max(64, _SHIFTS_AT_ONCE // (_QUERIES_AT_ONCE * K))

    def fill(block):
        move = shifts(coefficients[block], design.rows(block))
        # Shifts are walked through several times: by so few at once, in cache.
        for some in block_slices(n_queries, 1, _QUERIES_AT_ONCE):
            asked = queries.take(some)
            for rows in block_slices(block.stop - block.start, 1, at_once):
                leaving = slice(block.start + rows.start, block.start + rows.stop)
                out[some, leaving] = loss_rise(asked, move(some, rows))

    blocks = block_slices(design.n_rows, 3 * fitted.theta.size, _PRODUCT_ROWS)
    fitted.over_rows(fill, blocks, n_jobs)


def loss_rise(queries, shift):
    """Rise in each query's loss when its raw prediction moves by ``shift``.

    Parameters
    ----------
    shift : ndarray of shape (n_queries, b, n_outputs)
        Of a softmax, also (n_queries, b, n_outputs - 1) less the last output's.

    Returns
    -------
    rise : ndarray of shape (n_queries, b)
    """
    return queries.loss.rise(queries.targets, queries.raw, shift)


def _solve_per_row(fitted, n_queries, n_train):
    """Whether one solve a training row is less work than one a query and contrast."""
    if fitted.objective.loss.separable:
        return False
    n_moving, p = len(fitted.theta) - 1, fitted.theta.size
    return n_train * (p + n_queries) < n_queries * n_moving * (p + n_train)


def row_shifts(fitted, queries):
    """How queries' raw predictions move when rows leave, solving for each row.

    Returns
    -------
    shifts : callable
        From coefficients (b, K) and rows (b, q) to a function of two slices, of the
        queries and of the rows, whose moves (n_chosen, n_leaving, K) it gives; of a
        softmax the (n_chosen, n_leaving, K - 1) less the last output's.
    """
    asked = queries.design.rows(slice(None))

    def shifts(coefficients, rows):
        moves = fitted.row_moves(coefficients, rows)
        return lambda some, leaving: _outputs_last(asked[some] @ moves[..., leaving])

    return shifts


def query_shifts(fitted, queries):
    """The same, solving once for each query and output, or contrast of outputs."""
    asked = queries.design.rows(slice(None))
    if fitted.objective.loss.separable:
        K, q = fitted.theta.shape
        solved = fitted.solve(np.tile(asked.T, (K, 1))).reshape(K, q, -1)
        solved = np.ascontiguousarray(solved.transpose(0, 2, 1))

        def right(coefficients, rows):
            return coefficients.T[:, None, :] * rows.T

    else:
        solved, right = fitted.solve_apart(asked)

    def shifts(coefficients, rows):
        gradients = right(coefficients, rows)
        return lambda some, leaving: _outputs_last(
            solved[:, some] @ gradients[..., leaving]
        )

    return shifts


def _outputs_last(moves):
    return moves.transpose(1, 2, 0)


def parameter_change(fitted, coefficients, index):
    """theta without row i less theta, H^+ (c_i (x) x_i): (n_chosen, K, q)."""
    rows = fitted.objective.design.rows(index)
    change = fitted.solve_rows(coefficients[index], rows)
    return change.T.reshape(len(rows), *fitted.theta.shape)


def change_lengths(fitted, coefficients, n_jobs=None):
    """Length of every row's `parameter_change`, in blocks: (n_train,)."""

    def lengths(block):
        change = parameter_change(fitted, coefficients, block)
        return np.linalg.norm(change, axis=(1, 2))

    blocks = block_slices(
        fitted.objective.design.n_rows, 4 * fitted.theta.size, _PRODUCT_ROWS
    )
    return np.concatenate(fitted.over_rows(lengths, blocks, n_jobs))


def gradient_lengths(design, coefficients):
    """Length of c_i (x) x_i, which is |c_i| |x_i|: (n_rows,)."""
    return np.linalg.norm(coefficients, axis=1) * np.sqrt(design.squared_norms())


def query_curvature(fitted, queries):
    """B and the unweighted curvature of queries."""
    B = fitted.row_blocks(queries.design.rows(slice(None)))
    weights = np.ones(len(queries.raw))
    return B, row_curvature(queries.loss, queries.targets, queries.raw, weights, B)


def added_row(fitted, queries):
    """The Newton step that takes each query into the training rows.

    Returns
    -------
    change : ndarray of shape (n_queries, n_outputs)
        By how much the query's own raw prediction moves when it is trained on.
    residual : ndarray of shape (n_queries, n_outputs)
        (I + S B)^-1 r.
    """
    B, S = query_curvature(fitted, queries)
    residual = removed_residual(S, B, queries.residual)
    return -apply_block(B, residual), residual


def inverse_ratio(numerator, denominator):
    """numerator / denominator, with 0/0 = 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    out = np.zeros(numerator.shape)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
