"""What every task needs: a literal in the graph, or a file that all workers read.

Never scattered: what lies on one worker dies with it, and a copy on every worker is not
made anew for one that comes back. A literal is in the graph, which the scheduler keeps.
"""

import hashlib
import os
import pickle
import tempfile
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import dask

# From so many bytes on, as a file.
LARGE = 100 * 10**6


class Held:
    """A thing on its way to the workers, which says how large it is.

    What a thing computes when it is first asked (an inverse) it keeps there: tasks of a
    worker get the same object.
    """

    def __init__(self, thing, n_bytes):
        self.thing, self.n_bytes = thing, n_bytes

    def __sizeof__(self):
        # What dask counts: of a class that it does not know it counts a few bytes.
        return self.n_bytes

    def __call__(self):
        return self


class OnDisk:
    """A thing in a file; the file goes when the object that wrote it does.

    Its digest travels with the task: a worker opens nothing but what was written here.
    """

    def __init__(self, pickled, directory):
        self.n_bytes, self.digest = len(pickled), _digest(pickled)
        self.path = str(Path(directory) / f"sklinfluence-{uuid4().hex}.pickle")
        # Whole or not at all: workers may look before it is written.
        Path(f"{self.path}.part").write_bytes(pickled)
        os.replace(f"{self.path}.part", self.path)
        weakref.finalize(self, _remove, self.path)

    def __getstate__(self):
        return self.path, self.n_bytes, self.digest

    def __setstate__(self, state):
        self.path, self.n_bytes, self.digest = state

    def __call__(self):
        return self

    @property
    def thing(self):
        return _read(self.path, self.digest)


def _remove(path):
    Path(path).unlink(missing_ok=True)


def _digest(pickled):
    return hashlib.sha256(pickled).hexdigest()


@lru_cache(maxsize=2)
def _read(path, digest):
    """The thing in a file, once a process: of the last two."""
    pickled = Path(path).read_bytes()
    if _digest(pickled) != digest:
        raise ValueError(
            f"{path} is not as it was written: damaged, cut off, or another's. "
            "Fit again, in a shared_directory that all workers see at once."
        )
    return pickle.loads(pickled)


def received(given):
    """The things that were shared, on the worker."""
    return [part.thing if isinstance(part, Held | OnDisk) else part for part in given]


def pack(thing, directory):
    """A thing as what the graph holds.

    Parameters
    ----------
    thing : object
    directory : callable
        Gives the directory that all workers see, when one is needed.
    """
    pickled = pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
    if len(pickled) <= LARGE:
        return Held(thing, len(pickled))
    return OnDisk(pickled, directory())


def directory_of_all(client, given):
    """A directory that this process writes and every worker reads.

    Parameters
    ----------
    client : distributed.Client or None
        None: the tasks run in this process.
    given : str or None
        None: dask's own ``temporary-directory``, or the system's.

    Raises
    ------
    ValueError
        If a worker does not read what is written there.
    """
    named = given or dask.config.get("temporary-directory", None)
    directory = Path(named or tempfile.gettempdir())
    token = uuid4().hex
    path = directory / f"sklinfluence-{token}.token"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(token)
        if client is None:
            return directory
        blind = [
            worker
            for worker, seen in client.run(_token, str(path)).items()
            if seen != token
        ]
    except OSError as error:
        raise _no_directory(directory, f"this process cannot write it: {error}") from (
            error
        )
    finally:
        with suppress(OSError):  # it may never have been written
            path.unlink()
    if blind:
        raise _no_directory(directory, f"{', '.join(blind[:3])} cannot read it")
    return directory


def _token(path):
    try:
        return Path(path).read_text()
    except OSError:
        return None


def _no_directory(directory, why):
    return ValueError(
        "The factor is above 100 MB and goes to the workers as a file, and "
        f"{str(directory)!r} is no directory that all of them see: {why}. Set "
        "shared_directory to one that this process and every worker have, or dask's "
        "temporary-directory (dask.config.set({'temporary-directory': ...}))."
    )
