import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sklinfluence.filtering._votes._rbf_ridge import RBFRidge, choose_landmarks


def make_data(seed=0, n_rows=60, n_features=3, n_classes=3):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n_rows)
    centres = rng.standard_normal((n_classes, n_features))
    X = centres[codes] + rng.standard_normal((n_rows, n_features))
    return X, np.eye(n_classes)[codes], rng.uniform(0.5, 2.0, size=n_rows)


def ridge_refit(features, targets, weight, penalty):
    """Ridge with a free intercept through the normal equations."""
    A = np.column_stack([features, np.ones(len(features))])
    ridge = penalty * np.eye(A.shape[1])
    ridge[-1, -1] = 0.0
    return np.linalg.solve(
        A.T @ (weight[:, None] * A) + ridge, A.T @ (weight[:, None] * targets)
    )


def nystroem_features(X, landmarks, gamma):
    """K_nm K_mm^(-1/2), by a route that shares nothing with the module."""
    values, vectors = np.linalg.eigh(
        np.exp(-gamma * ((landmarks[:, None] - landmarks) ** 2).sum(-1))
        + 1e-6 * np.eye(len(landmarks))
    )
    cross = np.exp(-gamma * ((X[:, None] - landmarks) ** 2).sum(-1))
    return cross @ (vectors / np.sqrt(values)) @ vectors.T


def fit(X, targets, weight, **params):
    return RBFRidge(random_state=np.random.RandomState(3), **params).fit(
        X, targets, weight
    )


def test_leave_one_out_predictions_against_refits():
    X, targets, weight = make_data()
    ridge = fit(X, targets, weight, n_landmarks=20)
    loo, _ = ridge.refit(targets)
    features = nystroem_features(X, ridge.landmarks_, ridge.gamma_)
    for i in range(0, len(X), 7):
        without = weight.copy()
        without[i] = 0.0
        coef = ridge_refit(features, targets, without, ridge.penalty_)
        raw = ridge.temperature_ * (features[i] @ coef[:-1] + coef[-1])
        # The kernel's condition number, up to 1e6 by the jitter, times rounding.
        np.testing.assert_allclose(loo[i], log_softmax(raw), atol=1e-7)


def test_refit_of_soft_targets_predicts_new_rows_like_a_ridge():
    X, targets, weight = make_data()
    ridge = fit(X, targets, weight, n_landmarks=20)
    soft = 0.8 * targets + 0.2 / 3
    _, model = ridge.refit(soft)
    new = make_data(seed=9)[0]
    features = nystroem_features(X, ridge.landmarks_, ridge.gamma_)
    coef = ridge_refit(features, soft, weight, ridge.penalty_)
    raw = nystroem_features(new, ridge.landmarks_, ridge.gamma_) @ coef[:-1] + coef[-1]
    np.testing.assert_allclose(
        model.predict_log_proba(new),
        log_softmax(ridge.temperature_ * raw, axis=1),
        atol=1e-7,
    )


def test_choice_of_width_and_penalty_minimises_the_refitted_error():
    X, targets, weight = make_data(n_rows=30)
    gammas, penalties = (0.25, 4.0), (0.1, 3.0)
    ridge = fit(X, targets, weight, n_landmarks=12, gammas=gammas, penalties=penalties)
    squared = ((ridge.landmarks_[:, None] - ridge.landmarks_) ** 2).sum(-1)
    scale = np.median(squared[np.triu_indices(12, 1)])
    errors = {}
    for gamma in gammas:
        features = nystroem_features(X, ridge.landmarks_, gamma / scale)
        for penalty in penalties:
            total = 0.0
            for i in range(len(X)):
                without = np.where(np.arange(len(X)) == i, 0.0, weight)
                coef = ridge_refit(features, targets, without, penalty)
                residual = targets[i] - features[i] @ coef[:-1] - coef[-1]
                total += weight[i] * residual @ residual
            errors[gamma, penalty] = total
    best = min(errors, key=errors.get)
    assert ridge.gamma_ == pytest.approx(best[0] / scale)
    assert ridge.penalty_ == best[1]


def test_temperature_maximises_the_leave_one_out_likelihood():
    X, targets, weight = make_data()
    ridge = fit(X, targets, weight)
    raw = ridge.smoother_.loo_predictions(targets)

    def risk(t):
        return -weight @ np.sum(targets * log_softmax(t * raw, axis=1), axis=1)

    best = minimize_scalar(risk, bounds=(0, 100), method="bounded")
    assert ridge.temperature_ == pytest.approx(best.x, rel=1e-2)
    assert risk(ridge.temperature_) <= best.fun * (1 + 1e-7)


def test_row_order_and_weight_zero_rows_do_not_matter():
    X, targets, weight = make_data(n_rows=400)
    loo, model = fit(X, targets, weight).refit(targets)
    order = np.random.default_rng(5).permutation(len(X))
    shuffled, _ = fit(X[order], targets[order], weight[order]).refit(targets[order])
    # Sums run in another order; the kernel's conditioning enlarges the rounding.
    np.testing.assert_allclose(shuffled, loo[order], atol=1e-6)

    extra = np.random.default_rng(6).standard_normal((20, X.shape[1]))
    padded = fit(
        np.vstack([extra, X]),
        np.vstack([np.eye(3)[np.zeros(20, int)], targets]),
        np.concatenate([np.zeros(20), weight]),
    )
    loo_padded, _ = padded.refit(np.vstack([np.eye(3)[np.zeros(20, int)], targets]))
    np.testing.assert_allclose(loo_padded[20:], loo, atol=1e-6)
    # A row of weight zero is predicted like any row that was never seen.
    np.testing.assert_allclose(
        loo_padded[:20], model.predict_log_proba(extra), atol=1e-6
    )


def test_a_duplicate_is_weight_two_in_the_fitted_model():
    # For the fitted model only: leaving out one of two copies is not leaving out
    # a row of weight two.
    X, targets, _ = make_data()
    double = np.ones(len(X))
    double[:5] = 2.0
    again = np.concatenate([np.arange(len(X)), np.arange(5)])
    new = make_data(seed=9)[0]
    fixed = {"n_landmarks": 20, "gammas": (1.0,), "penalties": (0.1,)}
    weighted = fit(X, targets, double, **fixed)
    copied = fit(X[again], targets[again], np.ones(len(again)), **fixed)
    copied.temperature_ = weighted.temperature_  # it is fitted leave-one-out
    np.testing.assert_allclose(
        copied.refit(targets[again])[1].predict_log_proba(new),
        weighted.refit(targets)[1].predict_log_proba(new),
        atol=1e-6,
    )


def test_landmarks_are_distinct_rows_in_use():
    X = np.repeat(np.arange(10.0)[:, None], 3, axis=0)
    weight = np.ones(30)
    weight[:3] = 0.0
    rng = np.random.RandomState(0)
    index = choose_landmarks(X, weight, None, rng)
    assert sorted(X[index, 0]) == list(range(1, 10))
    assert len(choose_landmarks(X, weight, 4, np.random.RandomState(0))) == 4


@pytest.mark.parametrize("X", [np.zeros((30, 2)), np.repeat([[0.0], [1.0]], 15, 0)])
def test_coinciding_rows(X):
    targets = np.eye(2)[np.tile([0, 1, 1], 10)]
    loo, model = fit(X, targets, np.ones(30)).refit(targets)
    assert np.isfinite(loo).all()
    assert np.isfinite(model.predict_log_proba(X)).all()
