"""SkorchEmbedding: a layer as a transformer."""

import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNet, NeuralNetClassifier  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import SkorchEmbedding  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402


class Net(nn.Module):
    def __init__(self, end=None):
        super().__init__()
        # Registered in another order than they are called in.
        self.last = nn.Linear(6, 3)
        self.convolution = nn.Conv2d(1, 2, 3)
        self.hidden = nn.Linear(2 * 4, 6)
        self.end = end

    def forward(self, X):
        X = torch.relu(self.convolution(X)).flatten(1)
        X = self.last(torch.relu_(self.hidden(X)))
        return X if self.end is None else self.end(X)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 1, 4, 4)).astype(np.float32)
    return X, rng.integers(3, size=30)


def make(**kwargs):
    torch.manual_seed(0)
    options = {"criterion": nn.CrossEntropyLoss, "max_epochs": 2, "batch_size": 7}
    return NeuralNetClassifier(
        Net, train_split=None, verbose=0, **{**options, **kwargs}
    )


def by_hand(net, X):
    """Inputs of the last layer, outputs of the convolution: the module's own parts."""
    module = copy.deepcopy(net.module_).cpu()
    with torch.no_grad():
        convolved = module.convolution(torch.as_tensor(X))
        hidden = torch.relu(module.hidden(torch.relu(convolved).flatten(1)))
    return hidden.numpy(), convolved.flatten(1).numpy()


def test_finds_the_last_layer_by_running_it(data):
    X, y = data
    net = make().fit(X, y)
    embedding = SkorchEmbedding(FrozenEstimator(net)).fit(X, y)
    assert embedding.layer_ == "last"
    # Batches of 7 against all at once: sums in another order.
    np.testing.assert_allclose(embedding.transform(X), by_hand(net, X)[0], atol=1e-6)
    assert list(embedding.get_feature_names_out()[:2]) == [
        "skorchembedding0",
        "skorchembedding1",
    ]


@pytest.mark.parametrize(
    "end", [nn.Softmax(dim=-1), nn.LogSoftmax(dim=-1), nn.Flatten()]
)
def test_finds_it_through_a_softmax(data, end):
    X, y = data
    net = make(module__end=end).initialize()
    assert SkorchEmbedding(FrozenEstimator(net)).fit(X, y).layer_ == "last"


def test_names_and_sides(data, device):
    """In-place activations after a layer do not reach what it gave."""
    X, y = data
    net = make(device=device).fit(X, y)
    hidden, convolved = by_hand(net, X)
    frozen = FrozenEstimator(net)
    got = SkorchEmbedding(frozen, layer="convolution", take="output").fit(X, y)
    np.testing.assert_allclose(got.transform(X), convolved, atol=1e-6)
    got = SkorchEmbedding(frozen, layer="hidden", take="output").fit(X, y)
    np.testing.assert_allclose(np.maximum(got.transform(X), 0), hidden, atol=1e-6)
    assert got.transform(X).min() < 0
    assert got.transform(X[:0]).shape == (0, 6)


def test_in_a_pipeline(data):
    X, y = data
    model = make_pipeline(SkorchEmbedding(make()), LogisticRegression())
    ranker = InfluenceRanker(model).fit(X, y)
    assert ranker.influence(X[:4], y[:4]).shape == (4, 30)
    assert ranker.head_.coef.shape == (3, 6)


def test_wrong_names(data):
    X, y = data
    with pytest.raises(ValueError, match="'convolution', 'hidden'"):
        SkorchEmbedding(make(), layer="nowhere").fit(X, y)

    class Doubled(Net):
        def forward(self, X):
            return 2 * super().forward(X)

    net = NeuralNet(Doubled, criterion=nn.CrossEntropyLoss).initialize()
    with pytest.raises(ValueError, match="No linear layer of Doubled"):
        SkorchEmbedding(FrozenEstimator(net)).fit(X, y)
    with pytest.raises(TypeError, match="estimator of SkorchEmbedding must be"):
        SkorchEmbedding(LogisticRegression()).fit(X.reshape(30, -1), y)


def test_clone_and_unfitted(data):
    X, _ = data
    embedding = clone(SkorchEmbedding(make(), layer="hidden"))
    with pytest.raises(NotFittedError):
        embedding.transform(X)


class Recurrent(nn.Module):
    """Returns a tuple from a layer, and calls another by a keyword."""

    def __init__(self, kind="GRU", batch_first=True):
        super().__init__()
        self.layer = (
            nn.MultiheadAttention(4, 2, batch_first=batch_first)
            if kind == "attention"
            else getattr(nn, kind)(4, 4, batch_first=batch_first)
        )
        self.last = nn.Linear(4, 3)

    def run(self, X):
        if isinstance(self.layer, nn.MultiheadAttention):
            return self.layer(query=X, key=X, value=X)[0]
        return self.layer(X)[0]

    def forward(self, X):
        if not self.layer.batch_first:
            return self.last(self.run(X.transpose(0, 1))[-1])
        return self.last(input=self.run(X)[:, -1])


@pytest.fixture
def sequences():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 5, 4)).astype(np.float32), np.arange(30) % 3


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "attention"])
def test_layers_that_return_tuples_or_are_called_by_keyword(sequences, kind):
    X, y = sequences
    net = make().set_params(module=Recurrent, module__kind=kind).fit(X, y)
    frozen = FrozenEstimator(net)
    module = net.module_.eval()
    with torch.no_grad():
        states = module.run(torch.as_tensor(X))
    given = SkorchEmbedding(frozen, layer="layer", take="output").fit(X, y)
    # Batches of 7 against all at once: sums in another order.
    expected = states.flatten(1).numpy()
    np.testing.assert_allclose(given.transform(X), expected, atol=1e-6)
    last = SkorchEmbedding(frozen).fit(X, y)
    assert last.layer_ == "last"
    np.testing.assert_allclose(last.transform(X), states[:, -1].numpy(), atol=1e-6)
    ranker = InfluenceRanker(frozen, refit_head=False, damping=1e-3).fit(X, y)
    assert ranker.influence(X[:2]).shape == (2, 30)


def test_layers_whose_first_axis_is_time(sequences):
    net = make().set_params(module=Recurrent, module__batch_first=False)
    with pytest.raises(ValueError, match=r"whose first axis is the 1 rows.*batch_"):
        SkorchEmbedding(net, layer="layer", take="output").fit(*sequences)


def test_a_frozen_net_needs_no_targets(data):
    X, y = data
    frozen = FrozenEstimator(make().fit(X, y))
    embedding = SkorchEmbedding(frozen).fit(X)
    np.testing.assert_array_equal(
        embedding.transform(X), SkorchEmbedding(frozen).fit(X, y).transform(X)
    )
    assert not get_tags(embedding).target_tags.required
    with pytest.raises(ValueError, match="requires y"):
        SkorchEmbedding(make()).fit(X)
