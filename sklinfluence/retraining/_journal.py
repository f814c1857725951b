"""The journal of a long run: every utility that was evaluated, one line each.

The k-th set that a run evaluates is a function of (seed, k). So the lines, in whatever
order they were written, are the whole state of the run: what stands in the journal is
never evaluated again, and the result does not depend on how often, or where, the run
was broken off.
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be locked like this
    fcntl = None

# Raised where an older reader would misread what is written now.
_FORMAT = 1


class Journal:
    """Utilities by split, unit and step, kept in a file where there is one.

    Parameters
    ----------
    seed : int
        Of the run: that of the file, where one was there.
    records : list of dict, default=()
        What the file held.
    file : binary file or None
    """

    def __init__(self, seed, records=(), file=None):
        self.seed = seed
        self._file = file
        self._known = {}
        for record in records:
            value = record["utilities" if "utilities" in record else "utility"]
            place = record["split"], record["k"], record["step"]
            self._note(*place, value, record.get("error"))

    def _note(self, split, k, first, values, error):
        steps = self._known.setdefault(split, {}).setdefault(k, {})
        several = values if isinstance(values, list) else [values]
        for step, value in enumerate(several, start=first):
            failed = value is None or np.isnan(value)
            steps[step] = (np.nan, error) if failed else (value, None)

    def units(self, split):
        """What is known of a split: k to step to (value, error)."""
        return self._known.setdefault(split, {})

    def add(self, split, k, step, value, error):
        """Note one evaluation; it is on the disk when `sync` has been called.

        Parameters
        ----------
        split, k, step : int
        value : float or list of float
            A list is of this step and those after it. NaN where one failed.
        error : str or None
            What it failed with.
        """
        self._note(split, k, step, value, error)
        if self._file is None:
            return
        record = {"split": split, "k": k, "step": step}
        if isinstance(value, list):
            record["utilities"] = [None if np.isnan(one) else one for one in value]
        else:
            record["utility"] = None if np.isnan(value) else value
        if error is not None:
            record["error"] = error
        self.write(record)

    def write(self, record):
        """One line."""
        self._file.write((json.dumps(record) + "\n").encode())
        self._file.flush()

    def sync(self):
        """See to it that what was added outlives this machine."""
        if self._file is not None:
            os.fsync(self._file.fileno())


@contextmanager
def opened(path, digest, seed):
    """The journal of a run, found or begun.

    Parameters
    ----------
    path : str, path-like or None
        None: a journal that no file keeps.
    digest : str
        Of everything that utilities depend on. A journal of another run is refused.
    seed : int or None
        None: that of the journal, if there is one, else a new one.

    Yields
    ------
    journal : Journal

    Raises
    ------
    ValueError
        If the file is another run's, none of a run's, or open in another process.
    """
    if path is None:
        yield Journal(_drawn(seed))
        return
    path = Path(path)
    with open(path, "a+b") as file:
        _lock(file, path)
        file.seek(0)
        header, records, end = _read(file.read(), path)
        # A line that was cut off by a crash goes before anything is written after it.
        file.truncate(end)
        if header is None:
            header = {"format": _FORMAT, "digest": digest, "seed": _drawn(seed)}
            journal = Journal(header["seed"], file=file)
            journal.write(header)
        else:
            _check(header, digest, seed, path)
            journal = Journal(header["seed"], records, file)
        yield journal


def _drawn(seed):
    if seed is not None:
        return int(seed)
    return int(np.random.SeedSequence().generate_state(1)[0] % np.iinfo(np.int32).max)


def _lock(file, path):
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ValueError(
            f"journal={str(path)!r} is open in another process. Wait for it, or give "
            "this run a journal of its own."
        ) from error


def _read(content, path):
    """(header, records, where the last whole line ends)."""
    end = content.rfind(b"\n") + 1
    try:
        lines = [json.loads(line) for line in content[:end].splitlines()]
    except ValueError as error:
        raise ValueError(
            f"journal={str(path)!r} holds lines that are no records of a run. Give "
            "this run a path where nothing lies."
        ) from error
    if not lines:
        if end < len(content) and not content.startswith(b"{"):
            raise ValueError(
                f"journal={str(path)!r} is a file of another kind. Give this run a "
                "path where nothing lies."
            )
        return None, [], 0
    header, *records = lines
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError(
            f"journal={str(path)!r} does not begin like a journal of this version. "
            "Give this run a path where nothing lies."
        )
    return header, records, end


def _check(header, digest, seed, path):
    if header["digest"] != digest:
        raise ValueError(
            f"journal={str(path)!r} is of another run: rows, weights, parameters or "
            "scoring differ. Give this run a path of its own, or repeat the other."
        )
    if seed is not None and header["seed"] != seed:
        raise ValueError(
            f"journal={str(path)!r} was begun with another random_state. Pass the same "
            "one, or None to go on with it."
        )
