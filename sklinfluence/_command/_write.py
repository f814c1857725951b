"""Files that are whole or not there."""

import os
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from sklinfluence._command._bad_input import BadInput


class Outputs:
    """Files that are written aside, and put in their places together."""

    def __init__(self):
        self._stack = ExitStack()
        self._moves = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stack.close()

    def write(self, path, data):
        """Write bytes aside, to be at `path` after `commit`."""
        path = Path(path)
        number, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        self._stack.callback(_forget, aside)
        with os.fdopen(number, "wb") as file:
            file.write(data)
        # As a file that is opened for writing: mkstemp's is its owner's alone.
        os.chmod(aside, 0o666 & ~_umask())
        self._moves.append((aside, path))

    def commit(self):
        """Put everything in its place."""
        for aside, path in self._moves:
            os.replace(aside, path)


def check_place(option, path, *inputs):
    """Refuse a place for an output before any work, and an input's own above all."""
    if path is None:
        return
    path = Path(path)
    if not path.parent.is_dir():
        raise BadInput(f"{option}: there is no folder {str(path.parent)!r}.")
    if path.is_dir():
        raise BadInput(f"{option}: {str(path)!r} is a folder. Name a file.")
    if any(path.exists() and path.samefile(given) for given in inputs):
        raise BadInput(f"{option}: {str(path)!r} is what is read. Name another file.")


def _forget(aside):
    with suppress(FileNotFoundError):
        os.unlink(aside)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
