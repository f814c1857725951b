import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sklinfluence.curvature._design import Design
from sklinfluence.curvature._losses import LogisticLoss, SoftmaxLoss
from sklinfluence.curvature._objective import Objective
from sklinfluence.filtering._votes import _linear_surrogate
from sklinfluence.filtering._votes._linear_search import tune_linear_surrogate
from sklinfluence.filtering._votes._linear_surrogate import LinearSurrogate


def noisy(loader, n_classes=3, rate=0.1, seed=0):
    X, y = loader(return_X_y=True)
    X, y = scale(X[y < n_classes]), y[y < n_classes]
    rng = np.random.default_rng(seed)
    flipped = rng.random(len(y)) < rate
    y = np.where(flipped, (y + rng.integers(1, n_classes, len(y))) % n_classes, y)
    return X, y, np.eye(n_classes)[y]


def plain_surrogate(X, n_classes, C, weight=None):
    """On the columns as they are: the Newton route."""
    n_outputs = 1 if n_classes == 2 else n_classes
    penalty = np.full((n_outputs, X.shape[1] + 1), 1.0 / C)
    penalty[:, -1] = 0.0
    loss = LogisticLoss() if n_outputs == 1 else SoftmaxLoss()
    weight = np.ones(len(X)) if weight is None else weight
    objective = Objective(Design(X, True), loss, None, weight, penalty)
    return LinearSurrogate(objective, np.zeros(penalty.shape))


def refit_without(X, y, i, C):
    keep = np.arange(len(X)) != i
    model = LogisticRegression(C=C, tol=1e-8, max_iter=10000).fit(X[keep], y[keep])
    return model.predict_log_proba(X[[i]])[0]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_are_scikit_learns(n_classes):
    X, y, targets = noisy(load_wine, n_classes)
    surrogate, C = tune_linear_surrogate(X, targets, np.ones(len(X)))
    _, model = surrogate.refit(targets)
    reference = LogisticRegression(C=C, tol=1e-8, max_iter=10000).fit(X, y)
    # L-BFGS stops at a relative change of 1e-8 of the objective.
    np.testing.assert_allclose(
        model.predict_log_proba(X), reference.predict_log_proba(X), atol=0.02
    )
    # Newton's chord steps stop at a move of 1e-3 of the largest raw prediction (about
    # 10 here), and quarter the error at each step.
    _, newton = plain_surrogate(X, n_classes, C).refit(targets)
    np.testing.assert_allclose(
        newton.predict_log_proba(X), reference.predict_log_proba(X), atol=5e-3
    )


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("loader", [load_iris, load_wine])
def test_leave_one_out_predictions_against_refits(loader, n_classes):
    X, y, targets = noisy(loader, n_classes)
    surrogate, C = tune_linear_surrogate(X, targets, np.ones(len(X)))
    loo, _ = surrogate.refit(targets)
    rows = np.arange(0, len(X), 5)
    exact = np.array([refit_without(X, y, i, C)[y[i]] for i in rows])
    given = loo[rows, y[rows]]
    in_sample = surrogate.refit(targets)[1].predict_log_proba(X)[rows, y[rows]]
    # One Newton step is first order in leverage: it must take off nine tenths of the
    # optimism of the in-sample predictions.
    assert np.abs(given - exact).mean() < 0.1 * np.abs(in_sample - exact).mean()


def test_output_by_output_follows_refits_too(monkeypatch):
    monkeypatch.setattr(_linear_surrogate, "MAX_COUPLED", 0)
    X, y, targets = noisy(load_wine)
    surrogate, C = tune_linear_surrogate(X, targets, np.ones(len(X)))
    loo, model = surrogate.refit(targets)
    rows = np.arange(0, len(X), 5)
    exact = np.array([refit_without(X, y, i, C)[y[i]] for i in rows])
    given = loo[rows, y[rows]]
    in_sample = model.predict_log_proba(X)[rows, y[rows]]
    # The coupling of the outputs is approximated: half the optimism is what it
    # promises, and the order of the rows.
    assert np.abs(given - exact).mean() < 0.5 * np.abs(in_sample - exact).mean()
    assert np.corrcoef(given, exact)[0, 1] > 0.99


@pytest.mark.parametrize("n_classes", [2, 3])
def test_soft_targets_are_fitted_like_weighted_copies(n_classes):
    # The cross-entropy to a distribution is that of K copies with its weights.
    X, _, targets = noisy(load_iris, n_classes)
    soft = 0.8 * targets + 0.2 / n_classes
    surrogate, C = tune_linear_surrogate(X, targets, np.ones(len(X)))
    _, model = surrogate.refit(soft)
    reference = LogisticRegression(C=C, tol=1e-8, max_iter=10000).fit(
        np.repeat(X, n_classes, axis=0),
        np.tile(np.arange(n_classes), len(X)),
        sample_weight=soft.ravel(),
    )
    np.testing.assert_allclose(
        model.predict_log_proba(X), reference.predict_log_proba(X), atol=0.02
    )


def test_weight_zero_is_absence():
    X, _, targets = noisy(load_iris)
    weight = np.ones(len(X))
    weight[:20] = 0.0
    surrogate, C = tune_linear_surrogate(X, targets, weight)
    loo, model = surrogate.refit(targets)
    short, C_short = tune_linear_surrogate(X[20:], targets[20:], weight[20:])
    loo_short, model_short = short.refit(targets[20:])
    assert C == C_short
    # Two L-BFGS runs that round differently end a little apart.
    np.testing.assert_allclose(loo[20:], loo_short, atol=0.01)
    np.testing.assert_allclose(loo[:20], model.predict_log_proba(X[:20]), atol=1e-6)
    np.testing.assert_allclose(
        model.predict_log_proba(X), model_short.predict_log_proba(X), atol=0.01
    )


def test_constant_columns_do_nothing():
    X, _, targets = noisy(load_iris)
    wide = np.column_stack([X, np.zeros((len(X), 2))])
    loo, _ = tune_linear_surrogate(X, targets, np.ones(len(X)))[0].refit(targets)
    padded, _ = tune_linear_surrogate(wide, targets, np.ones(len(X)))[0].refit(targets)
    np.testing.assert_allclose(padded, loo, atol=0.01)


def test_class_log_proba_is_normalised_for_every_head():
    rng = np.random.default_rng(0)
    logistic = LogisticLoss()
    for loss, n_outputs in [(logistic, 1), (logistic, 3), (SoftmaxLoss(), 3)]:
        raw = 5 * rng.standard_normal((6, n_outputs))
        log_proba = _linear_surrogate.class_log_proba(loss, raw)
        np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1.0, rtol=1e-10)
    np.testing.assert_allclose(log_proba, log_softmax(raw, axis=1))
