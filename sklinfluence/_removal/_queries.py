"""Influence as pure functions of a fitted head, its rows and its queries.

Signs and units: the rise in a query's unweighted loss when a training row is left
out of the (weighted) training objective, so a proponent is positive, an opponent
negative; shape (n_queries, n_train).
"""

from dataclasses import dataclass

import numpy as np

from sklinfluence._blocks import block_slices
from sklinfluence._removal._fitted_head import gradient_rows, outer_rows
from sklinfluence._removal._one_row import apply_block, removed_residual
from sklinfluence.curvature import Design, PredictionDrop, row_curvature


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


def first_order(fitted, queries, *, use_curvature=True):
    """g_j^T H^+ g_i (or g_j^T g_i), Koh and Liang's influence with its sign turned.

    Returns
    -------
    influence : ndarray of shape (n_queries, n_train)
    """
    V = queries.gradients()
    if use_curvature:
        V = fitted.solve(V)
    return _gradient_products(fitted, V)


def _gradient_products(fitted, V):
    """Products of V's columns with every training gradient, (m, n_train)."""
    design, coefficients = fitted.objective.design, fitted.coefficients
    out = np.empty((V.shape[1], design.n_rows))
    for block in block_slices(design.n_rows, V.shape[0] + V.shape[1]):
        gradients = gradient_rows(coefficients[block], design.rows(block))
        np.matmul(V.T, gradients.T, out=out[:, block])
    return out


def mean_first_order(fitted, queries, query_scale, *, use_curvature=True):
    """Mean over the queries of `first_order` times ``query_scale``: (n_train,)."""
    residual = queries.residual * (query_scale / len(query_scale))[:, None]
    mean = queries.design.transpose_dot(residual).T.reshape(-1, 1)
    V = fitted.solve(mean) if use_curvature else mean
    return apply_gradients(fitted, V.reshape(fitted.theta.shape))


def apply_gradients(fitted, direction):
    """Product of one direction, of theta's shape, with every training gradient."""
    along = fitted.objective.raw(direction)
    return np.einsum("ik,ik->i", fitted.coefficients, along)


def one_step_newton(fitted, removal, queries):
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
        _fill_rises(out, fitted, queries, coefficients, row_shifts(fitted, queries))
        return out
    # Solved queries are held in memory: as many at a time as working_memory takes.
    for chunk in block_slices(n_queries, 3 * p * K):
        part = queries.take(chunk)
        shifts = query_shifts(fitted, part)
        _fill_rises(out[chunk], fitted, part, coefficients, shifts)
    return out


def _fill_rises(out, fitted, queries, coefficients, shifts):
    """Fill (n_queries, n_train) block by block of training rows."""
    design = fitted.objective.design
    n_shifts = queries.raw.size
    # The shifts of a block are walked through several times: keep them in cache.
    at_most = max(64, 2**20 // max(n_shifts, 1))
    values_per_row = fitted.theta.size + 6 * n_shifts
    for block in block_slices(design.n_rows, values_per_row, at_most):
        shift = shifts(coefficients[block], design.rows(block))
        out[:, block] = loss_rise(queries, shift)


def loss_rise(queries, shift):
    """Rise in each query's loss when its raw prediction moves by ``shift``.

    Parameters
    ----------
    shift : ndarray of shape (n_queries, b, n_outputs)

    Returns
    -------
    rise : ndarray of shape (n_queries, b)
    """
    return queries.loss.rise(queries.targets, queries.raw, shift)


def _solve_per_row(fitted, n_queries, n_train):
    """Whether one solve a training row is less work than n_outputs a query."""
    K, _ = fitted.theta.shape
    if fitted.objective.loss.separable:
        return False
    p = fitted.theta.size
    return n_train * (p + n_queries) < n_queries * K * (p + n_train)


def row_shifts(fitted, queries):
    """How queries' raw predictions move when rows leave, solving for each row.

    Returns
    -------
    shifts : callable
        (coefficients (b, K), rows (b, q)) to (n_queries, b, K).
    """
    K, q = fitted.theta.shape
    asked = queries.design.rows(slice(None))

    def shifts(coefficients, rows):
        change = fitted.solve_rows(coefficients, rows).reshape(K, q, -1)
        return np.stack([asked @ change[k] for k in range(K)], axis=2)

    return shifts


def query_shifts(fitted, queries):
    """The same, solving once for each query and output."""
    K, q = fitted.theta.shape
    asked = queries.design.rows(slice(None))
    m = len(asked)
    if fitted.objective.loss.separable:
        solved = fitted.solve(np.tile(asked.T, (K, 1))).reshape(K, q, m)

        def shifts(coefficients, rows):
            moves = [(rows * coefficients[:, k, None] @ solved[k]).T for k in range(K)]
            return np.stack(moves, axis=2) if K > 1 else moves[0][:, :, None]

    else:
        solved = fitted.solve(outer_rows(asked, K))

        def shifts(coefficients, rows):
            products = gradient_rows(coefficients, rows) @ solved
            return products.reshape(len(rows), m, K).transpose(1, 0, 2)

    return shifts


def parameter_change(fitted, coefficients, index):
    """theta without row i less theta, H^+ (c_i (x) x_i): (n_chosen, K, q)."""
    rows = fitted.objective.design.rows(index)
    change = fitted.solve_rows(coefficients[index], rows)
    return change.T.reshape(len(rows), *fitted.theta.shape)


def change_lengths(fitted, coefficients):
    """Length of every row's `parameter_change`, in blocks: (n_train,)."""
    n_rows = fitted.objective.design.n_rows
    lengths = [
        np.linalg.norm(parameter_change(fitted, coefficients, block), axis=(1, 2))
        for block in block_slices(n_rows, 4 * fitted.theta.size)
    ]
    return np.concatenate(lengths)


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
