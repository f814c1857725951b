"""Heads of the ridge family: the gradient of J vanishes at scikit-learn's own fit."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import (
    LinearRegression,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)

from sklinfluence.heads import linear_head

# Direct solvers: rounding of a 5 x 5 system, conditioned at about 1e2.
TOLERANCE = 1e-11

REGRESSORS = {
    "linear": LinearRegression(),
    "ridge": Ridge(alpha=7.0),
    "ridge-svd": Ridge(alpha=7.0, solver="svd"),
    "loo": RidgeCV(alphas=[0.5, 5.0, 50.0]),
    "cv": RidgeCV(alphas=[0.5, 5.0, 50.0], cv=3, scoring="neg_mean_absolute_error"),
}
CLASSIFIERS = {
    "ridge": RidgeClassifier(alpha=7.0),
    "loo": RidgeClassifierCV(alphas=[0.5, 5.0, 50.0]),
    "cv": RidgeClassifierCV(alphas=[0.5, 5.0, 50.0], cv=3),
}


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name, n_targets, weighted, fit_intercept, make_data, stationarity):
    from sklearn.base import clone

    X, y, weight = make_data("values", n_targets, weighted)
    model = clone(REGRESSORS[name]).set_params(fit_intercept=fit_intercept)
    model.fit(X, y, sample_weight=weight)
    head = linear_head(model, y, weight)
    assert stationarity(head, X) < TOLERANCE
    raw = head.embed(X) @ head.coef.T + head.intercept
    # The same product of the same float64 numbers, up to the order of summation.
    np.testing.assert_allclose(
        raw[:, 0] if n_targets == 1 else raw, model.predict(X), rtol=1e-12, atol=1e-12
    )
    assert head.classes is None


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("class_weight", ["none", "dict", "balanced"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(
    name,
    n_classes,
    weighted,
    class_weight,
    fit_intercept,
    make_data,
    class_weights,
    stationarity,
):
    from sklearn.base import clone

    X, y, weight = make_data("classes", n_classes, weighted)
    class_weight = class_weights[class_weight]
    model = clone(CLASSIFIERS[name])
    model.set_params(fit_intercept=fit_intercept, class_weight=class_weight)
    model.fit(X, y, sample_weight=weight)
    head = linear_head(model, y, weight)
    assert stationarity(head, X) < TOLERANCE
    raw = head.embed(X) @ head.coef.T + head.intercept
    np.testing.assert_allclose(
        raw[:, 0] if n_classes == 2 else raw, model.decision_function(X), atol=1e-12
    )
    assert set(np.unique(head.targets)) == {-1.0, 1.0}
    # The code of a row is +1 in the column of its label (of the second of two).
    column = head.targets[:, 0] > 0
    assert set(y[column]) == {head.classes[1 if n_classes == 2 else 0]}


def test_alpha_per_target(make_data, stationarity):
    X, y, _ = make_data("values", 3)
    alphas = np.array([0.1, 3.0, 90.0])
    head = linear_head(Ridge(alpha=alphas).fit(X, y), y)
    np.testing.assert_array_equal(head.penalty[:, :4], np.tile(alphas[:, None], 4))
    np.testing.assert_array_equal(head.penalty[:, 4], 0)
    assert stationarity(head, X) < TOLERANCE
    search = RidgeCV(alphas=[0.1, 10.0, 1e4], alpha_per_target=True)
    y[:, 0] = np.random.default_rng(0).normal(size=len(y))  # nothing to find
    search.fit(X, y)
    assert len(set(search.alpha_)) > 1
    assert stationarity(linear_head(search, y), X) < TOLERANCE


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array]
)
def test_sparse_rows(make, make_data, stationarity):
    X, y, _ = make_data("values", 1)
    X[np.abs(X) < 0.5] = 0
    model = Ridge(tol=1e-12, solver="sparse_cg").fit(make(X), y)
    head = linear_head(model, y)
    embedding = head.embed(make(X))
    assert sparse.issparse(embedding) and embedding.format == "csr"
    # Conjugate gradients at tol=1e-12 of the right-hand side.
    assert stationarity(head, make(X)) < 1e-9
    np.testing.assert_allclose(
        (embedding @ head.coef.T + head.intercept)[:, 0],
        model.predict(make(X)),
        atol=1e-12,
    )


def test_a_column_of_targets_and_a_scalar_weight(make_data):
    X, y, _ = make_data("values", 1)
    head = linear_head(Ridge().fit(X, y[:, None], sample_weight=2.0), y[:, None], 2.0)
    np.testing.assert_array_equal(head.weights, np.full(len(y), 2.0))
    np.testing.assert_array_equal(head.targets[:, 0], y)


@pytest.mark.parametrize(
    "model", [Ridge(positive=True), LinearRegression(positive=True)]
)
def test_positive_is_refused(model, make_data):
    X, y, _ = make_data("values", 1)
    message = f"{type(model).__name__} with positive=True.*Fit .* with positive=False"
    with pytest.raises(ValueError, match=message):
        linear_head(model.fit(X, y), y)


def test_positive_classifier_is_refused(make_data):
    X, y, _ = make_data("classes", 2)
    with pytest.raises(ValueError, match="RidgeClassifier with positive=True"):
        linear_head(RidgeClassifier(positive=True).fit(X, y), y)


def test_multilabel_is_refused(make_data):
    X, _, _ = make_data("classes", 2)
    Y = (X[:, :2] > 0).astype(int)
    model = RidgeClassifier().fit(X, Y)
    for labels in (Y, sparse.csr_array(Y), Y.tolist()):
        with pytest.raises(ValueError, match=r"Multilabel .* one label a row"):
            linear_head(model, labels)


def test_wrong_number_of_targets(make_data):
    X, y, _ = make_data("values", 3)
    model = Ridge().fit(X, y)
    with pytest.raises(ValueError, match=r"y has 1 column\(s\).*fitted on 3 target"):
        linear_head(model, y[:, 0])
