"""How wide bounds are: a bound that holds may still be thirty times what it should be.

Every interval and bound is computed again from its formula with dense inverses.
"""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDClassifier

from sklinfluence._removal._certificate import pair_lengths
from sklinfluence.gradient import InfluenceRanker

N_ROWS = 90


class Dense:
    """J and its derivatives at any theta and weights, by numpy on dense arrays."""

    def __init__(self, kind, X, y, weight, penalty, theta):
        self.separable = kind != "softmax"
        self.Z = np.column_stack([X, np.ones(len(X))])
        K = len(theta)
        self.Y = (y[:, None] == 1).astype(float) if K == 1 else np.eye(K)[y]
        self.weight, self.theta = weight, theta
        self.penalty = np.full(theta.shape, penalty)
        self.penalty[:, -1] = 0.0

    def proba(self, raw):
        return expit(raw) if self.separable else softmax(raw, axis=1)

    def curvature(self, raw):
        proba, K = self.proba(raw), raw.shape[1]
        if self.separable:
            return np.eye(K) * (proba * (1 - proba))[:, None]
        return np.eye(K) * proba[:, None] - proba[:, :, None] * proba[:, None]

    def gradient(self, theta, weight):
        residual = self.proba(self.Z @ theta.T) - self.Y
        return (residual * weight[:, None]).T @ self.Z + self.penalty * theta

    def inverse(self, theta, weight):
        """H^+ with 1e-11 of the largest singular value as zero."""
        S = self.curvature(self.Z @ theta.T) * weight[:, None, None]
        H = np.einsum("ikm,iq,ir->kqmr", S, self.Z, self.Z)
        H = H.reshape(theta.size, theta.size) + np.diag(self.penalty.ravel())
        return np.linalg.pinv(H, rcond=1e-11, hermitian=True)

    def newton_point(self, row):
        rest = self.weight.copy()
        rest[row] = 0.0
        step = self.inverse(self.theta, rest) @ self.gradient(self.theta, rest).ravel()
        return self.theta - step.reshape(self.theta.shape), rest

    def lengths(self, inverse, Z):
        """Squared lengths in H^+ of what a loss compares at each row: (n, K, K)."""
        K, q = self.theta.shape
        out = np.zeros((len(Z), K, K))
        for i, z in enumerate(Z):
            for a in range(K):
                for b in range(K):
                    direction = np.zeros((K, q))
                    if self.separable:
                        # Outputs are compared with nothing but 0.
                        direction[a] = z * (a == b)
                    else:
                        direction[a] += z
                        direction[b] -= z
                    out[i, a, b] = direction.ravel() @ inverse @ direction.ravel()
        return out

    def parts(self):
        """Slices of the parameters that are bounded by themselves."""
        K, q = self.theta.shape
        if not self.separable:
            return [slice(0, K * q)]
        return [slice(k * q, (k + 1) * q) for k in range(K)]

    def interval(self, row, Z, Y):
        theta, rest = self.newton_point(row)
        inverse = self.inverse(theta, rest)
        gradient = self.gradient(theta, rest).ravel()
        lengths = self.lengths(inverse, self.Z[rest > 0])
        asked, rho = np.sqrt(self.lengths(inverse, Z)), []
        for k, part in enumerate(self.parts()):
            own = gradient[part] @ inverse[part, part] @ gradient[part]
            largest = lengths[:, k, k] if self.separable else lengths
            R = np.sqrt(largest.max())
            rho.append(-np.log1p(-R * np.sqrt(own)) / R)
        raw = Z @ theta.T
        if self.separable:
            delta = np.array(rho) * np.einsum("ikk->ik", asked)
            sign = 2 * Y - 1
            low = np.logaddexp(0, -sign * raw - delta).sum(axis=1)
            return low, np.logaddexp(0, -sign * raw + delta).sum(axis=1)
        low, high = [], []
        for f, wide, y in zip(raw, asked, Y.argmax(axis=1), strict=True):
            low.append(logsumexp(f - f[y] - rho[0] * wide[y]))
            high.append(logsumexp(f - f[y] + rho[0] * wide[y]))
        return np.array(low), np.array(high)

    def losses(self, Z, Y):
        raw = Z @ self.theta.T
        if self.separable:
            return np.logaddexp(0, -(2 * Y - 1) * raw).sum(axis=1)
        return logsumexp(raw, axis=1) - np.sum(Y * raw, axis=1)

    def ranges(self, moves):
        if self.separable:
            return np.abs(moves).max(axis=1)
        return np.ptp(moves, axis=1)

    def error_bound(self, row):
        """Of the module's docstring: H_N >= e^-d H_-i and H_-i >= (1 - h_i) H."""
        theta, rest = self.newton_point(row)
        gradient = self.gradient(theta, rest).ravel()
        length = gradient @ self.inverse(self.theta, rest) @ gradient
        inverse = self.inverse(self.theta, self.weight)
        K = len(self.theta)
        move = self.ranges(self.Z @ (theta - self.theta).T)[rest > 0].max()
        z = np.kron(np.eye(K), self.Z[row]).T
        S = self.weight[row] * self.curvature(self.Z @ self.theta.T)[row]
        # A trace bounds the largest eigenvalue; of uncoupled outputs it is known.
        leverage = np.diag(S @ z.T @ inverse @ z)
        leverage = leverage.max() if self.separable else leverage.sum()
        spread = self.lengths(inverse, self.Z).max() / (1 - leverage)
        reach = np.exp(move) * np.sqrt(length * spread)
        return -np.log1p(-reach) if reach < 1 else np.inf


KINDS = {
    "binary": (LogisticRegression(C=0.2), 2, 5.0),
    "softmax": (LogisticRegression(C=0.2), 3, 5.0),
    "one-vs-rest": (
        SGDClassifier("log_loss", alpha=0.05, random_state=0),
        3,
        0.05 * N_ROWS,
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    model, K, penalty = KINDS[request.param]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS + 12, 3))
    y = np.argmax(X @ rng.normal(size=(3, K)) + rng.gumbel(size=(len(X), K)), axis=1)
    weight = rng.uniform(0.3, 2.0, N_ROWS)
    weight[4] = 0.0
    ranker = InfluenceRanker(model)
    with warnings.catch_warnings():
        # SGD stops short of the optimum, to which the head is then polished.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ranker.fit(X[:N_ROWS], y[:N_ROWS], sample_weight=weight)
    theta = np.column_stack([ranker.head_.coef, ranker.head_.intercept])
    dense = Dense(request.param, X[:N_ROWS], y[:N_ROWS], weight, penalty, theta)
    return ranker, dense, X[N_ROWS:], y[N_ROWS:]


def test_intervals_are_as_wide_as_their_formula(case):
    ranker, dense, X, y = case
    rows = np.arange(3, N_ROWS, 13)
    lower, upper = ranker.certify(rows, X, y)
    Z = np.column_stack([X, np.ones(len(X))])
    K = len(dense.theta)
    Y = (y[:, None] == 1).astype(float) if K == 1 else np.eye(K)[y]
    before = dense.losses(Z, Y)
    for at, row in enumerate(rows):
        low, high = dense.interval(row, Z, Y)
        assert np.all(high > low)
        # The radius is that of a gradient that almost vanishes: of a length of some
        # 1e-4, in which rounding of theta, 1e-12, is the eighth digit.
        assert_allclose(upper[:, at] - lower[:, at], high - low, rtol=1e-5)
        assert_allclose(lower[:, at], low - before, rtol=1e-5, atol=1e-9)
        assert_allclose(upper[:, at], high - before, rtol=1e-5, atol=1e-9)


def test_error_bounds_are_as_wide_as_their_formula(case):
    ranker, dense, _, _ = case
    expected = np.array([dense.error_bound(row) for row in range(N_ROWS)])
    expected[4] = 0.0  # what has no weight takes nothing with it
    assert np.isfinite(expected).mean() > 0.9
    assert_allclose(ranker.loo_error_bound_, expected, rtol=1e-5)


@pytest.mark.parametrize("K", [2, 4])
def test_pair_lengths_are_those_of_the_differences(K):
    roots = np.random.default_rng(0).normal(size=(5, K, K))
    B = roots @ roots.transpose(0, 2, 1)
    pairs = np.eye(K)[:, None] - np.eye(K)
    truth = np.einsum("abk,ikl,abl->iab", pairs, B, pairs)
    assert_allclose(pair_lengths(B), truth, atol=1e-12)
