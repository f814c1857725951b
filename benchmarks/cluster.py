"""Rows on a dask cluster: rows a second, bytes moved, memory, deaths, many chunks.

A frozen head of a softmax is polished, its Hessian factored, and every row's
self-influence, leverage and leave-one-out prediction written to a store; rows come from
a Zarr store. Gates, each with its own lines:

    speed   against one process on a memory map of the same rows, in alternating pairs
    scaling one process and two, in alternating pairs
    bytes   what workers sent one another, by the names of tasks
    memory  peak of each worker under a limit, what was spilled
    kills   a worker killed while polishing, in mid-Hessian, in mid-scoring, and both
    chunks  a graph of many chunks, built and submitted

    python benchmarks/cluster.py                              all, small
    python benchmarks/cluster.py --gates speed scaling bytes --pairs 5 \
        --rows 500000 --columns 256 --classes 10 --chunk 16384
    python benchmarks/cluster.py --gates memory --rows 2000000 --columns 256 \
        --classes 10 --chunk 16384 --limit 900
    python benchmarks/cluster.py --gates kills --rows 163840 --columns 128 --chunk 4096
    python benchmarks/cluster.py --gates chunks --chunks 10000
"""

import argparse
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import dask
import dask.array as da
import joblib
import numpy as np
import psutil
import zarr
from distributed import Client, LocalCluster, SchedulerPlugin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from streaming import N_FITTED, write_rows

from sklinfluence.gradient import InfluenceRanker

GATES = ("speed", "scaling", "bytes", "memory", "kills", "chunks")
SCORES = ("self_influence_", "leverage_", "loo_decision_function_")
# A condition below 1e3, which killed runs are compared at.
C = 0.01
# What hands out nothing of rows: parts, sums, results, and what all tasks need.
OWN = ("sklinfluence", "all-of", "shared", "store")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gates", nargs="+", choices=GATES, default=GATES)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--columns", type=int, default=48)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--chunk", type=int, default=2048, help="rows of a chunk")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--limit", type=int, default=900, help="MB a worker, memory")
    parser.add_argument("--chunks", type=int, default=1000, help="of the gate chunks")
    parser.add_argument("--folder", help="where rows are written; kept if given")
    parser.add_argument("--memmap", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- rows -----------------------------------------------------------------------------


class Rows:
    """The same rows as a memory map, a Zarr store and a head fitted to some of them."""

    def __init__(self, folder, options):
        self.folder, self.options = Path(folder), options
        shape = self.shape = options.rows, options.columns
        if not (self.folder / "head").exists():
            y = write_rows(self.folder / "rows.f32", *shape, options.classes)
            np.save(self.folder / "y.npy", y)
            self._store(self.memmap())
            head = LogisticRegression(C=C, max_iter=300)
            head.fit(np.array(self.memmap()[:N_FITTED]), y[:N_FITTED])
            joblib.dump(head, self.folder / "head")
        self.y = np.load(self.folder / "y.npy")
        self.head = FrozenEstimator(joblib.load(self.folder / "head"))

    def _store(self, X):
        store = zarr.create_array(
            store=str(self.folder / "rows.zarr"),
            shape=X.shape,
            chunks=(self.options.chunk, X.shape[1]),
            dtype="float32",
            compressors=None,
        )
        for start in range(0, len(X), self.options.chunk):
            store[start : start + self.options.chunk] = X[
                start : start + self.options.chunk
            ]

    def memmap(self):
        return np.memmap(self.folder / "rows.f32", np.float32, "r", shape=self.shape)

    def lazy(self):
        X = da.from_zarr(str(self.folder / "rows.zarr"))
        return X, da.from_array(self.y, chunks=X.chunks[0])


def by_memmap(rows):
    """(seconds of the fit, of the scores) in this process, scores written to files."""
    X, begun = rows.memmap(), time.perf_counter()
    ranker = InfluenceRanker(rows.head).fit(X, rows.y)
    fitted = time.perf_counter()
    for name in SCORES:
        np.save(rows.folder / f"{name}.npy", getattr(ranker, name))
    return fitted - begun, time.perf_counter() - fitted


def by_cluster(rows, then=lambda: None):
    """The same on the current client, scores written to a store."""
    X, y = rows.lazy()
    begun = time.perf_counter()
    ranker = InfluenceRanker(rows.head).fit(X, y)
    fitted = time.perf_counter()
    then()
    lazy = [getattr(ranker, name) for name in SCORES]
    stores = [
        zarr.create_array(
            store=str(rows.folder / f"{name}.zarr"),
            shape=array.shape,
            chunks=array.chunksize,
            dtype=array.dtype,
            overwrite=True,
        )
        for name, array in zip(SCORES, lazy, strict=True)
    ]
    da.store(lazy, stores, lock=False)
    return fitted - begun, time.perf_counter() - fitted


def written(rows):
    return {name: zarr.open(str(rows.folder / f"{name}.zarr"))[:] for name in SCORES}


@contextmanager
def cluster(limit=0, n_workers=2):
    """A client of processes with one thread each."""
    logs = {"distributed.admin.log-length": 10**6, "logging.distributed": "error"}
    with (
        dask.config.set(logs),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=f"{limit}MB" if limit else 0,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as running,
        Client(running) as client,
    ):
        client.register_plugin(Counter())
        yield client


# --- gates ----------------------------------------------------------------------------


def speed(rows):
    """Each pair printed; each route is first in every other one."""
    ratios, n_rows = [], rows.options.rows
    with cluster():
        by_cluster(rows)  # imports, and the store into the page cache
        for pair in range(rows.options.pairs):
            routes = [("memmap", lambda: _elsewhere(rows)), ("cluster", by_cluster)]
            found = {}
            for name, run in routes if pair % 2 == 0 else routes[::-1]:
                found[name] = run(rows) if name == "cluster" else run()
            total = {name: sum(parts) for name, parts in found.items()}
            ratios.append(total["memmap"] / total["cluster"])
            lines = ", ".join(
                f"{name} {parts[0]:.1f} + {parts[1]:.1f} s "
                f"({n_rows / total[name]:.0f} rows/s)"
                for name, parts in found.items()
            )
            print(f"pair {pair + 1}: {lines}: {ratios[-1]:.2f} x", flush=True)
    print(
        f"median of {len(ratios)}: {statistics.median(ratios):.2f} x the memmap route"
    )


def _elsewhere(rows):
    """`by_memmap` in a process of its own, threads as they are by default."""
    environment = {k: v for k, v in os.environ.items() if k not in THREADS}
    o = rows.options
    sizes = [f"--{k}={getattr(o, k)}" for k in ("rows", "columns", "classes", "chunk")]
    command = [sys.executable, __file__, "--memmap", str(rows.folder), *sizes]
    said = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    )
    return tuple(float(part) for part in said.stdout.split()[-2:])


def scaling(rows):
    """Rows a second, and seconds of processor, of one process and of two."""
    ratios = []
    for pair in range(rows.options.pairs):
        rate, cpu = {}, {}
        for n_workers in (1, 2) if pair % 2 == 0 else (2, 1):
            with cluster(n_workers=n_workers) as client:
                by_cluster(rows)
                before = sum(client.run(time.process_time).values())
                rate[n_workers] = rows.options.rows / sum(by_cluster(rows))
                cpu[n_workers] = sum(client.run(time.process_time).values()) - before
        ratios.append(rate[2] / rate[1])
        lines = [f"{n} {rate[n]:.0f} rows/s by {cpu[n]:.1f} CPU s" for n in (1, 2)]
        print(f"pair {pair + 1}: {', '.join(lines)}: {ratios[-1]:.2f} x", flush=True)
    print(f"median of {len(ratios)}: {statistics.median(ratios):.2f} x one process")


def transfers(rows):
    """What came into each worker, by what it was."""
    with cluster() as client:
        by_cluster(rows)
        moved = {}
        for log in client.run(_incoming).values():
            for name, n_bytes in log:
                moved[name] = moved.get(name, 0) + n_bytes
    of_rows = sum(n for name, n in moved.items() if not name.startswith(OWN))
    size = rows.options.rows * rows.options.columns * 4
    for name, n_bytes in sorted(moved.items(), key=lambda pair: -pair[1]):
        print(f"  {name:40s} {n_bytes / 1e6:10.2f} MB")
    print(f"rows that left their worker: {of_rows / 1e6:.2f} MB of {size / 1e6:.0f}")
    total = sum(moved.values())
    print(f"all that moved: {total / 1e6:.1f} MB, {total / size:.2f} of X's bytes")


def _incoming(dask_worker):
    log = dask_worker.transfer_incoming_log
    return [(_name_of(k), n) for entry in log for k, n in entry["keys"].items()]


def _name_of(key):
    """A task's name without what tells it from others."""
    name = str(key[0] if isinstance(key, tuple) else key)
    head, _, tail = name.rpartition("-")
    head = head if len(tail) > 7 and head else name
    return "shared" if head.startswith("shared") else head


def memory(rows):
    """Peaks of the workers, sampled, and what they spilled."""
    size = rows.options.rows * rows.options.columns * 4 / 1e6
    with cluster(rows.options.limit) as client, _peaks(client) as peak:
        seconds = by_cluster(rows)
        spilled = client.run(_spilled)
    print(f"store {size:.0f} MB, limit {rows.options.limit} MB a worker: ", end="")
    print(f"fit {seconds[0]:.1f} s, scores {seconds[1]:.1f} s")
    for pid, most in peak.items():
        print(f"  worker {pid}: peak {most / 2**20:.0f} MiB resident")
    print(f"  spilled: {sorted(spilled.values())} bytes")


def _spilled(dask_worker):
    total = getattr(dask_worker.data, "spilled_total", None)
    return 0 if total is None else int(total.memory)


@contextmanager
def _peaks(client):
    """Resident memory of each worker, the most of it, sampled 20 times a second."""
    found = dict.fromkeys(client.run(os.getpid).values(), 0)
    stop = threading.Event()

    def sample():
        while not stop.wait(0.05):
            for pid in found:
                if psutil.pid_exists(pid):
                    rss = psutil.Process(pid).memory_info().rss
                    found[pid] = max(found[pid], rss)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def kills(rows):
    """Numbers of runs with deaths, against those of one without."""
    with cluster() as client:
        by_cluster(rows)
        whole, names = written(rows), client.run_on_scheduler(_finished)
        for name, n in names.items():
            print(f"  {n:5d} tasks {name}")
    for moment, (phase, both) in MOMENTS.items():
        with cluster() as client, _killer(client, phase, both) as deaths:
            seconds = sum(by_cluster(rows))
            found = written(rows)
        worst = max(
            np.abs(found[name] - whole[name]).max() / np.abs(whole[name]).max()
            for name in SCORES
        )
        print(f"{moment}: {seconds:.1f} s, {deaths} killed: {worst:.1e} of the largest")


# Names of tasks by which a phase is told, and whether both workers go.
MOMENTS = {
    "while polishing": ("extremes", False),
    "in mid-Hessian": ("hessian", False),
    "in mid-scoring": ("on_own", False),
    "both, in mid-scoring": ("on_own", True),
}


class Counter(SchedulerPlugin):
    """How many tasks of each name were finished, ever."""

    name = "finished"

    def __init__(self):
        self.finished = {}

    def transition(self, key, start, finish, *args, **kwargs):
        if start == "processing" and finish == "memory":
            name = _name_of(key)
            self.finished[name] = self.finished.get(name, 0) + 1


def _finished(dask_scheduler):
    return dask_scheduler.plugins["finished"].finished


@contextmanager
def _killer(client, phase, both):
    """Kill once some tasks of a phase are done; yields who was killed."""
    dead, stop = [], threading.Event()
    pids = list(client.run(os.getpid).values())

    def watch():
        while not stop.wait(0.02):
            done = client.run_on_scheduler(_finished)
            if sum(n for name, n in done.items() if phase in name.lower()) >= 3:
                for pid in pids if both else pids[:1]:
                    os.kill(pid, signal.SIGKILL)
                    dead.append(pid)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield dead
    finally:
        stop.set()
        thread.join()


def chunks(rows):
    """A graph of many chunks: built, submitted, and the whole fit."""
    n_chunks, n_each, n_columns = rows.options.chunks, 16, 8
    rng = np.random.default_rng(0)
    X = da.random.default_rng(0).normal(
        size=(n_chunks * n_each, n_columns), chunks=(n_each, n_columns)
    )
    y = rng.integers(2, size=len(X))
    head = LogisticRegression().fit(
        rng.normal(size=(100, n_columns)), np.arange(100) % 2
    )
    with cluster() as client:
        begun = time.perf_counter()
        ranker = InfluenceRanker(FrozenEstimator(head), refit_head=False).fit(X, y)
        fitted = time.perf_counter()
        lazy = ranker.self_influence_
        submitted = client.compute(lazy.sum())
        sent = time.perf_counter()
        submitted.result()
        done = time.perf_counter()
    print(
        f"{n_chunks} chunks: fit {fitted - begun:.1f} s; scores: graph built and ",
        end="",
    )
    print(f"submitted {sent - fitted:.1f} s, computed {done - sent:.1f} s")


RUN = {
    "speed": speed,
    "scaling": scaling,
    "bytes": transfers,
    "memory": memory,
    "kills": kills,
    "chunks": chunks,
}


def main():
    options = parsed()
    if options.memmap:
        print(*by_memmap(Rows(options.memmap, options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = Rows(options.folder or folder, options)
        for gate in options.gates:
            print(f"-- {gate}", flush=True)
            RUN[gate](rows)


if __name__ == "__main__":
    main()
