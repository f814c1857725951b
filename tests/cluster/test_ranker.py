"""InfluenceRanker on a dask array: every public number is that of the same rows in
memory, to 1e-8 of the largest (sums over chunks differ by rounding alone)."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.curvature import Cholesky, ConjugateGradient
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import diagnostics, select_diverse
from tests.cluster.rows import assert_same, classes, values

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

pytestmark = pytest.mark.numeric

CHUNKS = (130, 4)


def on_chunks(X, y, chunks=CHUNKS):
    return da.from_array(X, chunks=chunks), da.from_array(y, chunks=chunks[0])


def both(estimator, X, y, sample_weight=None, chunks=CHUNKS, **parameters):
    """The ranker of rows in memory and the one of rows in chunks."""
    here = InfluenceRanker(estimator, **parameters).fit(X, y, sample_weight)
    lazy_weight = sample_weight
    if sample_weight is not None:
        lazy_weight = da.from_array(sample_weight, chunks=77)
    there = InfluenceRanker(estimator, **parameters)
    return here, there.fit(*on_chunks(X, y, chunks), lazy_weight)


def assert_alike(here, there, X, y, tol=1e-8):
    """All that is public of two rankers, fitted on these rows."""
    asked, targets = X[:7] + 0.1, y[:7]
    of_class = hasattr(here, "classes_")
    names = ["self_influence_", "leverage_"]
    names += ["loo_decision_function_" if of_class else "loo_prediction_"]
    if of_class and not here.reading_.fitted.objective.loss.is_quadratic:
        names += ["loo_proba_"]
    lazy = dask.compute(*(getattr(there, name) for name in names))
    for found, name in zip(lazy, names, strict=True):
        assert_same(found, getattr(here, name), tol)
    assert_same(there.ranking_, here.ranking_, 0)
    np.testing.assert_allclose(there.loo_score_, here.loo_score_, rtol=tol)
    assert_same(there.head_.coef, here.head_.coef, tol)
    assert_same(there.influence(asked, targets), here.influence(asked, targets), tol)
    found = there.mean_influence(asked, targets)
    assert_same(found, here.mean_influence(asked, targets), tol)
    scores = here.score_samples(asked, targets)
    assert_same(there.score_samples(asked, targets), scores, tol)
    scores = there.score_samples(*on_chunks(asked, targets, (3, 4)))
    assert_same(scores, here.score_samples(asked, targets), tol)
    for strongest in ("proponents", "opponents"):
        found = getattr(there, strongest)(asked, targets, n=4)
        truth = getattr(here, strongest)(asked, targets, n=4)
        assert_same(found[0], truth[0], tol)
        assert found[1].tolist() == truth[1].tolist()
    if len(here.head_.coef) == 1 or of_class:
        there.n_influences = here.n_influences = 9
        assert_same(
            there.transform(asked).toarray(), here.transform(asked).toarray(), tol
        )
        there.n_influences = here.n_influences = None
        assert_same(there.influence(asked), here.influence(asked), tol)
    assert there.solver_info_.keys() == here.solver_info_.keys()


MODELS = {
    "softmax": (LogisticRegression(), lambda y: y),
    "balanced": (LogisticRegression(C=10, class_weight="balanced"), lambda y: y),
    "binary": (LogisticRegression(), lambda y: y > 0),
    "bare": (LogisticRegression(fit_intercept=False), lambda y: y),
    "texts": (LogisticRegression(), lambda y: np.array(["a", "b", "c"])[y]),
    "weights": (
        LogisticRegression(class_weight={0: 1.0, 1: 3.0, 2: 0.5}),
        lambda y: y,
    ),
    "ridge classes": (RidgeClassifier(class_weight="balanced"), lambda y: y),
    "ridge binary": (RidgeClassifier(), lambda y: y > 0),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("is_frozen", [True, False])
def test_classifiers(name, is_frozen):
    model, coded = MODELS[name]
    X, y = classes()
    y = coded(y)
    if is_frozen:
        model = FrozenEstimator(clone(model).fit(X, y))
    here, there = both(model, X, y)
    assert_alike(here, there, X, y)
    assert there.estimator_.get_params().keys() == here.estimator_.get_params().keys()
    assert there.classes_.tolist() == here.classes_.tolist()
    np.testing.assert_array_equal(there.predict(X), here.predict(X))
    if is_frozen:  # there is no estimator's own optimum to be far from else
        gap = here.stationarity_gap_
        # Of least squares both are rounding.
        np.testing.assert_allclose(there.stationarity_gap_, gap, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [Ridge(2.0), Ridge(fit_intercept=False), LinearRegression(), Ridge([1.0, 3.0])],
    ids=str,
)
@pytest.mark.parametrize("is_frozen", [True, False])
def test_regressors(model, is_frozen):
    X, y = values()
    if np.ndim(getattr(model, "alpha", 0)):
        y = np.column_stack([y, np.sin(y)])
    if is_frozen:
        model = FrozenEstimator(clone(model).fit(X, y))
    here, there = both(model, X, y)
    if y.ndim == 1:
        assert_alike(here, there, X, y)
    else:
        assert_same(there.self_influence_, here.self_influence_)
        assert_same(there.influence(X[:5], y[:5]), here.influence(X[:5], y[:5]))
    assert_same(there.estimator_.coef_, here.estimator_.coef_)
    assert_same(there.estimator_.intercept_, here.estimator_.intercept_)


@pytest.mark.parametrize(
    "parameters",
    [
        {"refit_head": False},
        {"method": "newton"},
        {"method": "grad_dot"},
        {"normalize": "theta"},
        {"normalize": "loss"},
        {"normalize": "gradient", "method": "newton"},
        {"normalize": "cosine"},
        {"damping": 0.1},
        {"solver": "ekfac"},
        {"solver": "ekfac", "method": "newton"},
        {"solver": "ekfac", "normalize": "theta"},
        {"solver": "nystrom"},
        {"solver": ConjugateGradient(tol=1e-12, rows="preconditioner")},
        {"solver": ConjugateGradient(tol=1e-12, rows="ekfac")},
    ],
    ids=str,
)
def test_parameters(parameters):
    X, y = classes()
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    assert_alike(*both(model, X, y, **parameters), X, y)


def test_sample_weights():
    X, y = classes()
    weight = np.random.default_rng(1).uniform(0, 2, len(y))
    weight[130:260] = 0.0  # a whole chunk
    for class_weight in (None, "balanced"):
        model = LogisticRegression(class_weight=class_weight)
        model = FrozenEstimator(model.fit(X, y, weight))
        here, there = both(model, X, y, weight)
        assert_alike(here, there, X, y)
        here, there = both(clone(model.estimator), X, y, weight)
        assert_alike(here, there, X, y)


@pytest.mark.parametrize("wrap", ["pipeline", "search", "search of a pipeline", "cv"])
def test_what_is_around_a_head(wrap):
    X, y = classes()
    X = 3.0 * X + 5.0
    model = LogisticRegression(class_weight="balanced")
    if wrap == "cv":
        model = LogisticRegressionCV(
            Cs=3, use_legacy_attributes=False, l1_ratios=(0.0,), scoring="accuracy"
        )
    if "pipeline" in wrap:
        model = make_pipeline(StandardScaler(), model)
    if "search" in wrap:
        name = "logisticregression__C" if "pipeline" in wrap else "C"
        model = GridSearchCV(model, {name: [0.1, 1.0]}, cv=3)
    here, there = both(FrozenEstimator(model.fit(X, y)), X, y)
    assert_alike(here, there, X, y)


def test_the_default_estimator_goes_by_the_targets():
    X, y = classes()
    assert isinstance(both(None, X, y)[1].estimator_, LogisticRegression)
    X, y = values()
    assert isinstance(both(None, X, y)[1].estimator_, Ridge)


def test_mean_influence_over_queries_in_chunks():
    X, y = classes()
    here, there = both(FrozenEstimator(LogisticRegression(C=0.1).fit(X, y)), X, y)
    truth = here.mean_influence(X[:300], y[:300])
    lazy = on_chunks(X[:300], y[:300], (70, 6))
    assert_same(there.mean_influence(*lazy), truth)
    assert_same(here.mean_influence(*lazy), truth)  # trained in memory, asked by chunks
    assert_same(here.score_samples(*lazy), here.score_samples(X[:300], y[:300]))
    assert_same(there.score_samples(lazy[0]), here.score_samples(X[:300]))


def test_single_precision_is_kept():
    X, y = classes()
    X = X.astype(np.float32)
    here, there = both(FrozenEstimator(LogisticRegression().fit(X, y)), X, y)
    assert there.self_influence_.dtype == np.float32
    assert_alike(here, there, X, y, tol=1e-6)


def test_sparse_chunks():
    X, y = classes()
    X[np.abs(X) < 1] = 0.0
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    here = InfluenceRanker(model).fit(sparse.csr_matrix(X), y)
    for kind in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        lazy, targets = on_chunks(X, y, (130, 6))
        lazy = lazy.map_blocks(kind, dtype=float, meta=sparse.csr_matrix((0, 0)))
        there = InfluenceRanker(model).fit(lazy, targets)
        assert_same(there.self_influence_, here.self_influence_)


def test_a_row_of_leverage_one_is_nan():
    X, y = values()
    X[:, 5] = 0.0
    X[271, 5] = 1.0  # no other row sees this column, and nothing penalises it
    weight = np.linspace(1, 2, len(y))
    model = FrozenEstimator(LinearRegression().fit(X, y, weight))
    with pytest.warns(UserWarning, match="leverage 1"):
        here = InfluenceRanker(model, method="newton").fit(X, y, weight)
    lazy = (*on_chunks(X, y), da.from_array(weight))
    there = InfluenceRanker(model, method="newton").fit(*lazy)
    assert np.flatnonzero(np.isnan(there.loo_prediction_.compute())).tolist() == [271]
    assert_same(there.loo_prediction_, here.loo_prediction_)
    np.testing.assert_allclose(there.loo_score_, here.loo_score_, rtol=1e-8)
    assert there.ranking_.compute()[271] == 1


def test_chunks_of_one_class_and_without_rows():
    X, y = classes()
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    model = FrozenEstimator(LogisticRegression(class_weight="balanced").fit(X, y))
    here = InfluenceRanker(model).fit(X, y)
    chunks = ((50, 0, 150, 0, 300), (6,))
    lazy, targets = da.from_array(X, chunks=chunks), da.from_array(y, chunks=50)
    there = InfluenceRanker(model).fit(lazy, targets)
    assert 0 in there.self_influence_.chunks[0]
    assert_alike(here, there, X, y)


def test_answers_are_lazy_in_the_chunks_of_the_rows():
    X, y = classes()
    there = both(FrozenEstimator(LogisticRegression().fit(X, y)), X, y)[1]
    rows = (130, 130, 130, 110)

    def computed(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=computed):
        lazy = {
            "self_influence_": (rows,),
            "leverage_": (rows,),
            "loo_decision_function_": (rows, (3,)),
            "loo_proba_": (rows, (3,)),
        }
        for name, chunks in lazy.items():
            assert getattr(there, name).chunks == chunks
        assert there.influence(X[:5], y[:5]).chunks == ((5,), rows)
        assert there.mean_influence(X[:5], y[:5]).chunks == (rows,)
        asked = on_chunks(X[:50], y[:50], (20, 6))
        assert there.score_samples(*asked).chunks == ((20, 20, 10),)
    assert there.ranking_.chunks == (rows,)


def test_ranks_that_would_fill_the_memory_point_to_the_strongest(monkeypatch):
    X, y = classes()
    there = both(FrozenEstimator(LogisticRegression().fit(X, y)), X, y)[1]
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 7000}.get)
    with pytest.raises(MemoryError, match=r"Ranks of 500 rows.*proponents.*topk"):
        there.ranking_  # noqa: B018


def test_answers_asked_for_together_are_one_pass(monkeypatch):
    X, y = classes()
    there = both(FrozenEstimator(LogisticRegression().fit(X, y)), X, y)[1]
    lazy = (there.self_influence_, there.leverage_, there.loo_proba_)
    from sklinfluence._distributed import _leaves

    read, before = [], _leaves.MapLeaf.__call__
    monkeypatch.setattr(
        _leaves.MapLeaf, "__call__", lambda *a: (read.append(1), before(*a))[1]
    )
    dask.compute(*lazy, scheduler="sync")
    assert len(read) == 4  # as there are chunks


def test_what_needs_all_rows_is_refused_by_name():
    X, y = classes()
    there = both(FrozenEstimator(LogisticRegression().fit(X, y)), X, y)[1]
    refused = {
        "group_influence": lambda: there.group_influence([[0, 1]], X[:3], y[:3]),
        "damping_path": lambda: there.damping_path([0.1], X[:3], y[:3]),
        "parameter_influence": lambda: there.parameter_influence(0),
        "raw_change": lambda: there.raw_change(X[:3]),
        "candidates": lambda: there.influence(X[:3], y[:3], candidates=4),
        "most_damaging": lambda: there.most_damaging(X[:3]),
        "certify": lambda: there.certify(0, X[:3], y[:3]),
        "loo_error_bound_": lambda: there.loo_error_bound_,
        "margin": lambda: there.label_scores("margin"),
    }
    for name, ask in refused.items():
        with pytest.raises(ValueError, match=f"{name}.*InfluenceRanker.*dask array"):
            ask()
    pytest.importorskip("pandas")
    for ask in (diagnostics, lambda ranker: select_diverse(ranker, n=3)):
        with pytest.raises(ValueError, match=r"in memory.*dask array"):
            ask(there)


def test_parameters_that_need_all_rows_are_refused_by_name():
    X, y = classes()
    lazy = on_chunks(X, y)
    for parameters, match in (
        ({"refine": 0.1}, "refine=0.1"),
        ({"memory": "cache"}, "memory=None"),
        ({"solver": "cg", "method": "newton"}, "method='newton'"),
    ):
        with pytest.raises(ValueError, match=match):
            InfluenceRanker(LogisticRegression(), **parameters).fit(*lazy)
    there = InfluenceRanker(LogisticRegression(), solver="cg").fit(*lazy)
    with pytest.raises(ValueError, match=r"rows='preconditioner'"):
        there.self_influence_  # noqa: B018
    here = InfluenceRanker(LogisticRegression(), solver="cg").fit(X, y)
    assert_same(there.influence(X[:5], y[:5]), here.influence(X[:5], y[:5]), 1e-6)


@pytest.mark.parametrize(
    "model",
    [
        SGDClassifier(loss="log_loss"),
        MLPClassifier((3,), max_iter=5),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}),
    ],
    ids=str,
)
def test_other_estimators_are_refused_by_name(model):
    X, y = classes()
    name = type(model).__name__
    with pytest.raises(TypeError, match=f"{name}.*FrozenEstimator.*LogisticRegression"):
        InfluenceRanker(model).fit(*on_chunks(X, y))
    if isinstance(model, SGDClassifier | MLPClassifier):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frozen = FrozenEstimator(clone(model).fit(X, y))
        with pytest.raises(TypeError, match=f"{name}.*LogisticRegression"):
            InfluenceRanker(frozen).fit(*on_chunks(X, y))


def test_l1_penalties_are_refused_by_name():
    X, y = classes()
    model = LogisticRegression(l1_ratio=1.0, solver="saga", max_iter=2000)
    for given in (model, FrozenEstimator(clone(model).fit(X, y))):
        with pytest.raises(ValueError, match="l1 penalty"):
            InfluenceRanker(given).fit(*on_chunks(X, y))


def test_a_ranker_pickles_and_its_answers_with_it():
    X, y = classes()
    here, there = both(FrozenEstimator(LogisticRegression().fit(X, y)), X, y)
    again = pickle.loads(pickle.dumps(there))
    assert_same(again.self_influence_, here.self_influence_)
    assert_same(again.influence(X[:3], y[:3]), here.influence(X[:3], y[:3]))


@pytest.mark.parametrize("solver", ["auto", Cholesky()])
def test_on_the_cluster(client, solver):
    X, y = classes()
    model = FrozenEstimator(LogisticRegression(max_iter=20).fit(X, y))
    here, there = both(model, X, y, solver=solver)
    names = ("self_influence_", "leverage_", "loo_decision_function_", "loo_proba_")
    lazy = [getattr(there, name) for name in names]
    for name, found in zip(names, dask.compute(*lazy), strict=True):
        assert_same(found, getattr(here, name))
    found, truth = (r.proponents(X[:4], y[:4]) for r in (there, here))
    assert_same(found[0], truth[0])
    assert found[1].tolist() == truth[1].tolist()
    assert_same(there.ranking_, here.ranking_, 0)
