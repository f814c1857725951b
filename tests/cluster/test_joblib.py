"""Refits on a cluster by joblib's own dask backend: the numbers of those at home."""

import pickle
from contextlib import contextmanager

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklinfluence.filtering import FilteredClassifier, MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import loo_correlation
from sklinfluence.model_selection import LeaveOneOutSearch
from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DownsamplingRanker,
    ExpectedRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
    consistency_score,
    shapley_interaction,
)
from sklinfluence.retraining._journal import Journal

# A fit has the same rows in the same order wherever it runs, on one processor with one
# thread of BLAS: nothing is left by which a bit could differ. (Forests and
# bags of scikit-learn are no case for it: how they sum up their members depends on the
# number of jobs, and on which is done first.)
N_ROWS = 24
TREE = DecisionTreeClassifier(max_depth=2, random_state=0)
SGD = SGDClassifier(loss="log_loss", random_state=0)
FEW = {"max_evaluations": 30, "random_state": 0}
VALUERS = {
    "leave-one-out": LeaveOneOutRanker(GaussianNB()),
    "downsampling": DownsamplingRanker(TREE, **FEW),
    "Shapley": ShapleyRanker(TREE, cv=2, **FEW),
    "gradient Shapley": ShapleyRanker(SGD, method="gradient", **FEW),
    "Banzhaf": BanzhafRanker(TREE, cv=2, **FEW),
    "AME": AMERanker(TREE, cv=2, **FEW),
    "expected": ExpectedRanker(InfluenceRanker(), n_estimators=2, random_state=0),
    "refined": InfluenceRanker(refine=1e-12),
}
FILTERS = {
    "cross-fitted": (MislabelFilter(DecisionTreeClassifier(max_depth=3), cv=3), False),
    "own forest": (MislabelFilter(pool=("forest",)), False),
    "real targets": (MislabelFilter(DecisionTreeRegressor(max_depth=3), cv=3), True),
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 3))
    y = (X[:, 0] + 0.5 * rng.normal(size=N_ROWS) > 0).astype(int)
    y[[3, 17]] = 1 - y[[3, 17]]
    return X, y


@contextmanager
def on_the_cluster(client):
    """joblib's fits on the workers, and proof that some were."""
    before = client.run_on_scheduler(_n_tasks)
    with joblib.parallel_config(backend="dask"):
        yield
    assert client.run_on_scheduler(_n_tasks) > before, "no worker was asked"


def _n_tasks(dask_scheduler):
    return dask_scheduler.transition_counter


def same_numbers(fitted, other):
    """Whether all public arrays of two fitted objects agree to the bit."""
    names = ("values_", "self_influence_", "scores_", "label_quality_", "std_error_")
    known = [name for name in names if hasattr(fitted, name)]
    assert known
    for name in known:
        assert_array_equal(getattr(other, name), getattr(fitted, name), name)


@pytest.mark.parametrize("name", VALUERS)
def test_values_are_those_at_home_to_the_bit(name, rows, client):
    at_home = clone(VALUERS[name]).fit(*rows)
    with on_the_cluster(client):
        away = clone(VALUERS[name]).fit(*rows)
        away.self_influence_ if hasattr(away, "self_influence_") else None
    same_numbers(at_home, away)


@pytest.mark.parametrize("name", FILTERS)
def test_held_out_scores_are_those_at_home_to_the_bit(name, rows, client):
    unfitted, is_real = FILTERS[name]
    X, y = rows
    y = X[:, 0] + 0.1 * y if is_real else y
    unfitted = clone(unfitted).set_params(random_state=0)
    at_home = clone(unfitted).fit(X, y)
    with on_the_cluster(client):
        away = clone(unfitted).fit(X, y)
    same_numbers(at_home, away)
    assert_array_equal(away.get_support(), at_home.get_support())
    assert away.threshold_ == at_home.threshold_


def test_functions_that_refit_too(rows, client):
    X, y = rows
    ranker = InfluenceRanker(Ridge()).fit(X, X[:, 0])
    grid = {"C": [0.1, 1.0], "fit_intercept": [True, False]}
    search = LeaveOneOutSearch(LogisticRegression(), grid)
    groups, drawn = np.arange(N_ROWS) % 4, {"n_rows": 4, "random_state": 0}
    few = {"shares": (0.5,), "n_repeats": 4, "random_state": 0}
    asked = [
        lambda: consistency_score(TREE, X, y, **few)["score"],
        lambda: shapley_interaction(TREE, X, y, groups=groups, **FEW)["interactions"],
        lambda: loo_correlation(ranker, X, X[:, 0], X[:5], X[:5, 0], **drawn),
        lambda: search.fit(X, y).cv_results_["mean_test_score"],
    ]
    for ask in asked:
        at_home = ask()
        with on_the_cluster(client):
            away = ask()
        assert_array_equal(away, at_home)


def test_a_door_trains_on_the_same_rows(rows, client):
    door = FilteredClassifier(GaussianNB(), MislabelFilter(TREE, cv=3, random_state=0))
    at_home = clone(door).fit(*rows)
    with on_the_cluster(client):
        away = clone(door).fit(*rows)
    assert_array_equal(away.predict_proba(rows[0]), at_home.predict_proba(rows[0]))


def test_the_journal_is_the_parents(rows, client, tmp_path):
    ranker = VALUERS["Shapley"]
    paths = [tmp_path / "home", tmp_path / "away"]
    at_home = clone(ranker).set_params(journal=str(paths[0])).fit(*rows)
    with on_the_cluster(client):
        away = clone(ranker).set_params(journal=str(paths[1])).fit(*rows)
    same_numbers(at_home, away)
    lines = [sorted(path.read_bytes().splitlines()) for path in paths]
    assert lines[0] == lines[1]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    # Workers are sent sets and return utilities: what holds the file goes nowhere.
    with open(paths[0], "ab") as file, pytest.raises(TypeError):
        pickle.dumps(Journal(0, file=file))


def test_a_run_begun_on_a_cluster_is_finished_at_home(rows, client, tmp_path):
    part = {"max_evaluations": 15, "journal": str(tmp_path / "journal")}
    with on_the_cluster(client):
        clone(VALUERS["Banzhaf"]).set_params(**part).fit(*rows)
    n_lines = len((tmp_path / "journal").read_bytes().splitlines())
    whole = clone(VALUERS["Banzhaf"]).set_params(journal=part["journal"]).fit(*rows)
    assert len((tmp_path / "journal").read_bytes().splitlines()) > n_lines
    same_numbers(clone(VALUERS["Banzhaf"]).fit(*rows), whole)
