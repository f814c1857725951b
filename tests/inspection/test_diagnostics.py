"""Classical diagnostics against statsmodels, and against refits with a penalty."""

import pickle
import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from statsmodels.stats.outliers_influence import MLEInfluence, OLSInfluence

from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import diagnostics

# Both sides invert the same well-conditioned matrix: what is asked of closed forms.
CLOSE = {"rtol": 1e-8, "atol": 1e-8}


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X)[:150], y[:150]


@pytest.fixture(scope="module")
def binary():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = (X @ [1.0, -0.5, 0.2] + rng.logistic(size=120) > 0).astype(int)
    return X, y, rng.uniform(0.3, 2.0, 120)


@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_is_as_statsmodels_has_it(diabetes, weighted):
    X, y = diabetes
    weight = np.ones(len(y))
    if weighted:
        weight = np.random.default_rng(0).uniform(0.3, 3.0, len(y))
    ranker = InfluenceRanker(LinearRegression()).fit(X, y, sample_weight=weight)
    table = diagnostics(ranker)
    # A weighted fit is the plain one on rows scaled by the root of their weight.
    root = np.sqrt(weight)
    rows = np.column_stack([X, np.ones(len(X))]) * root[:, None]
    oracle = OLSInfluence(sm.OLS(y * root, rows).fit())
    expected = {
        "leverage": oracle.hat_matrix_diag,
        "residual": oracle.resid / root,
        "internally_studentized": oracle.resid_studentized_internal,
        "externally_studentized": oracle.resid_studentized_external,
        "cooks_distance": oracle.cooks_distance[0],
        "dffits": oracle.dffits[0],
        "covariance_ratio": oracle.cov_ratio,
        "loo_prediction": y - oracle.resid_press / root,
    }
    for name, values in expected.items():
        assert_allclose(table[name], values, err_msg=name, **CLOSE)
    dfbetas = table.filter(like="dfbetas_").to_numpy()
    assert_allclose(dfbetas, oracle.dfbetas, **CLOSE)


def test_logistic_is_as_statsmodels_has_it(binary):
    X, y, _ = binary
    model = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky")
    table = diagnostics(InfluenceRanker(model).fit(X, y))
    rows = np.column_stack([X, np.ones(len(X))])
    fit = sm.Logit(y, rows).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    oracle = MLEInfluence(fit)
    assert_allclose(table["leverage"], oracle.hat_matrix_diag, **CLOSE)
    assert_allclose(table["residual"], fit.resid_response, **CLOSE)
    assert_allclose(table["internally_studentized"], oracle.resid_studentized, **CLOSE)
    assert_allclose(table["cooks_distance"], oracle.cooks_distance[0], **CLOSE)
    dfbetas = table.filter(like="dfbetas_").to_numpy()
    assert_allclose(dfbetas, oracle.dfbetas, **CLOSE)


def leave_out(model, X, y, weight, row):
    kept = weight.copy()
    kept[row] = 0.0
    return model.fit(X, y, sample_weight=kept)


def test_penalised_weighted_ridge_against_refits(diabetes):
    X, y = diabetes
    weight = np.random.default_rng(1).uniform(0.2, 2.0, len(y))
    model = Ridge(alpha=20.0, solver="cholesky")
    ranker = InfluenceRanker(model).fit(X, y, sample_weight=weight)
    table = diagnostics(ranker)
    full = Ridge(alpha=20.0, solver="cholesky").fit(X, y, sample_weight=weight)
    rows = np.column_stack([X, np.ones(len(X))])
    H = (rows.T * weight) @ rows + np.diag([20.0] * X.shape[1] + [0.0])
    # The smoother's trace by what a unit more of y_i does to prediction i.
    trace = np.trace(rows @ np.linalg.solve(H, rows.T * weight))
    variance = weight @ (y - full.predict(X)) ** 2 / (len(y) - trace)
    assert_allclose(table["leverage"].sum(), trace, rtol=1e-10)
    for row in range(0, len(y), 13):
        without = leave_out(model, X, y, weight, row)
        change = np.append(
            full.coef_ - without.coef_, full.intercept_ - without.intercept_
        )
        cook = change @ H @ change / (len(change) * variance)
        assert_allclose(table["cooks_distance"][row], cook, rtol=1e-6)
        loo = without.predict(X[[row]])[0]
        assert_allclose(table["loo_prediction"][row], loo, rtol=1e-6)
        own = weight[row] * (y[row] - full.predict(X[[row]])[0]) * (y[row] - loo)
        left = len(y) - trace
        noise = np.sqrt((variance * left - own) / (left - 1))
        expected = change / (noise * np.sqrt(np.diag(np.linalg.inv(H))))
        dfbetas = table.filter(like="dfbetas_").loc[row].to_numpy()
        assert_allclose(dfbetas, expected, rtol=1e-6, atol=1e-9)
        H_without = H - weight[row] * np.outer(rows[row], rows[row])
        p = len(change)
        ratio = (noise**2 / variance) ** p * np.linalg.det(H)
        assert_allclose(
            table["covariance_ratio"][row], ratio / np.linalg.det(H_without), rtol=1e-6
        )


def test_logistic_deletions_are_near_refits(binary):
    X, y, weight = binary
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10)
    table = diagnostics(InfluenceRanker(model).fit(X, y, sample_weight=weight))

    def twice_objective(fitted, weight):
        raw = fitted.decision_function(X)
        loss = np.logaddexp(0, -(2 * y - 1) * raw)
        return 2 * weight @ loss + np.sum(fitted.coef_**2)

    full = twice_objective(model.fit(X, y, sample_weight=weight), weight)
    for row in range(0, len(y), 17):
        without = leave_out(model, X, y, weight, row)
        kept = weight.copy()
        kept[row] = 0.0
        dropped = full - twice_objective(without, kept)
        # One Newton step instead of the refit: third order in the leverage, of
        # which no row here has more than a few hundredths.
        assert_allclose(table["externally_studentized"][row] ** 2, dropped, rtol=5e-3)
        loo = without.predict_proba(X[[row]])[0, 1]
        assert_allclose(table["loo_prediction"][row], loo, rtol=5e-3)


def test_softmax_of_two_classes_is_the_logistic_head():
    """A softmax with penalty l/2 and two outputs is the binary head with penalty l."""
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], y[50:]
    binary = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12).fit(X, y)
    one = diagnostics(InfluenceRanker(binary).fit(X, y), dfbetas=False)
    softmax = _TwoOutputs(FrozenEstimator(binary))
    two = diagnostics(InfluenceRanker(softmax).fit(X, y), dfbetas=False)
    # Two routes to the same optimum, each polished to 1e-11.
    same = {"rtol": 1e-6, "atol": 1e-9}
    for name in ("leverage", "covariance_ratio"):
        assert_allclose(two[name], one[name], **same)
    for name in ("residual", "internally_studentized", "dffits"):
        assert_allclose(two[name], np.abs(one[name]), **same)
    assert_allclose(
        two["externally_studentized"], np.abs(one["externally_studentized"]), **same
    )
    # Over the parameters that rows and penalty determine: five, and twice five less
    # the shift that is common to both intercepts.
    cook = two["cooks_distance"]
    assert_allclose(9 * cook, 5 * one["cooks_distance"], **same)
    loo = two.filter(like="loo_prediction").to_numpy()
    assert_allclose(loo[:, 1], one["loo_prediction"], **same)


class _TwoOutputs(LogisticRegression):
    def __init__(self, model=None):
        super().__init__()
        self.model = model

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, sample_weight)


def _register_two_outputs():
    from dataclasses import replace

    from sklinfluence.curvature._losses import SoftmaxLoss
    from sklinfluence.heads import linear_head

    @linear_head.register(_TwoOutputs)
    def _two_outputs_head(estimator, y, sample_weight=None):
        head = linear_head(estimator.model, y, sample_weight)
        return replace(
            head,
            loss=SoftmaxLoss(),
            coef=np.vstack([-head.coef, head.coef]) / 2,
            intercept=np.concatenate([-head.intercept, head.intercept]) / 2,
            penalty=2 * np.vstack([head.penalty, head.penalty]),
            targets=np.hstack([1 - head.targets, head.targets]),
        )


_register_two_outputs()


def test_columns_are_named_after_features_and_outputs():
    data = load_wine(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    table = diagnostics(InfluenceRanker(model).fit(data.data, data.target))
    assert "dfbetas_2_alcohol" in table and "dfbetas_0_intercept" in table
    assert "loo_prediction_1" in table and "leverage" in table
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    table = diagnostics(InfluenceRanker(Lasso(alpha=0.5)).fit(X, y))
    used = X.columns[Lasso(alpha=0.5).fit(X, y).coef_ != 0]
    names = table.filter(like="dfbetas_").columns
    assert list(names) == [f"dfbetas_{name}" for name in [*used, "intercept"]]


@pytest.mark.parametrize("n_before", [0, 1, 2])
def test_columns_are_named_after_what_the_last_transformer_makes(n_before):
    """However many come before it, and whatever order they make of the columns."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    turned = list(X.columns[::-1])
    steps = [StandardScaler() for _ in range(n_before)]
    steps = [step.set_output(transform="pandas") for step in steps]
    reorder = ColumnTransformer(
        [("turned", "passthrough", turned)], verbose_feature_names_out=False
    )
    model = make_pipeline(*steps, reorder, Ridge(alpha=0.5))
    ranker = InfluenceRanker(model).fit(X, y)
    table = diagnostics(ranker)
    names = [name.removeprefix("dfbetas_") for name in table.filter(like="dfbetas_")]
    assert names == [*turned, "intercept"]
    # And each column is of the feature that it is named after.
    plain = make_pipeline(*steps, Ridge(alpha=0.5))
    other = diagnostics(InfluenceRanker(plain).fit(X, y))
    for name in turned:
        column = f"dfbetas_{name}"
        assert_allclose(table[column], other[column], rtol=1e-6, atol=1e-9)


def test_several_targets_have_a_column_each(diabetes):
    X, y = diabetes
    Y = np.column_stack([y, y**0.5])
    # Very different penalties: each target has degrees of freedom of its own.
    both = diagnostics(InfluenceRanker(Ridge(alpha=[0.01, 500.0])).fit(X, Y))
    for k, alpha in enumerate([0.01, 500.0]):
        one = diagnostics(InfluenceRanker(Ridge(alpha=alpha)).fit(X, Y[:, k]))
        for name in one.columns.difference(one.filter(like="dfbetas_").columns):
            assert_allclose(both[f"{name}_{k}"], one[name], rtol=1e-8, atol=1e-10)


def test_refusals():
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    with pytest.raises(ValueError, match="damping=0"):
        diagnostics(InfluenceRanker(damping=0.1).fit(X, y))
    with pytest.raises(ValueError, match=r"EKFAC.* approximates"):
        diagnostics(InfluenceRanker(solver="ekfac").fit(X, y))
    with pytest.raises(TypeError, match="takes an InfluenceRanker"):
        diagnostics(RepresenterRanker().fit(X, y))
    fitted = LogisticRegression().fit(X, y)
    with pytest.raises(TypeError, match=r"LogisticRegression need the X and y"):
        diagnostics(fitted)
    with pytest.raises(TypeError, match="leave X, y and sample_weight out"):
        diagnostics(InfluenceRanker().fit(X, y), X, y)
    with pytest.raises(NotFittedError):
        diagnostics(LogisticRegression(), X, y)


def test_an_l1_head_counts_the_coefficients_in_use(diabetes):
    # Two targets of one Lasso use different columns: each is what it is alone.
    X, y = diabetes
    Y = scale(np.column_stack([y, X[:, 0] + 0.1 * y / y.std()]))
    both = diagnostics(InfluenceRanker(Lasso(alpha=0.3, tol=1e-10)).fit(X, Y))
    for k in range(2):
        one = diagnostics(InfluenceRanker(Lasso(alpha=0.3, tol=1e-10)).fit(X, Y[:, k]))
        for name in ("cooks_distance", "covariance_ratio", "dffits"):
            # Both are solved to 1e-10 by coordinate descent and polished.
            assert_allclose(both[f"{name}_{k}"], one[name], rtol=1e-6, atol=1e-9)


# -- designs whose columns depend on each other


def dependent(X):
    """X with a copy, a sum, a constant and a column of zeros beside it."""
    extra = [X[:, 0], X[:, 0] - 2 * X[:, 1], np.full(len(X), 3.0), np.zeros(len(X))]
    return np.column_stack([X, *extra])


MODELS = {
    "least squares": (LinearRegression(), "real"),
    "logistic": (LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000), "binary"),
    "softmax": (LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000), "three"),
}


def problem(kind, n_rows=120):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 3))
    signal = X @ [1.0, -0.5, 0.2] + rng.logistic(size=n_rows)
    if kind == "real":
        return X, signal
    edges = [0.0] if kind == "binary" else [-1.0, 1.0]
    return X, np.digitize(signal, edges)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_dependent_columns_change_no_measure(name, weighted):
    model, kind = MODELS[name]
    X, y = problem(kind)
    weights = np.random.default_rng(1).uniform(0.3, 2.0, len(y)) if weighted else None
    reduced = diagnostics(InfluenceRanker(model).fit(X, y, sample_weight=weights))
    ranker = InfluenceRanker(model).fit(dependent(X), y, sample_weight=weights)
    table = diagnostics(ranker)
    names = [name for name in reduced if not name.startswith("dfbetas")]
    for column in names:
        # Two ways to one optimum; kernels are told from it by a Gram matrix.
        assert_allclose(
            table[column], reduced[column], rtol=1e-6, atol=1e-8, err_msg=column
        )
    # What no dependency touches: the third column's parameters.
    for column in reduced.filter(regex="dfbetas.*_x2$"):
        assert_allclose(table[column], reduced[column], rtol=1e-6, atol=1e-8)
    assert_allclose(
        ranker.label_scores("cook"),
        InfluenceRanker(model).fit(X, y, sample_weight=weights).label_scores("cook"),
        rtol=1e-6,
        atol=1e-8,
    )


def test_dependent_columns_of_least_squares_are_as_statsmodels_has_the_others():
    X, y = problem("real")
    table = diagnostics(InfluenceRanker(LinearRegression()).fit(dependent(X), y))
    oracle = OLSInfluence(sm.OLS(y, np.column_stack([X, np.ones(len(X))])).fit())
    expected = {
        "leverage": oracle.hat_matrix_diag,
        "internally_studentized": oracle.resid_studentized_internal,
        "externally_studentized": oracle.resid_studentized_external,
        "cooks_distance": oracle.cooks_distance[0],
        "dffits": oracle.dffits[0],
        "covariance_ratio": oracle.cov_ratio,
        "dfbetas_x2": oracle.dfbetas[:, 2],
    }
    for column, values in expected.items():
        assert_allclose(table[column], values, err_msg=column, **CLOSE)


def test_a_softmax_counts_the_parameters_of_multinomial_logit():
    X, y = problem("three")
    model = MODELS["softmax"][0]
    ranker = InfluenceRanker(model).fit(X, y)
    rows = np.column_stack([X, np.ones(len(X))])
    fit = sm.MNLogit(y, rows).fit(disp=0, method="newton", tol=1e-14, maxiter=200)
    H = -fit.model.hessian(fit.params)
    n_parameters = 2 * rows.shape[1]
    assert H.shape == (n_parameters, n_parameters)
    cook = diagnostics(ranker)["cooks_distance"]
    # Cook's distance times the count is the squared length of the step in H.
    newton = InfluenceRanker(model, method="newton").fit(X, y)
    change = newton.parameter_influence(np.arange(len(X)))
    # Against the first class, outputs last, as MNLogit has its parameters.
    against = (change[:, 1:] - change[:, :1]).reshape(len(X), -1)
    length = np.einsum("ij,jk,ik->i", against, H, against)
    assert_allclose(cook, length / n_parameters, rtol=1e-6)


# -- rows of weight 0

LEFT = np.array([0, 3, 77])


@pytest.mark.parametrize("model", [*MODELS, "ridge", "one-vs-rest"])
def test_leaving_out_a_row_of_weight_zero_changes_nothing(model):
    name = model
    model, kind = MODELS.get(name, (Ridge(3.0), "real"))
    if name == "one-vs-rest":
        model = SGDClassifier("log_loss", alpha=0.01, random_state=0, max_iter=5000)
        kind = "three"
    X, y = problem(kind)
    weights = np.ones(len(y))
    weights[LEFT] = 0.0
    ranker = InfluenceRanker(model).fit(X, y, sample_weight=weights)
    table = diagnostics(ranker).loc[LEFT]
    zero = table.filter(regex="^(leverage|cooks_distance|dffits|dfbetas)")
    assert zero.shape[1] > 3 and np.all(zero == 0.0)
    assert np.all(table.filter(regex="^covariance_ratio") == 1.0)
    # The prediction, for the last class of several, by the model itself.
    predicted = ranker.loo_prediction_ if kind == "real" else ranker.loo_proba_[:, -1]
    loo = table.filter(regex="^loo_prediction").to_numpy()[:, -1]
    assert_allclose(loo, predicted[LEFT], rtol=1e-12)
    fitted = model.fit(X, y, sample_weight=weights)
    ask = fitted.predict if kind == "real" else lambda X: fitted.predict_proba(X)[:, -1]
    # The head is polished, the estimator's own fit is not.
    assert_allclose(loo, ask(X[LEFT]), rtol=0.05)


def test_residuals_of_weight_zero_are_those_of_new_rows():
    """Over the standard error that statsmodels gives a prediction's observation."""
    X, y = problem("real")
    weights = np.ones(len(y))
    weights[LEFT] = 0.0
    table = diagnostics(InfluenceRanker(LinearRegression()).fit(X, y, weights))
    rows = np.column_stack([X, np.ones(len(X))])
    kept = weights > 0
    fit = sm.OLS(y[kept], rows[kept]).fit()
    new = fit.get_prediction(rows[LEFT])
    expected = (y[LEFT] - new.predicted_mean) / new.se_obs
    for name in ("internally_studentized", "externally_studentized"):
        assert_allclose(table[name][LEFT], expected, **CLOSE)
    # And those of the rows that are there, as if the others had never been.
    oracle = OLSInfluence(fit)
    assert_allclose(
        table["externally_studentized"][kept],
        oracle.resid_studentized_external,
        **CLOSE,
    )


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_deviance_of_weight_zero_is_what_taking_the_row_in_adds(name):
    _, kind = MODELS[name]
    model = LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000)
    X, y = problem(kind)
    weights = np.ones(len(y))
    weights[LEFT] = 0.0
    table = diagnostics(InfluenceRanker(model).fit(X, y, sample_weight=weights))

    def twice_objective(weights):
        fit = model.fit(X, y, sample_weight=weights)
        loss = -np.log(fit.predict_proba(X)[np.arange(len(y)), y])
        return 2 * weights @ loss + np.sum(fit.coef_**2)

    before = twice_objective(weights)
    for row in LEFT:
        taken = weights.copy()
        taken[row] = 1.0
        added = twice_objective(taken) - before
        # One Newton step instead of the refit: third order in a leverage of hundredths.
        found = table["externally_studentized"][row] ** 2
        assert_allclose(found, added, rtol=2e-2)
    if name == "logistic":
        # Pearson's residual over the root of its variance and the prediction's.
        rows = np.column_stack([X, np.ones(len(X))])
        p = model.fit(X, y, sample_weight=weights).predict_proba(X)[:, 1]
        S = p * (1 - p)
        H = (rows.T * (weights * S)) @ rows + np.diag([1.0, 1.0, 1.0, 0.0])
        B = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(H), rows)
        expected = ((y - p) / np.sqrt(S + S**2 * B))[LEFT]
        assert_allclose(table["internally_studentized"][LEFT], expected, rtol=1e-6)


def test_targets_of_several_penalties_have_each_its_own_error():
    X, y = problem("real")
    Y = np.column_stack([y, 5 * y**2])
    weights = np.ones(len(y))
    weights[LEFT] = 0.0
    both = InfluenceRanker(Ridge(alpha=[0.01, 500.0])).fit(X, Y, sample_weight=weights)
    table = diagnostics(both, dfbetas=False).loc[LEFT]
    for k, alpha in enumerate([0.01, 500.0]):
        alone = InfluenceRanker(Ridge(alpha=alpha))
        one = diagnostics(alone.fit(X, Y[:, k], sample_weight=weights), dfbetas=False)
        for name in one:
            assert_allclose(table[f"{name}_{k}"], one[name][LEFT], rtol=1e-9)


@pytest.mark.parametrize(
    ("apart", "C", "seed"), [(1, 1e6, 3), (5, 1e8, 2), (20, 1e7, 0)]
)
def test_separable_classes_have_a_length_too(apart, C, seed):
    """Of covariances that are rounding, which alone may take its square below zero."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(36, 10)), np.arange(36) % 4
    X[:, 0] += apart * y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ranker = InfluenceRanker(LogisticRegression(C=C), solver="cg").fit(X, y)
    table = diagnostics(ranker, dfbetas=False)
    assert np.all(table["internally_studentized"] >= 0)


def test_no_degrees_of_freedom_are_named():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4, 6)), rng.normal(size=4)
    with pytest.warns(UserWarning, match="no degrees of freedom"):
        table = diagnostics(InfluenceRanker(Ridge(1e-12)).fit(X, y), dfbetas=False)
    assert table["externally_studentized"].isna().all()


# -- what is diagnosed


def test_the_table_has_the_index_of_the_training_frame():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X.set_axis([f"patient {i}" for i in range(len(X))])
    table = diagnostics(InfluenceRanker(Ridge()).fit(X, y), dfbetas=False)
    assert table.index.equals(X.index)
    plain = diagnostics(InfluenceRanker(Ridge()).fit(X.to_numpy(), y), dfbetas=False)
    assert list(plain.index) == list(range(len(X)))
    assert_allclose(table.to_numpy(), plain.to_numpy())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "model", [Ridge(2.0), make_pipeline(StandardScaler(), Ridge(2.0))]
)
def test_a_fitted_estimator_is_read(model, frozen, diabetes):
    X, y = diabetes
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    name = "sample_weight" if isinstance(model, Ridge) else "ridge__sample_weight"
    model.fit(X, y, **{name: weights})
    before = pickle.dumps(model)
    given = FrozenEstimator(model) if frozen else model
    table = diagnostics(given, X, y, sample_weight=weights)
    truth = diagnostics(InfluenceRanker(model).fit(X, y, sample_weight=weights))
    assert list(table.columns) == list(truth.columns)
    assert_allclose(table.to_numpy(), truth.to_numpy(), rtol=1e-8, atol=1e-10)
    assert pickle.dumps(model) == before
