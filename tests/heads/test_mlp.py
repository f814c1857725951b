"""Heads of MLPClassifier and MLPRegressor.

The oracle is scikit-learn's own back-propagation: one full-batch step of plain
descent moves the last layer by minus the rate times the gradient of J over the sum of
weights.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sklinfluence.heads import linear_head

RATE = 1e-6
STANDING = 1e-30  # a rate at which nothing moves: the same initial parameters
# First-order error about RATE x curvature (1e1); rounding 1e-16 / 1e-6 = 1e-10.
TOLERANCE = 1e-4

SIZES = {"none": (), "one": (6,), "two": (6, 5)}


def fit_quietly(model, X, y, weight=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one step does not converge
        return model.fit(X, y, sample_weight=weight)


def one_step(make, X, y, weight, n_held_out=0):
    """The model before a step, and the gradient its last layer followed."""
    plain = {"solver": "sgd", "momentum": 0.0, "batch_size": len(X), "max_iter": 1}

    def last_layer(rate):
        model = make(learning_rate_init=rate, random_state=5, **plain)
        fit_quietly(model, X, y, weight)
        layer = np.vstack([model.coefs_[-1], model.intercepts_[-1]]).T
        return model, layer

    before, start = last_layer(STANDING)
    _, end = last_layer(RATE)
    return before, (start - end) / RATE


def check(make, X, y, weight, gradient):
    model, followed = one_step(make, X, y, weight)
    head = linear_head(model, y, weight)
    expected, scale = gradient(head, X)
    total = head.weights.sum()
    np.testing.assert_allclose(followed * total, expected, atol=TOLERANCE * scale)
    return model, head


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh", "logistic"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier_follows_the_gradient(
    n_classes, weighted, sizes, activation, make_data, gradient
):
    X, y, weight = make_data("classes", n_classes, weighted)

    def make(**params):
        return MLPClassifier(SIZES[sizes], activation, alpha=20.0, **params)

    model, head = check(make, X, y, weight, gradient)
    raw = head.embed(X) @ head.coef.T + head.intercept
    # Links of the same float64 numbers, up to the order of summation.
    if n_classes == 2:
        np.testing.assert_allclose(
            expit(raw[:, 0]), model.predict_proba(X)[:, 1], rtol=1e-12
        )
    else:
        np.testing.assert_allclose(
            softmax(raw, axis=1), model.predict_proba(X), rtol=1e-12
        )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_regressor_follows_the_gradient(
    n_targets, weighted, sizes, make_data, gradient
):
    X, y, weight = make_data("values", n_targets, weighted)

    def make(**params):
        return MLPRegressor(
            hidden_layer_sizes=SIZES[sizes], activation="tanh", alpha=20.0, **params
        )

    model, head = check(make, X, y, weight, gradient)
    raw = head.embed(X) @ head.coef.T + head.intercept
    np.testing.assert_allclose(
        raw[:, 0] if n_targets == 1 else raw, model.predict(X), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    "kind, n_outputs", [("classes", 2), ("classes", 3), ("values", 3)]
)
def test_early_stopping_holds_rows_out(kind, n_outputs, make_data, gradient):
    X, y, weight = make_data(kind, n_outputs, weighted=True)

    def make(**params):
        model = MLPClassifier if kind == "classes" else MLPRegressor
        return model(
            hidden_layer_sizes=(6, 5),
            activation="tanh",
            alpha=20.0,
            early_stopping=True,
            validation_fraction=0.2,
            **params,
        )

    _, head = check(make, X, y, weight, gradient)
    assert np.count_nonzero(head.weights == 0) == 18  # a fifth of 90


@pytest.mark.parametrize(
    "params, got",
    [
        ({"random_state": None}, "random_state=None"),
        ({"random_state": 0, "warm_start": True}, "warm_start=True"),
    ],
)
def test_early_stopping_that_cannot_be_repeated(params, got, make_data):
    X, y, _ = make_data("classes", 2)
    model = MLPClassifier(max_iter=1, early_stopping=True, **params)
    fit_quietly(model, X, y)
    with pytest.raises(
        ValueError, match=f"early_stopping=True and {got} kept rows out"
    ):
        linear_head(model, y)
    # Advice that the message gives.
    model.early_stopping = False
    assert np.all(linear_head(model, y).weights == 1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_converged_fit_is_stationary(n_classes, make_data, stationarity):
    X, y, weight = make_data("classes", n_classes, weighted=True)
    model = MLPClassifier(
        (5,),
        "tanh",
        solver="lbfgs",
        alpha=1.0,
        tol=1e-12,
        max_iter=10_000,
        random_state=0,
    )
    head = linear_head(fit_quietly(model, X, y, weight), y, weight)
    # lbfgs stops at scipy's default change of the objective, 2e-9 relative, which
    # leaves about its square root in the gradient.
    assert stationarity(head, X) < 1e-3
    assert stationarity(replace(head, penalty=1.2 * head.penalty), X) > 3e-3


def test_sparse_rows(make_data):
    X, y, _ = make_data("classes", 3)
    for sizes in SIZES.values():
        model = fit_quietly(MLPClassifier(sizes, max_iter=1), X, y)
        head = linear_head(model, y)
        dense = head.embed(X)
        embedding = head.embed(sparse.csc_array(X))
        embedding = embedding.toarray() if sparse.issparse(embedding) else embedding
        np.testing.assert_allclose(embedding, dense, atol=1e-12)


def test_poisson_is_refused(make_data):
    X, y, _ = make_data("values", 1)
    model = fit_quietly(MLPRegressor(loss="poisson", max_iter=1), X, np.abs(y))
    message = "'loss' parameter of MLPRegressor must be 'squared_error'.*Got 'poisson'"
    with pytest.raises(ValueError, match=message):
        linear_head(model, np.abs(y))


def test_multilabel_is_refused(make_data):
    X, _, _ = make_data("classes", 2)
    Y = (X[:, :3] > 0).astype(int)
    model = fit_quietly(MLPClassifier(max_iter=1), X, Y)
    with pytest.raises(ValueError, match=r"Multilabel .* not supported"):
        linear_head(model, Y)


def test_penalty_in_small_batches_is_what_the_descent_settles_at():
    # At its end the mean gradient over the data balances the penalty: projected on the
    # weights, that reads the penalty off without knowing it. The descent is stochastic:
    # 5 % covers its jitter, and alpha itself (20) is ten times off.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 3))
    y = X @ [3.0, -2.0, 1.0] + rng.standard_normal(1000)
    model = MLPRegressor(
        hidden_layer_sizes=(4,),
        alpha=20.0,
        batch_size=100,
        max_iter=2000,
        tol=0,
        n_iter_no_change=2000,
        learning_rate_init=1e-3,
        random_state=0,
    ).fit(X, y)
    head = linear_head(model, y)
    raw = head.embed(X) @ head.coef.T + head.intercept
    gradient = (raw[:, 0] - y) @ head.embed(X)
    settled = -(gradient @ head.coef[0]) / (head.coef[0] @ head.coef[0])
    assert head.penalty[0, 0] == pytest.approx(settled, rel=0.05)
