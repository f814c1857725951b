"""Representer points: the identities of S 44-47, I 5 and S 48, and the interface."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.gradient import RepresenterRanker

WIDE = "one output column per training row"
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": WIDE,
    "check_sample_weight_equivalence_on_sparse_data": WIDE,
}
# A classifier, as its default is; real targets get a Ridge.
TARGETS = "estimator=None takes real targets too"


def expected_failures(ranker):
    if ranker.estimator is None:
        return EXPECTED | {"check_classifiers_regression_target": TARGETS}
    return EXPECTED


# To the optimum, so that the estimator's own decision is the polished head's.
EXACT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}

CLASSIFIERS = {
    "binary": LogisticRegression(C=0.5, **EXACT),
    "softmax": LogisticRegression(C=2.0, class_weight="balanced", **EXACT),
    "no intercept": LogisticRegression(fit_intercept=False, **EXACT),
    "least squares": RidgeClassifier(alpha=3.0, solver="cholesky"),
}


def classes_of(name):
    X, y = load_wine(return_X_y=True)
    X = scale(X)
    if name == "binary":
        X, y = X[y < 2], y[y < 2]
    return X, np.array(["a", "b", "c"])[y]


@parametrize_with_checks(
    [
        RepresenterRanker(),
        RepresenterRanker(Ridge()),
        RepresenterRanker(method="lje"),
        RepresenterRanker(Ridge(), method="lje", n_influences=2),
        RepresenterRanker(Lasso(alpha=0.01), method="l1"),
    ],
    expected_failed_checks=expected_failures,
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_l2_terms_sum_to_the_decision_less_the_intercept(name):
    X, y = classes_of(name)
    weight = np.random.default_rng(0).uniform(0.2, 2, len(y))
    ranker = RepresenterRanker(CLASSIFIERS[name]).fit(X, y, sample_weight=weight)
    model = ranker.estimator_
    terms = ranker.contributions(X[:40])
    expected = model.decision_function(X[:40]) - model.intercept_
    # 1e-6 is what the representer theorem is asked for; the estimator's own distance
    # from its optimum is below that.
    assert_allclose(terms.sum(axis=1), expected, atol=1e-6)
    assert ranker.decomposition_gap_ < 1e-10


def test_l2_values_are_minus_c_times_the_residual():
    X, y = classes_of("softmax")
    model = LogisticRegression(C=0.3, **EXACT)
    ranker = RepresenterRanker(model).fit(X, y)
    proba = ranker.predict_proba(X)
    one_hot = y[:, None] == ranker.classes_
    # S 44-46, the sum form's lambda being 1 / C.
    assert_allclose(ranker.alpha_, -0.3 * (proba - one_hot), atol=1e-7)
    at_class = np.argmax(y[:, None] == ranker.classes_, axis=1)
    expected = (X @ X.T) * ranker.alpha_.T[at_class]
    assert_allclose(ranker.influence(X, y), expected, atol=1e-10)


def test_binary_terms_turn_with_the_class_asked_about():
    X, y = classes_of("binary")
    ranker = RepresenterRanker(CLASSIFIERS["binary"]).fit(X, y)
    of_a = ranker.influence(X[:5], np.repeat("a", 5))
    of_b = ranker.influence(X[:5], np.repeat("b", 5))
    assert_allclose(of_a, -of_b)
    assert_allclose(of_b, ranker.contributions(X[:5]))


def test_default_labels_are_the_predicted_ones():
    X, y = classes_of("softmax")
    ranker = RepresenterRanker().fit(X, y)
    assert_allclose(ranker.influence(X), ranker.influence(X, ranker.predict(X)))


MODELS_OF = {
    "l2": {**CLASSIFIERS, "ridge": Ridge(alpha=0.5)},
    "lje": {**CLASSIFIERS, "ridge": Ridge(alpha=0.5)},
    "l1": {
        "lasso": Lasso(alpha=0.05, tol=1e-12, max_iter=10_000),
        "lasso, no intercept": Lasso(
            0.05, fit_intercept=False, tol=1e-12, max_iter=10_000
        ),
    },
}


@pytest.mark.parametrize(
    "method, name",
    [(method, name) for method in MODELS_OF for name in MODELS_OF[method]],
)
def test_self_influence_is_the_diagonal(method, name):
    """Of the influences, and of the terms in a row's own raw prediction."""
    model, is_class = MODELS_OF[method][name], name in CLASSIFIERS
    X, y = classes_of(name) if is_class else rows_of_numbers()
    ranker = RepresenterRanker(model, method=method).fit(X, y)
    own = ranker.self_influence_
    # Sums of a hundred products taken in another order.
    size = {"rtol": 1e-9, "atol": 1e-12 * np.abs(own).max()}
    assert_allclose(own, np.diag(ranker.influence(X, y)), **size)
    terms = ranker.contributions(X)
    at = np.arange(len(y))
    if terms.ndim == 3:
        code = np.searchsorted(ranker.classes_, y)
        expected = terms[at, at, code]
    elif is_class:
        expected = np.where(y == ranker.classes_[1], 1, -1) * terms[at, at]
    else:
        expected = terms[at, at]
    assert_allclose(own, expected, **size)


def rows_of_numbers():
    """Columns of very different size: an inner product that weighs them shows."""
    X, y = load_diabetes(return_X_y=True)
    return scale(X[:90]) * np.geomspace(0.3, 3.0, 10), scale(y[:90])


@pytest.mark.parametrize("method", MODELS_OF)
def test_new_rows_score_what_their_residual_makes_of_them(method):
    """A training row of weight 1, asked about as if it were new, is what it was."""
    for name, model in MODELS_OF[method].items():
        is_class = name in CLASSIFIERS
        if name == "softmax":
            model = clone(model).set_params(class_weight=None)
        X, y = classes_of(name) if is_class else rows_of_numbers()
        ranker = RepresenterRanker(model, method=method).fit(X, y)
        own = ranker.self_influence_
        scores = ranker.score_samples(X, y)
        assert_allclose(scores, own, rtol=1e-8, atol=1e-10 * np.abs(own).max())


def test_score_of_a_training_row_as_a_new_one_is_its_own():
    X, y = classes_of("softmax")
    for method in ("l2", "lje"):
        ranker = RepresenterRanker(CLASSIFIERS["no intercept"], method=method).fit(X, y)
        assert_allclose(ranker.score_samples(X, y), ranker.self_influence_, rtol=1e-9)


def test_regression_predicts_as_the_sum():
    X, y = load_diabetes(return_X_y=True)
    ranker = RepresenterRanker(Ridge(alpha=0.1, solver="cholesky")).fit(X, y)
    model = ranker.estimator_
    expected = model.predict(X) - model.intercept_
    assert_allclose(ranker.influence(X).sum(axis=1), expected, atol=1e-6)
    # Without a target: what a residual of one unit would add.
    assert_allclose(ranker.score_samples(X), np.sum(X**2, axis=1) / 0.1)


def test_several_targets_are_asked_about_by_contributions():
    X, y = load_diabetes(return_X_y=True)
    Y = np.column_stack([y, y**0.5])
    model = Ridge(alpha=[0.1, 2.0], solver="cholesky")
    ranker = RepresenterRanker(model).fit(X, Y)
    expected = ranker.predict(X) - ranker.estimator_.intercept_
    assert_allclose(ranker.contributions(X).sum(axis=1), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"use contributions\(X\)"):
        ranker.influence(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("refit_head", [True, False])
def test_lje_terms_sum_to_the_prediction_of_the_newton_point(refit_head):
    # Independent of the package: the Newton step from theta*, by autodiff-free algebra
    # on the softmax's closed-form gradient and Hessian.
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=0.7, max_iter=5, tol=1e-2).fit(X, y)
    ranker = RepresenterRanker(
        FrozenEstimator(model), method="lje", ascent=0.5, refit_head=refit_head
    )
    ranker.fit(X, y)
    theta = np.column_stack([ranker.head_.coef, ranker.head_.intercept])
    rows = np.column_stack([X, np.ones(len(X))])
    raw = rows @ theta.T
    proba = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    penalty = np.array([1 / 0.7] * 4 + [0.0])
    gradient = (proba - np.eye(3)[y]).T @ rows + penalty * theta
    S = -proba[:, :, None] * proba[:, None] + np.eye(3) * proba[:, :, None]
    H = np.einsum("ikm,iq,ir->kqmr", S, rows, rows).reshape(15, 15)
    H += np.diag(np.tile(penalty, 3))
    step = np.linalg.pinv(H, rcond=1e-12) @ gradient.ravel()
    expected = rows @ (theta - step.reshape(3, 5)).T
    terms = ranker.contributions(X)
    # Up to the size of the raw predictions, some tens.
    assert_allclose(terms.sum(axis=1), expected, atol=1e-8)
    # I 5, dimension-safe, for one row.
    own = (proba - np.eye(3)[y])[7, :, None] * rows[7] + penalty * theta / len(X)
    vector = theta / len(X) - (np.linalg.pinv(H) @ own.ravel()).reshape(3, 5)
    assert_allclose(terms[:, 7], rows @ vector.T, atol=1e-9)
    assert ranker.decomposition_gap_ < 1e-10


L1_HEADS = {
    "lasso": Lasso(alpha=0.5, tol=1e-12),
    "elastic net": ElasticNet(alpha=0.2, l1_ratio=0.5, tol=1e-12),
}


@pytest.mark.parametrize("name", L1_HEADS)
def test_l1_terms_sum_to_the_prediction(name):
    X, y = load_diabetes(return_X_y=True)
    X = scale(X)
    ranker = RepresenterRanker(L1_HEADS[name], method="l1").fit(X, y)
    expected = ranker.predict(X) - ranker.estimator_.intercept_
    assert_allclose(ranker.influence(X).sum(axis=1), expected, atol=1e-6)
    # Tsai et al.: the lasso's kernel weighs columns with their coefficient's size.
    if name == "lasso":
        coef = ranker.estimator_.coef_
        alpha = (y - ranker.predict(X)) / (0.5 * len(y))
        expected = (X * np.abs(coef)) @ X.T * alpha
        assert_allclose(ranker.influence(X), expected, atol=1e-7)


def test_l1_softmax_terms_sum_to_the_decision():
    X, y = classes_of("softmax")
    model = LogisticRegression(
        C=0.3, l1_ratio=0.6, solver="saga", tol=1e-9, max_iter=100_000
    )
    ranker = RepresenterRanker(model, method="l1").fit(X, y)
    expected = ranker.decision_function(X) - ranker.estimator_.intercept_
    assert_allclose(ranker.contributions(X).sum(axis=1), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pipelines_networks_and_sparse_rows():
    from scipy import sparse

    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(**EXACT))
    dense = RepresenterRanker(model).fit(X, y)
    thin = RepresenterRanker(model).fit(sparse.csr_matrix(X), y)
    other = thin.influence(sparse.csr_matrix(X[:9]), y[:9])
    # Two fits of the same objective, each to 1e-12.
    assert_allclose(dense.influence(X[:9], y[:9]), other, atol=1e-6)
    net = MLPClassifier(16, alpha=1.0, solver="lbfgs", random_state=0, max_iter=60)
    ranker = RepresenterRanker(net).fit(X / 16, y)
    head = ranker.head_
    terms = ranker.contributions(X / 16).sum(axis=1)
    assert_allclose(terms, head.embed(X / 16) @ head.coef.T, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_refusals_name_the_reason():
    X, y = classes_of("softmax")
    target = X[:, 0]
    cases = [
        (LogisticRegression(C=np.inf, max_iter=10), "l2", y, "needs an l2 penalty"),
        (LinearRegression(), "l2", target, "needs an l2 penalty"),
        (Lasso(alpha=0.1), "l2", target, "use method='l1'"),
        (Ridge(), "l1", target, "this one has none"),
    ]
    for model, method, given, message in cases:
        with pytest.raises(ValueError, match=message):
            RepresenterRanker(model, method=method).fit(X[:, 1:], given)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_head_off_its_optimum_is_refitted_or_refused():
    X, y = load_iris(return_X_y=True)
    rough = LogisticRegression(max_iter=3).fit(X, y)
    with pytest.raises(ValueError, match="not at the optimum"):
        RepresenterRanker(FrozenEstimator(rough), refit_head=False).fit(X, y)
    ranker = RepresenterRanker(FrozenEstimator(rough)).fit(X, y)
    exact = LogisticRegression(**EXACT).fit(X, y)
    expected = exact.decision_function(X) - exact.intercept_
    assert_allclose(ranker.contributions(X).sum(axis=1), expected, atol=1e-6)
    assert ranker.stationarity_gap_ > 0.1


def test_transform_keeps_the_largest_terms():
    X, y = classes_of("softmax")
    ranker = RepresenterRanker(n_influences=3).fit(X, y)
    kept = ranker.transform(X[:7])
    assert kept.shape == (7, len(X)) and kept.nnz == 21
    full = np.abs(ranker.influence(X[:7]))
    for row, terms in zip(kept, full, strict=True):
        assert_allclose(np.sort(np.abs(row.data)), np.sort(terms)[-3:])


@pytest.mark.parametrize("method", MODELS_OF)
def test_alpha_is_what_a_row_puts_into_its_own_prediction(method):
    """alpha_i x_i^T M x_i of each output; M by hand for the lasso, else 1."""
    for name, model in MODELS_OF[method].items():
        X, y = classes_of(name) if name in CLASSIFIERS else rows_of_numbers()
        ranker = RepresenterRanker(model, method=method).fit(X, y)
        at = np.arange(len(y))
        terms = ranker.contributions(X)
        own = terms[at, at].reshape(len(y), -1)
        rows = X
        if method == "l1":
            rows = X * np.sqrt(np.abs(ranker.estimator_.coef_))
        elif method == "lje" and ranker.head_.fit_intercept:
            rows = np.column_stack([X, np.ones(len(X))])
        expected = ranker.alpha_ * np.sum(rows**2, axis=1)[:, None]
        assert_allclose(own, expected, rtol=1e-7, atol=1e-9 * np.abs(own).max())
    if method == "l1":
        residual = y - ranker.predict(X)
        assert_allclose(ranker.alpha_[:, 0], residual / (0.05 * len(y)), atol=1e-8)


@pytest.mark.parametrize("method", ["l2", "l1"])
def test_the_gap_is_the_largest_miss_of_the_sum(method):
    X, y = rows_of_numbers()
    # Stopped short of the optimum, near enough for the theorem.
    model = Ridge(alpha=1.0, solver="sag", tol=1e-9, max_iter=10_000, random_state=0)
    if method == "l1":
        model = Lasso(alpha=0.05, tol=1e-9)
    ranker = RepresenterRanker(model, method=method, refit_head=False).fit(X, y)
    raw = ranker.head_.embed(X) @ ranker.head_.coef.T
    miss = ranker.contributions(X).sum(axis=1) - raw[:, 0]
    expected = np.abs(miss).max() / max(1.0, np.abs(raw).max())
    assert 1e-13 < ranker.decomposition_gap_ < 1e-6
    assert ranker.decomposition_gap_ == pytest.approx(expected, rel=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", ["l2", "lje"])
def test_the_stationarity_gap_is_the_largest_move_of_a_prediction(method):
    X, y = classes_of("softmax")
    rough = LogisticRegression(max_iter=3).fit(X, y)
    ranker = RepresenterRanker(FrozenEstimator(rough), method=method).fit(X, y)
    polished = X @ ranker.head_.coef.T + ranker.head_.intercept
    moved = np.abs(polished - rough.decision_function(X)).max()
    assert ranker.stationarity_gap_ == pytest.approx(moved, rel=1e-6)
