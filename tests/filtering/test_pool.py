import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from sklinfluence.filtering._noise._log_pool import fit_pool, pool_log_proba


def make_estimates(rng, n_rows=60, n_classes=4, n_estimates=2):
    codes = rng.integers(n_classes, size=n_rows)
    targets = np.eye(n_classes)[codes]
    log_probas = [
        log_softmax(scale * targets + rng.standard_normal(targets.shape), axis=1)
        for scale in np.linspace(0.5, 2.0, n_estimates)
    ]
    return log_probas, targets


@pytest.mark.parametrize("n_estimates", [1, 2, 3])
@pytest.mark.parametrize("soft", [False, True])
def test_fit_pool_finds_the_minimum_of_a_general_optimiser(n_estimates, soft):
    rng = np.random.default_rng(0)
    log_probas, targets = make_estimates(rng, n_estimates=n_estimates)
    if soft:
        targets = 0.7 * targets + 0.3 * rng.dirichlet(np.ones(4), size=len(targets))
    weight = rng.uniform(0.5, 2.0, size=len(targets))

    def risk(a):
        return -np.average(
            np.sum(targets * pool_log_proba(log_probas, a), axis=1), weights=weight
        )

    found = fit_pool(log_probas, targets, weight)
    reference = minimize(
        risk, np.ones(n_estimates), bounds=[(0, None)] * n_estimates, tol=1e-14
    )
    # The pool stops at steps worth 1e-9 of risk.
    assert risk(found) <= reference.fun + 1e-8
    np.testing.assert_allclose(found, reference.x, atol=1e-3)


@pytest.mark.parametrize("n_estimates", [1, 2, 3])
@pytest.mark.parametrize("sureness", [0.01, 1.0, 30.0, 100.0])
def test_fit_pool_of_estimates_that_are_too_sure_or_hardly_so(n_estimates, sureness):
    """Newton's step from equal weights overshoots; the search has to come back."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        log_probas, targets = make_estimates(rng, n_estimates=n_estimates)
        log_probas = [
            log_softmax(sureness * log_proba, axis=1) for log_proba in log_probas
        ]
        weight = rng.uniform(0.5, 2.0, size=len(targets))

        def risk(a, log_probas=log_probas, targets=targets, weight=weight):
            pooled = pool_log_proba(log_probas, a)
            return -np.average(np.sum(targets * pooled, axis=1), weights=weight)

        found = fit_pool(log_probas, targets, weight)
        assert np.all((found >= 0) & (found <= 10.0))
        # Convex, so that one start is enough; in units in which the optimum is near 1.
        size = 1.0 / sureness
        reference = minimize(
            lambda b, risk=risk, size=size: risk(size * b),
            np.ones(n_estimates),
            method="L-BFGS-B",
            bounds=[(0, 10.0 / size)] * n_estimates,
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        # The pool stops at steps worth 1e-9 of risk.
        assert risk(found) <= reference.fun + 1e-8


def test_a_misleading_estimate_gets_no_weight():
    rng = np.random.default_rng(1)
    (good,), targets = make_estimates(rng, n_estimates=1)
    bad = log_softmax(-3.0 * targets + rng.standard_normal(targets.shape), axis=1)
    weights = fit_pool([good, bad], targets, np.ones(len(targets)))
    alone = fit_pool([good], targets, np.ones(len(targets)))
    assert weights[1] == 0.0
    np.testing.assert_allclose(weights[0], alone[0], rtol=1e-4)


def test_pool_of_equal_estimates_and_weight_zero_rows():
    rng = np.random.default_rng(2)
    (one,), targets = make_estimates(rng, n_estimates=1)
    both = fit_pool([one, one], targets, np.ones(len(targets)))
    alone = fit_pool([one], targets, np.ones(len(targets)))
    np.testing.assert_allclose(both.sum(), alone[0], rtol=1e-4)
    weight = np.ones(len(targets))
    weight[:10] = 0.0
    with_zeros = fit_pool([one], targets, weight)
    without = fit_pool([one[10:]], targets[10:], weight[10:])
    np.testing.assert_allclose(with_zeros, without, rtol=1e-10)


def test_pooled_log_proba_is_normalised():
    rng = np.random.default_rng(3)
    log_probas, _ = make_estimates(rng)
    pooled = pool_log_proba(log_probas, [0.3, 1.2])
    np.testing.assert_allclose(np.exp(pooled).sum(axis=1), 1.0, rtol=1e-12)
