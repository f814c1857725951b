"""What the recorder keeps, and that it continues only what it may."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetRegressor  # noqa: E402
from skorch.dataset import ValidSplit  # noqa: E402

from sklinfluence.deep import CheckpointRecorder  # noqa: E402
from sklinfluence.deep._path._store import read_training_path  # noqa: E402


def make_net(recorder, **options):
    settings = {
        "lr": 0.05,
        "optimizer__momentum": 0.9,
        "batch_size": 7,
        "max_epochs": 2,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    return NeuralNetRegressor(
        torch.nn.Linear,
        module__in_features=2,
        module__out_features=1,
        callbacks=[recorder],
        **settings,
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2)).astype(np.float32)
    return X, X.sum(axis=1, keepdims=True)


class Watch(torch.utils.data.Dataset):
    """Rows that say who they are: their number is their first column."""

    def __init__(self, n_rows, seen):
        self.n_rows, self.seen = n_rows, seen

    def __len__(self):
        return self.n_rows

    def __getitem__(self, i):
        self.seen.append(int(i))
        row = torch.tensor([float(i), 1.0])
        return row, torch.zeros(1)


@pytest.mark.parametrize("train_split", [None, ValidSplit(3)])
def test_rows_of_batches_are_those_that_were_read(train_split):
    seen, recorder = [], CheckpointRecorder(every="step")
    net = make_net(recorder, train_split=None, lr=1e-6)
    rows = Watch(30, seen)
    if train_split is not None:
        # A random half, in random order, as a split may leave it.
        kept = np.random.default_rng(1).permutation(30)[:15]
        subset = torch.utils.data.Subset(rows, kept)
        net.set_params(train_split=lambda dataset, y=None: (subset, None))
    net.fit(rows, None)
    path = recorder.training_path_
    assert np.concatenate(path.batches).tolist() == seen
    assert path.n_rows == 30
    if train_split is not None:
        assert set(np.flatnonzero(path.trained)) == set(kept.tolist())


def test_several_workers_keep_the_order(data):
    X, y = data
    recorders = [CheckpointRecorder(), CheckpointRecorder()]
    for recorder, workers in zip(recorders, (0, 2), strict=True):
        torch.manual_seed(0)
        net = make_net(recorder, iterator_train__num_workers=workers)
        net.fit(X, y)
    plain, ahead = (recorder.training_path_ for recorder in recorders)
    for one, other in zip(plain.batches, ahead.batches, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parameters_rates_and_state(data):
    """Replaying the recorded batches in plain torch gives the recorded parameters."""
    X, y = data
    recorder = CheckpointRecorder(every="step")
    make_net(recorder).fit(X, y)
    path = recorder.training_path_
    assert path.has_every_step
    assert path.epoch_ends.tolist() == [5, 10]
    assert path.fresh.tolist() == [True] + 9 * [False]
    np.testing.assert_allclose(path.settings["lr"], 0.05)
    np.testing.assert_allclose(path.settings["momentum"], 0.9)
    module = torch.nn.Linear(2, 1)
    load = {k: torch.as_tensor(v) for k, v in path.load(0).items()}
    module.load_state_dict(load)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    for t, batch in enumerate(path.batches):
        optimizer.zero_grad()
        raw = module(torch.as_tensor(X[batch]))
        torch.nn.functional.mse_loss(raw, torch.as_tensor(y[batch])).backward()
        optimizer.step()
        # The same float32 arithmetic, in the same order.
        recorded = path.load(t + 1)["weight"]
        np.testing.assert_allclose(
            recorded, module.weight.detach().numpy(), rtol=1e-6, atol=1e-7
        )


def test_every_kth_epoch(data):
    recorder = CheckpointRecorder(every=2)
    make_net(recorder, max_epochs=5).fit(*data)
    path = recorder.training_path_
    assert path.steps.tolist() == [10, 20]
    assert path.n_steps == 25


def test_folder_holds_no_pickle_and_reads_back(data, tmp_path):
    X, y = data
    memory, folder = CheckpointRecorder(every="step"), tmp_path / "run"
    for recorder in (memory, CheckpointRecorder(folder, every="step")):
        torch.manual_seed(0)
        make_net(recorder).fit(X, y)
    for file in folder.glob("*.npz"):
        with np.load(file, allow_pickle=False) as archive:
            assert all(archive[name].dtype != object for name in archive.files)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["run"]["n_rows"] == 30
    assert manifest["n_steps"] == 10
    kept, read = memory.training_path_, read_training_path(folder)
    np.testing.assert_array_equal(kept.steps, read.steps)
    for c in (0, 4, 10):
        for name, array in kept.load(c).items():
            np.testing.assert_array_equal(array, read.load(c)[name])
    for one, other in zip(kept.batches, read.batches, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_partial_fit_continues(data, tmp_path, where):
    X, y = data
    recorder = CheckpointRecorder(
        None if where == "memory" else tmp_path / "run", every="step"
    )
    net = make_net(recorder).fit(X, y)
    net.partial_fit(X, y)
    path = recorder.training_path_
    assert path.n_steps == 20
    assert path.has_every_step
    # The momentum of the first run was still there.
    assert path.fresh.sum() == 1
    net.fit(X, y) if where == "memory" else None
    assert recorder.training_path_.n_steps == (10 if where == "memory" else 20)


def test_resume_in_a_new_process(data, tmp_path):
    """Stopped and resumed, the run does what an uninterrupted one does."""
    X, y = data
    whole = CheckpointRecorder(every="step")
    torch.manual_seed(0)
    plain = {"iterator_train__shuffle": False}
    make_net(whole, max_epochs=4, **plain).fit(X, y)
    torch.manual_seed(0)
    make_net(CheckpointRecorder(tmp_path / "run", every="step"), **plain).fit(X, y)
    again = CheckpointRecorder(tmp_path / "run", every="step")
    with pytest.raises(ValueError, match="resume=True"):
        make_net(again, **plain).fit(X, y)
    resumed = CheckpointRecorder(tmp_path / "run", every="step", resume=True)
    make_net(resumed, **plain).fit(X, y)
    path, expected = resumed.training_path_, whole.training_path_
    assert path.n_steps == 20
    last = path.load(20)["weight"]
    # Parameters and momentum went through float32 files, which hold them exactly.
    np.testing.assert_array_equal(last, expected.load(20)["weight"])


def test_a_run_that_broke_off_resumes_at_its_last_epoch(data, tmp_path):
    from skorch.callbacks import Callback

    class Stop(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            if (
                training
                and len(net.history) == 2
                and len(net.history[-1, "batches"]) == 3
            ):
                raise RuntimeError("power cut")

    X, y = data
    net = make_net(CheckpointRecorder(tmp_path / "run", every="step"))
    net.set_params(callbacks=[*net.callbacks, Stop()])
    with pytest.raises(RuntimeError, match="power cut"):
        net.fit(X, y)
    resumed = CheckpointRecorder(tmp_path / "run", every="step", resume=True)
    make_net(resumed).fit(X, y)
    path = resumed.training_path_
    assert path.n_steps == 15
    assert path.has_every_step


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"every": 1}, "every"),
        ({"optimizer": torch.optim.Adam, "optimizer__momentum": None}, "optimizer"),
        ({"module__in_features": 3}, "shapes"),
        ({"n_rows": 20}, "n_rows"),
    ],
)
def test_refuses_another_run(data, tmp_path, change, named):
    X, y = data
    make_net(CheckpointRecorder(tmp_path / "run", every="step")).fit(X, y)
    options = dict(change)
    every, n_rows = options.pop("every", "step"), options.pop("n_rows", 30)
    net = make_net(CheckpointRecorder(tmp_path / "run", every=every, resume=True))
    if "optimizer" in options:
        del net.__dict__["optimizer__momentum"]
        options.pop("optimizer__momentum")
    net.set_params(**options)
    X = X if "module__in_features" not in options else np.hstack([X, X[:, :1]])
    with pytest.raises(ValueError, match=f"{named}: "):
        net.fit(X[:n_rows], y[:n_rows])


def test_loaders_that_do_not_number_rows_are_refused(data):
    net = make_net(CheckpointRecorder(), iterator_train=lambda dataset, **k: iter([]))
    with pytest.raises(TypeError, match="batch sampler"):
        net.fit(*data)
    with pytest.raises(ValueError, match="every"):
        make_net(CheckpointRecorder(every="epoch")).fit(*data)


def test_net_keeps_its_methods(data):
    """What the recorder left in the net, skorch would take for a parameter."""
    net = make_net(CheckpointRecorder()).fit(*data)
    assert "get_iterator" not in net.__dict__
    assert net.get_iterator.__func__ is type(net).get_iterator


class Dropping(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(2, 8)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(8, 1)

    def forward(self, X):
        return self.last(self.drop(torch.relu(self.hidden(X))))


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_resumed_run_draws_what_the_uninterrupted_one_does(
    data, tmp_path, device, optimizer, own_generator
):
    """Shuffled batches, dropout and the optimiser's memory, bit for bit."""
    X, y = data

    def fit(recorder, n_epochs, start):
        torch.manual_seed(start)
        options = {"optimizer__momentum": 0.9} if optimizer is torch.optim.SGD else {}
        if own_generator:
            generator = torch.Generator().manual_seed(start)
            options["iterator_train__generator"] = generator
        return NeuralNetRegressor(
            Dropping,
            optimizer=optimizer,
            lr=0.05,
            batch_size=7,
            max_epochs=n_epochs,
            iterator_train__shuffle=True,
            callbacks=[recorder],
            device=device,
            verbose=0,
            **options,
        ).fit(X, y)

    whole = CheckpointRecorder(every="step")
    fit(whole, 4, start=0)
    fit(CheckpointRecorder(tmp_path / "run", every="step"), 2, start=0)
    resumed = CheckpointRecorder(tmp_path / "run", every="step", resume=True)
    # Another process: its generators stand elsewhere.
    fit(resumed, 2, start=1)
    path, expected = resumed.training_path_, whole.training_path_
    assert path.n_steps == expected.n_steps
    for one, other in zip(path.batches, expected.batches, strict=True):
        np.testing.assert_array_equal(one, other)
    for step in range(path.n_steps + 1):
        for name, array in expected.load(step).items():
            np.testing.assert_array_equal(path.load(step)[name], array)
