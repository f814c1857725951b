"""The law of residuals, against scipy, other laws, honest errors of many kinds."""

import numpy as np
import pytest
from scipy.stats import t as student_t

from sklinfluence.filtering._noise import fit_error_law
from sklinfluence.filtering._noise._error_law import DOFS, MAX_SHARE
from sklinfluence.filtering._thresholds import flag_gross

HONEST = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "uniform": lambda rng, n: rng.uniform(-1, 1, n),
    "U-shaped": lambda rng, n: rng.beta(0.5, 0.5, n) - 0.5,
    "t3": lambda rng, n: rng.standard_t(3, n),
    "Laplace": lambda rng, n: rng.laplace(size=n),
    "skewed": lambda rng, n: rng.exponential(size=n) - 1.0,
    "heteroscedastic": lambda rng, n: (
        rng.standard_normal(n) * np.exp(0.7 * rng.standard_normal(n))
    ),
}


def draw(dof, seed, n_honest=950, n_gross=50, skew=1.0, low=20.0, reach=60.0):
    """Residuals of which the last ones are gross; positive honest ones times `skew`."""
    rng = np.random.RandomState(seed)
    honest = 2.0 * student_t.rvs(dof, size=n_honest, random_state=rng)
    honest = np.where(honest > 0, skew * honest, honest)
    gross = rng.uniform(low, reach, size=n_gross) * rng.choice([-1, 1], n_gross)
    return np.r_[honest, gross], np.arange(n_honest + n_gross) >= n_honest


def density(residuals, scales, sides, dof, share, edges, reach):
    """Of honest rows and of gross errors, times their shares, by scipy."""
    side = (residuals >= 0).astype(int)
    size = np.minimum(np.abs(residuals), reach)
    scale = np.asarray(scales)[side]
    honest = 2 * np.asarray(sides)[side] * student_t.pdf(size / scale, dof)
    gross = [(size >= edge) / 2 / (reach - edge) for edge in edges]
    return (1 - share) * honest / scale, share * np.mean(gross, axis=0)


def parts(law):
    return law.scales, law.sides, law.dof, law.share, law.edges, law.reach


def log_likelihood(residuals, *law):
    return np.log(sum(density(residuals, *law))).sum()


def flag(residuals, level=0.05):
    return flag_gross(fit_error_law(residuals).local_fdr(residuals), level)


@pytest.mark.parametrize("kind", HONEST)
@pytest.mark.parametrize("n_rows", [50, 100])
def test_honest_rows_stay_whatever_their_law(kind, n_rows):
    flagged = [
        flag(HONEST[kind](np.random.RandomState(seed), n_rows)).mean()
        for seed in range(6)
    ]
    assert np.mean(flagged) <= 0.05
    if kind in ("normal", "uniform", "U-shaped"):
        assert not np.any(flagged)


@pytest.mark.parametrize(("dof", "skew"), [(5, 1.0), (30, 1.0), (5, 3.0)])
def test_level_holds_and_gross_errors_are_found(dof, skew):
    wrong_share, power = [], []
    for seed in range(4):
        residuals, is_gross = draw(dof, seed, skew=skew, low=20.0 * skew, reach=180.0)
        flags = flag(residuals)
        wrong_share.append(np.sum(flags & ~is_gross) / max(flags.sum(), 1))
        power.append(np.mean(flags[is_gross]))
    error = np.std(wrong_share, ddof=1) / np.sqrt(len(wrong_share))
    assert np.mean(wrong_share) <= 0.05 + 3 * error
    assert np.mean(power) > 0.85


def test_of_clean_residuals_is_scipys_fit():
    residuals, _ = draw(4, 0, n_honest=2000, n_gross=0)
    law = fit_error_law(residuals)
    fitted_dof, _, scale = student_t.fit(residuals, floc=0)
    assert law.share == 0.0
    assert law.dof == DOFS[np.argmin(np.abs(DOFS - fitted_dof))]
    # A scale a side: each has the standard error of a fit of 1000 rows, 3 %.
    np.testing.assert_allclose(law.scales, scale, rtol=0.09)


@pytest.mark.parametrize("seed", range(2))
def test_no_law_near_it_is_likelier(seed):
    residuals, _ = draw(5, seed, skew=1.5, low=30.0)
    law = fit_error_law(residuals)
    found = log_likelihood(residuals, *parts(law))
    assert 0.03 < law.share < 0.07
    # All but half a hundredth of them, and the first beyond that.
    assert law.reach == np.sort(np.abs(residuals))[-6]
    scales, sides, dof, share, edges, reach = parts(law)
    for step in (0.97, 1.03):
        for near in (
            (scales * [step, 1], sides, dof, share, edges, reach),
            (scales * [1, step], sides, dof, share, edges, reach),
            (scales, sides, dof, share * step, edges, reach),
        ):
            assert log_likelihood(residuals, *near) < found
    for other in DOFS[DOFS != dof]:
        # Its own scales and share would gain it less than this of 1000 rows.
        near = scales, sides, other, share, edges, reach
        assert log_likelihood(residuals, *near) < found + 2.0


def test_rates_by_bayes_rule():
    residuals, _ = draw(5, 0)
    law = fit_error_law(residuals)
    honest, gross = density(residuals, *parts(law))
    expected = honest / (honest + gross)
    np.testing.assert_allclose(law.local_fdr(residuals), expected, rtol=1e-10)
    scale = law.scales[(residuals >= 0).astype(int)]
    beyond = student_t.sf(np.abs(residuals) / scale, law.dof) * 2
    np.testing.assert_allclose(law.p_values(residuals), beyond, rtol=1e-12)


def test_gross_errors_are_a_minority():
    residuals = np.r_[np.random.RandomState(0).standard_normal(60), np.full(40, 30.0)]
    assert fit_error_law(residuals).share <= MAX_SHARE


def test_weights_units_and_unknown_rows():
    residuals, _ = draw(5, 0, n_honest=300, n_gross=20)
    law = fit_error_law(residuals)
    weight = np.random.RandomState(1).randint(0, 3, size=320)
    for same, unit in [
        (fit_error_law(np.r_[residuals, np.nan, np.nan]), 1.0),
        (fit_error_law(1e200 * residuals), 1e200),
        (fit_error_law(1e-200 * residuals), 1e-200),
    ]:
        # The same steps on the same shares of the largest: but for rounding.
        np.testing.assert_allclose(same.scales, unit * law.scales, rtol=1e-9)
        assert (same.dof, same.share) == pytest.approx((law.dof, law.share), rel=1e-9)
    weighted = fit_error_law(residuals, weight.astype(float))
    copied = fit_error_law(np.repeat(residuals, weight))
    np.testing.assert_allclose(weighted.scales, copied.scales, rtol=1e-9)
    assert weighted.share == pytest.approx(copied.share, rel=1e-9)
    mirrored = fit_error_law(-residuals)
    np.testing.assert_allclose(mirrored.scales[::-1], law.scales, rtol=1e-9)
    unknown = np.r_[residuals, np.nan]
    assert np.isnan(law.p_values(unknown)[-1])
    assert law.local_fdr(unknown)[-1] == 1.0


def test_many_residuals_are_counted():
    residuals, _ = draw(5, 0, n_honest=3800, n_gross=190)
    few = fit_error_law(residuals)
    many = fit_error_law(np.r_[residuals, residuals])
    # Sizes are rounded to half a per cent.
    np.testing.assert_allclose(many.scales, few.scales, rtol=5e-3)
    assert many.share == pytest.approx(few.share, rel=5e-3)


def test_one_huge_residual_hides_no_other():
    residuals, is_gross = draw(5, 0)
    residuals[0] = 1e12
    flags = flag(residuals)
    assert flags[0]
    assert np.mean(flags[is_gross]) > 0.9


def test_perfect_fits():
    law = fit_error_law(np.zeros(10))
    np.testing.assert_array_equal(law.local_fdr(np.zeros(10)), 1.0)
    np.testing.assert_array_equal(law.p_values(np.zeros(10)), 1.0)
    rounding = np.r_[1e-15 * np.arange(40), 1.0]
    np.testing.assert_array_equal(np.flatnonzero(flag(rounding)), [40])
    assert not flag(np.full(5, np.nan)).any()


@pytest.mark.parametrize("draw", ["normal", "laplace", "t3"])
@pytest.mark.parametrize("n_rows", [50, 400])
def test_one_gross_error_is_found_however_few_they_are(draw, n_rows):
    rng = np.random.default_rng(0)
    sizes = {
        "normal": rng.standard_normal,
        "laplace": rng.laplace,
        "t3": lambda size: rng.standard_t(3, size),
    }
    for _ in range(5):
        residuals = sizes[draw](size=n_rows)
        residuals[0] = 1000.0
        law = fit_error_law(residuals)
        assert law.local_fdr(residuals)[0] < 0.05
        # The bound is n times what an honest residual as large has: weights count.
        twice = fit_error_law(residuals, np.full(n_rows, 2.0))
        assert twice.local_fdr(residuals)[0] < 0.05
