"""Identities between the public numbers of every ranker, of every family.

What a ranker's influence is, its own tests say, against an oracle; here each of the
others that it publishes is held against that one. Every public class is in the list.
"""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import clone, config_context
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

import sklinfluence
from sklinfluence.base import BaseRanker
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.retraining import ExpectedRanker
from sklinfluence.trees import (
    BoostInRanker,
    ForestRanker,
    LeafInfluenceRanker,
    LeafRefitRanker,
    TrexRanker,
)

N_TRAIN, N_QUERIES = 22, 9


def net(kind, n_outputs):
    """In float64 and in one batch of all rows: each row has its share in each step."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, n_outputs)
    )
    return kind(
        module.double(),
        lr=0.2,
        batch_size=-1,
        max_epochs=4,
        train_split=None,
        verbose=0,
    )


def classifier(n_classes=3):
    import torch
    from skorch import NeuralNetClassifier

    made = net(NeuralNetClassifier, n_classes)
    return made.set_params(criterion=torch.nn.CrossEntropyLoss)


def regressor():
    from skorch import NeuralNetRegressor

    return net(NeuralNetRegressor, 1)


def deep(name, **options):
    """A ranker around a net, classes or real targets, made where there is torch."""

    def make(is_class):
        pytest.importorskip("skorch")
        kind = getattr(importlib.import_module("sklinfluence.deep"), name)
        return kind(classifier() if is_class else regressor(), **options)

    return make


def head(ranker, **options):
    return lambda is_class: ranker(
        LogisticRegression(C=2.0) if is_class else Ridge(alpha=0.5), **options
    )


def forest(ranker, **options):
    kinds = RandomForestClassifier, RandomForestRegressor
    return lambda is_class: ranker(
        kinds[not is_class](30, min_samples_leaf=2, random_state=0), **options
    )


def boosted(ranker, **options):
    kinds = GradientBoostingClassifier, GradientBoostingRegressor
    return lambda is_class: ranker(
        kinds[not is_class](n_estimators=8, min_samples_leaf=3, random_state=0),
        **options,
    )


def several(is_class):
    model = MLPClassifier((3,), max_iter=30, random_state=0) if is_class else Ridge()
    single = InfluenceRanker(model, refit_head=False, damping=0.1)
    return ExpectedRanker(single, n_estimators=2, random_state=0)


RANKERS = {
    "InfluenceRanker": head(InfluenceRanker),
    "InfluenceRanker, newton": head(InfluenceRanker, method="newton"),
    "InfluenceRanker, theta": head(InfluenceRanker, normalize="theta"),
    "InfluenceRanker, cosine": head(InfluenceRanker, normalize="cosine"),
    "InfluenceRanker, grad_dot": head(InfluenceRanker, method="grad_dot"),
    "InfluenceRanker, cg": head(InfluenceRanker, solver="cg"),
    "RepresenterRanker": head(RepresenterRanker),
    "RepresenterRanker, lje": head(RepresenterRanker, method="lje"),
    "ExpectedRanker": several,
    "ForestRanker": forest(ForestRanker),
    "TrexRanker": forest(TrexRanker),
    "TrexRanker, tree_output": forest(TrexRanker, kernel="tree_output"),
    "LeafInfluenceRanker": boosted(LeafInfluenceRanker, refit_baseline=True),
    "LeafInfluenceRanker, removal": boosted(LeafInfluenceRanker, method="removal"),
    "LeafInfluenceRanker, single_point": boosted(
        LeafInfluenceRanker, method="single_point"
    ),
    "LeafRefitRanker": boosted(LeafRefitRanker),
    "BoostInRanker": boosted(BoostInRanker, power=1),
    "DeepInfluenceRanker": deep("DeepInfluenceRanker", damping=0.1),
    "TracInRanker": deep("TracInRanker", random_state=0),
    "HydraRanker": deep("HydraRanker", random_state=0),
    "HydraRanker, hessian": deep("HydraRanker", hessian=True, random_state=0),
    "SGDInfluenceRanker": deep("SGDInfluenceRanker", random_state=0),
}
# Conjugate gradients solve to 1e-8, all else to rounding.
CLOSE = {name: 1e-6 if name.endswith("cg") else 1e-9 for name in RANKERS}
# Rows taken out, and what is added: not the same number, whatever the row.
NOT_AS_NEW = {
    "InfluenceRanker, newton",
    "ForestRanker",
    "LeafInfluenceRanker, removal",
    "LeafRefitRanker",
}


def rows(is_class, name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_TRAIN + N_QUERIES, 3))
    y = rng.integers(3, size=len(X)) if is_class else X[:, 0] + rng.normal(size=len(X))
    y[:3] = np.arange(3) if is_class else y[:3]
    if not is_class and issubclass(kind_of(name), tuple(of_nets())):
        y = y[:, None]
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


def kind_of(name):
    return public_rankers()[name.partition(",")[0]]


def public_rankers():
    found = {}
    for module in pkgutil.iter_modules(sklinfluence.__path__):
        if module.name.startswith("_"):
            continue
        try:
            topic = importlib.import_module(f"sklinfluence.{module.name}")
        except ModuleNotFoundError:  # a topic about an extra that is not installed
            continue
        for public in map(vars(topic).get, getattr(topic, "__all__", ())):
            if inspect.isclass(public) and issubclass(public, BaseRanker):
                found[public.__name__] = public
    return found


def of_nets():
    return [kind for kind in public_rankers().values() if "deep" in kind.__module__]


@pytest.fixture(scope="module")
def known():
    return {}


@pytest.fixture(params=["classes", "values"])
def is_class(request):
    return request.param == "classes"


@pytest.fixture(params=RANKERS)
def fitted(request, is_class, known):
    """A fitted ranker, its rows and queries, and how close numbers must be."""
    key = request.param, is_class
    if key not in known:
        with np.errstate(all="ignore"):
            ranker = RANKERS[request.param](is_class)
            data = rows(is_class, request.param)
            known[key] = ranker.fit(*data[:2]), *data
    return *known[key], CLOSE[request.param]


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_every_public_ranker_is_in_the_list():
    pytest.importorskip("skorch")
    # Those that define no score of new rows have suites of their own: they rank by
    # values, in tests/neighbors and tests/retraining.
    concrete = {
        name
        for name, kind in public_rankers().items()
        if not inspect.isabstract(kind) and hasattr(kind, "score_samples")
    }
    assert concrete == {name.partition(",")[0] for name in RANKERS}


def assert_close(ours, truth, rtol):
    assert_allclose(ours, truth, rtol=rtol, atol=rtol * np.abs(truth).max())


def test_self_influence_is_the_diagonal(fitted):
    ranker, X, y, _, _, rtol = fitted
    assert_close(ranker.self_influence_, np.diag(ranker.influence(X, y)), rtol)


def test_ranking_is_by_self_influence(fitted):
    ranker = fitted[0]
    order = np.argsort(-ranker.self_influence_, kind="stable")
    assert_array_equal(ranker.ranking_[order], np.arange(1, N_TRAIN + 1))


def test_questions_add_no_attribute(fitted):
    # check_is_fitted walks over the attributes, maybe in another thread.
    ranker, _, _, X, y, _ = fitted
    fresh = clone(ranker).fit(*fitted[1:3])
    of_fit = set(vars(fresh))
    for name in ("self_influence_", "ranking_"):
        getattr(fresh, name)
    for name in ("influence", "mean_influence", "score_samples", "proponents"):
        getattr(fresh, name)(X, y)
    fresh.label_scores("self_influence")
    assert set(vars(fresh)) == of_fit


def test_mean_influence_is_the_mean(fitted):
    ranker, _, _, X, y, rtol = fitted
    for given in (y, None):
        truth = ranker.influence(X, given).mean(axis=0)
        assert_close(ranker.mean_influence(X, given), truth, rtol)
        with config_context(working_memory=1e-3):
            assert_close(ranker.mean_influence(X, given), truth, rtol)


def test_default_labels_are_those_predicted(fitted, is_class):
    ranker, _, _, X, _, rtol = fitted
    if is_class:
        truth = ranker.influence(X, ranker.predict(X))
        assert_close(ranker.influence(X), truth, rtol)


def test_transform_is_influence(fitted):
    ranker, _, _, X, _, rtol = fitted
    full = ranker.influence(X)
    assert_close(ranker.transform(X), full, rtol)
    ranker.n_influences = 4
    kept = ranker.transform(X)
    ranker.n_influences = None
    assert sparse.issparse(kept) and kept.nnz == 4 * N_QUERIES
    strength = np.sort(np.abs(full), axis=1)[:, -4][:, None] * (1 - rtol)
    assert_close(kept.toarray(), np.where(np.abs(full) >= strength, full, 0.0), rtol)


@pytest.mark.parametrize("side", ["proponents", "opponents"])
def test_proponents_and_opponents_are_entries_of_the_matrix(fitted, side):
    ranker, _, _, X, y, rtol = fitted
    full = ranker.influence(X, y)
    influence, index = getattr(ranker, side)(X, y, n=6)
    sign = -1.0 if side == "proponents" else 1.0
    assert_close(influence, sign * np.sort(sign * full, axis=1)[:, :6], rtol)
    assert_close(np.take_along_axis(full, index, axis=1), influence, rtol)


def test_a_training_row_asked_about_as_a_new_one(fitted, request):
    ranker, X, y, _, _, rtol = fitted
    if request.node.callspec.params["fitted"] in NOT_AS_NEW:
        pytest.skip("held against refits, and leaves, in tests of its own")
    assert_close(ranker.score_samples(X, y), ranker.self_influence_, rtol)


def test_label_scores_by_self_influence(fitted):
    ranker, _, _, X, y, rtol = fitted
    own = ranker.label_scores("self_influence")
    assert_close(own, ranker.self_influence_, rtol)
    ours = ranker.label_scores("self_influence", X, y)
    assert_close(ours, ranker.score_samples(X, y), rtol)


def test_predictions_are_the_models_own(fitted, is_class):
    ranker, _, _, X, y, rtol = fitted
    # The mean over members, for what has several.
    members = getattr(ranker, "rankers_", [ranker])
    models = [member.estimator_ for member in members]
    if is_class:
        proba = np.mean([model.predict_proba(X) for model in models], axis=0)
        assert_close(ranker.predict_proba(X), proba, rtol)
        predicted = ranker.classes_[proba.argmax(axis=1)]
        score = np.mean(predicted == y)
    else:
        predicted = np.mean([model.predict(X) for model in models], axis=0)
        error = np.sum((np.ravel(predicted) - np.ravel(y)) ** 2)
        score = 1 - error / np.sum((y - y.mean()) ** 2)
    assert_close(ranker.predict(X), predicted, rtol)
    assert ranker.score(X, y) == pytest.approx(score, rel=1e-6)
    if hasattr(ranker, "decision_function"):
        decision = np.mean([model.decision_function(X) for model in models], axis=0)
        assert_close(ranker.decision_function(X), decision, rtol)
