"""Folders of recorded runs: what does not belong to the run is named, not read."""

import hashlib
import json
import os
import re
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from scipy import sparse  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402
from skorch import NeuralNetRegressor  # noqa: E402
from skorch.dataset import Dataset  # noqa: E402
from torch.utils.data import Subset, TensorDataset  # noqa: E402

from sklinfluence.deep import CheckpointRecorder, TracInRanker  # noqa: E402
from sklinfluence.deep._path._fingerprint import differing, fingerprint  # noqa: E402


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2)).astype(np.float32)
    return X, X.sum(axis=1, keepdims=True)


def train(recorder, X, y, n_epochs=2, start=0):
    torch.manual_seed(start)
    return NeuralNetRegressor(
        torch.nn.Linear,
        module__in_features=2,
        module__out_features=1,
        lr=0.05,
        optimizer__momentum=0.9,
        batch_size=7,
        max_epochs=n_epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        callbacks=[recorder],
    ).fit(X, y)


@pytest.fixture(scope="module")
def recorded(data, tmp_path_factory):
    """A trained net, the folder of its run, and one of another run."""
    mine, other = (tmp_path_factory.mktemp(name) for name in ("mine", "other"))
    net = train(CheckpointRecorder(mine, every="step"), *data)
    train(CheckpointRecorder(other, every="step"), *data, start=1)
    return net, mine, other


def some_file(folder, kind):
    return sorted(folder.glob(f"{kind}*"))[0]


def delete(file, other):
    file.unlink()


def truncate(file, other):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def scribble(file, other):
    file.write_bytes(bytes(range(256)) * 8)


def empty(file, other):
    file.write_bytes(b"")


def flip_one_bit(file, other):
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    file.write_bytes(held)


def put_anothers(file, other):
    shutil.copy(other / file.name, file)


def swap_two(file, other):
    twin = sorted(file.parent.glob(f"{file.name.partition('-')[0]}-*"))[-1]
    held = file.read_bytes()
    file.write_bytes(twin.read_bytes())
    twin.write_bytes(held)


HARM = [delete, truncate, scribble, empty, flip_one_bit, put_anothers]


@pytest.mark.parametrize("door", ["ranker", "recorder"])
@pytest.mark.parametrize("kind", ["manifest", "steps", "checkpoints", "resume"])
@pytest.mark.parametrize("harm", HARM)
def test_what_does_not_belong_is_named(data, recorded, tmp_path, harm, kind, door):
    net, mine, other = recorded
    folder = shutil.copytree(mine, tmp_path / "run")
    file = some_file(folder, kind)
    harm(file, other)
    if kind == "manifest" and harm is flip_one_bit:
        pytest.skip("of a text, one bit may say the same; the digests are in it")
    with pytest.raises(ValueError, match=re.escape(file.name)):
        if door == "ranker":
            TracInRanker(FrozenEstimator(net), checkpoints=folder).fit(*data)
        else:
            train(CheckpointRecorder(folder, every="step", resume=True), *data)


def list_elsewhere(folder, manifest):
    """A file of the run in another folder, its digest in the manifest."""
    name, entry = next(iter(manifest["files"].items()))
    shutil.copy(folder / name, folder.parent / name)
    return {f"../{name}": entry}, "manifest.json"


def put_code(folder, manifest):
    """An array of objects, as which numpy would unpickle anything."""
    file = some_file(folder, "checkpoints")
    with np.load(file) as archive:
        held = dict(archive)
    held[next(iter(held))] = np.array([Explosive()], dtype=object)
    np.savez(file, **held)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {file.name: {**manifest["files"][file.name], "sha256": digest}}, file.name


class Explosive:
    def __reduce__(self):
        return pytest.fail, ("what a file holds was executed",)


@pytest.mark.parametrize("forge", [list_elsewhere, put_code])
def test_a_forged_manifest_opens_no_door(data, recorded, tmp_path, forge):
    net, mine, _ = recorded
    folder = shutil.copytree(mine, tmp_path / "run")
    text = (folder / "manifest.json").read_text()
    manifest = json.loads(text)
    entries, named = forge(folder, manifest)
    manifest["files"].update(entries)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    ranker = TracInRanker(FrozenEstimator(net), checkpoints=folder)
    with pytest.raises(ValueError, match=re.escape(named)):
        ranker.fit(*data).influence(*data)


@pytest.mark.parametrize("kind", ["steps", "checkpoints"])
def test_files_that_changed_places_are_both_named(data, recorded, tmp_path, kind):
    net, mine, other = recorded
    folder = shutil.copytree(mine, tmp_path / "run")
    swap_two(some_file(folder, kind), other)
    with pytest.raises(ValueError, match=f"(?s){kind}-00000000.*{kind}-00000001"):
        TracInRanker(FrozenEstimator(net), checkpoints=folder).fit(*data)


def test_a_file_that_changes_after_it_was_read_is_named(data, recorded, tmp_path):
    net, mine, other = recorded
    folder = shutil.copytree(mine, tmp_path / "run")
    ranker = TracInRanker(FrozenEstimator(net), checkpoints=folder).fit(*data)
    expected = ranker.influence(data[0][:2], data[1][:2])
    for harm in (put_anothers, delete):
        harm(some_file(folder, "checkpoints"), other)
        with pytest.raises(ValueError, match="checkpoints-00000000"):
            ranker.influence(data[0][:2], data[1][:2])
    shutil.copy(some_file(mine, "checkpoints"), folder)
    np.testing.assert_array_equal(ranker.influence(data[0][:2], data[1][:2]), expected)


def test_files_that_the_manifest_does_not_list_are_not_read(data, recorded, tmp_path):
    net, mine, other = recorded
    folder = shutil.copytree(mine, tmp_path / "run")
    for kind in ("steps", "checkpoints", "resume"):
        shutil.copy(some_file(other, kind), folder / f"{kind}-00000009.npz")
    kept, read = (
        TracInRanker(FrozenEstimator(net), checkpoints=path).fit(*data)
        for path in (mine, folder)
    )
    np.testing.assert_array_equal(kept.self_influence_, read.self_influence_)


def test_folders_of_an_earlier_version_are_refused(data, tmp_path):
    (tmp_path / "meta.json").write_text('{"version": 1}')
    (tmp_path / "resume.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"meta\.json, resume\.npz, and no manifest"):
        train(CheckpointRecorder(tmp_path), *data)


@pytest.mark.parametrize("where", ["memory", "folder"])
@pytest.mark.parametrize("changed", ["X", "y", "order"])
def test_other_data_of_as_many_rows_are_refused(data, tmp_path, where, changed):
    X, y = data
    folder = None if where == "memory" else tmp_path / "run"
    net = train(CheckpointRecorder(folder, every="step"), X, y)
    others = {"X": (X + 1, y), "y": (X, -y), "order": (X[::-1].copy(), y[::-1].copy())}
    named = {"X": "X", "y": "y", "order": "X and y"}[changed]
    ranker = TracInRanker(FrozenEstimator(net), checkpoints=folder)
    with pytest.raises(ValueError, match=f"another {named}: "):
        ranker.fit(*others[changed])
    # The same numbers in another type are the same data.
    ranker.fit(X.astype(float), y)
    if where == "folder":
        again = CheckpointRecorder(folder, every="step", resume=True)
        with pytest.raises(ValueError, match=f"{named[0]}: other values"):
            train(again, *others[changed])


def test_fingerprints():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9, 2)), np.arange(9)
    same = [
        Dataset(X, y),
        Dataset(X.astype(np.float32), y.astype(float)),
        Dataset(torch.as_tensor(X), torch.as_tensor(y)),
        TensorDataset(torch.as_tensor(X), torch.as_tensor(y)),
        Subset(Dataset(X, y), [2, 0]),
    ]
    first = fingerprint(same[0])
    assert None not in first.values()
    assert [fingerprint(one) for one in same] == [first] * len(same)
    several = fingerprint(Dataset({"b": X, "a": y}, y))
    assert several == fingerprint(Dataset({"a": y, "b": X}, y))
    assert differing(several, fingerprint(Dataset({"a": y, "b": X + 1}, y))) == ["X"]
    by_columns = sparse.csc_array(X)
    csr = fingerprint(Dataset(by_columns.tocsr(), y))
    assert fingerprint(Dataset(by_columns, y)) == csr

    class Own(torch.utils.data.Dataset):
        """Rows that may differ at every reading."""

    unknown = fingerprint(Own())
    assert unknown == {"X": None, "y": None}
    assert differing(unknown, first) == []


class Power:
    """Cuts it at the n-th file that is moved into place."""

    def __init__(self, n_writes):
        self.n_writes, self.replace = n_writes, os.replace

    def __call__(self, source, target):
        self.n_writes -= 1
        if self.n_writes < 0:
            raise RuntimeError("power cut")
        return self.replace(source, target)


# The manifest, then checkpoints, steps, resume and manifest of each of three flushes.
@pytest.mark.parametrize("n_writes", range(13))
def test_writing_that_broke_off_is_resumed(data, tmp_path, monkeypatch, n_writes):
    """Bit for bit as if it had not, wherever the writing was cut."""
    X, y = data
    whole = CheckpointRecorder(every="step")
    train(whole, X, y, n_epochs=3)
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", Power(n_writes))
        with pytest.raises(RuntimeError, match="power cut"):
            train(CheckpointRecorder(folder, every="step"), X, y, n_epochs=3)
    resumed = CheckpointRecorder(folder, every="step", resume=True)
    n_done = 0 if n_writes < 5 else (n_writes - 1) // 4
    train(resumed, X, y, n_epochs=3 - n_done, start=0 if n_done == 0 else 1)
    path, expected = resumed.training_path_, whole.training_path_
    assert path.n_steps == expected.n_steps
    for one, other in zip(path.batches, expected.batches, strict=True):
        np.testing.assert_array_equal(one, other)
    for step in range(path.n_steps + 1):
        for name, array in expected.load(step).items():
            np.testing.assert_array_equal(path.load(step)[name], array)
    assert not list(folder.glob("resume-*.npz"))[1:]
