"""Heads of LogisticRegression and LogisticRegressionCV.

The oracle is scikit-learn's own fit: at the parameters it found, the gradient of the
objective that the head describes, taken by torch, must vanish.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from sklinfluence.heads import linear_head

# How far each solver gets at tol=1e-10 on these data: Newton's method and liblinear's
# trust region end at rounding; lbfgs stops on the objective's change, which leaves
# about the square root of the precision; sag and saga stop on the parameters' change.
TOLERANCE = {
    "newton-cholesky": 1e-9,
    "newton-cg": 1e-7,
    "lbfgs": 1e-6,
    "liblinear": 1e-7,
    "sag": 1e-6,
    "saga": 1e-6,
}
CASES = [
    (solver, n_classes)
    for solver in TOLERANCE
    for n_classes in (2, 3)
    if (solver, n_classes) != ("liblinear", 3)  # liblinear is binary only
]


def fit(model, X, y, sample_weight=None):
    with warnings.catch_warnings():
        # Deprecated parameters are tested on purpose; lbfgs reports that it reached
        # the precision of the machine as a failed line search.
        warnings.simplefilter("ignore")
        return model.fit(X, y, sample_weight=sample_weight)


def tight(solver, **params):
    return LogisticRegression(
        **{"solver": solver, "tol": 1e-10, "max_iter": 20_000, "C": 0.3} | params,
        random_state=0,
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("class_weight", ["none", "dict", "balanced"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver, n_classes", CASES)
def test_gradient_vanishes_at_the_fit(
    solver,
    n_classes,
    weighted,
    class_weight,
    fit_intercept,
    make_data,
    class_weights,
    stationarity,
):
    X, y, weight = make_data("classes", n_classes, weighted)
    if solver == "sag" and weighted:
        weight = weight / 9  # sag's step forgets the weights: it diverges above 1
    resolved = class_weights[class_weight]
    if n_classes == 2 and class_weight == "dict":
        resolved = {label: resolved[label] for label in ("ant", "bee")}
    model = tight(solver, class_weight=resolved, fit_intercept=fit_intercept)
    fit(model, X, y, weight)
    head = linear_head(model, y, weight)
    assert stationarity(head, X) < TOLERANCE[solver]
    raw = head.embed(X) @ head.coef.T + head.intercept
    # The same product of the same float64 numbers, up to the order of summation.
    np.testing.assert_allclose(
        raw[:, 0] if n_classes == 2 else raw, model.decision_function(X), atol=1e-12
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_oracle_sees_a_wrong_penalty_and_wrong_weights(
    n_classes, make_data, stationarity
):
    X, y, weight = make_data("classes", n_classes, weighted=True)
    model = fit(tight("newton-cholesky", class_weight="balanced"), X, y, weight)
    head = linear_head(model, y, weight)
    # Five orders above the tolerance for a hundredth of the penalty.
    assert stationarity(replace(head, penalty=1.01 * head.penalty), X) > 1e-4
    unbalanced = replace(head, weights=weight)
    assert stationarity(unbalanced, X) > 1e-2


@pytest.mark.parametrize("scaling", [1.0, 0.5, 20.0])
def test_liblinear_penalises_its_intercept(scaling, make_data, stationarity):
    X, y, _ = make_data("classes", 2)
    model = fit(tight("liblinear", intercept_scaling=scaling), X, y)
    head = linear_head(model, y)
    assert stationarity(head, X) < TOLERANCE["liblinear"]
    np.testing.assert_allclose(head.penalty[0], [1 / 0.3] * 4 + [1 / 0.3 / scaling**2])


@pytest.mark.parametrize("scaling", [1.0, 2.0, 4.0])
def test_liblinears_l1_part_of_its_intercept(scaling, make_data):
    X, y, _ = make_data("classes", 2)
    model = tight("liblinear", l1_ratio=1.0, intercept_scaling=scaling)
    # Most of one class: an intercept that is not 0.
    y = np.where(np.arange(len(y)) % 3 == 0, y, y[-1])
    model = fit(model, X, y)
    head = linear_head(model, y)
    np.testing.assert_allclose(head.l1[0], [1 / 0.3] * 4 + [1 / 0.3 / scaling])
    # What it says of the optimum: the slope by the intercept is its l1 part.
    residual = model.predict_proba(X)[:, 1] - (y == model.classes_[1])
    assert abs(residual.sum()) == pytest.approx(head.l1[0, -1], rel=1e-4)


def test_liblinear_dual_has_the_same_objective(make_data, stationarity):
    X, y, weight = make_data("classes", 2, weighted=True)
    model = fit(tight("liblinear", dual=True, intercept_scaling=2.0), X, y, weight)
    # Coordinate descent in the dual converges linearly, further from rounding.
    assert stationarity(linear_head(model, y, weight), X) < 1e-6


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "params", [{"C": np.inf}, {"penalty": None}, {"C": np.inf, "l1_ratio": 0.5}]
)
def test_no_penalty(params, n_classes, make_data, stationarity):
    X, y, _ = make_data("classes", n_classes)
    solver = "saga" if "l1_ratio" in params else "newton-cg"
    model = fit(tight(solver, **params), X, y)
    head = linear_head(model, y)
    assert np.all(head.penalty == 0)
    assert stationarity(head, X) < 1e-6  # unpenalised: the slowest case of both


@pytest.mark.parametrize(
    "params",
    [
        {"penalty": "l2"},
        {"penalty": "l2", "l1_ratio": 0.5},
        {"penalty": "elasticnet", "l1_ratio": 0.0},
    ],
)
def test_deprecated_penalty_that_is_l2(params, make_data, stationarity):
    X, y, _ = make_data("classes", 3)
    model = fit(tight("saga", **params), X, y)
    assert stationarity(linear_head(model, y), X) < TOLERANCE["saga"]


@pytest.mark.parametrize(
    "params, share",
    [
        ({"l1_ratio": 1.0}, 1.0),
        ({"l1_ratio": 0.25}, 0.25),
        ({"penalty": "l1"}, 1.0),
        ({"penalty": "elasticnet", "l1_ratio": 0.5}, 0.5),
    ],
)
def test_l1_part_stands_beside_the_l2_part(params, share, make_data):
    X, y, _ = make_data("classes", 2)
    head = linear_head(fit(tight("saga", C=0.4, **params), X, y), y)
    np.testing.assert_allclose(head.l1, [[share / 0.4] * 4 + [0.0]])
    np.testing.assert_allclose(head.penalty, [[(1 - share) / 0.4] * 4 + [0.0]])
    # Subgradient conditions: at zero within the l1 part, elsewhere equal to it.
    coef = head.coef[0]
    proba = 1 / (1 + np.exp(-(X @ coef + head.intercept)))
    slope = X.T @ (proba - head.targets[:, 0]) + head.penalty[0, :4] * coef
    used = coef != 0
    tolerance = {"atol": 1e-3 * share / 0.4}  # saga's stopping
    expected = -np.sign(coef[used]) * share / 0.4
    np.testing.assert_allclose(slope[used], expected, **tolerance)
    assert np.all(np.abs(slope[~used]) <= share / 0.4 * (1 + 1e-3))


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_cv(
    fit_intercept,
    n_classes,
    class_weight,
    legacy,
    make_data,
    class_weights,
    stationarity,
):
    X, y, weight = make_data("classes", n_classes, weighted=True)
    model = LogisticRegressionCV(
        Cs=[0.03, 0.3, 3.0],
        l1_ratios=(0.0,),
        cv=3,
        solver="newton-cholesky",
        tol=1e-10,
        class_weight=class_weights[class_weight],
        fit_intercept=fit_intercept,
        scoring="neg_log_loss",
        use_legacy_attributes=legacy,
    )
    fit(model, X, y, weight)
    head = linear_head(model, y, weight)
    assert stationarity(head, X) < TOLERANCE["newton-cholesky"]
    assert head.penalty[0, 0] == 1 / np.ravel(model.C_)[0]


def test_cv_liblinear_and_default_ratios(make_data, stationarity):
    X, y, _ = make_data("classes", 2)
    model = LogisticRegressionCV(
        Cs=[0.1, 1.0], cv=3, solver="liblinear", tol=1e-10, intercept_scaling=3.0
    )
    head = linear_head(fit(model, X, y), y)
    # scikit-learn's final fit does not pass intercept_scaling on.
    assert stationarity(head, X) < TOLERANCE["liblinear"]
    assert head.penalty[0, -1] == head.penalty[0, 0]


def test_cv_takes_the_chosen_l1_ratio(make_data):
    X, y, _ = make_data("classes", 2)

    def chosen(ratio):
        model = LogisticRegressionCV(Cs=2, cv=3, solver="saga", l1_ratios=(ratio,))
        return fit(model, X, y)

    assert linear_head(chosen(0.0), y).l1 is None
    model = chosen(0.5)
    head = linear_head(model, y)
    np.testing.assert_allclose(head.l1[0, :4], 0.5 / np.ravel(model.C_)[0])
    deprecated = LogisticRegressionCV(Cs=2, cv=3, solver="saga", penalty="l1")
    head = linear_head(fit(deprecated, X, y), y)
    assert head.l1 is not None and not head.penalty.any()


def test_sparsified_coefficients(make_data):
    X, y, _ = make_data("classes", 3)
    model = fit(LogisticRegression(), X, y)
    expected = model.coef_.copy()
    head = linear_head(model.sparsify(), y)
    assert isinstance(head.coef, np.ndarray)
    np.testing.assert_array_equal(head.coef, expected)


def test_float32_is_read_as_float64(make_data):
    X, y, _ = make_data("classes", 3)
    X = X.astype(np.float32)
    model = fit(LogisticRegression(), X, y)
    # Newer scikit-learn fits in the rows' own dtype, older in float64.
    model.coef_ = model.coef_.astype(np.float32)
    model.intercept_ = model.intercept_.astype(np.float32)
    head = linear_head(model, y)
    assert head.coef.dtype == head.intercept.dtype == np.float64
    assert head.embed(X).dtype == np.float32
    assert head.embed(X.astype(int)).dtype == np.float64
