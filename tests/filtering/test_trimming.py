"""Gross errors that hide one another, and rows judged by a fit without them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import t as student_t
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.tools import add_constant

from sklinfluence.datasets import corrupt_targets
from sklinfluence.filtering import FilteredRegressor, MislabelFilter, MislabelSampler
from sklinfluence.filtering._evidence._trimming import _takes_weights, fit_trimmed
from sklinfluence.gradient import InfluenceRanker

least_squares = InfluenceRanker(LinearRegression())


@pytest.fixture(scope="module")
def masked():
    """One huge error hides a smaller one, which stands out once it is gone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = X @ [1.0, -1.0] + rng.normal(scale=0.3, size=60)
    y[5] += 60
    y[17] -= 3
    return X, y


def outside(X, y, kept, row):
    """Prediction-interval residual of a row, from statsmodels' fit without it."""
    results = OLS(y[kept], add_constant(X[kept])).fit()
    new = np.concatenate([[1.0], X[row]])[None, :]
    frame = results.get_prediction(new)
    return abs(y[row] - frame.predicted_mean[0]) / frame.se_obs[0], results.df_resid


def test_an_error_that_another_one_hides_is_found(masked):
    X, y = masked
    by_one_fit = OLS(y, add_constant(X)).fit().outlier_test()
    hidden = multipletests(np.asarray(by_one_fit)[:, 1], method="fdr_bh")[0]
    assert_array_equal(np.flatnonzero(hidden), [5])
    detector = MislabelFilter(least_squares).fit(X, y)
    assert_array_equal(np.flatnonzero(~detector.get_support()), [5, 17])


def test_trimmed_rows_are_judged_as_new_ones(masked):
    X, y = masked
    detector = MislabelFilter(least_squares).fit(X, y)
    kept = detector.get_support()
    for row in np.flatnonzero(~kept):
        studentized, dof = outside(X, y, kept, row)
        assert_allclose(detector.scores_[row], studentized, rtol=1e-9)
        # The filter's test has one row less than a prediction from all kept rows has.
        p_value = 2 * student_t.sf(studentized, dof - 1)
        assert_allclose(detector.label_quality_[row], p_value, rtol=1e-6)


def test_kept_rows_are_those_of_the_fit_without_the_trimmed(masked):
    X, y = masked
    detector = MislabelFilter(least_squares).fit(X, y)
    kept = detector.get_support()
    expected = OLS(y[kept], add_constant(X[kept])).fit().outlier_test()
    residual, p_values = np.asarray(expected)[:, :2].T
    assert_allclose(detector.scores_[kept], np.abs(residual), rtol=1e-8)
    assert_allclose(detector.label_quality_[kept], p_values, rtol=1e-6)
    refit = LinearRegression().fit(X[kept], y[kept])
    assert_allclose(detector.suggested_labels_[~kept], refit.predict(X[~kept]))


def test_relabelled_targets_come_from_the_fit_without_any_of_them(masked):
    X, y = masked
    sampler = MislabelSampler(least_squares, action="relabel")
    _, y_new = sampler.fit_resample(X, y)
    kept = sampler.get_support()
    assert_array_equal(y_new[kept], y[kept])
    refit = LinearRegression().fit(X[kept], y[kept])
    assert_allclose(y_new[~kept], refit.predict(X[~kept]))


@pytest.mark.parametrize(
    "settings",
    [{"threshold": 3.0}, {"contamination": 0.05}, {"label_score": "cook"}],
)
def test_only_the_automatic_rule_trims(masked, settings):
    X, y = masked
    detector = MislabelFilter(least_squares, **settings).fit(X, y)
    plain = least_squares.fit(X, y).label_scores(
        settings.get("label_score", "studentized")
    )
    assert_allclose(detector.scores_, plain)


def test_nothing_is_trimmed_where_nothing_stands_out():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 2))
    y = X[:, 0] + rng.uniform(-1, 1, size=50)
    ranker = InfluenceRanker(Ridge()).fit(X, y)
    assert fit_trimmed(ranker, X, y, None, 0.05) is ranker


def test_more_than_half_are_not_gross_errors():
    # Two lines: whichever the fit follows, the other is no set of gross errors.
    X = np.linspace(-1, 1, 40)[:, None]
    y = np.where(np.arange(40) % 5 < 2, 5.0, 0.0) + 0.01 * np.sin(9 * np.arange(40))
    detector = MislabelFilter(least_squares, fdr=0.5).fit(X, y)
    assert detector.get_support().mean() >= 0.5


def test_weights_of_the_kept_rows_stay(masked):
    X, y = masked
    weight = np.random.default_rng(2).integers(1, 4, len(y)).astype(float)
    weight[[5, 17]] = 3.0
    detector = MislabelFilter(least_squares).fit(X, y, sample_weight=weight)
    kept = detector.get_support()
    assert not kept[[5, 17]].any()
    refit = LinearRegression().fit(X[kept], y[kept], weight[kept])
    assert_allclose(detector.ranker_.predict(X), refit.predict(X), rtol=1e-9)


def test_estimators_without_weights_are_not_trimmed():
    assert _takes_weights(None)
    assert _takes_weights(make_pipeline(StandardScaler(), Ridge()))
    assert not _takes_weights(make_pipeline(StandardScaler(), PLSRegression()))


def test_a_lower_fdr_flags_no_more(masked):
    X, y = masked
    flags = [
        ~MislabelFilter(least_squares, fdr=fdr).fit(X, y).get_support()
        for fdr in (1e-6, 0.05, 0.5)
    ]
    assert flags[0].sum() <= flags[1].sum() <= flags[2].sum()
    assert np.all(flags[2] >= flags[0])


def test_false_discoveries_stay_below_the_rate_under_normal_errors():
    rng = np.random.default_rng(0)
    shares, power = [], []
    detector = MislabelFilter(fdr=0.1, pool=("linear",))
    for seed in range(40):
        X = rng.normal(size=(300, 4))
        y = X @ [1.0, 2.0, 0.0, -1.0] + rng.normal(size=300)
        y, is_wrong = corrupt_targets(y, 0.05, random_state=seed)
        model = FilteredRegressor(Ridge(), detector).fit(X, y)
        flagged = ~model.filter_.get_support()
        shares.append(np.sum(flagged & ~is_wrong) / max(flagged.sum(), 1))
        power.append(flagged[is_wrong].mean())
    # 40 means of shares with standard deviation below .1: two standard errors are .03.
    assert np.mean(shares) < 0.1 + 0.03
    assert np.mean(power) > 0.99
