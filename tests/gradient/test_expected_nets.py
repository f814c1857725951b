"""Means over the states of skorch nets: what varies, and what does not."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier  # noqa: E402
from skorch.callbacks import EpochTimer  # noqa: E402
from skorch.dataset import Dataset  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    DeepInfluenceRanker,
    TracInRanker,
)
from sklinfluence.gradient import InfluenceRanker  # noqa: E402
from sklinfluence.retraining import ExpectedRanker  # noqa: E402


class Net(nn.Module):
    def __init__(self, lazy=False):
        super().__init__()
        self.hidden = nn.LazyLinear(4) if lazy else nn.Linear(5, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, rows):
        return self.last(torch.tanh(self.hidden(rows)))


def make(module=Net, **kwargs):
    options = {"criterion": nn.CrossEntropyLoss, "max_epochs": 3, "batch_size": -1}
    options |= {"train_split": None, "verbose": 0, "optimizer__weight_decay": 0.01}
    return NeuralNetClassifier(module, **{**options, **kwargs})


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5)).astype(np.float32)
    return X, (X[:, 0] + rng.normal(size=40) > 0).astype(np.int64)


RANKERS = {
    "head": lambda net: InfluenceRanker(net, refit_head=False),
    "deep": lambda net: DeepInfluenceRanker(net),
    "path": lambda net: TracInRanker(net),
}
MODULES = {"class": {}, "instance": {"module": Net()}, "lazy": {"module__lazy": True}}


def relative_spread(ranker):
    return np.max(ranker.self_influence_std_ / ranker.self_influence_)


@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("module", MODULES)
def test_init_and_order_vary_apart(data, kind, module):
    single = RANKERS[kind](make(**MODULES[module]))
    # In one batch of all rows their order changes nothing but float32 sums.
    order = ExpectedRanker(single, 3, vary=("order",), random_state=0).fit(*data)
    assert relative_spread(order) < 1e-3
    init = ExpectedRanker(single, 3, vary=("init",), random_state=0).fit(*data)
    assert relative_spread(init) > 0.05
    # In small batches it does.
    single.set_params(estimator__batch_size=5, estimator__lr=0.2)
    order = ExpectedRanker(single, 3, vary=("order",), random_state=0).fit(*data)
    assert relative_spread(order) > 0.01


@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("module", MODULES)
def test_the_same_seed_gives_the_same_models(data, kind, module):
    single = RANKERS[kind](make(batch_size=8, **MODULES[module]))
    assert_same_models(single, data)


def assert_same_models(single, data):
    """Whatever torch's own generator is at, which stays there."""
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = ExpectedRanker(single, 2, random_state=0).fit(*data)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    # Threads share torch's generators.
    with parallel_config("threading"):
        second = ExpectedRanker(single, 2, random_state=0, n_jobs=2).fit(*data)
    np.testing.assert_array_equal(first.self_influence_, second.self_influence_)


def in_pipeline(net):
    return make_pipeline(StandardScaler(), net)


# Where a net can be hidden in what a ranker is given.
PLACES = {
    "pipeline": in_pipeline,
    "pipeline in a pipeline": lambda net: in_pipeline(in_pipeline(net)),
    "pipeline's net by name": lambda net: Pipeline([("s", None), ("net", net)]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("module", MODULES)
def test_the_same_seed_finds_a_net_wherever_it_is(data, place, module):
    net = make(batch_size=8, **MODULES[module])
    single = InfluenceRanker(PLACES[place](net), refit_head=False)
    assert_same_models(single, data)


def test_an_instance_starts_from_its_own_parameters_unless_init_varies(data):
    module = Net()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    single = InfluenceRanker(make(module, lr=1e-30), refit_head=False)
    fits = {
        vary: ExpectedRanker(single, 2, vary=vary, random_state=0).fit(*data)
        for vary in [("order",), ("init",)]
    }
    # Nothing is learnt at such a rate, so that what a net started from is still there.
    for vary, ranker in fits.items():
        for member in ranker.rankers_:
            weight = member.estimator_.module_.hidden.weight
            assert torch.equal(weight, before["hidden.weight"]) == (vary == ("order",))
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), "the user's module was changed"


def test_parts_that_are_not_trained_keep_their_parameters(data):
    module = Net()
    module.hidden.requires_grad_(False)
    weight = module.hidden.weight.clone()
    single = InfluenceRanker(make(module), refit_head=False)
    ranker = ExpectedRanker(single, 2, vary=("init",), random_state=0).fit(*data)
    last = []
    for member in ranker.rankers_:
        assert torch.equal(member.estimator_.module_.hidden.weight, weight)
        last.append(member.estimator_.module_.last.weight)
    assert not torch.equal(*last)


def test_parts_that_cannot_be_reset_are_named(data):
    class Scaled(Net):
        def __init__(self):
            super().__init__()
            self.scale = nn.ParameterList([nn.Parameter(torch.ones(5))])

        def forward(self, rows):
            return super().forward(rows * self.scale[0])

    single = InfluenceRanker(make(Scaled()), refit_head=False)
    with pytest.raises(ValueError, match=r"'scale' \(ParameterList\).*Pass the class"):
        ExpectedRanker(single, 2).fit(*data)
    ExpectedRanker(single, 2, vary=("order",)).fit(*data)


@pytest.mark.parametrize("kind", RANKERS)
def test_frozen_models_are_refused(data, kind):
    net = FrozenEstimator(make().fit(*data))
    with pytest.raises(ValueError, match="is a FrozenEstimator: no model is trained"):
        ExpectedRanker(RANKERS[kind](net), 2).fit(*data)


@pytest.mark.parametrize("kind", RANKERS)
def test_callbacks_of_the_users_stay(data, kind):
    for callbacks in ("disable", None, [EpochTimer()]):
        single = RANKERS[kind](make(callbacks=callbacks))
        ranker = ExpectedRanker(single, 2, random_state=0).fit(*data)
        found = dict(ranker.rankers_[0].estimator_.callbacks_)
        assert ("train_loss" in found) == (callbacks != "disable")
        assert relative_spread(ranker) > 0.05


def test_one_folder_for_several_runs_is_refused(data, tmp_path):
    net = make(callbacks=[CheckpointRecorder(tmp_path / "run")])
    with pytest.raises(ValueError, match=r"holds one run.*path=None"):
        ExpectedRanker(TracInRanker(net), 2).fit(*data)
    net = make(callbacks=[CheckpointRecorder()])
    assert len(ExpectedRanker(TracInRanker(net), 2).fit(*data).rankers_) == 2


@pytest.mark.parametrize("kind", RANKERS)
def test_what_nets_take_for_rows(data, kind):
    X, y = data
    single = RANKERS[kind](make())
    expected = ExpectedRanker(single, 2, random_state=0).fit(X, y).influence(X[:3])
    tensors = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(y))
    for rows in ({"rows": X}, tensors, Dataset(X, y), torch.as_tensor(X)):
        ranker = ExpectedRanker(single, 2, random_state=0).fit(rows, y)
        queries = {"rows": X[:3]} if isinstance(rows, dict) else X[:3]
        np.testing.assert_allclose(ranker.influence(queries), expected, rtol=1e-5)
    if kind == "path":
        ranker = ExpectedRanker(single, 2, random_state=0).fit(Dataset(X, y))
        np.testing.assert_allclose(ranker.influence(X[:3]), expected, rtol=1e-5)
