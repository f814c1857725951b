"""Long fits report to callbacks, and an interrupted one leaves no half of a ranker."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.gradient import InfluenceRanker

pytest.importorskip("sklearn.callback")

X, Y = load_wine(return_X_y=True)


class Recorder:
    """A callback that notes the tasks begun, and may interrupt at one of them."""

    def __init__(self, interrupt_at=None):
        self.interrupt_at = interrupt_at
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        self.begun.append("setup")

    def teardown(self, estimator, context):
        self.ended.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.task_name)
        if context.task_name == self.interrupt_at:
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.task_name)


def ranker(**params):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return InfluenceRanker(model, method="newton", **params)


def test_every_task_begins_and_ends():
    recorder = Recorder()
    ranker(refine=1e-3).set_callbacks(recorder).fit(X, Y)
    tasks = {"fit the estimator", "leave each row out", "refine"}
    assert tasks < set(recorder.begun)
    assert sorted(recorder.begun[1:]) == sorted(recorder.ended[:-1])
    assert recorder.ended[-1] == "teardown"


@pytest.mark.parametrize("task", ["fit the estimator", "leave each row out", "refine"])
def test_an_interrupted_first_fit_leaves_the_ranker_unfitted(task):
    recorder = Recorder(interrupt_at=task)
    interrupted = ranker(refine=1e-3).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(X, Y)
    assert not [name for name in vars(interrupted) if name.endswith("_")]
    assert recorder.ended[-1] == "teardown"


def test_an_interrupted_refit_keeps_the_first_fit_whole():
    kept = ranker().fit(X, Y)
    before = kept.influence(X[:3], Y[:3])
    with pytest.raises(KeyboardInterrupt):
        kept.set_callbacks(Recorder("leave each row out")).fit(X[:100], Y[:100])
    assert_array_equal(kept.influence(X[:3], Y[:3]), before)


@pytest.mark.parametrize("solver", ["cholesky", "cg", "ekfac"])
def test_memory_mapped_rows_give_what_rows_in_memory_give(tmp_path, solver):
    rows = StandardScaler().fit_transform(X).astype(np.float32)
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    model = LogisticRegression(tol=1e-8, max_iter=1000)
    here = InfluenceRanker(model, solver=solver).fit(rows, Y)
    there = InfluenceRanker(model, solver=solver).fit(mapped, Y)
    asked = (rows[:5], Y[:5])
    # The same products in the same blocks: what differs is where the bytes lie.
    np.testing.assert_allclose(
        there.influence(*asked), here.influence(*asked), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(there.self_influence_, here.self_influence_, rtol=1e-6)
