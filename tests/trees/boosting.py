"""Boosting by hand, on given leaves: what the rankers of boosted ensembles are held to.

Row by row and leaf by leaf, with scikit-learn's losses; of the package only the reading
of a model's leaves is used, which has tests of its own.
"""

import numpy as np
import pytest
from sklearn._loss.loss import (
    HalfBinomialLoss,
    HalfGammaLoss,
    HalfMultinomialLoss,
    HalfPoissonLoss,
    HalfSquaredError,
)
from sklearn.base import clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from sklinfluence.trees._ensemble import read_ensemble

N_TRAIN, N_QUERIES = 36, 6


def hist(**options):
    """Options of a HistGradientBoosting* of few small trees."""
    few = {"max_iter": 4, "max_leaf_nodes": 5, "min_samples_leaf": 3}
    return {**few, "early_stopping": False, **options}


def few(**options):
    """Options of a GradientBoosting* of few small trees."""
    return {"n_estimators": 4, "max_depth": 2, "random_state": 0, **options}


def of_categories():
    """A LightGBM model whose leaves have penalties of their own."""
    lightgbm = pytest.importorskip("lightgbm")
    return lightgbm.LGBMRegressor(
        n_estimators=4,
        num_leaves=5,
        min_child_samples=2,
        min_data_per_group=1,
        cat_smooth=0.5,
        cat_l2=3.0,
        verbose=-1,
    )


# Name: model, kind of targets, whether rows have weights.
MODELS = {
    "HGB binary": (HistGradientBoostingClassifier(**hist()), "binary", False),
    "HGB binary, l2, weights": (
        HistGradientBoostingClassifier(**hist(l2_regularization=2.0)),
        "binary",
        True,
    ),
    "HGB classes": (HistGradientBoostingClassifier(**hist()), "classes", True),
    "HGB values": (HistGradientBoostingRegressor(**hist()), "values", True),
    "HGB poisson": (
        HistGradientBoostingRegressor(loss="poisson", **hist()),
        "counts",
        True,
    ),
    "HGB gamma": (
        HistGradientBoostingRegressor(loss="gamma", **hist()),
        "sizes",
        False,
    ),
    "GB binary": (GradientBoostingClassifier(**few()), "binary", True),
    "GB classes": (GradientBoostingClassifier(**few()), "classes", False),
    "GB values": (GradientBoostingRegressor(**few()), "values", False),
    "LightGBM categories": (of_categories, "of groups", True),
}
LOSSES = {
    "squared": HalfSquaredError,
    "binary": HalfBinomialLoss,
    "poisson": HalfPoissonLoss,
    "gamma": HalfGammaLoss,
}


def data(kind, weighted, seed=0):
    """X, y, sample_weight of training rows; X, y of queries."""
    rng = np.random.default_rng(seed)
    n = N_TRAIN + N_QUERIES
    X = rng.normal(size=(n, 4))
    signal = X[:, 0] + X[:, 1] * X[:, 2] + 0.7 * rng.normal(size=n)
    y = {
        "binary": np.array(["no", "yes"])[(signal > 0).astype(int)],
        "classes": np.digitize(signal, [-0.7, 0.7]),
        "values": 3.0 * signal,
        "counts": rng.poisson(np.exp(0.5 * signal)).astype(float),
        "sizes": rng.gamma(2.0, np.exp(0.5 * signal)),
        "of groups": 3.0 * signal,
    }[kind]
    weights = rng.uniform(0.5, 2.0, size=N_TRAIN) if weighted else None
    if kind == "of groups":
        group = rng.integers(6, size=n)
        y = y + np.array([4.0, -3.0, 0.0, 5.0, -4.0, 1.0])[group]
        pandas = pytest.importorskip("pandas")
        X = pandas.DataFrame(X, columns=list("abcd"))
        X["d"] = pandas.Categorical(group)
    return X[:N_TRAIN], y[:N_TRAIN], weights, X[N_TRAIN:], y[N_TRAIN:]


def fitted(name):
    """A model of `MODELS`, fitted, and its data."""
    model, kind, weighted = MODELS[name]
    X, y, weights, *asked = data(kind, weighted)
    model = model() if callable(model) else clone(model)
    return model.fit(X, y, sample_weight=weights), X, y, weights, *asked


class ByHand:
    """A fitted model's leaves, and what boosting makes of them with other weights."""

    def __init__(self, model, X, y, sample_weight, X_queries, y_queries):
        trees = read_ensemble(model, X, y, sample_weight)
        self.trees, self.weights = trees, np.array(trees.weights, dtype=float)
        self.baseline = np.array(trees.baseline, dtype=float)
        self.K = len(self.baseline)
        self.leaves = list(trees.leaf_indices(X))
        self.asked = list(trees.leaf_indices(X_queries))
        self.loss = (
            HalfMultinomialLoss(n_classes=self.K)
            if trees.loss == "softmax"
            else LOSSES[trees.loss]()
        )
        self.y = np.array(trees.targets)
        self.y_asked = self.coded(model, y_queries)

    def coded(self, model, y):
        if hasattr(model, "classes_"):
            return np.searchsorted(model.classes_, y).astype(float)
        return np.asarray(y, dtype=float)

    def _plain(self, raw):
        return np.ascontiguousarray(raw if self.K > 1 else raw[:, 0])

    def losses(self, y, raw):
        return self.loss.loss(y, self._plain(raw))

    def derivatives(self, y, raw):
        """g, h of shape (n, K)."""
        parts = self.loss.gradient_hessian(y, self._plain(raw))
        return [
            np.broadcast_to(part.reshape(len(raw), -1), raw.shape) for part in parts
        ]

    def slopes(self, y, raw):
        """dg_k/dF_c and dh_k/dF_c of each row, (n, K, K), by the formulas."""
        _, h = self.derivatives(y, raw)
        name, eye = self.trees.loss, np.eye(self.K)
        if name == "softmax":
            p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
            of_g = p[:, :, None] * (eye - p[:, None, :])
            return of_g, (1 - 2 * p)[:, :, None] * of_g
        bend = {
            "squared": 0.0 * h,
            "binary": h * (1 - 2 / (1 + np.exp(-raw))),
            "poisson": h,
            "gamma": -h,
        }[name]
        return h[:, :, None], bend[:, :, None]

    def best_constant(self, weights):
        # As the model starts, which may be apart by what all outputs share.
        constant = self.loss.fit_intercept_only(self.y, weights)
        whole = self.loss.fit_intercept_only(self.y, self.weights)
        return self.baseline + np.ravel(constant) - np.ravel(whole)

    def bends(self, H, *place):
        """What the gradient of a leaf, at (stage, output, leaf), is divided by."""
        trees, own = self.trees, 0.0
        if trees.further_l2 is not None:
            stage, k, leaf = place
            own = trees.further_l2[stage][k][leaf]
        return trees.hessian_scale * H + trees.l2 + own + trees.floor

    def value(self, G, H, *place):
        bends = self.bends(H, *place)
        return -self.trees.step * G / bends if bends > 0 else 0.0

    def boost(self, weights, baseline=None):
        """theta of each leaf (stage, output, leaf), and raw predictions before each."""
        start = self.baseline if baseline is None else baseline
        raw = np.tile(start, (len(self.y), 1))
        values, before = {}, []
        for t, leaves in enumerate(self.leaves):
            before.append(raw)
            g, h = self.derivatives(self.y, raw)
            raw = raw.copy()
            for k in range(self.K):
                for leaf in range(len(self.trees.leaf_values[t][k])):
                    rows = np.flatnonzero((leaves[:, k] == leaf) & (weights > 0))
                    G, H = weights[rows] @ g[rows, k], weights[rows] @ h[rows, k]
                    values[t, k, leaf] = self.value(G, H, t, k, leaf)
                    raw[leaves[:, k] == leaf, k] += values[t, k, leaf]
        return values, [*before, raw]

    def say(self, values, leaves, baseline=None):
        """Raw predictions in these leaves, after each stage from none on."""
        start = self.baseline if baseline is None else baseline
        raw = np.tile(start, (len(leaves[0]), 1))
        said = [raw]
        for t, of_stage in enumerate(leaves):
            added = [
                [values[t, k, leaf] for leaf in of_stage[:, k]] for k in range(self.K)
            ]
            said.append(said[-1] + np.transpose(added))
        return said

    def without(self, i):
        weights = self.weights.copy()
        weights[i] = 0.0
        return weights

    def losses_of_queries(self, weights, refit_baseline=False):
        baseline = self.best_constant(weights) if refit_baseline else self.baseline
        values, _ = self.boost(weights, baseline)
        raw = self.say(values, self.asked, baseline)[-1]
        return self.losses(self.y_asked, raw)
