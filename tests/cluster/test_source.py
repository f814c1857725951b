"""The source of blocks: on a dask array as in memory, whatever the chunks are."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sklinfluence._source import ArraySource, Output, largest, row_source, sums

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
shared_module = pytest.importorskip("sklinfluence._distributed._shared")

pytestmark = pytest.mark.numeric


@pytest.fixture
def X():
    X = np.random.default_rng(0).standard_normal((300, 5))
    X[200] = X[3]  # rows that tie
    return X


def gram(block, factor=1.0):
    rows = np.asarray(block.X @ np.eye(block.X.shape[1]))
    return {"gram": factor * rows.T @ rows, "n": (len(block), float(block.start == 0))}


def sums_and_pairs(block, factor):
    return factor * block.X.sum(axis=1), block.X[:, :2]


def scores(block):
    return block.X[:, :3].T


def with_y(block):
    weights = np.ones(len(block)) if block.weights is None else block.weights
    return weights @ block.y


CHUNKINGS = {
    "rows": lambda X: da.from_array(X, chunks=(70, 5)),
    "columns": lambda X: da.from_array(X, chunks=(70, 2)),
    "sliced": lambda X: da.from_array(np.vstack([X, X]), chunks=(64, 5))[: len(X)],
    "computed": lambda X: (da.from_array(X, chunks=(50, 5)) * 2.0).rechunk((77, 3)) / 2,
    "empty": lambda X: da.from_array(X, chunks=((0, 80, 0, 220), (5,))),
    "joined": lambda X: da.concatenate(
        [da.from_array(X[:90], chunks=40), da.from_array(X[90:], chunks=110)]
    ),
}


@pytest.mark.parametrize("chunking", CHUNKINGS)
def test_a_dask_array_gives_what_memory_gives(X, chunking):
    there, here = row_source(CHUNKINGS[chunking](X)), row_source(X)
    assert isinstance(here, ArraySource)
    for work in (0, 1e12):  # several chunks a leaf, and one
        found = there.reduce(gram, sums, 2.0, work=work)
        # A handful of partial sums: their rounding, not that of one sum.
        np.testing.assert_allclose(found["gram"], here.reduce(gram, sums, 2.0)["gram"])
        assert found["n"] == (300, 1.0)
    outputs = (Output(), Output(after=(2,)))
    lazy = there.map(sums_and_pairs, 3.0, outputs=outputs)
    truth = here.map(sums_and_pairs, 3.0, outputs=outputs)
    assert [array.chunks[0] for array in lazy] == [there.sizes] * 2
    for found, expected in zip(dask.compute(*lazy), truth, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    rows = [7, 299, 0, 80]
    np.testing.assert_allclose(there.take(rows).X, X[rows], rtol=1e-15)
    for by in ("largest", "smallest", "magnitude"):
        for found, expected in zip(
            there.top(scores, 9, by=by), here.top(scores, 9, by=by), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_of_equal_scores_the_earlier_row_is_stronger_and_nan_is_weakest():
    X = np.zeros((40, 3))
    X[[5, 30]] = 1.0
    X[2] = np.nan
    for source in (row_source(X), row_source(da.from_array(X, chunks=(7, 3)))):
        values, rows = source.top(scores, 4)
        assert rows.tolist() == [[5, 30, 0, 1]] * 3
        assert values.tolist() == [[1, 1, 0, 0]] * 3
    values, rows = source.top(scores, 40)
    assert np.isnan(values[:, -1]).all()
    assert (rows[:, -1] == 2).all()


def test_the_largest_of_parts_keeps_nan():
    parts = [{"a": 1.0, "b": (2.0, np.nan)}, {"a": 3.0, "b": (0.0, 1.0)}]
    found = largest(parts)
    assert found["a"] == 3.0
    assert found["b"][0] == 2.0
    assert np.isnan(found["b"][1])


def test_y_and_weights_come_in_the_chunks_of_x(X):
    y, w = np.arange(300.0), np.linspace(0, 1, 300)
    lazy = da.from_array(X, chunks=(70, 5))
    for given in (y, da.from_array(y, chunks=90), da.from_array(y, chunks=300)):
        assert row_source(lazy, given).reduce(with_y, sums) == y.sum()
        found = row_source(lazy, given, da.from_array(w, chunks=11))
        np.testing.assert_allclose(found.reduce(with_y, sums), w @ y)


@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.csr_array, sparse.coo_array]
)
def test_sparse_chunks(X, kind):
    X[np.abs(X) < 1] = 0
    lazy = da.from_array(X, chunks=(70, 5)).map_blocks(
        kind, dtype=float, meta=sparse.csr_matrix((0, 0))
    )
    found = row_source(lazy).reduce(gram, sums)
    np.testing.assert_allclose(found["gram"], X.T @ X, atol=1e-12)
    assert sparse.issparse(row_source(lazy).take([4, 299]).X)


def test_what_is_no_array_of_rows_is_named(X):
    lazy = da.from_array(X, chunks=(70, 5))
    unknown = lazy[lazy[:, 0] > 0]
    with pytest.raises(ValueError, match=r"X.*compute_chunk_sizes\(\).*lengths=True"):
        row_source(unknown)
    with pytest.raises(ValueError, match="two-dimensional"):
        row_source(lazy[:, 0])
    with pytest.raises(ValueError, match="X has 300 rows, y has shape"):
        row_source(lazy, np.zeros(299))
    with pytest.raises(TypeError, match="to_dask_array"):
        row_source(dask.delayed(X))
    with pytest.raises(TypeError, match=r"y is a dask collection.*y\.compute"):
        row_source(X, lazy[:, 0])


def n_held(block, thing):
    return float(thing["numbers"].sum()) * np.ones(len(block)), np.zeros(len(block))


def test_what_is_large_goes_by_a_file_that_goes_with_its_owner(
    X, tmp_path, monkeypatch
):
    monkeypatch.setattr(shared_module, "LARGE", 1000)
    source = row_source(
        da.from_array(X, chunks=(70, 5)), shared_directory=str(tmp_path)
    )
    thing = source.share({"numbers": np.ones(1000)})
    assert len(list(tmp_path.iterdir())) == 1
    lazy = source.map(n_held, thing, outputs=(Output(), Output()))
    del thing  # the lazy array holds it
    assert lazy[0].compute().tolist() == [1000.0] * 300
    assert len(pickle.dumps(lazy[0])) < 20_000
    del lazy
    assert not list(tmp_path.iterdir())


class Opened:
    """What would run if a worker opened whatever lies there."""

    def __reduce__(self):
        return pytest.fail, ("a file that nobody wrote was opened",)


@pytest.mark.parametrize("damage", ["cut off", "swapped"])
def test_a_shared_file_that_is_not_as_written_is_named(damage, tmp_path):
    written = shared_module.OnDisk(pickle.dumps(np.arange(9)), tmp_path)
    held = pickle.loads(pickle.dumps(written))  # as it comes to a worker
    path = Path(held.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] if damage == "cut off" else pickle.dumps(Opened()))
    with pytest.raises(ValueError, match=r"is not as it was written.*shared_directory"):
        held.thing  # noqa: B018
    path.write_bytes(whole)
    assert held.thing.tolist() == list(range(9))


def test_a_directory_that_cannot_be_written_is_named(X, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_module, "LARGE", 1000)
    blocked = tmp_path / "file"
    blocked.write_text("")
    source = row_source(da.from_array(X), shared_directory=str(blocked / "inside"))
    with pytest.raises(ValueError, match=r"shared_directory.*temporary-directory"):
        source.share(np.ones(1000))


def test_a_directory_that_workers_do_not_see_is_named(X, client, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_module, "LARGE", 1000)
    source = row_source(da.from_array(X), shared_directory=str(tmp_path))
    assert source.share(np.ones(1000)).path.startswith(str(tmp_path))
    monkeypatch.setattr(shared_module, "_token", lambda path: None)
    fresh = row_source(da.from_array(X), shared_directory=str(tmp_path))
    monkeypatch.setattr(client, "run", lambda *_: {"tcp://far": None})
    with pytest.raises(ValueError, match=r"tcp://far cannot read.*shared_directory"):
        fresh.share(np.ones(1000))


def test_what_is_in_the_clusters_memory_is_read_where_it_lies(X, client):
    parts = [client.scatter(X[:100]), client.submit(np.asarray, X[100:])]
    lazy = [da.from_delayed(part, part.result().shape, dtype=float) for part in parts]
    plus = dask.delayed(np.add)(parts[0], 0.0)
    again = da.from_delayed(plus, (100, 5), dtype=float)
    for array, truth in (
        (da.concatenate(lazy), X),
        (again, X[:100]),  # a future that is an argument
        (client.persist(da.from_array(X, chunks=(70, 5)))[3:203] + 0.0, X[3:203]),
    ):
        found = row_source(array).reduce(gram, sums)
        np.testing.assert_allclose(found["gram"], truth.T @ truth, atol=1e-12)


@pytest.mark.slow
def test_ten_thousand_chunks_are_built_and_submitted_in_a_minute(client):
    X = da.ones((40_000, 3), chunks=(4, 3)) + 1
    start = time.perf_counter()
    lazy = row_source(X).map(
        sums_and_pairs, 1.0, outputs=(Output(), Output(after=(2,)))
    )
    submitted = client.persist(lazy[0])
    assert time.perf_counter() - start < 60
    del submitted
