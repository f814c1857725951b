"""Classical diagnostics against statsmodels, and against refits with a penalty."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from statsmodels.stats.outliers_influence import MLEInfluence, OLSInfluence

from sklinfluence.gradient import InfluenceRanker
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
    # Over the parameters that there are: twice as many.
    assert_allclose(2 * two["cooks_distance"], one["cooks_distance"], **same)
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
        diagnostics(LogisticRegression().fit(X, y))


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
