"""A cluster of two processes with one thread each, as users have workers."""

import os
import time
from unittest import mock

import pytest

WORKERS = 2
# On a machine that others use as well a worker may be deaf for seconds: none of that
# is a fault, and what takes longer than this is one.
PATIENT = {
    "distributed.comm.timeouts.connect": "60s",
    "distributed.comm.timeouts.tcp": "120s",
    "distributed.scheduler.worker-ttl": "10 minutes",
    "distributed.worker.profile.enabled": False,
    # Every transfer stays in the logs: tests count bytes.
    "distributed.admin.log-length": 100_000,
}

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


@pytest.fixture(scope="session")
def cluster():
    """A `LocalCluster` for the whole session; ask for `client` to compute on it."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    with (
        dask.config.set(PATIENT),
        # Workers inherit what is set here, whatever these tests run under.
        mock.patch.dict(os.environ, ONE_THREAD),
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            memory_limit=0,
            silence_logs=50,
        ) as running,
    ):
        yield running


@pytest.fixture
def client(cluster):
    """The cluster's client, current for one test, both workers answering.

    What a test has left in the workers' memory goes with its client; a worker that a
    test has killed is awaited by the next.
    """
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster, timeout=60) as current:
        _await_workers(current)
        yield current


def _await_workers(client, seconds=120):
    """Return when both answer: a dead one stays on the scheduler's list for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.wait_for_workers(WORKERS, timeout=seconds)
        answers = client.run(os.getpid, on_error="return").values()
        if sum(isinstance(answer, int) for answer in answers) == WORKERS:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{WORKERS} workers did not answer within {seconds} s")
