"""Small games that tests work out by enumeration: estimators that need no training."""

from itertools import combinations
from math import comb

import numpy as np
from scipy.special import beta
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge

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
