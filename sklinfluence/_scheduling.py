"""The same work over many blocks of rows, or many fits, side by side.

Passes over rows run their blocks on threads of their own, each with BLAS on one thread:
BLAS's threads wait for one another at every product, blocks only at the end. What does
more than products runs on threads that share BLAS, fits on joblib's current backend, in
processes unless `joblib.parallel_config` says otherwise.

All take the work and its arguments as `map` does, ask for the next argument only when
a worker is near (so a generator may report progress), and return results in order.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import cache, partial
from itertools import islice
from threading import Lock

from joblib import effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController

# Set on threads that a pass over rows has started: what they call stays on them.
_is_worker = ContextVar("is_worker", default=False)


def map_rows(work, *arguments, n_jobs=None):
    """``[work(*each) for each in zip(*arguments)]``, BLAS on one thread throughout.

    Bit by bit the same for any number of threads, where the arguments are.

    Parameters
    ----------
    work : callable
        Its time goes into numpy's products, which let other threads work (scipy's
        wrappers of BLAS and LAPACK do not).
    *arguments : iterables
    n_jobs : int, default=None
        Threads. None: what `joblib.parallel_config` says, else as many as BLAS would
        use. One inside a worker of joblib's.

    Returns
    -------
    results : list
    """
    items = zip(*arguments, strict=True)
    with blas_on_one_thread as blas_threads:
        n_threads = _n_threads(n_jobs, blas_threads)
        first = list(islice(items, 2)) if n_threads > 1 else []
        if len(first) < 2:
            return [work(*each) for each in (*first, *items)]
        with ThreadPoolExecutor(n_threads, initializer=_limit_here) as pool:
            return list(_in_order(pool, work, first, items, n_threads))


def sum_rows(work, *arguments, n_jobs=None):
    """The sum of what `map_rows` returns, by a tree that only its length decides."""
    return tree_sum(map_rows(work, *arguments, n_jobs=n_jobs))


def tree_sum(parts):
    """The sum of arrays, pairs first, then pairs of pairs; the first is overwritten."""
    parts = list(parts)
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        odd = parts[-1:] if len(parts) % 2 else []
        parts = [a.__iadd__(b) for a, b in pairs] + odd
    return parts[0]


def _in_order(pool, work, first, items, n_threads):
    """Results in order, no more arguments drawn than keep every thread busy."""
    config = get_config()

    def submit(each):
        return pool.submit(copy_context().run, _on_worker, config, work, each)

    waiting = deque(map(submit, first))
    try:
        for each in items:
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
            waiting.append(submit(each))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _on_worker(config, work, each):
    _is_worker.set(True)
    with config_context(**config):
        return work(*each)


def on_threads(n_jobs):
    """A context in which passes over rows that are not told otherwise have n_jobs."""
    return nullcontext() if n_jobs is None else parallel_config(n_jobs=n_jobs)


def _n_threads(n_jobs, blas_threads):
    backend, of_context = get_active_backend()
    if _is_worker.get() or backend.nesting_level:
        return 1
    n_jobs = of_context if n_jobs is None else n_jobs
    return blas_threads if n_jobs is None else effective_n_jobs(n_jobs)


class _BlasOnOneThread:
    """BLAS on one thread while anyone is inside, whoever enters and leaves when.

    The limit is the whole process's: the first to enter sets it and the last to leave
    puts back what was. Entered, it says how many threads BLAS had.
    """

    def __init__(self):
        self._lock, self._inside, self._limit, self._threads = Lock(), 0, None, 1

    def __enter__(self):
        with self._lock:
            if not self._inside:
                libraries = _blas().lib_controllers
                counts = [library.num_threads for library in libraries]
                self._threads = min(counts, default=1)
                if any(count != 1 for count in counts):
                    _take_over(libraries)
                    self._limit = _blas().limit(limits=1)
            self._inside += 1
            return self._threads

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limit is not None:
                limit, self._limit = self._limit, None
                _take_over(_blas().lib_controllers)
                limit.restore_original_limits()
                _take_over(_blas().lib_controllers)


blas_on_one_thread = _BlasOnOneThread()


@cache
def _blas():
    # Finding the libraries takes milliseconds; they are loaded with numpy and scipy.
    return ThreadpoolController().select(user_api="blas")


def _take_over(libraries):
    """Let this thread set limits: threadpoolctl 3.8 heeds the first that did alone."""
    for library in libraries:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def _limit_here():
    """Where a limit is of a thread (BLAS on OpenMP), each has its own."""
    _blas().limit(limits=1)


def map_blocks(work, *arguments, n_jobs=None):
    """``[work(*each) for each in zip(*arguments)]`` on threads that share BLAS."""
    return _run(Parallel(n_jobs=n_jobs, prefer="threads"), work, *arguments)


def map_fits(work, *arguments, n_jobs=None):
    """``[work(*each) for each in zip(*arguments)]`` on joblib's current backend."""
    return _run(Parallel(n_jobs=n_jobs), work, *arguments)


@contextmanager
def pool_of_fits(n_jobs=None):
    """`map_fits` that keeps its workers from one call to the next."""
    with Parallel(n_jobs=n_jobs) as parallel:
        yield partial(_run, parallel)


def _run(parallel, work, *arguments):
    return parallel(delayed(work)(*each) for each in zip(*arguments, strict=True))


@contextmanager
def on_this_thread():
    """While it lasts, passes over rows start no threads, and BLAS has one.

    For a worker of somebody else's: the others have work of their own.
    """
    token = _is_worker.set(True)
    try:
        with blas_on_one_thread:
            yield
    finally:
        _is_worker.reset(token)


def blas_threads():
    """How many threads BLAS has in this process."""
    return max((library.num_threads for library in _blas().lib_controllers), default=1)
