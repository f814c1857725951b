"""The manifest of a folder: which files are a recorded run, and what each one holds.

``manifest.json`` is written last, in one move: until then what a broken-off writer left
behind is no part of the run, and the run stands where the manifest before said. Nothing
is read that the manifest does not list with the SHA-256 that the file has.
"""

import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np

NAME = "manifest.json"
# Raised where an older reader would misread what is written now.
VERSION = 2
# What a run leaves in its folder, in this version of the format or the one before.
_OWN = ("meta.json", "steps-*.npz", "checkpoints-*.npz", "resume*.npz")
# Read by the megabyte: checkpoints may be larger than memory.
_AT_ONCE = 2**20
_WAY_OUT = (
    "Put back the files as they were written, or record the run again in an empty "
    "folder."
)


def read_manifest(folder):
    """The manifest of a folder; None if no run was ever recorded there.

    Raises
    ------
    ValueError
        If the folder holds a run without a manifest that can be read, or if a file that
        it lists is missing or is not what was written. Names the files.
    """
    file = folder / NAME
    if not file.exists():
        _refuse_unlisted(folder)
        return None
    try:
        manifest = json.loads(file.read_bytes())
    except ValueError:
        manifest = None
    if not _is_manifest(manifest):
        raise ValueError(
            f"{file} is damaged: it is no manifest of a run in version {VERSION} of "
            f"this format. {_WAY_OUT}"
        )
    _check_files(folder, manifest["files"])
    return manifest


def _is_manifest(manifest):
    """Whether it has the parts that are read here, of files in its own folder."""
    try:
        return (
            manifest["version"] == VERSION
            and isinstance(manifest["n_steps"], int)
            and isinstance(manifest["run"]["data"], dict)
            and all(
                Path(name).name == name and isinstance(entry["sha256"], str)
                for name, entry in manifest["files"].items()
            )
        )
    except (TypeError, KeyError, AttributeError):
        return False


def _refuse_unlisted(folder):
    found = [file.name for pattern in _OWN for file in folder.glob(pattern)]
    if found:
        names = ", ".join(sorted(found)[:5])
        raise ValueError(
            f"{folder} holds {names}, and no {NAME} that says what belongs to the run: "
            "it was lost, or the folder is of an earlier version, whose files cannot "
            f"be checked. {_WAY_OUT}"
        )


def _check_files(folder, files):
    faults = [
        fault
        for name, entry in files.items()
        if (fault := fault_of(folder / name, entry["sha256"]))
    ]
    if faults:
        raise ValueError(
            f"{folder} does not hold the run that its {NAME} describes:\n  "
            + "\n  ".join(faults)
            + f"\n{_WAY_OUT}"
        )


def fault_of(file, digest):
    """What is wrong with a file, naming it; None if it is what was written."""
    if not file.exists():
        return f"{file.name} is missing"
    if digest_of(file) != digest:
        return f"{file.name} is damaged, or another file: its SHA-256 differs"
    return None


def digest_of(file):
    """The SHA-256 of a file."""
    digest = sha256()
    with open(file, "rb") as handle:
        while part := handle.read(_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def write_manifest(folder, run, n_steps, files):
    """Make the files the run, from one moment to the next."""
    manifest = {"version": VERSION, "run": run, "n_steps": n_steps, "files": files}
    text = json.dumps(manifest, indent=1)
    _replace(folder / NAME, lambda handle: handle.write(text.encode()))


def save_arrays(file, arrays):
    """Write named arrays; the file's entry in the manifest."""
    _replace(file, lambda handle: np.savez(handle, **arrays))
    return {"sha256": digest_of(file)}


def load_arrays(file):
    """What `save_arrays` wrote."""
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _replace(file, write):
    """Write under another name first, so that a file is whole or not there."""
    partial = file.with_name(f"{file.name}.partial")
    with open(partial, "wb") as handle:
        write(handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(partial, file)
