"""Predictions as sums over the training rows, by representer theorems.

At the optimum of J, the penalty's gradient is minus the sum of the rows' gradients:
sum_i s_i r_i (x) x_i + lambda w = 0. So w = sum_i alpha_i (x) x_i with
alpha_i = -s_i r_i / lambda (Yeh et al. 2018), and a raw prediction, less its intercept,
is sum_i alpha_i x_i^T x. With an l1 part the same condition on the active coefficients,
lambda_1 sign(w) + lambda_2 w = -sum_i s_i r_i (x) x_i, gives the inner product weights
lambda_1 |w| / (lambda_1 + lambda_2 |w|) (Tsai et al. 2023, whose kernel for the lasso
is that of lambda_2 = 0).
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from sklinfluence._blocks import block_slices
from sklinfluence._removal._one_row import apply_block
from sklinfluence._removal._queries import _gradient_products, inverse_ratio
from sklinfluence.curvature import init_state

REPRESENTERS = ("l2", "lje", "l1")


def check_penalty(head, method):
    """A ValueError where a head has not the penalty that its decomposition needs."""
    penalty = head.penalty[:, : head.coef.shape[1]]
    if method == "l1" and head.l1 is None:
        raise ValueError(
            "method='l1' decomposes heads with an l1 penalty, and this one has none. "
            "Use method='l2' or method='lje'."
        )
    if method != "l2":
        return
    if head.l1 is not None:
        raise ValueError(
            "method='l2' does not decompose a head with an l1 penalty: use method='l1'."
        )
    if np.any(penalty <= 0):
        raise ValueError(
            "method='l2' needs an l2 penalty on every weight: without one the weights "
            "are not a sum over training rows. Penalise the estimator (a finite C, an "
            "alpha above 0) or use method='lje'."
        )
    if np.any(penalty != penalty[:, :1]):
        raise ValueError(
            "method='l2' needs one penalty for all weights of an output; this head's "
            "differ. Use method='lje'."
        )


def take_apart(fitted, method, ascent):
    """The decomposition of one method.

    Parameters
    ----------
    fitted : FittedHead
    method : {"l2", "lje", "l1"}
    ascent : float
        Of "lje" alone.

    Returns
    -------
    expansion : StationaryExpansion or JacobianExpansion
    """
    if method == "lje":
        return JacobianExpansion(fitted, ascent)
    return StationaryExpansion(fitted, method)


def _largest_miss(objective, miss, raw):
    scale = np.max(np.abs(objective.in_force(raw)), initial=1.0)
    return float(np.max(np.abs(objective.in_force(miss)), initial=0.0) / scale)


def _dense(values):
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


class StationaryExpansion:
    """Representers of a head at the optimum of its penalised objective.

    Parameters
    ----------
    fitted : FittedHead
    method : {"l2", "l1"}

    Attributes
    ----------
    fitted : FittedHead
    alpha : ndarray of shape (n_train, n_outputs)
        Representer values, -s_i r_i / strength.
    strength : ndarray of shape (n_outputs,)
        lambda, that of the l1 part for "l1".
    metric : ndarray of shape (n_outputs, n_embedding)
        Weights of the inner product.
    """

    def __init__(self, fitted, method):
        self.fitted = fitted
        objective = fitted.objective
        n_embedding = objective.design.X.shape[1]
        penalty = objective.penalty[:, :n_embedding]
        if method == "l2":
            self.strength, self.metric = penalty[:, 0], np.ones_like(penalty)
        else:
            # The l1 strength is one for all weights of an output.
            strength = objective.whole.l1[:, :1]
            size = np.abs(fitted.theta[:, :n_embedding])
            self.strength = strength[:, 0]
            self.metric = size / (1.0 + penalty / strength * size)
        self.alpha = -fitted.coefficients / self.strength

    def gap(self):
        """Largest relative miss of the decomposition on a training raw prediction."""
        X, theta = self.fitted.objective.design.X, self.fitted.theta
        n_embedding = X.shape[1]
        weights = self.metric * np.asarray(X.T @ self.alpha).T
        miss = X @ (weights - theta[:, :n_embedding]).T
        raw = X @ theta[:, :n_embedding].T
        return _largest_miss(self.fitted.objective, miss, raw)

    def contributions(self, design, output):
        """alpha_i x_i^T M x_j at each query's output, (n_queries, n_train)."""
        X, asked = self.fitted.objective.design.X, design.X
        # One inner product serves all outputs, unless an l1 part gives each its own.
        if np.all(self.metric == 1.0):
            return _dense(asked @ X.T) * self.alpha.T[output]
        asked = _dense(asked) * self.metric[output]
        return np.asarray(asked @ X.T) * self.alpha.T[output]

    def own_products(self, design, output):
        """x^T M x of each row in the inner product of its output, (n_rows,)."""
        n_embedding = self.metric.shape[1]
        own = np.empty(design.n_rows)
        for block in block_slices(design.n_rows, 4 * self.fitted.theta.size):
            rows = design.rows(block)[:, :n_embedding]
            own[block] = np.sum(self.metric[output[block]] * rows**2, axis=1)
        return own

    def added_terms(self, queries, output):
        """The term that each query would add to its own output, (n_queries,)."""
        alpha = -queries.residual / self.strength
        own = alpha[np.arange(len(output)), output]
        return own * self.own_products(queries.design, output)


def _moved(fitted, theta):
    """The head at other parameters, factored there."""
    raw = fitted.objective.raw(theta)
    operator = fitted.objective.hessian(raw)
    return replace(
        fitted,
        theta=theta,
        raw=raw,
        residual=fitted.objective.residual(raw),
        operator=operator,
        state=init_state(fitted.solver, operator),
    )


class JacobianExpansion:
    """RPS-LJE: a Newton step from a point beside the fit, row by row.

    With theta* one gradient-ascent step away from the fit, theta' = theta* - H^-1
    grad J(theta*) is the sum over rows of t_i theta* - H^-1 (s_i r_i (x) x_i +
    t_i Lambda theta*), everything taken at theta* (Sui, Wu and Sanner 2021, for
    t_i = 1/n). t_i is the row's share of the weight: a row of weight 0 is not there,
    one of weight 2 is two. Intercepts are part of theta, and the rows' 1 of x.

    Parameters
    ----------
    fitted : FittedHead
    ascent : float
        Length of the ascent step, on the mean of the objective over the rows' weight.

    Attributes
    ----------
    fitted : FittedHead
        At theta*.
    alpha : ndarray of shape (n_train, n_outputs)
        A row's part of its own raw prediction over ``|x_i|**2``.
    """

    def __init__(self, fitted, ascent):
        objective = fitted.objective
        gradient = objective.gradient(fitted.theta, fitted.raw)
        start = fitted.theta + ascent * gradient / objective.weights.sum()
        self.fitted = _moved(fitted, start)
        self.share = objective.weights / objective.weights.sum()
        self.shared = start - self._solve(objective.penalty_gradient(start))
        self.expanded = start - self._solve(objective.gradient(start, self.fitted.raw))
        self.alpha = self._values()

    def _solve(self, gradient):
        return self.fitted.solve(gradient.reshape(-1, 1)).reshape(gradient.shape)

    def gap(self):
        """Largest relative miss of the sum over rows on a training raw prediction."""
        fitted = self.fitted
        gradients = fitted.objective.design.transpose_dot(fitted.coefficients).T
        total = self.shared - self._solve(gradients)
        raw = fitted.objective.raw(self.expanded)
        miss = fitted.objective.raw(total) - raw
        return _largest_miss(fitted.objective, miss, raw)

    def contributions(self, design, output):
        """Each row's part of each query's raw prediction, (n_queries, n_train)."""
        fitted = self.fitted
        rows = design.rows(slice(None))
        K, q = fitted.theta.shape
        asked = np.zeros((K, q, len(rows)))
        asked[output, :, np.arange(len(rows))] = rows
        solved = fitted.solve(asked.reshape(K * q, -1))
        shared = np.einsum("jq,jq->j", rows, self.shared[output])
        return shared[:, None] * self.share - _gradient_products(fitted, solved)

    def _values(self):
        """A row's part of its own raw predictions over |x_i|^2: (n_train, K)."""
        fitted = self.fitted
        design, coefficients = fitted.objective.design, fitted.coefficients
        n_rows, K = coefficients.shape
        own = fitted.objective.raw(self.shared) * self.share[:, None]
        for block in block_slices(n_rows, 2 * fitted.theta.size + K * K):
            B = fitted.row_blocks(design.rows(block))
            own[block] -= apply_block(B, coefficients[block])
        return inverse_ratio(own, design.squared_norms()[:, None])

    def own_products(self, design, output):
        """x^T x of each row: what `alpha` is over."""
        return design.squared_norms()

    def added_terms(self, queries, output):
        """The term that each query would add to its own output, (n_queries,)."""
        rows = queries.design.rows(slice(None))
        total = self.fitted.objective.weights.sum()
        own = queries.design.dot(self.shared.T) / total
        own -= apply_block(self.fitted.row_blocks(rows), queries.residual)
        return own[np.arange(len(output)), output]
