"""The same work over many blocks of rows, or many fits, side by side.

Blocks run on threads: their time goes into products, which let other threads work, and
they read the same arrays. Fits run on joblib's current backend, in processes unless
`joblib.parallel_config` says otherwise, since much of a fit is Python.

Both take the work and its arguments as `map` does, ask for the next argument only when
a worker is near (so a generator may report progress), and return results in order.
"""

from contextlib import contextmanager
from functools import partial

from sklearn.utils.parallel import Parallel, delayed


def map_blocks(work, *arguments, n_jobs=None):
    """``[work(*each) for each in zip(*arguments)]`` on threads."""
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
