"""The real data sets that may lie beside a checkout, and what to do where none do."""

import importlib.util
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


def is_here(name, folder=FOLDER):
    """Whether the folder holds a set of that name, as columns or as texts."""
    kinds = (f"{name}.npz", f"{name}_texts.csv.gz")
    return any((folder / kind).exists() for kind in kinds)


def present(names, bundled=(), folder=FOLDER):
    """Those of the sets that can be read; every other one is named as skipped.

    ``bundled`` are those that come with scikit-learn or are made on the spot.
    """
    found = [name for name in names if name in bundled or is_here(name, folder)]
    for name in names:
        if name not in found:
            print(f"{name}: skipped, the set is not in {folder}", flush=True)
    return found


def load(name):
    """One set as a dict, by the loader that lies with the sets."""
    spec = importlib.util.spec_from_file_location("_data_loader", FOLDER / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(name)
