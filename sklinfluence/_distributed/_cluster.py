"""The cluster that is current: its client, its threads, and how it fails."""

import sys
import warnings

from sklinfluence._scheduling import blas_threads
from sklinfluence._warn import warn_user


def current_client():
    """The client of distributed that tasks would go to, or None.

    Where distributed was never imported there is none.
    """
    if "distributed" not in sys.modules:
        return None
    import dask
    from distributed import get_client

    named = dask.config.get("scheduler", None)
    if named not in (None, "dask.distributed", "distributed"):
        return None
    try:
        client = get_client()
    except ValueError:
        return None
    return client if client.status == "running" else None


def warn_about_threads():
    """Name workers whose BLAS has threads of its own beside the worker's."""
    client = current_client()
    if client is None:
        return
    counts = client.run(blas_threads)
    many = {worker: count for worker, count in counts.items() if count > 1}
    if many:
        worker, count = next(iter(many.items()))
        warn_user(
            f"BLAS has {count} threads on {len(many)} worker(s), {worker} for one: "
            "what reads the rows shares its core with others. The functions of this "
            "package hold BLAS to one thread; for the rest start the workers with "
            "OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1.",
        )


def evaluate(delayed, futures, sizes):
    """Compute a value on the cluster, or on the scheduler that is current.

    Parameters
    ----------
    delayed : Delayed
    futures : dict
        Of what lies in the cluster's memory.
    sizes : dict
        Bytes of what a task holds, by name, for the error of one that was killed.

    Raises
    ------
    ValueError
        If X is persisted on a client that is closed.
    MemoryError
        If workers died of a task again and again.
    """
    _refuse_closed(futures)
    with warnings.catch_warnings():
        # What is shared is in the graph so that it outlives the workers.
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        try:
            return delayed.compute(optimize_graph=False)
        except Exception as error:
            if type(error).__name__ != "KilledWorker":
                raise
            raise _killed(error, sizes) from error


def _refuse_closed(futures):
    closed = [future for future in futures.values() if _is_lost(future)]
    if closed:
        raise ValueError(
            f"{len(closed)} chunk(s) are persisted on a client that is closed, and "
            "went with it. Connect a client and persist them again, or pass the array "
            "that they were computed from."
        )


def _is_lost(future):
    client = getattr(future, "client", None)
    return client is None or client.status != "running"


def _killed(error, sizes):
    limit = getattr(getattr(error, "last_worker", None), "memory_limit", 0)
    limit = _bytes(limit) if limit else "not set"
    named = ", ".join(f"{name} {_bytes(size)}" for name, size in sizes.items() if size)
    return MemoryError(
        f"Workers died of the same task until the scheduler gave it up ({error}). A "
        f"worker's memory limit is {limit}; of what a task holds at once, {named}. A "
        "task needs some four times the chunk and partial sum beside what is shared: "
        "rechunk X into fewer rows, or give the workers more memory."
    )


def _bytes(size):
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size} bytes"
