"""Leave-one-out evidence, against refits without the row and against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker


def test_label_quality_and_suggestions_are_those_of_refits(noisy_blobs):
    X, y, _ = noisy_blobs
    model = LogisticRegression(C=0.1, tol=1e-10)
    ranker = InfluenceRanker(model, refine=1e-9)
    detector = MislabelFilter(ranker, label_score="loo_loss").fit(X, y)
    refits = cross_val_predict(model, X, y, cv=LeaveOneOut(), method="predict_proba")
    classes = np.unique(y)
    quality = refits[np.arange(len(y)), np.searchsorted(classes, y)]
    # Refined rows are at the refit's optimum; 1e-5 is what lbfgs stops short of it.
    assert_allclose(detector.label_quality_, quality, rtol=1e-5)
    assert_allclose(detector.scores_, -np.log(quality), rtol=1e-5)
    assert_array_equal(detector.suggested_labels_, classes[refits.argmax(axis=1)])


def test_automatic_flags_are_those_of_refits(noisy_blobs):
    X, y, _ = noisy_blobs
    model = LogisticRegression(C=0.1, tol=1e-8)
    detector = MislabelFilter(InfluenceRanker(model), label_score="loo_loss").fit(X, y)
    predicted = cross_val_predict(model, X, y, cv=LeaveOneOut())
    # Another class predicted means odds of one at least, above one tenth.
    assert_array_equal(~detector.get_support(), predicted != y)


@pytest.mark.parametrize("weighted", [False, True])
def test_regression_p_values_are_the_outlier_tests_of_statsmodels(noisy_line, weighted):
    X, y, _ = noisy_line
    weight = np.random.default_rng(0).integers(1, 4, len(y)) if weighted else None
    ranker = InfluenceRanker(LinearRegression())
    detector = MislabelFilter(ranker, threshold=3.0)
    detector.fit(X, y, sample_weight=weight)
    if weighted:
        # statsmodels tests outliers of unweighted fits only: scale the rows.
        root = np.sqrt(weight)[:, None]
        results = sm.OLS(y * root[:, 0], sm.add_constant(X) * root).fit()
    else:
        results = sm.OLS(y, sm.add_constant(X)).fit()
    residual, p_values = np.asarray(results.outlier_test())[:, :2].T
    assert_allclose(detector.scores_, np.abs(residual), rtol=1e-8)
    assert_allclose(detector.label_quality_, p_values, rtol=1e-6)
    assert_array_equal(~detector.get_support(), np.abs(residual) >= 3.0)


def test_regression_suggests_the_leave_one_out_prediction(noisy_line):
    X, y, wrong = noisy_line
    model = LinearRegression()
    # A share of the rows: no gross errors are taken out first.
    detector = MislabelFilter(InfluenceRanker(model), contamination=4 / 80).fit(X, y)
    refits = cross_val_predict(model, X, y, cv=LeaveOneOut())
    assert_allclose(detector.suggested_labels_, refits, rtol=1e-9)
    assert_array_equal(~detector.get_support(), wrong)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_least_squares_on_classes_has_gaussian_posteriors(noisy_blobs, n_classes):
    X, y, _ = noisy_blobs
    classes = np.unique(y)[:n_classes]
    X, y = X[np.isin(y, classes)], y[np.isin(y, classes)]
    model = RidgeClassifier()
    detector = MislabelFilter(InfluenceRanker(model), label_score="loo_margin").fit(
        X, y
    )
    decision = np.array(
        [
            clone(model).fit(np.delete(X, i, 0), np.delete(y, i)).decision_function(row)
            for i, row in enumerate(X[:, None])
        ]
    ).reshape(len(y), -1)
    codes = 2 * np.eye(n_classes) - 1 if n_classes > 2 else np.array([[-1.0], [1.0]])
    density = np.column_stack(
        [
            multivariate_normal.pdf(decision - code, cov=np.eye(len(code)))
            for code in codes
        ]
    )
    posterior = density / density.sum(axis=1, keepdims=True)
    expected = posterior[np.arange(len(y)), np.searchsorted(classes, y)]
    # Ridge leave-one-out is exact; 1e-6 leaves room for the density's own rounding.
    assert_allclose(detector.label_quality_, expected, rtol=1e-6)


def test_a_row_that_cannot_be_left_out_is_kept():
    # Without row 0 nothing is known of column 2: leverage 1.
    X = np.random.default_rng(0).normal(size=(30, 3))
    X[:, 2] = 0
    X[0, 2] = 1
    y = X[:, 0] + 0.1 * np.random.default_rng(1).normal(size=30)
    y[0] += 100
    with pytest.warns(UserWarning, match="leverage"):
        detector = MislabelFilter(InfluenceRanker(LinearRegression())).fit(X, y)
    assert detector.get_support()[0]
    assert detector.scores_[0] == detector.scores_.min()
    assert np.isfinite(detector.scores_).all()
