"""Where a recorded training run is kept: in memory, or in a folder without pickles.

A folder holds

* ``meta.json``: what must agree for a run to be continued;
* ``steps-*.npz``: rows, optimiser settings and epoch ends, a file for each flush;
* ``checkpoints-*.npz``: parameters and buffers, keys "step/name";
* ``resume.npz``: where the run stands: the state of the module, of the optimiser and of
  the random generators.

Files are written under another name and moved into place, and are read with
``allow_pickle=False``.
"""

import json
import os
from pathlib import Path

import numpy as np

from sklinfluence.gradient._dynamic import SETTINGS, TrainingPath

_VERSION = 1


class MemoryStore:
    """A run in memory.

    Attributes
    ----------
    meta : dict
    n_steps : int
        Steps recorded.
    """

    def __init__(self, meta):
        self.meta = {**meta, "version": _VERSION}
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
    """

    def __init__(self, folder, meta=None):
        self.folder = Path(folder)
        found = self._read_meta()
        if meta is None and found is None:
            raise FileNotFoundError(f"No recorded training run in {self.folder}.")
        if meta is None:
            meta = {key: found[key] for key in found if key != "version"}
        super().__init__(meta)
        self._where = {}
        if found is not None:
            _check_same(found, self.meta, self.folder)
            self._read()
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.meta, indent=1)
            _replace(self.folder / "meta.json", lambda file: file.write(text.encode()))
        self._n_flushed = (self.n_steps, len(self.epoch_ends))

    def _read_meta(self):
        file = self.folder / "meta.json"
        return json.loads(file.read_text()) if file.exists() else None

    def _read(self):
        resume = self.folder / "resume.npz"
        if not resume.exists():
            return
        self.resume = _load(resume)
        n_steps = int(self.resume.pop("n_steps"))
        for file in sorted(self.folder.glob("steps-*.npz")):
            # What a run that broke off wrote after its last flush is not part of it,
            # and the next flush will write over it.
            if self.n_steps < n_steps:
                self._take_steps(_load(file))
        for file in sorted(self.folder.glob("checkpoints-*.npz")):
            with np.load(file, allow_pickle=False) as archive:
                for step in archive["steps"]:
                    if step <= n_steps:
                        self._where[int(step)] = file

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
        """Forget what came after so many steps, the end of an epoch; delete its files.

        Left behind, they would be taken for part of a run that goes on from here.
        """
        super().cut(n_steps)
        self._where = {s: file for s, file in self._where.items() if s <= n_steps}
        kept = set(self._where.values())
        for file in self.folder.glob("steps-*.npz"):
            if int(file.stem.partition("-")[2]) >= n_steps:
                file.unlink()
        for file in self.folder.glob("checkpoints-*.npz"):
            if file not in kept:
                file.unlink()
        self._n_flushed = (self.n_steps, len(self.epoch_ends))

    def flush(self, **parts):
        """Write all that is new, then the state that a run is continued from."""
        super().flush(**parts)
        start, start_epoch = self._n_flushed
        if self.checkpoints:
            self._write_checkpoints()
        if self.n_steps > start:
            batches = self.batches[start:]
            steps = {
                "lengths": np.array([len(batch) for batch in batches], dtype=int),
                "rows": np.concatenate([*batches, np.empty(0, dtype=np.int64)]),
                "fresh": np.asarray(self.fresh[start:], dtype=bool),
                "epoch_ends": np.array(self.epoch_ends[start_epoch:], dtype=int),
            }
            for name in SETTINGS:
                steps[name] = np.asarray(self.settings[name][start:], dtype=float)
            _save(self.folder / f"steps-{start:08d}.npz", steps)
        resume = {**self.resume, "n_steps": np.array(self.n_steps)}
        _save(self.folder / "resume.npz", resume)
        self._n_flushed = (self.n_steps, len(self.epoch_ends))

    def _write_checkpoints(self):
        file = self.folder / f"checkpoints-{min(self.checkpoints):08d}.npz"
        arrays = {"steps": np.array(sorted(self.checkpoints), dtype=int)}
        for step, named in self.checkpoints.items():
            arrays.update({f"{step}/{name}": array for name, array in named.items()})
        _save(file, arrays)
        self._where.update(dict.fromkeys(self.checkpoints, file))
        self.checkpoints = {}

    def path(self):
        """The run as a `TrainingPath` that reads each checkpoint when asked for it."""
        assert not self.checkpoints, "flush first"
        steps = np.array(sorted(self._where), dtype=int)
        return self._path(steps, _Reader([(s, self._where[s]) for s in steps.tolist()]))


class _Reader:
    """Checkpoints by number, from files; the last file stays open."""

    def __init__(self, where):
        self.where = where
        self._file, self._archive = None, None

    def __call__(self, c):
        step, file = self.where[c]
        if file != self._file:
            self._file, self._archive = file, np.load(file, allow_pickle=False)
        head = f"{step}/"
        names = [name for name in self._archive.files if name.startswith(head)]
        return {name[len(head) :]: self._archive[name] for name in names}

    def __getstate__(self):
        return {"where": self.where, "_file": None, "_archive": None}


def read_training_path(folder):
    """The run that a folder holds, as a `TrainingPath`."""
    return FolderStore(folder).path()


def _check_same(found, wanted, folder):
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        lines = [
            f"{key}: {found.get(key)!r} there, {wanted[key]!r} here"
            for key in differing
        ]
        raise ValueError(
            f"{folder} holds a training run that this one cannot continue:\n  "
            + "\n  ".join(lines)
            + "\nGive CheckpointRecorder another path."
        )


def _load(file):
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _save(file, arrays):
    _replace(file, lambda handle: np.savez(handle, **arrays))


def _replace(file, write):
    """Write under another name first, so that a file is whole or not there."""
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as handle:
        write(handle)
    os.replace(partial, file)
