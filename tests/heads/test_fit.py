"""fit_weighted: sample weights reach the step that is trained on them."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence._estimators._fit import fit_weighted


@pytest.fixture
def data(make_data):
    return make_data("values", 1, weighted=True)


def expected_predictions(X, y, weight):
    """Scaling without weights, then ridge with them."""
    scaled = StandardScaler().fit_transform(X)
    return Ridge().fit(scaled, y, sample_weight=weight).predict(scaled)


NESTED = [
    make_pipeline(StandardScaler(), Ridge()),
    make_pipeline(StandardScaler(), make_pipeline("passthrough", Ridge())),
    GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0]}),
    make_pipeline(StandardScaler(), GridSearchCV(Ridge(), {"alpha": [1.0]})),
]


@pytest.mark.parametrize("estimator", NESTED)
def test_weights_reach_the_last_step_and_no_other(estimator, data):
    X, y, weight = data
    fitted = fit_weighted(estimator, X, y, weight)
    assert fitted is estimator
    # The same computation twice, in the same order.
    np.testing.assert_allclose(
        fitted.predict(X), expected_predictions(X, y, weight), rtol=1e-12
    )
    fit_weighted(estimator, X, y)
    np.testing.assert_allclose(
        fitted.predict(X), expected_predictions(X, y, None), rtol=1e-12
    )


def test_plain_estimator(data):
    X, y, weight = data
    fitted = fit_weighted(Ridge(), X, y, weight)
    np.testing.assert_array_equal(fitted.coef_, Ridge().fit(X, y, weight).coef_)


def test_with_routing_the_requests_decide(data):
    X, y, weight = data
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        ridge = Ridge().set_fit_request(sample_weight=True)
        fitted = fit_weighted(make_pipeline(scaler, ridge), X, y, weight)
        np.testing.assert_allclose(
            fitted.predict(X), expected_predictions(X, y, weight), rtol=1e-12
        )
        fitted = fit_weighted(Ridge(), X, y, weight)
        np.testing.assert_array_equal(fitted.coef_, Ridge().fit(X, y, weight).coef_)
        unasked = make_pipeline(StandardScaler(), Ridge())
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            fit_weighted(unasked, X, y, weight)


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "estimator",
    [KNeighborsRegressor(), make_pipeline(StandardScaler(), KNeighborsRegressor())],
)
def test_last_step_that_takes_no_weights(estimator, routing, data):
    X, y, weight = data
    fit_weighted(estimator, X, y)
    message = "sample_weight was given, but fit of KNeighborsRegressor does not take it"
    with config_context(enable_metadata_routing=routing):
        with pytest.raises(ValueError, match=message):
            fit_weighted(estimator, X, y, weight)


@pytest.mark.parametrize("routing", [False, True])
def test_frozen_is_left_alone(routing, data):
    X, y, weight = data
    inner = Ridge().fit(X, y)
    coef = inner.coef_.copy()
    with config_context(enable_metadata_routing=routing):
        for estimator in (
            FrozenEstimator(inner),
            make_pipeline(FrozenEstimator(inner)),
        ):
            assert fit_weighted(estimator, X, y, weight) is estimator
    np.testing.assert_array_equal(inner.coef_, coef)
    with pytest.raises(NotFittedError):
        fit_weighted(FrozenEstimator(Ridge()), X, y, weight)
