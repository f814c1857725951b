"""LeaveOneOutSearch: scikit-learn's RidgeCV, its LeaveOneOut and its GridSearchCV."""

import pickle
import time
import warnings
from itertools import chain as chained

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
)
from sklearn.metrics import get_scorer, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, LeaveOneOut, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.heads import linear_head
from sklinfluence.model_selection import LeaveOneOutSearch
from sklinfluence.model_selection._chains import make_chains, split_chains

ALPHAS = np.logspace(-4, 2, 7)
CS = np.logspace(-3, 2, 6)
PATH = {"logisticregression__C": CS}


def logistic(**params):
    # Exact fits: what is measured is the leave-one-out step, not the fit's tolerance.
    params = {"tol": 1e-10, "max_iter": 5000} | params
    return make_pipeline(StandardScaler(), LogisticRegression(**params))


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return X[::2], y[::2]


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:150, :10], y[:150]


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def same_scores(a, b, tol):
    a, b = a.cv_results_, b.cv_results_
    np.testing.assert_allclose(a["mean_test_score"], b["mean_test_score"], rtol=tol)
    np.testing.assert_array_equal(a["rank_test_score"], b["rank_test_score"])


# Chains ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "name", "strongest_first"),
    [
        (LogisticRegression(), "C", [0.1, 1.0, 10.0]),
        (logistic(), "logisticregression__C", [0.1, 1.0, 10.0]),
        (Ridge(), "alpha", [10.0, 1.0, 0.1]),
        (make_pipeline(StandardScaler(), Ridge()), "ridge__alpha", [10.0, 1.0, 0.1]),
        (SGDClassifier("log_loss"), "alpha", [10.0, 1.0, 0.1]),
    ],
)
def test_candidates_that_share_all_but_the_penalty_are_one_chain(
    model, name, strongest_first
):
    """From the strongest on, where a fit is quickest; another parameter, another."""
    other = name.replace("alpha", "fit_intercept").replace("C", "fit_intercept")
    grid = [{name: c, other: v} for c in (1.0, 10.0, 0.1) for v in (True, False)]
    chains = make_chains(model, grid)
    assert [[c.params[name] for c in chain] for chain in chains] == [
        strongest_first,
        strongest_first,
    ]
    assert {chain[0].params[other] for chain in chains} == {True, False}
    for chain in chains:
        assert len({c.params[other] for c in chain}) == 1
        assert all(grid[c.index] == c.params for c in chain)
    for n_parts in (1, 2, 4, 20):
        pieces = split_chains(chains, n_parts)
        assert list(chained.from_iterable(pieces)) == list(
            chained.from_iterable(chains)
        )
        assert all(pieces) and len(pieces) == min(max(2, 2 * (n_parts // 2)), 6)


def test_candidates_of_an_l1_penalty_are_each_a_chain():
    model = LogisticRegression(l1_ratio=1.0, solver="saga")
    chains = make_chains(model, [{"C": c} for c in (1.0, 10.0)])
    assert [[c.params["C"] for c in chain] for chain in chains] == [[1.0], [10.0]]


# Ridge -------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_ridge_scores_are_those_of_ridge_cv(diabetes, fit_intercept):
    X, y = diabetes
    ours = LeaveOneOutSearch(Ridge(fit_intercept=fit_intercept), {"alpha": ALPHAS})
    ours.fit(X, y)
    theirs = RidgeCV(ALPHAS, store_cv_results=True, fit_intercept=fit_intercept)
    theirs.fit(X, y)
    expected = -theirs.cv_results_.mean(axis=0)
    # Both closed forms are exact; rounding of two routes at condition number 1e5.
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], expected, rtol=1e-9)
    assert ours.best_params_["alpha"] == theirs.alpha_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)


def test_ridge_of_several_targets_and_r2(diabetes):
    X, y = diabetes
    Y = np.column_stack([y, X[:, 2] * 50 + np.arange(len(y)) % 7])
    search = LeaveOneOutSearch(Ridge(), {"alpha": ALPHAS}, scoring="r2").fit(X, Y)
    theirs = RidgeCV(ALPHAS, scoring="r2").fit(X, Y)
    assert search.best_params_["alpha"] == theirs.alpha_
    # Closed forms both: rounding.
    assert search.best_score_ == pytest.approx(theirs.best_score_, rel=1e-9)


def test_ridge_classifier_by_brute_force(wine):
    X, y = wine
    model = make_pipeline(MinMaxScaler(), RidgeClassifier())
    # The scaler is fitted once, on all rows: so it is for the oracle.
    search = LeaveOneOutSearch(
        model, {"ridgeclassifier__alpha": [0.1, 1.0, 100.0]}, scoring="accuracy"
    ).fit(X, y)
    Z = MinMaxScaler().fit_transform(X)
    expected = [
        np.mean(cross_val_predict(RidgeClassifier(a), Z, y, cv=LeaveOneOut()) == y)
        for a in [0.1, 1.0, 100.0]
    ]
    # Least squares leaves out exactly: the same labels, row by row.
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected)


def test_weights_are_those_of_the_brute_force(diabetes):
    X, y = diabetes[0][:60], diabetes[1][:60]
    weight = np.random.RandomState(0).randint(0, 4, len(y)).astype(float)
    search = LeaveOneOutSearch(Ridge(), {"alpha": [0.01, 1.0]})
    search.fit(X, y, sample_weight=weight)
    for alpha, score in zip(
        [0.01, 1.0], search.cv_results_["mean_test_score"], strict=True
    ):
        errors = []
        for i in range(len(y)):
            kept = np.arange(len(y)) != i
            model = Ridge(alpha).fit(X[kept], y[kept], weight[kept])
            errors.append((y[i] - model.predict(X[[i]])[0]) ** 2)
        # Exact for least squares: rounding.
        assert score == pytest.approx(-np.average(errors, weights=weight), rel=1e-9)
    expected = Ridge(**search.best_params_).fit(X, y, weight).predict(X)
    np.testing.assert_allclose(search.predict(X), expected, rtol=1e-9)


# Logistic regression -----------------------------------------------------------------


def brute_force(X, y, C):
    """Leave-one-out log-likelihood by a refit for every row, scaled once."""
    Z = StandardScaler().fit_transform(X)
    model = LogisticRegression(C=C, tol=1e-10, max_iter=5000)
    proba = cross_val_predict(model, Z, y, cv=LeaveOneOut(), method="predict_proba")
    return -log_loss(y, proba)


# Measured: the one-step error is below 0.05 % of the risk two decades of C under the
# best and below 0.8 % at the best; it grows with the leverages as the penalty fades
# (2.5 % to 9 % a decade above, 6 % to 22 % two decades above).
@pytest.mark.parametrize("name", ["wine", "cancer"])
def test_logistic_scores_by_brute_force(name, request):
    X, y = request.getfixturevalue(name)
    search = LeaveOneOutSearch(logistic(), PATH).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    expected = np.array([brute_force(X, y, C) for C in CS])
    assert search.best_index_ == np.argmax(expected)
    strong = slice(0, search.best_index_ + 1)
    np.testing.assert_allclose(scores[strong], expected[strong], rtol=0.01)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_neighbours_score_as_fits_from_scratch(wine, class_weight):
    X, y = wine
    weight = np.linspace(0.5, 2.0, len(y))
    model = logistic(class_weight=class_weight)
    search = LeaveOneOutSearch(model, PATH).fit(X, y, sample_weight=weight)
    for C, score in zip(CS, search.cv_results_["mean_test_score"], strict=True):
        alone = clone(model).set_params(logisticregression__C=C)
        ranker = InfluenceRanker(alone).fit(X, y, sample_weight=weight)
        expected = -log_loss(y, ranker.loo_proba_, sample_weight=weight)
        # Newton's method keeps a factor that is stale by 1e-7, from either start.
        assert score == pytest.approx(expected, rel=1e-6)


def test_sgd_neighbours_score_as_fits_from_scratch(wine):
    X, y = wine
    model = make_pipeline(
        StandardScaler(),
        SGDClassifier(loss="log_loss", random_state=0, max_iter=20000, tol=1e-7),
    )
    alphas = [1e-3, 1e-2, 1e-1]
    search = LeaveOneOutSearch(model, {"sgdclassifier__alpha": alphas}).fit(X, y)
    for alpha, score in zip(alphas, search.cv_results_["mean_test_score"], strict=True):
        alone = clone(model).set_params(sgdclassifier__alpha=alpha)
        ranker = InfluenceRanker(alone).fit(X, y)
        # As above.
        assert score == pytest.approx(-log_loss(y, ranker.loo_proba_), rel=1e-6)


def test_l1_candidates_are_fitted_each(cancer):
    X, y = StandardScaler().fit_transform(cancer[0]), cancer[1]
    model = LogisticRegression(
        l1_ratio=1.0, solver="saga", tol=1e-9, max_iter=20000, random_state=0
    )
    grid = {"C": [0.1, 1.0]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = LeaveOneOutSearch(model, grid).fit(X, y)
        for C, score in zip(
            [0.1, 1.0], search.cv_results_["mean_test_score"], strict=True
        ):
            ranker = InfluenceRanker(clone(model).set_params(C=C)).fit(X, y)
            # The same computation twice.
            assert score == pytest.approx(-log_loss(y, ranker.loo_proba_), rel=1e-10)


def test_lasso_and_network_are_searched_too(diabetes, wine):
    X, y = diabetes
    search = LeaveOneOutSearch(Lasso(), {"alpha": [0.1, 1.0]}).fit(X, y)
    assert search.best_params_ == {"alpha": 0.1}
    X, y = StandardScaler().fit_transform(wine[0]), wine[1]
    net = MLPClassifier((5,), solver="lbfgs", max_iter=2000, random_state=0)
    search = LeaveOneOutSearch(net, {"alpha": [0.1, 10.0]}, scoring="accuracy")
    assert 0.5 < search.fit(X, y).best_score_ <= 1.0


# The face of GridSearchCV ------------------------------------------------------------


def test_results_have_the_keys_of_grid_search_with_one_split(cancer):
    X, y = cancer
    split = [(np.arange(len(y)), np.arange(len(y)))]
    ours = LeaveOneOutSearch(logistic(), PATH).fit(X, y)
    theirs = GridSearchCV(logistic(), PATH, scoring="neg_log_loss", cv=split).fit(X, y)
    assert set(ours.cv_results_) - set(theirs.cv_results_) == {"n_left_out"}
    assert set(theirs.cv_results_) <= set(ours.cv_results_)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert np.all(ours.cv_results_["n_left_out"] == len(y))
    for key, value in theirs.cv_results_.items():
        assert type(ours.cv_results_[key]) is type(value)
    best = clone(logistic()).set_params(**ours.best_params_).fit(X, y)
    for method in (
        "predict",
        "predict_proba",
        "decision_function",
        "predict_log_proba",
    ):
        np.testing.assert_array_equal(
            getattr(ours, method)(X), getattr(best, method)(X)
        )
    np.testing.assert_array_equal(ours.classes_, [0, 1])
    assert ours.n_features_in_ == 10
    assert ours.score(X, y) == pytest.approx(-log_loss(y, best.predict_proba(X)))
    assert not hasattr(ours, "transform")
    assert ours.best_score_ == ours.cv_results_["mean_test_score"].max()


class Slow(Ridge):
    """Takes a twentieth of a second to fit."""

    def fit(self, X, y, sample_weight=None):
        time.sleep(0.05)
        return super().fit(X, y, sample_weight)


def test_times_are_those_that_a_clock_shows(diabetes):
    X, y = diabetes
    search = LeaveOneOutSearch(Slow(), {"alpha": [0.1, 1.0, 10.0]})
    start = time.perf_counter()
    search.fit(X, y)
    whole = time.perf_counter() - start
    assert 0.05 <= search.refit_time_ < whole
    # Candidates are not fitted by the estimator itself: a factor is all they take.
    spent = search.cv_results_["mean_fit_time"] + search.cv_results_["mean_score_time"]
    assert np.all(spent > 0) and spent.sum() + search.refit_time_ < whole


def test_several_estimators_and_a_list_of_grids(wine):
    X, y = wine
    pipe = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())])
    grid = [
        {
            "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
            "clf": [LogisticRegression(max_iter=10000)],
            "clf__C": [0.1, 1.0],
        },
        {"clf": [RidgeClassifier(), RidgeClassifier(class_weight="balanced")]},
        {"clf": [SGDClassifier(loss="log_loss", random_state=0)]},
    ]
    search = LeaveOneOutSearch(pipe, grid, scoring="balanced_accuracy").fit(X, y)
    assert len(search.cv_results_["params"]) == 9
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        alone = LeaveOneOutSearch(pipe, {k: [v] for k, v in params.items()})
        alone.set_params(scoring="balanced_accuracy", refit=False).fit(X, y)
        # Labels, which neighbours' different starts do not change.
        assert alone.best_score_ == pytest.approx(score, abs=1e-12)
    assert np.ma.count_masked(search.cv_results_["param_clf__C"]) == 3
    # What the user passed stays unfitted.
    assert not hasattr(grid[0]["clf"][0], "coef_")


def test_text_pipelines_sparse_and_string_labels():
    texts = ["good film", "great film", "bad film", "awful plot", "good plot", "bad"]
    y = np.array(["yes", "yes", "no", "no", "yes", "no"])
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    search = LeaveOneOutSearch(model, {"logisticregression__C": [0.1, 10.0]})
    assert list(search.fit(texts, y).predict(["good"])) == ["yes"]
    X = sparse.csr_matrix(TfidfVectorizer().fit_transform(texts))
    alone = LeaveOneOutSearch(LogisticRegression(), {"C": [0.1, 10.0]}).fit(X, y)
    same_scores(search, alone, 1e-12)


def test_multimetric_and_refit_by_name(wine):
    X, y = wine
    search = LeaveOneOutSearch(
        logistic(), PATH, scoring=["accuracy", "neg_log_loss"], refit="accuracy"
    ).fit(X, y)
    single = LeaveOneOutSearch(logistic(), PATH, scoring="accuracy").fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_accuracy"], single.cv_results_["mean_test_score"]
    )
    assert search.best_index_ == single.best_index_
    assert search.score(X, y) == single.score(X, y)
    with pytest.raises(ValueError, match="multi-metric"):
        LeaveOneOutSearch(logistic(), PATH, scoring=["accuracy"]).fit(X, y)
    free = LeaveOneOutSearch(logistic(), PATH, scoring=["accuracy"], refit=False)
    assert not hasattr(free.fit(X, y), "best_params_")


def test_callables_and_scorers(diabetes):
    X, y = diabetes

    def closeness(y_true, prediction):
        return -np.median(np.abs(y_true - prediction))

    grid = {"alpha": ALPHAS}
    named = LeaveOneOutSearch(Ridge(), grid, scoring="neg_median_absolute_error")
    named.fit(X, y)
    for scoring in (closeness, make_scorer(closeness)):
        search = LeaveOneOutSearch(Ridge(), grid, scoring=scoring).fit(X, y)
        same_scores(search, named, 1e-12)
    search = LeaveOneOutSearch(Ridge(), grid, scoring=closeness)
    # A score that takes no weights is not given any.
    search.fit(X, y, sample_weight=np.ones(len(y)))
    same_scores(search, named, 1e-12)


def test_refit_by_a_rule(wine):
    X, y = wine
    search = LeaveOneOutSearch(logistic(), PATH, refit=lambda results: 1).fit(X, y)
    assert search.best_params_ == {"logisticregression__C": CS[1]}


@pytest.mark.parametrize("n_jobs", [2])
def test_jobs_change_nothing(wine, n_jobs):
    X, y = wine
    serial = LeaveOneOutSearch(logistic(), PATH).fit(X, y)
    parallel = LeaveOneOutSearch(logistic(), PATH, n_jobs=n_jobs).fit(X, y)
    # A chain cut in two starts anew in the middle: Newton's tolerance, as above.
    same_scores(serial, parallel, 1e-6)


def test_pickles_and_has_a_head(cancer):
    X, y = cancer
    search = LeaveOneOutSearch(logistic(), PATH).fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    head = linear_head(search, y)
    np.testing.assert_array_equal(head.coef, search.best_estimator_[-1].coef_)
    ranker = InfluenceRanker(LeaveOneOutSearch(logistic(), PATH)).fit(X, y)
    assert ranker.estimator_.best_params_ == search.best_params_


# Rows and candidates that have no answer ---------------------------------------------


def test_rows_of_leverage_one_take_no_part():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(20, 3))
    X[:, 2] = np.arange(20) == 4  # only row 4 determines the last coefficient
    y = rng.normal(size=20)
    with pytest.warns(UserWarning, match=r"Row\(s\) 4 have leverage 1"):
        search = LeaveOneOutSearch(LinearRegression(), {"fit_intercept": [True]})
        search.fit(X, y)
    kept = np.arange(20) != 4
    expected = cross_val_predict(
        LinearRegression(), X[kept][:, :2], y[kept], cv=LeaveOneOut()
    )
    # Without row 4 its column is all zeros. Exact for least squares: rounding.
    assert search.best_score_ == pytest.approx(
        -np.mean((y[kept] - expected) ** 2), rel=1e-9
    )
    assert search.cv_results_["n_left_out"].tolist() == [19]


def test_candidates_without_an_optimum_rank_last():
    X = np.column_stack([np.arange(10.0), np.ones(10)])
    y = (X[:, 0] > 4.5).astype(int)  # separable
    grid = {"C": [1.0, np.inf]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.warns(FitFailedWarning, match="No unique optimum.*inf"):
            search = LeaveOneOutSearch(LogisticRegression(), grid).fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"][1])
    assert search.best_params_ == {"C": 1.0}


# Errors and warnings -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "scoring", "message"),
    [
        (LogisticRegression(), "adjusted_rand_score", "Known are 'accuracy'"),
        (LogisticRegression(), "r2", "does not suit a classifier.*'neg_log_loss'"),
        (Ridge(), "accuracy", "does not suit a regressor.*'r2'"),
        (RidgeClassifier(), "neg_log_loss", "least squares, which has no prob"),
        (LogisticRegression(), ["accuracy", print], "names"),
        (LogisticRegression(), {}, "empty"),
    ],
)
def test_scores_that_do_not_suit_are_named(estimator, scoring, message, cancer):
    X, y = cancer
    name = "C" if hasattr(estimator, "C") else "alpha"
    search = LeaveOneOutSearch(estimator, {name: [1.0]}, scoring=scoring, refit=False)
    with pytest.raises(ValueError, match=message):
        search.fit(X, y)


def test_estimators_without_a_head_are_named(wine):
    search = LeaveOneOutSearch(DecisionTreeClassifier(), {"max_depth": [1]})
    with pytest.raises(TypeError, match="No linear head is known for DecisionTree"):
        search.fit(*wine)
    with pytest.raises(ValueError, match="no candidate"):
        LeaveOneOutSearch(LogisticRegression(), []).fit(*wine)


def test_steps_that_read_y_are_named(wine):
    model = make_pipeline(StandardScaler(), SelectKBest(k=3), LogisticRegression())
    with pytest.warns(UserWarning, match="'selectkbest' read y"):
        LeaveOneOutSearch(model, {"logisticregression__C": [1.0]}).fit(*wine)


# Routing, callbacks, scikit-learn's checks -------------------------------------------


def test_metadata_routing(diabetes):
    X, y = diabetes
    weight = np.linspace(0.0, 3.0, len(y))
    plain = LeaveOneOutSearch(Ridge(), {"alpha": ALPHAS}, scoring="r2")
    plain.fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        scorer = get_scorer("r2").set_score_request(sample_weight=True)
        ridge = Ridge().set_fit_request(sample_weight=True)
        routed = LeaveOneOutSearch(ridge, {"alpha": ALPHAS}, scoring=scorer)
        routed.fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(
            routed.score(X, y, sample_weight=weight),
            get_scorer("r2")._score_func(y, plain.predict(X), sample_weight=weight),
        )
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, clone(routed))
        pipeline.fit(X, y, sample_weight=weight)
        fit_only = LeaveOneOutSearch(
            ridge,
            {"alpha": ALPHAS},
            scoring=get_scorer("r2").set_score_request(sample_weight=False),
        ).fit(X, y, sample_weight=weight)
    same_scores(routed, plain, 1e-12)
    assert not np.allclose(
        fit_only.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_progress_is_reported_to_callbacks(wine):
    callback = pytest.importorskip("sklearn.callback")
    if not hasattr(LeaveOneOutSearch, "set_callbacks"):
        pytest.skip("this scikit-learn's searches take no callbacks")
    assert callback is not None
    ticks = []

    class Listener:
        max_propagation_depth = 0

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            ticks.append(context.task_name)

    search = LeaveOneOutSearch(logistic(), PATH).set_callbacks(Listener())
    search.fit(*wine)
    # One for every candidate and one for the chain that holds them.
    assert ticks.count("score the candidates") == len(CS) + 1
    assert ticks.count("refit the best candidate") == 1


# A row leaves with all its weight, copies of it one by one.
WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "copies leave one by one",
    "check_sample_weight_equivalence_on_sparse_data": "copies leave one by one",
}


def expected_failures(search):
    is_logistic = isinstance(search.estimator, LogisticRegression)
    return {} if is_logistic else WEIGHTS


@parametrize_with_checks(
    [
        LeaveOneOutSearch(LogisticRegression(), {"C": [0.1, 1.0]}),
        LeaveOneOutSearch(Ridge(), {"alpha": [0.1, 1.0]}, scoring="r2"),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


def test_iris_end_to_end_with_a_table():
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True, as_frame=True)
    search = LeaveOneOutSearch(logistic(), PATH).fit(X, y)
    assert list(search.feature_names_in_) == list(X.columns)
    table = pd.DataFrame(search.cv_results_)
    assert len(table) == len(CS)


def test_a_fit_that_chooses_none_forgets_what_an_earlier_one_chose():
    X, y = load_iris(return_X_y=True)
    search = LeaveOneOutSearch(logistic(), PATH, refit="accuracy")
    search.set_params(scoring=["accuracy", "neg_log_loss"]).fit(X, y)
    chosen = ("best_index_", "best_params_", "best_score_")
    assert all(hasattr(search, name) for name in chosen)
    search.set_params(refit=False).fit(X, y)
    assert not any(hasattr(search, name) for name in chosen)
