"""Filters and doors report to callbacks; an interrupted fit leaves no half of one."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_wine, make_regression
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker

pytest.importorskip("sklearn.callback")
pytestmark = pytest.mark.filterwarnings(
    "ignore:The estimator .* does not support callbacks"
)

X, Y = load_wine(return_X_y=True)
X_REAL, Y_REAL = make_regression(60, 4, noise=1.0, random_state=0)
RANKER = InfluenceRanker(make_pipeline(StandardScaler(), LogisticRegression()))
ROUND = "round of the noise model"


class Recorder:
    """Notes the tasks begun and ended, with their depth; may interrupt at one."""

    max_propagation_depth = None

    def __init__(self, interrupt_at=None):
        self.interrupt_at = interrupt_at
        self.begun, self.ended, self.depths = [], [], {}

    def setup(self, estimator, context):
        self.begun.append("setup")

    def teardown(self, estimator, context):
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        names = (context.task_name, context.source_task_name)
        self.begun.append(context.task_name)
        depth, parent = 0, context.parent
        while parent is not None:
            depth, parent = depth + 1, parent.parent
        self.depths.setdefault(context.task_name, depth)
        if self.interrupt_at is not None and self.interrupt_at in names:
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)


class Surface(Recorder):
    """Not propagated: sees the steps of the estimator it is set on only."""

    max_propagation_depth = 0


CASES = {
    "filter": (MislabelFilter(random_state=0), {"fit": 2, ROUND: 1 + 3}),
    "sampler": (MislabelSampler(random_state=0), {"fit": 2, ROUND: 1 + 3}),
    "own ranker": (
        MislabelFilter(RANKER),
        {"leave each row out": 2, "polish the head and factor its Hessian": 1},
    ),
    "own score": (
        MislabelFilter(RANKER, label_score="loo_loss"),
        {"fit the estimator": 1},
    ),
    "folds": (
        MislabelFilter(cv=3, random_state=0),
        {"fit without a fold": 1, "fit": 1 + 1 + 3, ROUND: 4 * (1 + 3)},
    ),
    "door": (
        FilteredClassifier(DecisionTreeClassifier()),
        {ROUND: 1 + 3, "fit the estimator": 1},
    ),
    "regression": (
        FilteredRegressor(Ridge()),
        {"scale the columns": 1, "fit the votes": 1, "fit the estimator": 1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rounds_folds_and_the_rankers_own_steps_are_reported(name):
    estimator, expected = CASES[name]
    rows = (X_REAL, Y_REAL) if name == "regression" else (X, Y)
    silent = clone(estimator).fit(*rows)
    recorder = Recorder()
    watched = clone(estimator).set_callbacks(recorder).fit(*rows)
    for task, times in expected.items():
        assert recorder.begun.count(task) == times, task
    assert sorted(recorder.begun[1:]) == sorted(recorder.ended[:-1])
    assert recorder.begun.count("setup") == 1 and recorder.ended[-1] == "teardown"
    # Watching changes nothing, and nothing of it is left behind.
    found = [getattr(model, "filter_", model) for model in (silent, watched)]
    assert_array_equal(found[0].scores_, found[1].scores_)
    for part in (watched, found[1], found[1].ranker_):
        assert not [key for key in vars(part) if key.endswith("callback_ctx")]
    assert_array_equal(pickle.loads(pickle.dumps(found[1])).scores_, found[1].scores_)


def test_steps_nest_as_the_estimators_do():
    recorder = Recorder()
    door = FilteredClassifier(DecisionTreeClassifier(), MislabelFilter(RANKER, cv=3))
    door.set_callbacks(recorder).fit(X, Y)
    # door > filter > label model > round
    assert recorder.depths[ROUND] == 3
    assert recorder.depths["fit without a fold"] == 2
    surface = Surface()
    door.set_callbacks(surface).fit(X, Y)
    assert set(surface.begun) == {
        "setup", "fit", "fit the filter", "fit the estimator",
    }  # fmt: skip


def test_a_frozen_filter_has_nothing_to_report():
    held = FrozenEstimator(MislabelFilter(random_state=0).fit(X, Y))
    recorder = Recorder()
    model = FilteredClassifier(DecisionTreeClassifier(), held)
    model.set_callbacks(recorder).fit(X, Y)
    assert sorted(recorder.begun[1:]) == sorted(recorder.ended[:-1])


@pytest.mark.parametrize("name", ["filter", "own ranker", "folds", "door"])
def test_an_interrupted_fit_changes_nothing(name):
    estimator = clone(CASES[name][0])
    with pytest.raises(KeyboardInterrupt):
        estimator.set_callbacks(Recorder(ROUND)).fit(X, Y)
    assert not [key for key in vars(estimator) if key.endswith("_")]
    estimator.set_callbacks().fit(X, Y)
    before = pickle.dumps(estimator)
    recorder = Recorder(ROUND)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_callbacks(recorder).fit(X[:90, :3], Y[:90])
    assert recorder.ended[-1] == "teardown"
    assert pickle.dumps(estimator.set_callbacks()) == before


@pytest.mark.parametrize("name", ["filter", "door"])
def test_a_failed_fit_changes_nothing(name):
    estimator = clone(CASES[name][0]).fit(X, Y)
    before = pickle.dumps(estimator)
    with pytest.raises(ValueError, match="at least two classes"):
        estimator.fit(X[:20, :3], np.zeros(20, dtype=int))
    assert pickle.dumps(estimator) == before
