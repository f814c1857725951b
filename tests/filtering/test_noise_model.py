import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklinfluence.filtering._noise._noise_model import (
    forward_risk,
    log_odds_wrong,
    posterior,
    tilt_counts,
    tilt_of,
    uniform_transition,
    untilted,
    update_transition,
)

# As measured best for the method: read from the code, they could change unseen.
RATE_BOUNDS, SHRINK = (0.01, 0.45), 0.3


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    log_proba = np.log(rng.dirichlet(np.ones(3), size=8))
    codes = rng.integers(3, size=8)
    transition = 0.2 * rng.dirichlet(np.ones(3), size=3) + 0.8 * np.eye(3)
    return log_proba, codes, transition


def enumerate_joint(log_proba, codes, transition, i):
    """P(true = k, given = y_i | x_i), one class at a time."""
    return [
        np.exp(log_proba[i, k]) * transition[k, codes[i]]
        for k in range(len(transition))
    ]


def test_posterior_log_odds_and_risk_by_enumeration(case):
    log_proba, codes, transition = case
    W = posterior(log_proba, codes, transition)
    odds = log_odds_wrong(log_proba, codes, transition)
    risk = 0.0
    for i, y in enumerate(codes):
        joint = enumerate_joint(log_proba, codes, transition, i)
        for k in range(3):
            assert W[i, k] == pytest.approx(joint[k] / sum(joint), rel=1e-12)
        wrong = sum(joint) - joint[y]
        assert odds[i] == pytest.approx(np.log(wrong / joint[y]), rel=1e-10)
        risk -= np.log(sum(joint))
    assert forward_risk(log_proba, codes, transition, np.ones(8)) == pytest.approx(
        risk / 8, rel=1e-12
    )


def test_log_odds_without_noise_order_rows_by_their_loss(case):
    log_proba, codes, _ = case
    odds = log_odds_wrong(log_proba, codes)
    loss = -log_proba[np.arange(8), codes]
    assert np.array_equal(np.argsort(odds), np.argsort(loss))
    np.testing.assert_allclose(odds, np.log(np.expm1(loss)), rtol=1e-10)


def test_transition_is_expected_counts_with_pseudo_counts(case):
    log_proba, codes, transition = case
    weight = np.random.default_rng(1).uniform(0.5, 2.0, size=8)
    W = posterior(log_proba, codes, transition)
    rate = sum(weight[i] * (1 - W[i, codes[i]]) for i in range(8)) / weight.sum()
    rate = min(max(rate, RATE_BOUNDS[0]), RATE_BOUNDS[1])
    expected = np.empty((3, 3))
    for k in range(3):
        for j in range(3):
            counts = sum(weight[i] * W[i, k] for i in range(8) if codes[i] == j)
            prior = 1 - rate if j == k else rate / 2
            expected[k, j] = counts + SHRINK * weight.sum() / 3 * prior
        expected[k] /= expected[k].sum()
    found = update_transition(W, codes, weight)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    uniform = update_transition(W, codes, weight, noise="uniform")
    np.testing.assert_allclose(uniform, uniform_transition(rate, 3), rtol=1e-12)


def test_em_recovers_a_known_transition_from_true_probabilities():
    # With the true P(k | x) the EM is maximum likelihood for T, hence consistent;
    # .03 is about three standard errors of a share at 1000 rows a class, plus the
    # pull of the pseudo-counts.
    rng = np.random.default_rng(2)
    truth = np.array([[0.9, 0.1, 0.0], [0.0, 0.7, 0.3], [0.05, 0.0, 0.95]])
    proba = rng.dirichlet(np.full(3, 0.1), size=3000)
    true_class = (proba.cumsum(axis=1) > rng.random((3000, 1))).argmax(axis=1)
    cumulative = truth.cumsum(axis=1)[true_class]
    codes = (cumulative > rng.random((3000, 1))).argmax(axis=1)
    log_proba = np.log(np.maximum(proba, 1e-12))
    T = uniform_transition(0.1, 3)
    for _ in range(50):
        T = update_transition(posterior(log_proba, codes, T), codes, np.ones(3000))
    shrunk = (truth + SHRINK * uniform_transition(0.15, 3)) / (1 + SHRINK)
    np.testing.assert_allclose(T, shrunk, atol=0.03)


def test_weight_zero_is_absence_and_weight_two_a_duplicate(case):
    log_proba, codes, transition = case
    W = posterior(log_proba, codes, transition)
    weight = np.array([0.0, 2.0, 1, 1, 1, 1, 1, 1])
    keep = np.array([1, 1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(
        update_transition(W, codes, weight),
        update_transition(W[keep], codes[keep], np.ones(8)),
        rtol=1e-12,
    )


def test_class_names_do_not_matter(case):
    log_proba, codes, transition = case
    order = np.array([2, 0, 1])  # new class j is old class order[j]
    new_codes = np.argsort(order)[codes]
    moved = transition[np.ix_(order, order)]
    np.testing.assert_allclose(
        log_odds_wrong(log_proba[:, order], new_codes, moved),
        log_odds_wrong(log_proba, codes, transition),
        rtol=1e-10,
    )


def test_certain_predictions_stay_finite():
    log_proba = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    T = uniform_transition(0.1, 2)
    assert np.isfinite(log_odds_wrong(log_proba, np.array([0, 0]), T)).all()


def test_repeating_a_label_tilts_nothing_but_what_is_taken_out_again():
    """A table with a known law: rows given some labels are drawn more often."""
    rng = np.random.default_rng(5)
    of_true = rng.dirichlet(np.ones(3), size=6)
    noise = 0.4 * rng.dirichlet(np.ones(3), size=3) + 0.6 * np.eye(3)
    often = np.array([1.0, 5.0, 0.25])
    # P(x, true, given) of six equally frequent x, and the same of the drawn table.
    joint = of_true[:, :, None] * noise / 6
    drawn = joint * often
    proba = drawn.sum(axis=2) / drawn.sum(axis=(1, 2))[:, None]
    drawn_noise = drawn.sum(axis=0) / drawn.sum(axis=(0, 2))[:, None]
    x, given = np.divmod(np.arange(18), 3)
    right = posterior(np.log(proba)[x], given, drawn_noise)
    # Given labels are judged alike; what is predicted is tilted.
    assert_allclose(right, joint[x, :, given] / joint.sum(axis=1)[x, given, None])
    assert np.abs(proba - of_true).max() > 0.1
    once = joint.sum(axis=1)[x, given]
    tilt = tilt_of(tilt_counts(right, often[given] * once, once))
    # Sums of 18 numbers near one.
    assert_allclose(untilted(np.log(proba), tilt), of_true, atol=1e-13)


def test_a_class_that_no_row_speaks_for_is_not_tilted():
    counts = np.array([[2.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    assert_allclose(tilt_of(counts), [np.log(2.0), 0.0, 0.0])
    log_proba = np.log(np.full((2, 3), 1 / 3))
    assert_allclose(untilted(log_proba, 0.0), 1 / 3)
