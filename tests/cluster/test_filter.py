"""MislabelFilter on a dask array: the numbers of the same filter in memory.

The oracle is the in-memory filter, held against refits and other packages in
tests/filtering. Sums run in another order; the largest score is some 10, and all agree
to 1e-12 of it, where 1e-8 is asked for.
"""

import os
import signal
import threading
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_classification

from sklinfluence._source import row_source
from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.filtering._columns import value_range
from sklinfluence.gradient import InfluenceRanker

da = pytest.importorskip("dask.array")

from sklinfluence.filtering._clustered import _kernel, _parts  # noqa: E402
from sklinfluence.filtering._clustered._ranks import column_range  # noqa: E402

TWO = {"pool": ("linear", "kernel"), "random_state": 0}


def labelled(n_classes=3, n_rows=120, n_columns=4, seed=0):
    X, y = make_classification(
        n_rows,
        n_columns,
        n_informative=min(n_columns, 6),
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        flip_y=0.1,
        random_state=seed,
    )
    X[:, 1] = np.round(X[:, 1])  # ties
    X[5, 0] = 1e6  # an outlier, held at the nearest value that is none
    return X, y


def fitted(X, y, sample_weight=None, chunks=50, **options):
    """The filter in memory and on a dask array of the same rows."""
    chunks = X.chunks if hasattr(X, "chunks") else (chunks, -1)
    away = da.asarray(X) if hasattr(X, "chunks") else da.from_array(X, chunks=chunks)
    unfitted = [MislabelFilter(**{**TWO, **options}) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        unfitted[0].fit(np.asarray(X), y, sample_weight)
        return unfitted[0], unfitted[1].fit(away, y, sample_weight)


def assert_same(home, away):
    scale = float(np.abs(home.scores_).max())
    assert_allclose(away.scores_, home.scores_, rtol=0, atol=1e-8 * scale)
    assert_allclose(away.label_quality_, home.label_quality_, rtol=0, atol=1e-8)
    assert_array_equal(away.get_support(), home.get_support())
    assert_array_equal(away.suggested_labels_, home.suggested_labels_)
    assert away.threshold_ == pytest.approx(home.threshold_, rel=1e-8)


SIZES = {"logit": (2, 4), "softmax": (3, 4), "by output": (6, 66)}


@pytest.mark.parametrize(("n_classes", "n_columns"), SIZES.values(), ids=SIZES)
def test_scores_and_flags_are_those_in_memory(n_classes, n_columns):
    home, away = fitted(*labelled(n_classes, 150, n_columns))
    assert_same(home, away)
    assert away.evidence_ == home.evidence_ == "pooled"
    assert away.n_features_in_ == n_columns


def test_on_processes_no_row_of_a_store_leaves_its_worker(client, tmp_path):
    zarr = pytest.importorskip("zarr")
    X, y = labelled()
    path = str(tmp_path / "X.zarr")
    zarr.create_array(store=path, data=X, chunks=(20, X.shape[1]))
    options = {**TWO, "pool": ("kernel",), "n_rounds": 2}
    away = MislabelFilter(**options).fit(da.from_zarr(path), y)
    assert_same(MislabelFilter(**options).fit(X, y), away)
    moved = [key for keys in client.run(_received).values() for key in keys]
    # Soft labels and predictions, K numbers a row, may: they are no rows of X.
    assert not [key for key in moved if "zarr" in key]


def _received(dask_worker):
    log = dask_worker.transfer_incoming_log
    return [str(key) for entry in log for key in entry["keys"]]


@pytest.mark.parametrize(
    "options",
    [
        {"pool": ("linear",), "noise": None},
        {"pool": ("kernel",), "noise": "uniform", "n_rounds": 2},
        {"contamination": 0.1, "duplicates": None},
        {"threshold": -1.0, "min_per_class": 30, "max_share": 0.1},
    ],
    ids=lambda options: next(iter(options)) + str(next(iter(options.values()))),
)
def test_parameters_mean_what_they_mean_in_memory(options):
    assert_same(*fitted(*labelled(seed=1), **options))


def test_weights_copies_and_names_of_classes():
    X, y = labelled(seed=2)
    X[[40, 70, 110]] = X[3]  # in other chunks, of other labels
    X[[80, 81]] = X[79]
    y = np.array(["ash", "beech", "cedar"])[y]
    y[7] = "of nobody"
    weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    weight[[7, 3]] = 0.0, 2.0
    home, away = fitted(X, y, weight)
    assert_same(home, away)
    names = home.get_support(indices=True)
    assert_array_equal(away.get_support(indices=True), names)


def test_copies_are_counted_and_named():
    X, y = labelled()
    X[[60, 90]] = X[2]
    with pytest.warns(UserWarning, match="3 of the 120 rows have copies"):
        MislabelFilter(**TWO).fit(da.from_array(X, chunks=(50, -1)), y)


def test_odd_chunks():
    X, y = labelled()
    order = np.argsort(y, kind="stable")  # chunks of one class
    X, y = X[order].astype(np.float32), y[order]
    rows = (20, 1, 0, 59, 40)
    lazy = da.from_array(X, chunks=(rows[:2] + (99,), (3, 1)))
    lazy = lazy.rechunk((rows, (3, 1)))
    home, away = fitted(lazy, y)
    assert_same(home, away)
    assert away.scores_.chunks == away.get_support().chunks == (rows,)


def test_persisted_rows_and_labels_on_the_cluster(client):
    X, y = labelled(2)
    lazy = da.from_array(X, chunks=(30, -1)).persist()
    options = {**TWO, "pool": ("kernel",), "noise": None}
    home = MislabelFilter(**options).fit(X, y)
    away = MislabelFilter(**options).fit(lazy, da.from_array(y, chunks=40))
    assert_same(home, away)


def test_what_is_handed_out():
    X, y = labelled()
    home, away = fitted(X, y, chunks=25)
    for lazy in (away.scores_, away.label_quality_, away.get_support()):
        assert isinstance(lazy, da.Array)
        assert lazy.chunks[0] == (25, 25, 25, 25, 20)
    pytest.importorskip("pandas")
    whole, worst = home.report(), away.report(n=7)
    assert list(worst.index) == list(whole.index[:7])
    assert list(worst.columns) == list(whole.columns)
    assert_array_equal(worst["given_label"], whole["given_label"][:7])
    assert list(home.report(n=7).index) == list(worst.index)
    assert len(away.report()) == len(y)
    assert away.summary().count("\n") == 3
    with pytest.raises(ValueError, match="n=0 must be an int above 0"):
        away.report(n=0)


def test_a_report_of_many_rows_is_of_the_worst_thousand():
    pytest.importorskip("pandas")
    X, y = labelled(2, 1100, 2)
    away = MislabelFilter(pool=("linear",), noise=None)
    away.fit(da.from_array(X, chunks=(500, -1)), y)
    assert len(away.report()) == 1000
    assert len(away.report(n=1100)) == 1100


def test_new_rows_are_judged_in_memory():
    X, y = labelled()
    home, away = fitted(X, y)
    asked = X[:20] + 0.1
    ours, truth = away.score_samples(asked, y[:20]), home.score_samples(asked, y[:20])
    assert_allclose(ours, truth, rtol=0, atol=1e-8 * np.abs(truth).max())
    assert_array_equal(away.ranker_.predict(asked), home.ranker_.predict(asked))


def test_the_forest_is_left_out_with_one_warning():
    X, y = labelled()
    lazy = da.from_array(X, chunks=(50, -1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        away = MislabelFilter(random_state=0, noise=None).fit(lazy, y)
    assert [w.filename for w in caught if "forest" in str(w.message)] == [__file__]
    home = MislabelFilter(**TWO, noise=None).fit(X, y)
    assert_same(home, away)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pool": ("forest", "linear")}, "names the forest"),
        ({"ranker": InfluenceRanker()}, "ranker=.* is for rows in memory"),
        ({"ranker": "precomputed"}, "ranker='precomputed' of MislabelFilter is for"),
        ({"label_score": "loo_loss"}, "label_score='loo_loss' of MislabelFilter"),
        ({"cv": 3}, "cv=3 of MislabelFilter is for rows in memory"),
        ({"duplicates": 0.1}, "duplicates=0.1 of MislabelFilter is for rows in memory"),
        ({"threshold": "fdr"}, "threshold='fdr' calibrates"),
    ],
)
def test_what_is_done_in_memory_alone_is_refused_before_any_work(options, said):
    def loaded(block):
        raise AssertionError("a chunk was read")

    lazy = da.ones((9, 2), chunks=(3, 2)).map_blocks(loaded, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=said):
        MislabelFilter(**options).fit(lazy, np.arange(9) % 2)


def test_bad_input_is_named():
    X, y = labelled()
    lazy = da.from_array(X, chunks=(50, -1))
    fit = MislabelFilter(**TWO).fit
    with pytest.raises(ValueError, match="y holds real targets, and on a cluster"):
        fit(lazy, X[:, 0])
    with pytest.raises(ValueError, match="y has 3 labels, and X has 120 rows"):
        fit(lazy, [0, 1, 0])
    with pytest.raises(
        ValueError, match="at least two classes; the rows in use have 1"
    ):
        fit(lazy, np.zeros(120))
    with pytest.raises(ValueError, match=r"groups are for folds, and on a cluster"):
        fit(lazy, y, groups=y)
    X[77, 1] = np.nan
    with pytest.raises(ValueError, match=r"in row 77 \(chunk 1\)"):
        fit(da.from_array(X, chunks=(50, -1)), y)
    with pytest.raises(ValueError, match="X has 4 columns: on a cluster"):
        fit(lazy[:3], y[:3])
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        fit(lazy[lazy[:, 0] > 0], y)
    with pytest.raises(TypeError, match=r"X of MislabelSampler.fit is a dask array"):
        MislabelSampler().fit(lazy, y)
    with pytest.raises(TypeError, match=r"y of MislabelFilter.fit is a dask array"):
        fit(X, lazy[:, 0])
    with pytest.raises(TypeError, match=r"X of MislabelFilter.fit_transform is"):
        MislabelFilter(**TWO).fit_transform(lazy, y)


def test_frames_are_named():
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    X, y = labelled()
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=3)
    with pytest.raises(TypeError, match=r"to_dask_array\(lengths=True\)"):
        MislabelFilter(**TWO).fit(frame, y)


def test_sparse_chunks_are_named():
    sparse = pytest.importorskip("scipy.sparse")
    lazy = da.ones((9, 2), chunks=(3, 2)).map_blocks(sparse.csr_array)
    with pytest.raises(TypeError, match="X holds sparse chunks"):
        MislabelFilter(**TWO).fit(lazy, np.arange(9) % 2)


def test_chunks_are_cut_where_a_row_becomes_wide(monkeypatch):
    monkeypatch.setattr(_parts, "_MOST_AT_ONCE", 64)  # of 64 rows at least
    X, y = labelled(n_rows=200)
    assert_same(*fitted(X, y, chunks=150, pool=("kernel",), n_rounds=1))


def test_landmarks_are_bounded(monkeypatch):
    X, y = labelled()
    monkeypatch.setattr(_kernel, "MAX_LANDMARKS", 30)
    _, away = fitted(X, y, pool=("kernel",), n_rounds=1)
    (model,) = away.ranker_.result_.rounds[0].models
    assert model.model.landmarks.shape == (30, 4)


@pytest.mark.slow
def test_a_worker_that_dies_changes_no_score(client):
    """Killed while votes are tuned: what it had kept is made anew."""
    X, y = labelled(n_rows=400)
    lazy = da.from_array(X, chunks=(50, -1))
    whole = MislabelFilter(**TWO).fit(lazy, y)
    pids, dead = client.run(os.getpid).values(), []

    def kill():
        dead.append(min(pids))
        os.kill(dead[0], signal.SIGKILL)

    timer = threading.Timer(3.0, kill)
    timer.start()
    again = MislabelFilter(**TWO).fit(lazy, y)
    timer.cancel()
    assert dead, "the fit was over before a worker was killed"
    assert_same(whole, again)


COLUMNS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "far outliers": lambda rng, n: rng.standard_cauchy(size=n) ** 3,
    "nearly all zero": lambda rng, n: (rng.random(n) < 0.1) * rng.normal(size=n),
    "two values": lambda rng, n: 1.0 * (rng.random(n) < 0.3),
    "constant": lambda rng, n: np.full(n, 3.5),
    "huge": lambda rng, n: 1e300 * rng.random(n),
    "all but one": lambda rng, n: np.r_[1e9, np.zeros(n - 1)],
    "far from zero": lambda rng, n: 1e4 + rng.standard_cauchy(size=n) ** 3,
    "skewed": lambda rng, n: rng.lognormal(sigma=3, size=n),
}


@pytest.mark.parametrize("n_rows", [30, 20_000])
@pytest.mark.parametrize("is_weighed", [False, True])
def test_ranges_of_columns_are_exact(n_rows, is_weighed):
    rng = np.random.default_rng(0)
    X = np.column_stack([make(rng, n_rows) for make in COLUMNS.values()])
    weight = rng.integers(0, 3, n_rows) + 1e-3 * is_weighed * rng.random(n_rows)
    weight = weight if is_weighed else np.ones(n_rows)
    used = weight > 0
    truth = value_range(X[used], weight[used])
    lazy = da.from_array(X, chunks=(n_rows // 3, -1))
    source = row_source(lazy, None, da.from_array(weight, chunks=n_rows // 3))
    # Order statistics and values of the columns: no arithmetic by which they differ.
    assert_array_equal(column_range(source, weight.sum(), weight.max()), truth)
