"""Heads of SGDClassifier and SGDRegressor.

The oracle is one epoch of scikit-learn's own descent with steps so small that the
parameters hardly move: the epoch is then minus the step times the gradient of the sum
form, to first order. No convergence is needed, and every weight and penalty shows.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import SGDClassifier, SGDRegressor

from sklinfluence.heads import linear_head

STEP = 1e-8
# The error of first order is about STEP x n x |x|^2 = 1e-5; that of rounding, in
# parameters of size 1 that move by 1e-8 x 1e2, is 1e-16 / 1e-6 = 1e-10.
TOLERANCE = 1e-4


def one_epoch(model, X, y, weight):
    """Fit one tiny epoch from given parameters; the gradient that it followed."""
    n_outputs = 1 if y.dtype.kind == "f" else len(np.unique(y))
    n_outputs = 1 if n_outputs == 2 else n_outputs
    rng = np.random.default_rng(1)
    coef = rng.normal(size=(n_outputs, X.shape[1]))
    # Without an intercept, one of zero: descent would count another in.
    intercept = rng.normal(size=n_outputs) * model.fit_intercept
    model.set_params(max_iter=1, learning_rate="constant", eta0=STEP, tol=None)
    # Copies: the descent works in place.
    start = {"coef_init": coef.copy(), "intercept_init": intercept.copy()}
    model.fit(X, y, sample_weight=weight, **start)
    moved = np.atleast_2d(model.coef_) - coef
    if model.fit_intercept:
        moved = np.column_stack([moved, model.intercept_ - intercept])
    return -moved / STEP


def check(model, X, y, weight, gradient):
    descended = one_epoch(model, X, y, weight)
    head = linear_head(model, y, weight)
    expected, scale = gradient(head, X)
    np.testing.assert_allclose(descended, expected, atol=TOLERANCE * scale)
    return head


@pytest.mark.parametrize("penalty", ["l2", None])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("class_weight", ["none", "dict", "balanced"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier_follows_the_gradient(
    n_classes,
    weighted,
    class_weight,
    fit_intercept,
    penalty,
    make_data,
    class_weights,
    gradient,
):
    X, y, weight = make_data("classes", n_classes, weighted)
    resolved = class_weights[class_weight]
    if n_classes == 2 and class_weight == "dict":
        resolved = {label: resolved[label] for label in ("ant", "bee")}
    model = SGDClassifier(
        loss="log_loss",
        alpha=0.3,
        penalty=penalty,
        fit_intercept=fit_intercept,
        class_weight=resolved,
    )
    head = check(model, X, y, weight, gradient)
    raw = head.embed(X) @ head.coef.T + head.intercept
    # The same product of the same float64 numbers, up to the order of summation.
    np.testing.assert_allclose(
        raw[:, 0] if n_classes == 2 else raw, model.decision_function(X), atol=1e-12
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_regressor_follows_the_gradient(weighted, fit_intercept, make_data, gradient):
    X, y, weight = make_data("values", 1, weighted)
    model = SGDRegressor(alpha=0.3, fit_intercept=fit_intercept)
    head = check(model, X, y, weight, gradient)
    assert head.penalty[0, 0] == 0.3 * len(X)
    raw = head.embed(X) @ head.coef.T + head.intercept
    np.testing.assert_allclose(raw[:, 0], model.predict(X), atol=1e-12)


def test_rows_of_weight_zero_count_in_the_penalty(make_data, gradient):
    X, y, weight = make_data("values", 1, weighted=True)
    weight[:40] = 0
    check(SGDRegressor(alpha=2.0), X, y, weight, gradient)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifier_early_stopping_holds_rows_out(n_classes, make_data, gradient):
    X, y, weight = make_data("classes", n_classes, weighted=True)
    model = SGDClassifier(
        loss="log_loss",
        alpha=0.3,
        early_stopping=True,
        validation_fraction=0.2,
        random_state=3,
        class_weight="balanced",
    )
    head = check(model, X, y, weight, gradient)
    assert np.count_nonzero(head.weights == 0) == 18  # a fifth of 90
    assert head.penalty[0, 0] == pytest.approx(0.3 * 72, rel=1e-14)


def test_regressor_early_stopping_holds_rows_out(make_data, gradient):
    X, y, weight = make_data("values", 1, weighted=True)
    model = SGDRegressor(alpha=0.3, early_stopping=True, random_state=3)
    head = check(model, X, y, weight, gradient)
    assert np.count_nonzero(head.weights == 0) == 9


def test_early_stopping_that_cannot_be_repeated(make_data):
    X, y, _ = make_data("values", 1)
    model = SGDRegressor(early_stopping=True).fit(X / 9, y)
    message = "SGDRegressor with early_stopping=True and random_state=None.*integer"
    with pytest.raises(ValueError, match=message):
        linear_head(model, y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_long_run_ends_near_the_minimiser(n_classes, make_data, gradient):
    """The whole objective at once: its minimiser is where descent is heading."""
    X, y, weight = make_data("classes", n_classes, weighted=True)
    model = SGDClassifier(
        loss="log_loss",
        alpha=0.1,
        class_weight="balanced",
        learning_rate="invscaling",
        eta0=0.1,
        max_iter=20_000,
        tol=None,
        average=900_000,
        random_state=0,
    ).fit(X, y, sample_weight=weight)
    head = linear_head(model, y, weight)

    def minimiser(head):
        shape = head.penalty.shape
        found = optimize.root(
            lambda theta: gradient(head, X, theta.reshape(shape))[0].ravel(),
            np.zeros(head.penalty.size),
            tol=1e-10,
        )
        return found.x.reshape(shape)

    theta = np.column_stack([head.coef, head.intercept])
    # Averaged over 9e5 noisy steps: an error of some 1 / sqrt(9e5), more where J is
    # flat.
    assert np.abs(theta - minimiser(head)).max() < 1e-2
    doubled = replace(head, penalty=2 * head.penalty)
    assert np.abs(theta - minimiser(doubled)).max() > 5e-2


@pytest.mark.parametrize("loss", ["hinge", "modified_huber", "squared_error"])
def test_other_classifier_losses_are_refused(loss, make_data):
    X, y, _ = make_data("classes", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is beside the point
        model = SGDClassifier(loss=loss).fit(X, y)
    message = f"'loss' parameter of SGDClassifier must be 'log_loss'.*Got '{loss}'"
    with pytest.raises(ValueError, match=message):
        linear_head(model, y)


def test_other_regressor_losses_are_refused(make_data):
    X, y, _ = make_data("values", 1)
    model = SGDRegressor(loss="huber").fit(X / 9, y)
    message = "'loss' parameter of SGDRegressor must be 'squared_error'.*Got 'huber'"
    with pytest.raises(ValueError, match=message):
        linear_head(model, y)


@pytest.mark.parametrize(
    "params, got",
    [
        ({"penalty": "l1"}, "penalty='l1'"),
        ({"penalty": "elasticnet"}, "penalty='elasticnet' and l1_ratio=0.15"),
    ],
)
def test_l1_is_refused(params, got, make_data):
    X, y, _ = make_data("classes", 2)
    model = SGDClassifier(loss="log_loss", **params).fit(X, y)
    message = f"SGDClassifier with {got} has an l1 term.*use penalty='l2'"
    with pytest.raises(ValueError, match=message):
        linear_head(model, y)


def test_elasticnet_without_its_l1_part(make_data, gradient):
    X, y, _ = make_data("classes", 2)
    model = SGDClassifier(loss="log_loss", penalty="elasticnet", l1_ratio=0, alpha=0.3)
    check(model, X, y, None, gradient)


def test_sparsified_coefficients(make_data):
    X, y, _ = make_data("classes", 3)
    model = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
    expected = model.coef_.copy()
    np.testing.assert_array_equal(linear_head(model.sparsify(), y).coef, expected)
