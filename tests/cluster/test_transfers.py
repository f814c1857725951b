"""What travels between workers, by their own logs: sums and answers, never rows."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sklinfluence.gradient import InfluenceRanker
from tests.cluster.rows import assert_same, classes

da = pytest.importorskip("dask.array")
graphs = pytest.importorskip("dask.highlevelgraph")
zarr = pytest.importorskip("zarr")

pytestmark = pytest.mark.numeric


def _log(dask_worker):
    return list(dask_worker.transfer_incoming_log)


def logs(client):
    """What each worker has had from another, so far."""
    return client.run(_log)


def transfers(client, before):
    """(key, bytes) of what workers have had from others since."""
    return [
        (str(key), n_bytes)
        for worker, entries in logs(client).items()
        for entry in entries[len(before.get(worker, ())) :]
        for key, n_bytes in entry["keys"].items()
    ]


def test_no_row_of_a_store_leaves_its_worker(client, tmp_path):
    X, y = classes(8_000, 40, 3)
    path = str(tmp_path / "X.zarr")
    da.from_array(X, chunks=(500, 40)).to_zarr(path)
    lazy = da.from_zarr(path)[: len(X) - 10]  # a slice keeps blockwise from fusing
    y = y[: len(lazy)]
    targets = da.from_array(y, chunks=1_700)
    before = logs(client)
    model = FrozenEstimator(LogisticRegression().fit(X[: len(y)], y))
    ranker = InfluenceRanker(model).fit(lazy, targets)
    # By the block: gathered as one array the answers would meet on one worker first.
    answers = (ranker.self_influence_, ranker.loo_proba_)
    found = client.compute([block for a in answers for block in a.to_delayed().ravel()])
    blocks = client.gather(found)
    top = ranker.proponents(X[:5], y[:5])[1]
    moved = transfers(client, before)
    named = [
        key for key, _ in moved if "sklinfluence" not in key and "shared" not in key
    ]
    assert not named
    sums = sum(n for key, n in moved if "hessian" in key)
    assert sums <= X.nbytes / 3
    # All of it, answers and factor too, is little beside the rows.
    assert sum(n for _, n in moved) <= X.nbytes / 3
    here = InfluenceRanker(model).fit(X[: len(y)], y)
    n_blocks = len(lazy.chunks[0])
    assert_same(np.concatenate(blocks[:n_blocks]), here.self_influence_)
    assert top.tolist() == here.proponents(X[:5], y[:5])[1].tolist()


def test_no_task_asks_for_persisted_rows_of_two_places(client, monkeypatch):
    """So each can run where its rows lie; whether it does is the scheduler's to say."""
    from sklinfluence._distributed import _source

    X, y = classes(8_000, 40, 3)
    lazy = client.persist(da.from_array(X, chunks=(500, 40)))
    targets = client.persist(da.from_array(y, chunks=500))
    evaluated, evaluate = [], _source.evaluate

    def spied(lazy_result, *args):
        evaluated.append(lazy_result)
        return evaluate(lazy_result, *args)

    monkeypatch.setattr(_source, "evaluate", spied)
    model = FrozenEstimator(LogisticRegression().fit(X, y))
    ranker = InfluenceRanker(model).fit(lazy, targets)
    ranker.proponents(X[:2], y[:2])
    assert len(evaluated) >= 3  # moments, polishing and Hessian, the top n
    for result in (*evaluated, ranker.self_influence_):
        graph = graphs.HighLevelGraph.merge(result.__dask_graph__())
        asked = [
            [key for key in keys if key != task and key[0] == lazy.name]
            for task, keys in graph.get_all_dependencies().items()
        ]
        assert max(map(len, asked)) == 1
