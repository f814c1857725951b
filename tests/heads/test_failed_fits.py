"""Estimators whose own fit failed have no head, and are told so."""

import warnings

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import all_estimators

from sklinfluence.heads import linear_head

X = np.random.default_rng(0).normal(size=(40, 3))
CLASSES = np.arange(40) % 2
ESTIMATORS = [
    ElasticNet(),
    ElasticNetCV(),
    Lasso(),
    LassoCV(),
    LinearRegression(),
    LogisticRegression(),
    LogisticRegressionCV(l1_ratios=(0,), use_legacy_attributes=False, scoring=None),
    Ridge(),
    RidgeClassifier(),
    RidgeClassifierCV(),
    RidgeCV(),
    SGDClassifier(loss="log_loss"),
    SGDRegressor(),
    MLPClassifier(max_iter=5),
    MLPRegressor(max_iter=5),
]
# The parameters that a fit which failed half-way leaves out.
ARRAYS = ("coef_", "coefs_", "intercept_", "intercepts_")


def targets(estimator):
    return CLASSES if is_classifier(estimator) else X[:, 0]


def test_every_estimator_of_scikit_learns_with_a_head_is_listed():
    known = {kind for kind in linear_head.registry if kind.__module__.startswith("skl")}
    known &= {kind for _, kind in all_estimators()}
    outer = {"FrozenEstimator", "GridSearchCV", "RandomizedSearchCV", "Pipeline"}
    named = {kind.__name__ for kind in known} - outer
    assert named - {type(estimator).__name__ for estimator in ESTIMATORS} == set()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_a_fit_that_left_no_parameters_is_no_fit(estimator):
    y = targets(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    linear_head(estimator, y)
    for name in ARRAYS:
        if not hasattr(estimator, name):
            continue
        value = vars(estimator).pop(name)
        with pytest.raises(NotFittedError, match=type(estimator).__name__):
            linear_head(estimator, y)
        setattr(estimator, name, value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_parameters_that_are_not_finite_are_named(estimator, value):
    y = targets(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
    name = "coefs_" if hasattr(estimator, "coefs_") else "coef_"
    broken = getattr(estimator, name)
    last = broken[-1] if name == "coefs_" else np.atleast_1d(broken)
    last.flat[0] = value
    with pytest.raises(ValueError, match="coef of a LinearHead must be finite"):
        linear_head(estimator, y)


@pytest.mark.parametrize("weights", [np.zeros(40), np.full(40, 1e200)])
def test_weights_that_no_head_can_have_are_named(weights):
    model = Ridge().fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
        linear_head(model, X[:, 0], weights)
