import numpy as np
import pytest
from scipy.special import log_softmax

from sklinfluence.filtering._noise._em import fit_em, suggest_codes
from sklinfluence.filtering._noise._log_pool import fit_pool
from sklinfluence.filtering._thresholds import flag_disagreement

# As measured best for the method: read from the code, they could change unseen.
INITIAL_RATE, RATE_BOUNDS, SHRINK = 0.1, (0.01, 0.45), 0.3


class Smooth:
    """A toy surrogate: class shares of the neighbours, each row left out."""

    def __init__(self, kernel):
        self.kernel = kernel

    def refit(self, targets):
        left_out = self.kernel - np.diag(np.diag(self.kernel))
        loo = np.log(left_out @ targets + 0.1)
        return log_softmax(loo, axis=1), Model(self.kernel, targets)


class Model:
    def __init__(self, kernel, targets):
        self.kernel, self.targets = kernel, targets

    def predict_log_proba(self, X):
        return log_softmax(np.log(X @ self.targets + 0.1), axis=1)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1, 2], 20)
    x = true + 0.3 * rng.standard_normal(60)
    kernel = np.exp(-5 * (x[:, None] - x) ** 2)
    codes = true.copy()
    flipped = rng.choice(60, 8, replace=False)
    codes[flipped] = (codes[flipped] + 1) % 3
    return Smooth(kernel), codes, true, np.isin(np.arange(60), flipped)


def enumerate_em(surrogate, codes, n_rounds, noise):
    """The rounds again, one row and one class at a time."""
    n, targets = len(codes), np.eye(3)[codes]
    T = np.full((3, 3), INITIAL_RATE / 2) + (1 - 1.5 * INITIAL_RATE) * np.eye(3)
    history = []
    for _ in range(n_rounds):
        loo = surrogate.refit(targets)[0]
        a = fit_pool([loo], targets, np.ones(n))[0]
        P = np.exp(a * loo)
        P /= P.sum(axis=1, keepdims=True)
        W = np.array([[P[i, k] * T[k, codes[i]] for k in range(3)] for i in range(n)])
        W /= W.sum(axis=1, keepdims=True)
        e = np.mean([1 - W[i, codes[i]] for i in range(n)])
        e = min(max(e, RATE_BOUNDS[0]), RATE_BOUNDS[1])
        uniform = np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3)
        T = uniform
        if noise == "class":
            T = np.array([W[codes == j].sum(axis=0) for j in range(3)]).T
            T = T + SHRINK * n / 3 * uniform
            T = T / T.sum(axis=1, keepdims=True)
        odds = []
        for i, y in enumerate(codes):
            wrong = sum(P[i, k] * T[k, y] for k in range(3) if k != y)
            odds.append(np.log(wrong / (P[i, y] * T[y, y])))
        history.append(odds)
        targets = W
    return np.array(history), np.log(P), T


@pytest.mark.parametrize("noise", ["class", "uniform"])
def test_rounds_by_enumeration(case, noise):
    surrogate, codes, _, _ = case
    result = fit_em([surrogate], codes, 3, np.ones(60), noise=noise, n_rounds=3)
    history, log_proba, T = enumerate_em(surrogate, codes, 3, noise)
    # Pool weights are refitted from the last ones; each stops within 1e-9 of risk.
    np.testing.assert_allclose(result.log_odds, history, atol=1e-3)
    np.testing.assert_allclose(result.scores, history.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(result.loo_log_proba, log_proba, atol=1e-3)
    np.testing.assert_allclose(result.rounds[-1].transition, T, atol=1e-4)


def test_without_noise_model_the_order_is_that_of_the_loss(case):
    surrogate, codes, _, _ = case
    result = fit_em([surrogate], codes, 3, np.ones(60), noise=None)
    loss = -result.loo_log_proba[np.arange(60), codes]
    assert len(result.rounds) == 1
    assert np.array_equal(np.argsort(result.scores), np.argsort(loss))


def test_flips_come_first_and_get_their_labels_back(case):
    surrogate, codes, true, is_flipped = case
    result = fit_em([surrogate], codes, 3, np.ones(60))
    predicted = result.loo_log_proba.argmax(axis=1)
    flagged = flag_disagreement(codes, predicted, result.scores)
    # Classes overlap a little in this data: one row may be on the wrong side.
    assert np.sum(flagged != is_flipped) <= 2
    suggested = suggest_codes(result, codes, flagged)
    np.testing.assert_array_equal(suggested[~flagged], codes[~flagged])
    assert np.mean(suggested[is_flipped] == true[is_flipped]) > 0.8


def test_guard_drops_a_round_that_overfits(case):
    surrogate, codes, _, _ = case

    class Spoiled(Smooth):
        calls = 0

        def refit(self, targets):
            self.calls += 1
            loo, model = super().refit(targets)
            return (-3 * loo, model) if self.calls == 3 else (loo, model)

    spoiled = Spoiled(surrogate.kernel)
    result = fit_em([spoiled], codes, 3, np.ones(60), n_rounds=5)
    kept = fit_em([surrogate], codes, 3, np.ones(60), n_rounds=2)
    assert spoiled.calls == 3 and len(result.rounds) == 2
    np.testing.assert_allclose(result.scores, kept.scores)


def test_new_rows_are_scored_like_rows_no_round_has_seen(case):
    surrogate, codes, _, _ = case
    result = fit_em([surrogate], codes, 3, np.ones(60))
    left_out = surrogate.kernel - np.diag(np.diag(surrogate.kernel))
    # This toy's leave-one-out prediction is a plain prediction without the own row.
    np.testing.assert_allclose(
        result.score_samples(left_out, codes), result.scores, rtol=1e-9
    )
