"""The oracle of these tests: scikit-learn's own objectives, differentiated by torch.

Written from scikit-learn's documentation of each estimator, without anything of the
package: `Problem` finds the optimum by Newton's method on torch's derivatives and
answers every question by dense numpy algebra (pseudo-inverses).
"""

from functools import cached_property

import numpy as np
import pytest
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklinfluence.gradient import InfluenceRanker

LABELS = np.array(["ant", "bee", "cat"])
# Singular values below this share of the largest are the kernel.
RCOND = 1e-11


class Problem:
    """J(theta) = sum_i s_i l(y_i, theta z_i) + 1/2 sum Lambda theta^2, and its H^+.

    Parameters
    ----------
    kind : {"squared", "logistic", "softmax"}
    Z, Y : rows (their 1 included) and coded targets
    s : weights
    penalty : diagonal of Lambda, (K, q)
    damping : of the mean Hessian
    positive_weight : for kind "logistic", (K,)
    """

    def __init__(self, kind, Z, Y, s, penalty, damping=0.0, positive_weight=None):
        import torch

        self.kind, self.positive_weight = kind, positive_weight
        self.Z, self.Y, self.s, self.penalty = map(
            torch.as_tensor, (Z, Y, s, np.asarray(penalty, dtype=float))
        )
        self.shape = tuple(self.penalty.shape)
        self.theta = self._optimum(np.zeros(self.shape))
        self.H = self._hessian(self.theta) + damping * s.sum() * np.eye(self.theta.size)
        self.inverse = np.linalg.pinv(self.H, rcond=RCOND, hermitian=True)

    def row_losses(self, raw, Y, weighted=True):
        from torch import as_tensor
        from torch.nn import functional as f

        if self.kind == "squared":
            return 0.5 * f.mse_loss(raw, Y, reduction="none").sum(-1)
        if self.kind == "softmax":
            return -(Y * f.log_softmax(raw, dim=-1)).sum(-1)
        weight = self.positive_weight if weighted else None
        weight = None if weight is None else as_tensor(weight)
        return f.binary_cross_entropy_with_logits(
            raw, Y, pos_weight=weight, reduction="none"
        ).sum(-1)

    def value(self, flat):
        theta = flat.reshape(self.shape)
        losses = self.row_losses(self.Z @ theta.T, self.Y)
        return (self.s * losses).sum() + 0.5 * (self.penalty * theta**2).sum()

    def _hessian(self, theta):
        import torch

        return torch.func.hessian(self.value)(torch.tensor(theta.ravel())).numpy()

    def _optimum(self, theta):
        import torch

        for _ in range(60):
            flat = torch.tensor(theta.ravel())
            gradient = torch.func.grad(self.value)(flat).numpy()
            inverse = np.linalg.pinv(self._hessian(theta), rcond=RCOND, hermitian=True)
            step, length = -inverse @ gradient, 1.0
            while self.value(flat + length * torch.tensor(step)) > self.value(flat) * (
                1 + 1e-12
            ):
                length /= 2
            theta = theta + length * step.reshape(theta.shape)
            if np.abs(step).max() < 1e-11 * (1 + np.abs(theta).max()):
                return theta
        raise AssertionError("the oracle did not reach the optimum")

    def gradients(self, Z=None, Y=None, weighted=False):
        """Gradient of each row's loss: (n, p). Of the training rows by default."""
        import torch

        Z = self.Z if Z is None else torch.as_tensor(Z)
        Y = self.Y if Y is None else torch.as_tensor(Y)

        def losses(flat):
            return self.row_losses(Z @ flat.reshape(self.shape).T, Y, weighted)

        return torch.func.jacrev(losses)(torch.tensor(self.theta.ravel())).numpy()

    def weighted_gradients(self):
        """g_i = s_i times the gradient of the training loss of row i."""
        return self.s.numpy()[:, None] * self.gradients(weighted=True)

    @cached_property
    def newton_changes(self):
        """theta without row i, by one exact Newton step, less theta: (n, p)."""
        import torch

        g = self.weighted_gradients()
        flat = torch.tensor(self.theta.ravel())
        changes = []
        for i in range(len(g)):

            def own(flat, i=i):
                raw = self.Z[i] @ flat.reshape(self.shape).T
                return self.s[i] * self.row_losses(raw[None], self.Y[i][None])[0]

            rest = self.H - torch.func.hessian(own)(flat).numpy()
            inverse = np.linalg.pinv(rest, rcond=RCOND, hermitian=True)
            changes.append(inverse @ g[i])
        return np.array(changes)

    def losses_at(self, change, Z, Y):
        """Unweighted loss of rows at theta + change: (n_rows,)."""
        import torch

        theta = self.theta + np.reshape(change, self.shape)
        raw = torch.as_tensor(Z) @ torch.tensor(theta).T
        return self.row_losses(raw, torch.as_tensor(Y), weighted=False).numpy()


def _rows(task, n_classes, n_rows=60, seed=0):
    """Uncentred rows, unequal and overlapping classes, weights; string labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4)) + [0.5, -1.0, 0.0, 2.0]
    truth = rng.normal(size=(4, 3))
    weight = rng.uniform(0.2, 3.0, size=n_rows)
    if task == "values":
        y = X @ truth[:, :n_classes] + rng.normal(size=(n_rows, n_classes)) + 3.0
        return X, (y[:, 0] if n_classes == 1 else y), weight
    shares = np.array([0.5, 0.3, 0.2][:n_classes])
    y = rng.choice(n_classes, size=n_rows, p=shares / shares.sum())
    y[:n_classes] = np.arange(n_classes)
    return X + 0.5 * truth[:, y].T, LABELS[y], weight


def _with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def _penalty(K, d, strength, intercept=0.0):
    out = np.full((K, d + 1), float(strength))
    out[:, -1] = intercept
    return out


def _codes(y, negative=0.0):
    classes = np.unique(y)
    codes = np.where(y[:, None] == classes, 1.0, negative)
    return codes[:, 1:] if len(classes) == 2 else codes


def _balanced(y, weight):
    classes = np.unique(y)
    totals = np.array([weight[y == c].sum() for c in classes])
    each = weight.sum() / (len(classes) * totals)
    return each[np.searchsorted(classes, y)]


def _logistic_binary(X, y, w, Xq, yq):
    model = LogisticRegression(C=0.5, class_weight="balanced")
    given = "logistic", _with_ones(X), _codes(y), w * _balanced(y, w), _penalty(1, 4, 2)
    return model, given, (_with_ones(Xq), _codes(yq))


def _logistic_multinomial(X, y, w, Xq, yq):
    each = dict(zip(LABELS, [0.5, 2.0, 1.5], strict=True))
    model = LogisticRegression(C=2.0, class_weight=each)
    s = w * np.array([each[label] for label in y])
    given = "softmax", _with_ones(X), _codes(y), s, _penalty(3, 4, 0.5)
    return model, given, (_with_ones(Xq), _codes(yq))


def _liblinear(X, y, w, Xq, yq):
    model = LogisticRegression(solver="liblinear", C=0.5, intercept_scaling=3.0)
    penalty = _penalty(1, 4, 2.0, intercept=2.0 / 9.0)
    given = "logistic", _with_ones(X), _codes(y), w, penalty
    return model, given, (_with_ones(Xq), _codes(yq))


def _unpenalised(X, y, w, Xq, yq):
    # A column that depends on the others: the kernel has more than the shift.
    X, Xq = (np.column_stack([A, A[:, 0] - A[:, 2]]) for A in (X, Xq))
    model = make_pipeline(
        FunctionTransformer(_append), LogisticRegression(C=np.inf, max_iter=1000)
    )
    given = "softmax", _with_ones(X), _codes(y), w, _penalty(3, 5, 0.0)
    return model, given, (_with_ones(Xq), _codes(yq))


def _append(X):
    return np.column_stack([X, X[:, 0] - X[:, 2]])


def _ridge(X, y, w, Xq, yq):
    alpha = np.array([0.5, 4.0])
    penalty = np.column_stack([np.outer(alpha, np.ones(4)), np.zeros(2)])
    return (
        Ridge(alpha=alpha),
        ("squared", _with_ones(X), y, w, penalty),
        (
            _with_ones(Xq),
            yq,
        ),
    )


def _ridge_classifier(X, y, w, Xq, yq):
    model = RidgeClassifier(alpha=3.0, class_weight="balanced", fit_intercept=False)
    s = w * _balanced(y, np.ones(len(y)))  # counts rows, whatever their weights
    given = "squared", X, _codes(y, -1.0), s, np.full((3, 4), 3.0)
    return model, given, (Xq, _codes(yq, -1.0))


def _sgd(X, y, w, Xq, yq):
    each = dict(zip(LABELS, [0.5, 2.0, 1.5], strict=True))
    model = SGDClassifier(
        "log_loss", alpha=0.05, class_weight=each, random_state=0, max_iter=50, tol=None
    )
    # One against the rest: a class weight is that of the problem's positive term.
    given = "logistic", _with_ones(X), _codes(y), w, _penalty(3, 4, 0.05 * len(X))
    return model, given, (_with_ones(Xq), _codes(yq)), np.array([0.5, 2.0, 1.5])


def _mlp(X, y, w, Xq, yq):
    model = MLPClassifier((5,), alpha=0.8, random_state=0, max_iter=30)
    fitted = MLPClassifier((5,), alpha=0.8, random_state=0, max_iter=30)
    fitted.fit(X, y, sample_weight=w)
    H, Hq = (
        np.maximum(A @ fitted.coefs_[0] + fitted.intercepts_[0], 0) for A in (X, Xq)
    )
    given = "softmax", _with_ones(H), _codes(y), w, _penalty(3, 5, 0.8)
    return model, given, (_with_ones(Hq), _codes(yq))


def _pipeline(X, y, w, Xq, yq):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    mean, scale = X.mean(0), X.std(0)  # the scaler is not given the weights
    Z, Zq = (X - mean) / scale, (Xq - mean) / scale
    given = "softmax", _with_ones(Z), _codes(y), w, _penalty(3, 4, 1 / 0.3)
    return model, given, (_with_ones(Zq), _codes(yq))


CASES = {
    "logistic-binary": (_logistic_binary, "classes", 2),
    "logistic-multinomial": (_logistic_multinomial, "classes", 3),
    "liblinear": (_liblinear, "classes", 2),
    "unpenalised": (_unpenalised, "classes", 3),
    "ridge": (_ridge, "values", 2),
    "ridge-classifier": (_ridge_classifier, "classes", 3),
    "sgd": (_sgd, "classes", 3),
    "mlp": (_mlp, "classes", 3),
    "pipeline": (_pipeline, "classes", 3),
}


class Case:
    """Data, an estimator and the `Problem` that its documentation says it solves."""

    def __init__(self, name, damping):
        build, task, n_outputs = CASES[name]
        X, y, w = _rows(task, n_outputs, n_rows=72)
        self.X, self.y, self.weight = X[:60], y[:60], w[:60]
        self.Xq, self.yq = X[60:], y[60:]
        if task == "classes":  # the coder of the tests must see every class
            self.yq[:n_outputs] = LABELS[:n_outputs]
        built = build(self.X, self.y, self.weight, self.Xq, self.yq)
        self.estimator, given, (self.Zq, self.Yq) = built[:3]
        positive_weight = built[3] if len(built) > 3 else None
        self.problem = Problem(*given, damping, positive_weight)
        self.damping, self.name = damping, name
        self.rankers = {}

    def ranker(self, **parameters):
        """A fitted ranker; one for all tests that ask for the same."""
        key = tuple(parameters.items())
        if key not in self.rankers:
            ranker = InfluenceRanker(self.estimator, damping=self.damping, **parameters)
            self.rankers[key] = ranker.fit(self.X, self.y, sample_weight=self.weight)
        return self.rankers[key]


_cases = {}


# Every estimator; damped where that is not one case too many.
PARAMS = [
    ("logistic-binary", 0.01),
    ("logistic-multinomial", 0.0),
    ("logistic-multinomial", 0.01),
    ("liblinear", 0.0),
    ("unpenalised", 0.0),
    ("ridge", 0.0),
    ("ridge", 0.01),
    ("ridge-classifier", 0.01),
    ("sgd", 0.01),
    ("mlp", 0.01),
    ("pipeline", 0.0),
]


@pytest.fixture(params=PARAMS, ids=lambda p: f"{p[0]}-damping={p[1]}")
def case(request):
    """Every estimator, its data and its oracle."""
    pytest.importorskip("torch")
    if request.param not in _cases:
        _cases[request.param] = Case(*request.param)
    return _cases[request.param]
