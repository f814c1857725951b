"""The value that rankers of a head answer from: frozen, whole, and computed once."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from threading import Barrier

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sklinfluence._removal import _reading
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker

RANKERS = {
    "influence": lambda: InfluenceRanker(),
    "no factor": lambda: InfluenceRanker(LogisticRegression(C=0.1), solver="cg"),
    "l2": lambda: RepresenterRanker(),
    "lje": lambda: RepresenterRanker(method="lje"),
}


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return scale(X), y


@pytest.mark.parametrize("name", RANKERS)
def test_nothing_in_a_reading_can_be_set(wine, name):
    reading = RANKERS[name]().fit(*wine).reading_
    for part in ("fitted", "method", "scale", "removal"):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(reading, part, None)


@pytest.mark.parametrize("name", RANKERS)
@pytest.mark.parametrize(
    "again", [lambda r: pickle.loads(pickle.dumps(r)), copy.deepcopy]
)
def test_a_copy_of_a_reading_is_whole(wine, name, again):
    X, y = wine
    ranker = RANKERS[name]().fit(X, y)
    other = again(ranker)
    assert other.reading_ is not ranker.reading_
    # Bit by bit: it is the same arithmetic on the same numbers.
    np.testing.assert_array_equal(
        other.influence(X[:5], y[:5]), ranker.influence(X[:5], y[:5])
    )
    np.testing.assert_array_equal(
        other.reading_.removal.raw, ranker.reading_.removal.raw
    )


def test_threads_share_one_leave_one_out_pass(wine, monkeypatch):
    X, y = wine
    ranker = RANKERS["no factor"]().fit(X, y)
    passes, remove_each = [], _reading.remove_each

    def counted(*args):
        passes.append(args)
        return remove_each(*args)

    monkeypatch.setattr(_reading, "remove_each", counted)
    together = Barrier(4)

    def ask(_):
        together.wait()
        return ranker.reading_.removal

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            removals = list(pool.map(ask, range(4)))
    finally:
        sys.setswitchinterval(usual)
    assert len(passes) == 1
    assert all(removal is removals[0] for removal in removals)


def test_another_normalisation_is_another_reading(wine):
    # Oracle: a ranker that was fitted with it.
    X, y = wine
    plain = InfluenceRanker(method="newton").fit(X, y)
    fitted = InfluenceRanker(method="newton", normalize="theta").fit(X, y)
    other = replace(plain.reading_, normalize="theta")
    np.testing.assert_array_equal(other.scale, fitted.reading_.scale)
    assert plain.reading_.scale is None


def test_asking_changes_no_answer(wine):
    X, y = wine
    ranker = InfluenceRanker(method="newton").fit(X, y)
    before = ranker.influence(X[:5], y[:5])
    reading = ranker.reading_
    ranker.damping_path([0.1, 1.0], X[:5], y[:5])
    ranker.damping_path([0.1, 1.0], score="self_influence")
    ranker.most_damaging(X[:1])
    ranker.group_influence([[0, 1]], X[:5], y[:5], order="exact")
    assert ranker.reading_ is reading
    np.testing.assert_array_equal(ranker.influence(X[:5], y[:5]), before)


@pytest.mark.parametrize("ranker", [InfluenceRanker, RepresenterRanker])
def test_an_ensemble_is_refused_by_name(wine, ranker):
    # It has a length, which it does not know before it is fitted.
    with pytest.raises(
        TypeError, match="No linear head is known for BaggingClassifier"
    ):
        ranker(BaggingClassifier(LogisticRegression())).fit(*wine)


def test_a_fit_that_is_refused_leaves_no_half_of_one(wine):
    estimator = LogisticRegression(max_iter=3, solver="newton-cg", tol=1.0)
    ranker = RepresenterRanker(estimator, refit_head=False)
    with pytest.raises(ValueError, match="not at the optimum"):
        ranker.fit(*wine)
    assert not [name for name in vars(ranker) if name.endswith("_")]
