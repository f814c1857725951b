"""What a cluster brings: put right, or named."""

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge

from sklinfluence import _scheduling
from sklinfluence._removal._block_objective import _join_moments, _moments
from sklinfluence._source import row_source
from sklinfluence.gradient import InfluenceRanker
from tests.cluster.rows import assert_same, classes, values

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.numeric


def on_chunks(X, y, n_rows=130):
    return da.from_array(X, chunks=(n_rows, 6)), da.from_array(y, chunks=n_rows)


def frozen(X, y):
    return FrozenEstimator(LogisticRegression().fit(X, y))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("of", ["X", "y", "sample_weight"])
@pytest.mark.parametrize("is_frozen", [True, False])
def test_what_is_no_number_is_named_by_chunk_and_row(bad, of, is_frozen, monkeypatch):
    X, y = values()
    model = Ridge()
    if is_frozen:
        model = FrozenEstimator(Ridge().fit(X, y))
    weight = np.ones(len(y))
    {"X": X, "y": y, "sample_weight": weight}[of][271] = bad
    monkeypatch.setattr("sklinfluence._removal._fit_head.newton_solver", None)
    given = (*on_chunks(X, y), da.from_array(weight, chunks=500))
    with pytest.raises(ValueError, match=r"[Cc]hunk 2 .*row.*271"):
        InfluenceRanker(model).fit(*given)


def test_labels_that_are_none_or_unknown_are_named_by_chunk():
    X, y = classes()
    lazy, _ = on_chunks(X, y)
    labels = np.array(["a", "b", "c"], dtype=object)[y]
    model = frozen(X, labels)
    labels[300] = "d"
    with pytest.raises(ValueError, match=r"Chunk 2 .*not fitted on.*'d'"):
        InfluenceRanker(model).fit(lazy, da.from_array(labels, chunks=130))
    labels[300] = None
    with pytest.raises(ValueError, match=r"Chunk 2 .*row"):
        InfluenceRanker(LogisticRegression()).fit(
            lazy, da.from_array(labels, chunks=130)
        )


def test_targets_that_no_model_takes_are_named():
    X, y = classes()
    lazy, targets = on_chunks(X, y)
    with pytest.raises(ValueError, match="requires y"):
        InfluenceRanker(LogisticRegression()).fit(lazy)
    with pytest.raises(ValueError, match="one label a row"):
        InfluenceRanker(LogisticRegression()).fit(lazy, lazy[:, :2])
    with pytest.raises(ValueError, match="only one class"):
        InfluenceRanker(LogisticRegression()).fit(lazy, 0 * targets)
    with pytest.raises(ValueError, match="continuous"):
        InfluenceRanker(LogisticRegression()).fit(lazy, lazy[:, 0])
    with pytest.raises(ValueError, match=r"class_weight='balanced'.*\[2\]"):
        model = LogisticRegression(class_weight="balanced").fit(X, y)
        InfluenceRanker(FrozenEstimator(model)).fit(lazy, targets % 2)
    with pytest.raises(ValueError, match="7 features"):
        InfluenceRanker(frozen(X, y)).fit(da.hstack([lazy, lazy[:, :1]]), targets)
    with pytest.raises(ValueError, match="weight 0"):
        weight = da.where(targets == 1, 0.0, 1.0)
        InfluenceRanker(frozen(X, y)).fit(lazy, targets, weight)
    with pytest.raises(ValueError, match="Negative values"):
        InfluenceRanker(frozen(X, y)).fit(lazy, targets, -1.0 * (targets == 1))
    with pytest.raises(ValueError, match="sample_weight is 0 for every row"):
        InfluenceRanker(frozen(X, y)).fit(lazy, targets, 0.0 * targets)
    with pytest.raises(ValueError, match="no rows"):
        InfluenceRanker(frozen(X, y)).fit(lazy[:0], targets[:0])


def test_columns_far_from_zero_are_warned_about():
    X, y = classes()
    X[:, 3] += 1e7
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = frozen(X, y)
    with pytest.warns(UserWarning, match="column 3 of the embedding lies"):
        InfluenceRanker(model, refit_head=False).fit(*on_chunks(X, y))


def test_rows_that_are_persisted_stay_and_go_with_their_client(cluster):
    X, y = classes()
    truth = InfluenceRanker(frozen(X, y)).fit(X, y).self_influence_
    with distributed.Client(cluster, timeout=60) as own:
        lazy = own.persist(on_chunks(X, y))
        distributed.wait(lazy)
        ranker = InfluenceRanker(frozen(X, y)).fit(*lazy)
        assert_same(ranker.self_influence_, truth)
    with pytest.raises(ValueError, match=r"persisted on a client that is closed"):
        InfluenceRanker(frozen(X, y)).fit(*lazy)


def test_answers_outlive_their_client(cluster):
    X, y = classes()
    with distributed.Client(cluster, timeout=60):
        ranker = InfluenceRanker(frozen(X, y)).fit(*on_chunks(X, y))
    truth = InfluenceRanker(frozen(X, y)).fit(X, y).self_influence_
    assert_same(ranker.self_influence_, truth)


def _three_threads():
    return 3


def test_workers_whose_blas_has_threads_are_named(client, monkeypatch):
    X, y = classes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = row_source(*on_chunks(X, y))
        source.warn_about_threads()
    monkeypatch.setattr(
        "sklinfluence._distributed._cluster.blas_threads", _three_threads
    )
    with pytest.warns(UserWarning, match=r"3 threads on 2 worker.*OMP_NUM_THREADS=1"):
        source.warn_about_threads()


def threads_inside(block):
    return [_scheduling.blas_threads(), _scheduling._n_threads(None, 5)]


def test_a_leaf_has_one_thread():
    X, y = classes()
    source = row_source(*on_chunks(X, y))
    with _scheduling._blas().limit(limits=3):
        found = source.reduce(threads_inside, lambda parts: parts[0])
    assert found == [1, 1]


class Kills:
    """A function that kills the worker it runs on, for good or the first time."""

    def __init__(self, path=None):
        self.path = path

    def __call__(self, block):
        if self.path is None or not os.path.exists(self.path):
            if self.path is not None:
                open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return float(block.X.sum())


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_named_by_what_it_holds():
    X, y = classes()
    config = {"distributed.scheduler.allowed-failures": 1}
    with (
        dask.config.set(config),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address=None,
            memory_limit="700 MiB",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster),
    ):
        source = row_source(*on_chunks(X, y))
        with pytest.raises(MemoryError, match=r"limit is 700 MiB.*chunk.*partial sum"):
            source.reduce(Kills(), sum, n_bytes=2_000)


@pytest.mark.slow
def test_a_worker_that_dies_once_is_made_good(client, tmp_path):
    X, y = classes()
    source = row_source(*on_chunks(X, y))
    found = source.reduce(Kills(str(tmp_path / "killed")), sum, work=1e12)
    np.testing.assert_allclose(found, X.sum(), rtol=1e-12)


def slow_rows(block_info=None, seed=0):
    """A chunk that takes a while, so that a worker can be killed meanwhile."""
    time.sleep(0.05)
    (start, stop), _ = block_info[None]["array-location"]
    X, _ = classes(4000, 12, 4, seed)
    return X[start:stop]


class Killer(threading.Thread):
    """Kills workers when a number of tasks of a kind have been finished."""

    def __init__(self, cluster, kind, n_tasks, n_workers):
        super().__init__(daemon=True)
        self.cluster, self.kind, self.n_tasks = cluster, kind, n_tasks
        self.n_workers, self.killed = n_workers, []

    def run(self):
        for _ in range(4000):
            if self.n_done() >= self.n_tasks:
                workers = list(self.cluster.workers.values())
                for nanny in workers[: self.n_workers]:
                    os.kill(nanny.pid, signal.SIGKILL)
                    self.killed.append(nanny.pid)
                return
            time.sleep(0.005)

    def n_done(self):
        tasks = list(self.cluster.scheduler.tasks.values())
        done = [task for task in tasks if self.kind in str(task.key)]
        return sum(task.state == "memory" for task in done) + sum(
            task.state == "released" and bool(task.dependents) for task in done
        )


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize(
    "when", ["sums_and_extremes", "of_block_hessian", "influence_on_own"]
)
def test_killed_workers_change_no_number(cluster, client, when, n_workers):
    X, y = classes(4000, 12, 4)
    model = FrozenEstimator(LogisticRegression(C=0.01, max_iter=30).fit(X, y))
    lazy = da.map_blocks(
        slow_rows, chunks=((250,) * 16, (12,)), dtype=float, meta=np.zeros((0, 0))
    )
    targets = da.from_array(y, chunks=250)

    def answers(killer=None):
        ranker = InfluenceRanker(model).fit(lazy, targets)
        assert ranker.solver_info_["condition_number"] < 1e3
        if killer is not None and when == "influence_on_own":
            killer.start()
        return dask.compute(ranker.self_influence_, ranker.loo_proba_)

    truth = answers()
    killer = Killer(cluster, when, 1, n_workers)
    if when != "influence_on_own":
        killer.start()
    found = answers(killer)
    killer.join()
    assert len(killer.killed) == n_workers
    for a, b in zip(found, truth, strict=True):
        assert_same(a, b, 1e-12)


def test_moments_of_chunks_far_apart_are_those_of_all_rows():
    """What a warning of a far column goes by: no digit may be lost on the way."""
    rng = np.random.default_rng(0)
    sizes, means = (5, 200, 40), (1e6, -3.0, 1e6 + 7)
    parts = [
        mean + rng.normal(size=(n, 2)) for n, mean in zip(sizes, means, strict=True)
    ]
    n_rows, mean, squares = _join_moments([_moments(part) for part in parts])
    X = np.concatenate(parts)
    assert n_rows == len(X)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(squares / n_rows, X.var(axis=0), rtol=1e-12)
