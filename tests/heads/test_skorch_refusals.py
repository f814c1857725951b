"""What nets cannot read or be read from is named, and named for what it is."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import DeepInfluenceRanker, SkorchEmbedding  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402

RANKERS = [InfluenceRanker, DeepInfluenceRanker]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 4)).astype(np.float32), np.arange(30) % 3


def make(*end, kind=NeuralNetClassifier, criterion=nn.CrossEntropyLoss, n_outputs=3):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, n_outputs), *end)
    options = {"optimizer__weight_decay": 0.01, "max_epochs": 2, "verbose": 0}
    return kind(module, criterion=criterion, train_split=None, **options)


@pytest.mark.parametrize("kind", [*RANKERS, SkorchEmbedding])
def test_missing_values(data, kind):
    X, y = data
    broken = X.copy()
    broken[3, 2] = np.nan
    for net in (make(), FrozenEstimator(make().fit(X, y))):
        with pytest.raises(ValueError, match="X contains NaN or infinity"):
            kind(net).fit(broken, y)


@pytest.mark.parametrize("kind", RANKERS)
def test_missing_values_in_queries(data, kind):
    X, y = data
    ranker = kind(make()).fit(X, y)
    broken = X[:5].copy()
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        ranker.influence(broken, y[:5])


@pytest.mark.parametrize("kind", RANKERS)
def test_training_that_diverged(data, kind):
    with pytest.raises(ValueError, match=r"outputs .* not finite.*training diverged"):
        kind(make().set_params(lr=1e30)).fit(*data)


@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("end", [(), (nn.LogSoftmax(dim=-1),)])
def test_what_is_no_probability(data, kind, end):
    """skorch takes the logarithm of what the module returns."""
    with pytest.raises(ValueError, match="no probabilities, of which NLLLoss"):
        kind(make(*end, criterion=nn.NLLLoss)).fit(*data)
    ranker = kind(make(nn.Softmax(dim=-1), criterion=nn.NLLLoss)).fit(*data)
    assert ranker.influence(data[0][:2]).shape == (2, 30)


@pytest.mark.parametrize("kind", RANKERS)
def test_signs_for_labels(data, kind):
    binary = {"kind": NeuralNetBinaryClassifier, "criterion": nn.BCEWithLogitsLoss}
    net = make(n_outputs=1, **binary)
    with pytest.raises(ValueError, match="takes 0 and 1 as labels, got y of -1, 1"):
        kind(net).fit(data[0], np.where(data[1] == 1, 1, -1))


@pytest.mark.parametrize("kind", [*RANKERS, SkorchEmbedding])
def test_frames(data, kind):
    pandas = pytest.importorskip("pandas")
    X, y = data
    frame = pandas.DataFrame(X, columns=list("abcd"))
    with pytest.raises(ValueError, match=r"takes no 'a', .*to_numpy\(dtype='float32'"):
        kind(make()).fit(frame, y)
    fitted = kind(make()).fit(X, y)
    with pytest.raises(ValueError, match="X is a DataFrame, whose columns"):
        fitted.transform(frame)


def test_frames_whose_columns_are_what_forward_takes(data):
    pandas = pytest.importorskip("pandas")
    X, y = data

    class Columns(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(2, 3)

        def forward(self, a, b):
            return self.last(torch.cat([a.reshape(-1, 1), b.reshape(-1, 1)], dim=1))

    net = make().set_params(module=Columns)
    ranker = InfluenceRanker(net).fit(pandas.DataFrame(X[:, :2], columns=["a", "b"]), y)
    assert ranker.self_influence_.shape == (30,)
