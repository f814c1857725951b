"""Where a recorded training run is kept: in memory, or in a folder without pickles.

A folder holds

* ``manifest.json``: what must agree for a run to be continued, the fingerprint of its
  data, the number of its steps, and every other file with its digest;
* ``steps-*.npz``: rows, optimiser settings and epoch ends, a file for each flush;
* ``checkpoints-*.npz``: parameters and buffers, keys "step/name";
* ``resume-*.npz``: where the run stands: the state of the module, of the optimiser and
  of the random generators.

Files are written under another name and moved into place, the manifest last, and are
read with ``allow_pickle=False``.
"""

from pathlib import Path
from threading import Lock

import numpy as np

from sklinfluence.deep._path._fingerprint import differing
from sklinfluence.deep._path._manifest import (
    NAME,
    fault_of,
    load_arrays,
    read_manifest,
    save_arrays,
    write_manifest,
)
from sklinfluence.deep._path._training_path import SETTINGS, TrainingPath


class MemoryStore:
    """A run in memory.

    Attributes
    ----------
    meta : dict
    n_steps : int
        Steps recorded.
    """

    def __init__(self, meta):
        self.meta = meta
        self.batches, self.fresh, self.epoch_ends = [], [], []
        self.settings = {name: [] for name in SETTINGS}
        self.checkpoints = {}
        self.resume = {}

    @property
    def n_steps(self):
        return len(self.batches)

    def add_step(self, batch, settings, fresh):
        """Record one step: its rows, `SETTINGS` by group, whether it was the first."""
        self.batches.append(np.asarray(batch, dtype=np.int64))
        self.fresh.append(fresh)
        for name in SETTINGS:
            self.settings[name].append(settings[name])

    def add_checkpoint(self, arrays):
        """Record parameters and buffers where the run stands."""
        self.checkpoints[self.n_steps] = arrays

    def end_epoch(self):
        self.epoch_ends.append(self.n_steps)

    def has_checkpoint(self):
        return self.n_steps in self.checkpoints

    def has_any(self):
        """Whether there is a checkpoint at all."""
        return bool(self.checkpoints)

    def cut(self, n_steps):
        """Forget what came after so many steps, the end of an epoch."""
        del self.batches[n_steps:], self.fresh[n_steps:]
        for values in self.settings.values():
            del values[n_steps:]
        self.epoch_ends = [end for end in self.epoch_ends if end <= n_steps]
        for step in [step for step in self.checkpoints if step > n_steps]:
            del self.checkpoints[step]

    def flush(self, **parts):
        """Keep the state that a run is continued from.

        Parameters
        ----------
        **parts : dict of str to ndarray
            ``module``, ``optimizer`` and ``generators``.
        """
        self.resume = {
            f"{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }

    def last(self, part):
        """What `flush` kept of a part."""
        head = f"{part}/"
        return {k[len(head) :]: v for k, v in self.resume.items() if k.startswith(head)}

    def path(self):
        """The run as a `TrainingPath`."""
        steps = np.array(sorted(self.checkpoints), dtype=int)
        loaded = [self.checkpoints[step] for step in steps]
        return self._path(steps, loaded.__getitem__)

    def _path(self, steps, load):
        meta = self.meta
        shape = (self.n_steps, max(meta["groups"], default=0) + 1)
        settings = {
            name: np.asarray(values, dtype=float).reshape(shape)
            for name, values in self.settings.items()
        }
        return TrainingPath(
            n_rows=meta["n_rows"],
            names=tuple(meta["names"]),
            groups=tuple(meta["groups"]),
            optimizer=meta["optimizer"],
            every=meta["every"],
            data=meta["data"],
            batches=list(self.batches),
            settings=settings,
            fresh=np.asarray(self.fresh, dtype=bool),
            epoch_ends=np.asarray(self.epoch_ends, dtype=int),
            steps=steps,
            load=load,
        )


class FolderStore(MemoryStore):
    """A run in a folder; what the folder holds already is continued.

    Parameters
    ----------
    folder : path-like
    meta : dict, default=None
        None: only to read.

    Raises
    ------
    ValueError
        If the folder's files are not those of one recorded run, or not of this one.
    """

    def __init__(self, folder, meta=None):
        self.folder = Path(folder)
        found = read_manifest(self.folder)
        if meta is None and found is None:
            raise FileNotFoundError(f"No recorded training run in {self.folder}.")
        super().__init__(found["run"] if meta is None else meta)
        # The files of the run by name, and those that the manifest lists.
        self._files, self._listed = {}, set()
        self._where = {}
        if found is not None:
            _check_same(found["run"], self.meta, self.folder)
            self._read(found)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_manifest(self.folder, self.meta, 0, {})
        self._n_flushed = (self.n_steps, len(self.epoch_ends))

    def _read(self, manifest):
        self._files, n_steps = dict(manifest["files"]), manifest["n_steps"]
        self._listed = set(self._files)
        for name in sorted(self._files):
            file = self.folder / name
            if name.startswith("steps-"):
                self._take_steps(load_arrays(file))
            elif name.startswith("resume-"):
                self.resume = load_arrays(file)
            else:
                steps = [s for s in self._files[name]["steps"] if s <= n_steps]
                self._where.update(dict.fromkeys(steps, file))
        if self.n_steps != n_steps:
            raise ValueError(
                f"{self.folder / NAME} says that the run has {n_steps} steps, "
                f"and its files have {self.n_steps}. Record the run again."
            )

    def _take_steps(self, saved):
        ends = np.cumsum(saved["lengths"])
        self.batches += np.split(saved["rows"], ends[:-1]) if len(ends) else []
        self.fresh += list(saved["fresh"])
        self.epoch_ends += [int(end) for end in saved["epoch_ends"]]
        for name in SETTINGS:
            self.settings[name] += list(saved[name])

    def has_checkpoint(self):
        return self.n_steps in self._where or super().has_checkpoint()

    def has_any(self):
        return bool(self._where) or super().has_any()

    def cut(self, n_steps):
        """Forget what came after so many steps, the end of an epoch.

        Its files are no part of the run from the next `flush` on.
        """
        super().cut(n_steps)
        self._where = {s: file for s, file in self._where.items() if s <= n_steps}
        self._files = {
            name: entry
            for name, entry in self._files.items()
            if min(entry.get("steps", [0])) <= n_steps
            and entry.get("start", -1) < n_steps
        }
        self._n_flushed = (self.n_steps, len(self.epoch_ends))

    def flush(self, **parts):
        """Write all that is new, then make it the run.

        A writer that is broken off leaves the run as the last flush left it.
        """
        super().flush(**parts)
        # No name is used twice: files that the manifest lists are never written over.
        number = 1 + max([int(name[-12:-4]) for name in self._listed], default=-1)
        files = {n: e for n, e in self._files.items() if not n.startswith("resume-")}
        if self.checkpoints:
            name = f"checkpoints-{number:08d}.npz"
            files[name] = self._write_checkpoints(self.folder / name)
        if self.n_steps > self._n_flushed[0]:
            name = f"steps-{number:08d}.npz"
            files[name] = self._write_steps(self.folder / name)
        name = f"resume-{number:08d}.npz"
        files[name] = save_arrays(self.folder / name, self.resume)
        write_manifest(self.folder, self.meta, self.n_steps, files)
        for name in self._listed - set(files):
            (self.folder / name).unlink(missing_ok=True)
        self._files, self._listed = files, set(files)
        self._n_flushed = (self.n_steps, len(self.epoch_ends))

    def _write_steps(self, file):
        start, start_epoch = self._n_flushed
        batches = self.batches[start:]
        steps = {
            "lengths": np.array([len(batch) for batch in batches], dtype=int),
            "rows": np.concatenate([*batches, np.empty(0, dtype=np.int64)]),
            "fresh": np.asarray(self.fresh[start:], dtype=bool),
            "epoch_ends": np.array(self.epoch_ends[start_epoch:], dtype=int),
        }
        for name in SETTINGS:
            steps[name] = np.asarray(self.settings[name][start:], dtype=float)
        return {**save_arrays(file, steps), "start": start}

    def _write_checkpoints(self, file):
        arrays = {
            f"{step}/{part}": array
            for step, named in self.checkpoints.items()
            for part, array in named.items()
        }
        entry = save_arrays(file, arrays)
        self._where.update(dict.fromkeys(self.checkpoints, file))
        steps, self.checkpoints = sorted(self.checkpoints), {}
        return {**entry, "steps": steps}

    def path(self):
        """The run as a `TrainingPath` that reads each checkpoint when asked for it."""
        assert not self.checkpoints, "flush first"
        steps = np.array(sorted(self._where), dtype=int)
        where = [
            (step, self._where[step], self._files[self._where[step].name]["sha256"])
            for step in steps.tolist()
        ]
        return self._path(steps, _Reader(where))


class _Reader:
    """Checkpoints by number, from files; the last file stays open.

    Parameters
    ----------
    where : list of (step, file, digest)
    """

    def __init__(self, where):
        self.where = where
        self._file, self._archive, self._lock = None, None, Lock()
        # Files by how they looked when their digest was right.
        self._seen = {}

    def __call__(self, c):
        step, file, digest = self.where[c]
        head = f"{step}/"
        with self._lock:
            if file != self._file:
                self._open(file, digest)
            names = [name for name in self._archive.files if name.startswith(head)]
            try:
                return {name[len(head) :]: self._archive[name] for name in names}
            except ValueError as error:
                # Objects, which would be unpickled, under a digest of their own.
                raise ValueError(f"{file} is damaged: {error}") from error

    def _open(self, file, digest):
        # Queries may come long after the folder was looked at.
        looks = _looks(file)
        if looks is None or self._seen.get(file) != looks:
            fault = fault_of(file, digest)
            if fault:
                raise ValueError(
                    f"{file.parent} no longer holds the run that was read: {fault}."
                )
        self._seen[file] = looks
        self._archive, self._file = np.load(file, allow_pickle=False), file

    def __getstate__(self):
        return {"where": self.where}

    def __setstate__(self, state):
        self.__init__(**state)


def _looks(file):
    """Size, time and number of a file, which change when it does; None if gone."""
    if not file.exists():
        return None
    found = file.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def read_training_path(folder):
    """The run that a folder holds, as a `TrainingPath`."""
    return FolderStore(folder).path()


def _check_same(found, wanted, folder):
    lines = [
        f"{key}: {found.get(key)!r} there, {wanted[key]!r} here"
        for key in wanted
        if key != "data" and found.get(key) != wanted[key]
    ]
    if not lines:
        others = differing(found["data"], wanted["data"])
        lines = [f"{name}: other values there than here" for name in others]
    if lines:
        raise ValueError(
            f"{folder} holds a training run that this one cannot continue:\n  "
            + "\n  ".join(lines)
            + "\nGive CheckpointRecorder another path."
        )
