"""The law of residuals, against scipy's fit, a grid, and seeded heavy tails."""

from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import t as student_t

from sklinfluence.filtering._error_law import (
    DOF_BOUNDS,
    SHARE_BOUNDS,
    fit_error_law,
    flag_honest_last,
)


def draw(dof, seed, n_honest=1900, n_gross=100, reach=60.0):
    """Residuals of which the last ones are gross."""
    rng = np.random.RandomState(seed)
    honest = 2.0 * student_t.rvs(dof, size=n_honest, random_state=rng)
    gross = rng.uniform(20.0, reach, size=n_gross) * rng.choice([-1, 1], n_gross)
    return np.r_[honest, gross], np.arange(n_honest + n_gross) >= n_honest


def density(size, scale, dof, share, edge, reach):
    honest = (1 - share) * 2 * student_t.pdf(size / scale, dof) / scale
    return honest, share * (size >= edge) / (reach - edge)


def log_likelihood(size, *law):
    return np.log(sum(density(size, *law))).mean()


@pytest.mark.parametrize("dof", [4, 8])
def test_of_clean_residuals_is_scipys_fit(dof):
    residuals, _ = draw(dof, 0, n_honest=4000, n_gross=0)
    law = fit_error_law(residuals)
    fitted_dof, _, scale = student_t.fit(residuals, floc=0)
    # scipy has no gross errors: the few that are allowed for take from the far tail,
    # by less than the fit's own standard errors (of 4000 rows: 2 % of the scale).
    assert law.share < 0.01
    assert law.scale == pytest.approx(scale, rel=0.02)
    size = np.abs(residuals)
    ours = log_likelihood(size, *astuple(law))
    theirs = student_t.logpdf(size, fitted_dof, scale=scale).mean() + np.log(2)
    # The maximum over more laws is no lower but for the least share that must be.
    assert theirs - SHARE_BOUNDS[0] - 1e-8 <= ours < theirs + 5e-3


@pytest.mark.parametrize("seed", range(3))
def test_no_law_on_a_grid_is_likelier(seed):
    residuals, _ = draw(5, seed)
    size, law = np.abs(residuals), fit_error_law(residuals)
    found = log_likelihood(size, *astuple(law))
    best = max(
        log_likelihood(size, scale, dof, share, edge * law.reach, law.reach)
        for edge in [0, 0.1, 0.2, 0.3, 0.4, 0.5]
        for scale in np.linspace(1.7, 2.3, 7)
        for dof in [2.5, 4, 5, 6, 8, 15]
        for share in [1e-4, 0.02, 0.045, 0.055, 0.1]
    )
    assert law.reach == size.max()
    assert found >= best - 1e-9
    # The grid is fine enough that its best comes near.
    assert found < best + 2e-3


def test_rates_by_bayes_rule():
    residuals, _ = draw(5, 0)
    law = fit_error_law(residuals)
    size = np.abs(residuals)
    honest, gross = density(size, *astuple(law))
    expected = honest / (honest + gross)
    np.testing.assert_allclose(law.local_fdr(residuals), expected, rtol=1e-10)
    beyond = student_t.sf(size / law.scale, law.dof) * 2
    np.testing.assert_allclose(law.p_values(residuals), beyond, rtol=1e-12)


@pytest.mark.parametrize("dof", [3, 5, 30])
def test_level_holds_under_heavy_tails(dof):
    wrong_share, power = [], []
    for seed in range(20):
        residuals, is_gross = draw(dof, seed)
        flags = fit_error_law(residuals).flag(residuals, 0.05)
        wrong_share.append(np.sum(flags & ~is_gross) / max(flags.sum(), 1))
        power.append(np.sum(flags & is_gross) / is_gross.sum())
    error = np.std(wrong_share, ddof=1) / np.sqrt(20)
    assert np.mean(wrong_share) <= 0.05 + 3 * error
    assert np.mean(power) > 0.85


@pytest.mark.parametrize("dof", [3, 30])
def test_few_honest_rows_are_flagged_where_nothing_is_wrong(dof):
    n_flagged = []
    for seed in range(10):
        residuals, _ = draw(dof, seed, n_gross=0)
        n_flagged.append(fit_error_law(residuals).flag(residuals, 0.05).sum())
    assert np.mean(n_flagged) < 0.002 * 1900


def test_flags_are_the_longest_run_below_the_level():
    rate = np.array([0.3, 0.01, 0.04, 0.02, 0.9, 0.0])
    # Means of the sorted: 0, .005, .01, .0175, .074
    np.testing.assert_array_equal(
        flag_honest_last(rate, 0.02), [False, True, True, True, False, True]
    )
    assert flag_honest_last(rate, 0.1)[0]
    # However low the mean, none that is likelier honest than not.
    assert not flag_honest_last(rate, 0.99)[4]
    # Three rows of a rate are one of weight three.
    weight = np.array([3.0, 1, 2, 1, 1, 4])
    copies = np.repeat(np.arange(6), weight.astype(int))
    for level in [0.001, 0.02, 0.05, 0.12]:
        flags = flag_honest_last(rate[copies], level)
        whole = flag_honest_last(rate, level, weight)
        assert flags.sum() >= weight[whole].sum()
        assert np.all(flags[whole[copies]])


def test_weights_units_signs_and_unknown_rows():
    residuals, _ = draw(5, 0, n_honest=300, n_gross=20)
    law = fit_error_law(residuals)
    weight = np.random.RandomState(1).randint(0, 3, size=320)
    for same, unit in [
        (fit_error_law(-residuals), 1.0),
        (fit_error_law(np.r_[residuals, np.nan, np.nan]), 1.0),
        (fit_error_law(1e200 * residuals), 1e200),
        (fit_error_law(1e-200 * residuals), 1e-200),
    ]:
        assert same.scale == pytest.approx(unit * law.scale, rel=1e-4)
        assert same.dof == pytest.approx(law.dof, rel=1e-3)
    weighted = fit_error_law(residuals, weight.astype(float))
    copied = fit_error_law(np.repeat(residuals, weight))
    assert weighted.scale == pytest.approx(copied.scale, rel=1e-4)
    unknown = np.r_[residuals, np.nan]
    assert np.isnan(law.p_values(unknown)[-1])
    assert law.local_fdr(unknown)[-1] == 1.0


def test_one_huge_residual_hides_no_other():
    residuals, is_gross = draw(5, 0)
    residuals[0] = 1e12
    flags = fit_error_law(residuals).flag(residuals, 0.05)
    assert flags[0]
    assert np.mean(flags[is_gross]) > 0.9


def test_perfect_fits():
    law = fit_error_law(np.zeros(10))
    assert not law.flag(np.zeros(10), 0.05).any()
    np.testing.assert_array_equal(law.p_values(np.zeros(10)), 1.0)
    rounding = np.r_[1e-15 * np.arange(40), 1.0]
    law = fit_error_law(rounding)
    assert DOF_BOUNDS[0] < law.dof <= DOF_BOUNDS[1]
    np.testing.assert_array_equal(np.flatnonzero(law.flag(rounding, 0.05)), [40])
