"""What a ranker promises beyond its numbers: containers, attributes, warnings."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.curvature import Cholesky, ConjugateGradient
from sklinfluence.gradient import InfluenceRanker

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


# -- rows that cannot leave


def lone_column(n_rows=40):
    """The last column is used by row 7 alone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 3))
    X[:, -1] = 0.0
    X[7, -1] = 1.0
    return X, X[:, 0] + rng.normal(size=n_rows)


def test_no_queries_are_refused_by_the_estimator():
    X, y = load_iris(return_X_y=True)
    ranker = InfluenceRanker(n_influences=3).fit(X, y)
    for ask in (ranker.proponents, ranker.opponents, ranker.transform):
        with pytest.raises(ValueError, match="0 sample"):
            ask(X[:0])


@pytest.mark.parametrize("method", ["influence", "newton"])
def test_a_row_of_leverage_one_is_nan_and_named_once(method):
    X, y = lone_column()
    ranker = InfluenceRanker(LinearRegression(), method=method)
    with pytest.warns(UserWarning, match=r"Row\(s\) 7 have leverage 1") as caught:
        ranker.fit(X, y)
    assert sum("leverage" in str(w.message) for w in caught) == 1
    others = np.arange(40) != 7
    assert np.isnan(ranker.loo_prediction_[7])
    assert np.all(np.isfinite(ranker.loo_prediction_[others]))
    assert ranker.leverage_[7] == pytest.approx(1.0)
    assert np.isfinite(ranker.loo_score_)
    matrix = ranker.influence(X[:3], y[:3])
    assert np.all(np.isfinite(matrix[:, others]))
    if method == "newton":
        assert np.all(np.isnan(matrix[:, 7]))
        assert ranker.ranking_[7] == 1
        assert np.isnan(ranker.parameter_influence(7)).any()
        # NaN is neither a proponent nor an opponent.
        assert 7 not in ranker.proponents(X[:3], y[:3], n=39)[1]
        assert 7 not in ranker.opponents(X[:3], y[:3], n=39)[1]


def test_a_softmax_row_of_leverage_one_is_nan_and_named():
    # Without row 7 its column is zero, and nothing penalises the column's weights; a
    # soft optimum exists because the row's label is not certain: weight by two rows.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    X = np.column_stack([X, np.zeros(60)])
    y = rng.integers(3, size=60)
    X[[7, 8, 9], -1] = 1.0
    X[[8, 9]] = X[7]  # one point of all three classes: its optimum is finite
    y[[7, 8, 9]] = [0, 1, 2]
    model = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-10)
    ranker = InfluenceRanker(model, method="newton")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ranker.fit(X, y)
    # Each of the three can leave as far as one Newton step sees: nothing is NaN.
    assert not any("leverage" in str(w.message) for w in caught)
    assert np.all(np.isfinite(ranker.loo_decision_function_))


@pytest.mark.parametrize("model", [LinearRegression(), LogisticRegression(), Ridge()])
def test_rows_of_weight_zero_are_all_zero(model):
    y = Y if isinstance(model, LogisticRegression) else X[:, 0] * 2.0
    weight = np.ones(150)
    weight[[2, 90]] = 0.0
    for method in ("influence", "newton", "grad_dot"):
        ranker = InfluenceRanker(model, method=method).fit(X, y, sample_weight=weight)
        assert np.all(ranker.influence(X, y)[:, [2, 90]] == 0.0)
        assert np.all(ranker.self_influence_[[2, 90]] == 0.0)
        assert np.all(ranker.leverage_[[2, 90]] == 0.0)
        if method != "grad_dot":
            assert np.all(ranker.parameter_influence([2, 90]) == 0.0)


# -- stationarity


def test_a_head_far_from_its_optimum_is_polished_and_warned_about():
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1))
    with pytest.warns(ConvergenceWarning, match="far from the optimum"):
        ranker = InfluenceRanker(model).fit(X, Y)
    tight = clone(model).set_params(
        logisticregression__max_iter=1000, logisticregression__tol=1e-12
    )
    truth = InfluenceRanker(tight).fit(X, Y)
    assert ranker.stationarity_gap_ > 0.1
    assert truth.stationarity_gap_ < 1e-4
    # The last factor may be one of a head whose predictions moved by 1e-7 since.
    assert_allclose(ranker.self_influence_, truth.self_influence_, rtol=1e-6)
    # predict is the estimator's own, unpolished.
    assert_allclose(ranker.decision_function(X), ranker.estimator_.decision_function(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_gap_is_the_largest_change_of_a_training_prediction():
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2))
    ranker = InfluenceRanker(model).fit(X, Y)
    Z = ranker.estimator_[0].transform(X)
    polished = Z @ ranker.head_.coef.T + ranker.head_.intercept
    moved = np.abs(polished - ranker.decision_function(X)).max()
    assert ranker.stationarity_gap_ == pytest.approx(moved, rel=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_refit_head_false_reads_the_head_as_it_is():
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2))
    ranker = InfluenceRanker(model, refit_head=False).fit(X, Y)
    fitted = ranker.estimator_[-1]
    assert_allclose(ranker.head_.coef, fitted.coef_, rtol=0)
    assert ranker.stationarity_gap_ > 1e-3
    # By hand: g_j^T H^+ g_i at the parameters that the estimator found.
    Z = np.column_stack([ranker.estimator_[0].transform(X), np.ones(150)])
    P = fitted.predict_proba(Z[:, :-1])
    G = np.einsum("ik,iq->ikq", P - np.eye(3)[Y], Z).reshape(150, -1)
    S = -P[:, :, None] * P[:, None, :] + P[:, :, None] * np.eye(3)
    H = np.einsum("ikm,iq,ir->kqmr", S, Z, Z).reshape(15, 15)
    H = H + np.kron(np.eye(3), np.diag([1.0] * 4 + [0.0]))
    truth = np.einsum("ip,pq,iq->i", G, np.linalg.pinv(H, rcond=1e-10), G)
    assert_allclose(ranker.self_influence_, truth, rtol=1e-8)


def test_a_quiet_fit_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        InfluenceRanker(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, Y)
        InfluenceRanker(Ridge()).fit(X, X[:, 0] * 1.5)


# -- the model inside


def test_a_frozen_model_is_read_and_never_changed():
    model = LogisticRegression(max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y)
        before = pickle.dumps(model)
        for refine in (None, 1e-6):
            ranker = InfluenceRanker(
                FrozenEstimator(model), method="newton", refine=refine
            ).fit(X, Y)
            ranker.influence(X, Y)
    assert pickle.dumps(model) == before
    assert np.array_equal(ranker.predict(X), model.predict(X))


def test_fit_changes_neither_parameters_nor_data():
    data = X.copy()
    estimator, solver = LogisticRegression(max_iter=500), ConjugateGradient(tol=1e-6)
    ranker = InfluenceRanker(estimator, solver=solver).fit(data, Y)
    assert ranker.estimator is estimator
    assert not hasattr(estimator, "coef_")
    assert ranker.solver is solver
    assert ranker.solver.tol == 1e-6
    assert np.array_equal(data, X)


def test_a_second_fit_forgets_the_first():
    ranker = InfluenceRanker(Ridge()).fit(X, X[:, 0])
    assert not hasattr(ranker, "classes_")
    ranker.set_params(estimator=None).fit(X[:, :2], NAMES)
    assert ranker.n_features_in_ == 2
    assert list(ranker.classes_) == sorted(set(NAMES))
    ranker.set_params(estimator=Ridge()).fit(X[:50], X[:50, 0])
    assert not hasattr(ranker, "classes_")
    assert ranker.self_influence_.shape == (50,)


def test_the_default_estimator_follows_the_target():
    assert isinstance(InfluenceRanker().fit(X, Y).estimator_, LogisticRegression)
    assert isinstance(InfluenceRanker().fit(X, X[:, 0]).estimator_, Ridge)


def test_string_labels_are_the_same_as_codes():
    truth = InfluenceRanker(method="newton").fit(X, Y)
    ours = InfluenceRanker(method="newton").fit(X, NAMES)
    assert_allclose(ours.influence(X, NAMES), truth.influence(X, Y), rtol=1e-10)
    # y as objects, as a list and as a column are labels too.
    for labels in (NAMES.astype(object), NAMES.tolist()):
        again = InfluenceRanker(method="newton").fit(X, labels)
        assert_allclose(again.self_influence_, ours.self_influence_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "model",
    [
        SGDClassifier("log_loss", max_iter=5, tol=None),
        make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=5)),
    ],
    ids=["sgd", "mlp"],
)
def test_random_state_seeds_the_estimator(model):
    def fit(seed):
        ranker = InfluenceRanker(model, random_state=seed, refit_head=False)
        return ranker.fit(X, Y).self_influence_

    assert_allclose(fit(0), fit(0), rtol=0)
    assert not np.allclose(fit(0), fit(1))


# -- what the solver tells


@pytest.mark.parametrize("solver", ["auto", "cholesky", "cg", Cholesky()])
def test_solver_info_is_whole_and_true(solver):
    ranker = InfluenceRanker(solver=solver, damping=0.01).fit(X, Y)
    info = ranker.solver_info_
    assert set(info) >= {
        "solver",
        "n_parameters",
        "damping",
        "damping_in_force",
        "residual",
        "smallest_eigenvalue",
        "largest_eigenvalue",
        "condition_number",
    }
    assert info["n_parameters"] == 15
    assert info["damping"] == 0.01
    assert info["damping_in_force"] == pytest.approx(1.5)
    assert np.max(info["residual"]) < 1e-8
    values = np.linalg.eigvalsh(ranker.reading_.fitted.operator.dense())
    # The tolerances of the two kinds of estimate: tests/curvature/test_solvers.py.
    close = 0.25 if solver == "cg" else 0.1
    assert info["largest_eigenvalue"] == pytest.approx(values[-1], rel=close)
    ratio = info["largest_eigenvalue"] / info["smallest_eigenvalue"]
    assert info["condition_number"] == pytest.approx(ratio)


# -- manners of scikit-learn


def test_pickle_and_clone():
    ranker = InfluenceRanker(
        make_pipeline(StandardScaler(), LogisticRegression()),
        method="newton",
        refine=1e-3,
    ).fit(X, NAMES)
    again = pickle.loads(pickle.dumps(ranker))
    assert np.array_equal(again.influence(X, NAMES), ranker.influence(X, NAMES))
    assert np.array_equal(again.loo_proba_, ranker.loo_proba_)
    fresh = clone(ranker)
    assert not hasattr(fresh, "estimator_")
    assert fresh.get_params()["refine"] == 1e-3


def test_nested_parameters_are_reached():
    ranker = InfluenceRanker(LogisticRegression(), solver=ConjugateGradient())
    ranker.set_params(solver__tol=1e-4, estimator__C=7.0, damping=0.5)
    assert ranker.solver.tol == 1e-4
    assert ranker.estimator.C == 7.0
    assert ranker.get_params()["solver__tol"] == 1e-4
    scores = {}
    for prefix, step in {
        "influenceranker__estimator": InfluenceRanker(LogisticRegression()),
        "logisticregression": LogisticRegression(),
    }.items():
        model = make_pipeline(StandardScaler(), step)
        search = GridSearchCV(
            model, {f"{prefix}__C": [1e-3, 0.1, 1.0]}, cv=StratifiedKFold(3)
        )
        scores[prefix] = search.fit(X, Y).cv_results_["mean_test_score"]
    ours, truth = scores.values()
    assert_allclose(ours, truth)
    assert len(set(truth)) > 1


def test_metadata_routing():
    weight = np.random.default_rng(0).uniform(0.1, 2, 150)
    truth = InfluenceRanker(LogisticRegression()).fit(X, Y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True)
        ranker = InfluenceRanker(estimator).set_fit_request(sample_weight=True)
        step = make_pipeline(ranker).fit(X, Y, sample_weight=weight)[-1]
        assert_allclose(step.self_influence_, truth.self_influence_)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        ranker = InfluenceRanker(make_pipeline(scaler, estimator))
        routed = ranker.fit(X, Y, sample_weight=weight).self_influence_
    model = make_pipeline(StandardScaler(), LogisticRegression())
    plain = InfluenceRanker(model).fit(X, Y, sample_weight=weight)
    assert_allclose(routed, plain.self_influence_)


def test_pandas_in_and_out():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(150)[::-1])
    truth = InfluenceRanker().fit(X, Y)
    ranker = InfluenceRanker().set_output(transform="pandas")
    ranker.fit(frame, pd.Series(NAMES, index=frame.index))
    assert list(ranker.feature_names_in_) == list("abcd")
    out = ranker.transform(frame[:7])
    assert list(out.index) == list(frame.index[:7])
    names = ranker.get_feature_names_out()
    assert list(out.columns) == list(names)
    assert names[3] == "influenceranker3"
    # A frame holds its columns one after another, an array its rows: the same sums are
    # added up in another order. An influence is a product that cancels, so rounding
    # is a share of the largest, not of each.
    influence = truth.influence(X)
    close = {"rtol": 0.0, "atol": 1e-10 * np.abs(influence).max()}
    assert_allclose(out.to_numpy(), influence[:7], **close)
    with config_context(working_memory=0.01):  # blocks of frames too
        assert_allclose(ranker.influence(frame), influence, **close)


def test_text_through_a_vectorizer():
    good = ["a fine day", "fine weather", "what a fine time", "good fine food"]
    bad = ["an awful day", "awful weather", "what an awful time", "bad awful food"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10.0))
    ranker = InfluenceRanker(model, method="newton")
    ranker.fit(good + bad, ["good"] * 4 + ["bad"] * 4)
    assert ranker.predict(["fine"])[0] == "good"
    with config_context(working_memory=1e-4):
        influence, index = ranker.proponents(["fine fine", "awful"], n=2)
    assert set(index[0]) <= {0, 1, 2, 3}
    assert set(index[1]) <= {4, 5, 6, 7}
    assert np.all(influence > 0)
    assert ranker.transform(["fine", "awful"]).shape == (2, 8)


def test_the_wrapped_models_own_answers():
    ranker = InfluenceRanker(LogisticRegression(max_iter=500)).fit(X, NAMES)
    model = ranker.estimator_
    assert np.array_equal(ranker.predict(X), model.predict(X))
    assert np.array_equal(ranker.predict_proba(X), model.predict_proba(X))
    assert np.array_equal(ranker.decision_function(X), model.decision_function(X))
    weight = np.arange(150.0)
    assert ranker.score(X, NAMES) == model.score(X, NAMES)
    ours = ranker.score(X, NAMES, sample_weight=weight)
    assert ours == model.score(X, NAMES, sample_weight=weight)
    regression = InfluenceRanker(Ridge()).fit(X, X[:, 0])
    assert not hasattr(regression, "predict_proba")


def test_no_queries_give_no_rows():
    ranker = InfluenceRanker(Ridge()).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="0 sample"):
        ranker.influence(X[:0])


# -- signs, on a case small enough to see


def test_a_copy_of_the_query_is_its_proponent_and_the_flipped_copy_its_opponent():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 2))
    y = (rows[:, 0] > 0).astype(int)
    query = np.array([[0.3, 0.1]])
    rows = np.vstack([rows, query, query])
    y = np.append(y, [1, 0])
    for method in ("influence", "newton", "grad_dot"):
        ranker = InfluenceRanker(method=method).fit(rows, y)
        influence = ranker.influence(query, [1])[0]
        assert influence[80] > 0 > influence[81]
        assert ranker.opponents(query, [1], n=1)[1][0, 0] == 81


def test_regression_without_y_is_positive_where_a_row_pushes_up():
    x = np.linspace(0, 1, 21)[:, None]
    y = np.zeros(21)
    y[20] = 5.0
    for method in ("influence", "newton"):
        ranker = InfluenceRanker(Ridge(alpha=1e-3), method=method).fit(x, y)
        assert ranker.influence(x[-1:])[0, 20] > 0
