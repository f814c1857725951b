"""Small games that tests work out by enumeration: estimators that need no training."""

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import beta
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from sklinfluence._progress import untracked
from sklinfluence.retraining._journal import Journal
from sklinfluence.retraining._retraining_valuer import SplitRun

ORDER = np.random.default_rng(0).permutation(150)
IRIS = [part[ORDER] for part in load_iris(return_X_y=True)]
DIABETES = load_diabetes(return_X_y=True)


class Additive(RegressorMixin, BaseEstimator):
    """Predicts the sum of its training targets: a score that is additive in rows."""

    def fit(self, X, y, sample_weight=None):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        self.total_ = float(weights @ y)
        return self

    def predict(self, X):
        return np.full(len(X), self.total_)


def total(estimator, X, y):
    """A scorer that is the prediction itself; of a fallback, nothing."""
    return float(getattr(estimator, "total_", 0.0))


class Picky(ClassifierMixin, BaseEstimator):
    """Fails on the row marked -1 without the one marked -2, or on 99 at all."""

    def fit(self, X, y):
        marks = set(X[:, 0].tolist())
        if 99.0 in marks or (-1.0 in marks and -2.0 not in marks):
            raise RuntimeError("a row that misses another")
        self.classes_ = np.unique(y)
        self.model_ = LogisticRegression().fit(X, y)
        return self

    def predict(self, X):
        return self.model_.predict(X)


def classes_game(n=6, estimator=None, scoring=None):
    """(X, y, validation, v) of a few rows of iris; v by refits, row by row."""
    X, y = IRIS
    val = {"X_val": X[60:], "y_val": y[60:]}
    X, y = X[:n], y[:n]
    model = LogisticRegression() if estimator is None else estimator

    def v(chosen):
        rows = sorted(chosen)
        if not rows:
            fitted = DummyClassifier(strategy="prior").fit(X, y)
        elif len(set(y[rows])) == 1:
            return np.mean(val["y_val"] == y[rows[0]])
        else:
            fitted = clone(model).fit(X[rows], y[rows])
        return np.mean(fitted.predict(val["X_val"]) == val["y_val"])

    return X, y, val, v


def real_game(n=6, estimator=None):
    X, y = DIABETES
    val = {"X_val": X[60:], "y_val": y[60:]}
    X, y = X[:n], y[:n]
    model = Ridge(0.1) if estimator is None else estimator

    def v(chosen):
        rows = sorted(chosen)
        fitted = DummyRegressor().fit(X, y)
        if rows:
            fitted = clone(model).fit(X[rows], y[rows])
        return fitted.score(val["X_val"], val["y_val"])

    return X, y, val, v


SHARES = {
    "shapley": lambda s, n: 1 / (n * comb(n - 1, s)),
    "banzhaf": lambda s, n: 2.0 ** (1 - n),
    (4, 1): lambda s, n: beta(s + 1, n - 1 - s + 4) / beta(4, 1),
    (1, 1): lambda s, n: 1 / (n * comb(n - 1, s)),
    (2, 3): lambda s, n: beta(s + 3, n - 1 - s + 2) / beta(2, 3),
}


def semivalue(n, v, share):
    """sum over S of share(|S|) [v(S + i) - v(S)], by enumeration."""
    known = {
        frozenset(chosen): v(chosen)
        for size in range(n + 1)
        for chosen in combinations(range(n), size)
    }
    return np.array(
        [
            sum(
                share(len(S), n) * (known[S | {player}] - known[S])
                for S in known
                if player not in S
            )
            for player in range(n)
        ]
    )


class Table:
    """A utility that is looked up: of each set, by the bits of its players."""

    closed_form = "table"

    def __init__(self, scores):
        self.scores = np.asarray(scores)
        self.n_players = int(np.log2(len(self.scores)))

    def __call__(self, chosen):
        chosen = np.asarray(chosen)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        return float(self.scores[np.sum(1 << chosen.astype(int))]), None

    def along_orders(self, orders):
        return self.scores[np.cumsum(1 << orders, axis=1)], None


def play(ranker, table, seed=0):
    """What a ranker makes of a game that is looked up."""
    run = SplitRun(Table(table), 0, Journal(seed), untracked, None)
    return ranker._value(run)


def members(n):
    """Which players are in each set, by its bits: boolean (2^n, n)."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def neighbor_table(n=12):
    """Accuracy of the nearest neighbour's label, of every set of n rows of iris."""
    X, y = IRIS
    far = ((X[60:, None] - X[None, :n]) ** 2).sum(axis=2)
    order, held = far.argsort(axis=1), members(n)
    nearest = np.array([ranks[held[:, ranks].argmax(axis=1)] for ranks in order])
    table = (y[nearest] == y[60:, None]).mean(axis=0)
    table[0] = np.mean(y[60:] == np.bincount(y[:n]).argmax())
    return table


def ridge_table(n=12):
    """R2 of ridge regressions on every set of n rows, one of them far off."""
    X, y = DIABETES[0] * 20, DIABETES[1] / 80
    X_val, y_val = X[60:160], y[60:160]
    X, y = X[:n, :4], y[:n].copy()
    y[3] += 6.0
    table, spread = [], np.sum((y_val - y_val.mean()) ** 2)
    for held in members(n):
        held = held if held.any() else np.ones(n, dtype=bool)
        center, level = X[held].mean(axis=0), y[held].mean()
        rows = X[held] - center
        theta = np.linalg.solve(rows.T @ rows + np.eye(4), rows.T @ (y[held] - level))
        said = (X_val[:, :4] - center) @ theta + level
        table.append(1 - np.sum((y_val - said) ** 2) / spread)
    table[0] = 1 - np.sum((y_val - y.mean()) ** 2) / spread
    return np.array(table)
