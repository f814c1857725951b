"""Runs whose recorded steps are not those of SGD, or that end elsewhere."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.frozen import FrozenEstimator  # noqa: E402
from skorch import NeuralNetClassifier  # noqa: E402
from skorch.callbacks import (  # noqa: E402
    Callback,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
)
from torch import nn  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    HydraRanker,
    SGDInfluenceRanker,
    TracInRanker,
)

UNROLLED = [HydraRanker, SGDInfluenceRanker]


def make_net(callbacks=(), middle=nn.Tanh, **options):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 5), middle(), nn.Linear(5, 2))
    settings = {
        "criterion": nn.CrossEntropyLoss,
        "lr": 0.1,
        "batch_size": 8,
        "max_epochs": 4,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    return NeuralNetClassifier(module, callbacks=list(callbacks), **settings)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3)).astype(np.float32)
    return X, (X[:, 0] + 0.5 * rng.standard_normal(30) > 0).astype(np.int64)


class Accumulating(NeuralNetClassifier):
    """Every other batch moves nothing; the next one moves by both."""

    def train_step(self, batch, **fit_params):
        self.notify("on_grad_computed", named_parameters=[], batch=batch)
        step = self.train_step_single(batch, **fit_params)
        n_batches = len(self.history[-1].get("batches", []))
        if n_batches % 2 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


class Shrink(Callback):
    """Changes parameters between the first epochs."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) > 2:
            return
        with torch.no_grad():
            for parameter in net.module_.parameters():
                parameter *= 0.5


class WarmUp(Callback):
    """Sets the rate when a batch begins."""

    def on_batch_begin(self, net, training=None, **kwargs):
        if training:
            group = net.optimizer_.param_groups[0]
            group["lr"] = min(group["lr"] * 1.1, 0.5)


@pytest.mark.parametrize("ranker", UNROLLED)
def test_clipped_gradients_are_refused(data, ranker):
    net = make_net([GradientNormClipping(0.05)])
    with pytest.raises(ValueError, match="GradientNormClipping"):
        ranker(net, random_state=0).fit(*data)


def test_an_own_train_step_is_refused(data):
    net = make_net()
    net = Accumulating(**net.get_params(deep=False))
    with pytest.raises(ValueError, match="own train_step"):
        HydraRanker(net, random_state=0).fit(*data)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer__momentum": 0.9},
        {"optimizer__momentum": 0.9, "optimizer__nesterov": True},
        {"optimizer__momentum": 0.5, "optimizer__dampening": 0.3},
        {"optimizer__weight_decay": 0.1, "optimizer__momentum": 0.9},
        {"optimizer__weight_decay": 0.1},
        {"criterion__reduction": "sum", "lr": 0.01},
        {"criterion__weight": torch.tensor([1.0, 3.0])},
        {"callbacks": [LRScheduler("StepLR", step_size=1, gamma=0.5)]},
        {"callbacks": [WarmUp()]},
        {"callbacks": [WarmUp()], "optimizer__momentum": 0.9},
    ],
    ids=lambda settings: ", ".join(settings) or "plain",
)
def test_every_form_of_sgd_is_taken(data, settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*evaluation mode")
        HydraRanker(make_net(**settings), random_state=0).fit(*data)


def test_what_was_changed_between_epochs_begins_the_next_step(data):
    # Each step is SGD's from where it began, so only the jumps are not.
    recorder = CheckpointRecorder(every="step")
    make_net([recorder, Shrink()]).fit(*data)
    path = recorder.training_path_
    first, after = (path.load(c)["0.weight"] for c in (0, path.epoch_ends[0]))
    # Halved, and the four steps of rate .1 before that could not have done it.
    assert np.linalg.norm(after) < 0.75 * np.linalg.norm(first)
    with pytest.raises(ValueError, match="a callback that changes parameters"):
        HydraRanker(make_net([Shrink()]), random_state=0).fit(*data)


@pytest.mark.parametrize("ranker", UNROLLED)
def test_dropout_is_warned_about(data, ranker):
    with pytest.warns(UserWarning, match="evaluation mode"):
        ranker(make_net(middle=nn.Dropout), random_state=0).fit(*data)


@pytest.mark.parametrize("ranker", UNROLLED)
def test_a_net_that_is_elsewhere_is_refused(data, ranker, tmp_path):
    make_net([CheckpointRecorder(tmp_path, every="step")]).fit(*data)
    other = make_net(lr=0.2).fit(*data)
    with pytest.raises(ValueError, match="not those of the last recorded step"):
        ranker(FrozenEstimator(other), checkpoints=tmp_path).fit(*data)
    with pytest.warns(UserWarning, match="not those at the last checkpoint"):
        TracInRanker(FrozenEstimator(other), checkpoints=tmp_path).fit(*data)


def stopping(patience=2):
    """Stops: the rate is far too large, and the loss soon rises."""
    return EarlyStopping("train_loss", patience=patience, load_best=True)


OVERSHOOTING = {"lr": 8.0, "max_epochs": 30, "iterator_train__shuffle": False}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("where", ["memory", "folder"])
def test_a_restored_epoch_ends_the_path(data, tmp_path, where, first):
    folder = tmp_path if where == "folder" else None
    recorder = CheckpointRecorder(folder, every="step")
    callbacks = [recorder, stopping()] if first else [stopping(), recorder]
    net = make_net(callbacks, **OVERSHOOTING).fit(*data)
    path = recorder.training_path_
    best = dict(net.callbacks_)["EarlyStopping"].best_epoch_
    assert best < len(net.history)  # or nothing would have been restored
    assert path.n_steps == 4 * best == path.epoch_ends[-1]
    assert path.has_every_step
    last = path.load(len(path.steps) - 1)
    for name, parameter in net.module_.named_parameters():
        np.testing.assert_array_equal(last[name], parameter.detach().numpy())
    # The same as a run that was never longer.
    shorter = make_net(**{**OVERSHOOTING, "max_epochs": best})
    queries = data[0][:5]
    expected = HydraRanker(shorter, order_state=0).fit(*data).influence(queries)
    found = HydraRanker(FrozenEstimator(net)).fit(*data).influence(queries)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    if where == "folder":
        reread = HydraRanker(FrozenEstimator(net), checkpoints=folder).fit(*data)
        np.testing.assert_array_equal(reread.influence(queries), found)
        net.partial_fit(*data)
        assert recorder.training_path_.n_steps > path.n_steps


def test_a_ranker_trains_with_early_stopping(data):
    """The last epoch is recorded, whoever stops the training after it."""
    net = make_net([EarlyStopping("train_loss", patience=2)], **OVERSHOOTING)
    ranker = HydraRanker(net, random_state=0).fit(*data)
    path = ranker.training_path_
    assert len(path.epoch_ends) == len(ranker.estimator_.history) < 30
    assert path.epoch_ends[-1] == path.n_steps


def test_restoring_between_checkpoints_keeps_one(data):
    net = make_net([stopping()], **OVERSHOOTING)
    ranker = TracInRanker(net, every=30, random_state=0).fit(*data)
    path = ranker.training_path_
    assert path.steps.tolist() == [path.n_steps]


def test_no_checkpoint_is_named(data):
    with pytest.raises(ValueError, match="every=9"):
        TracInRanker(make_net(), every=9).fit(*data)
