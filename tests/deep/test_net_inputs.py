"""What DeepInfluenceRanker settles about rows and targets before it computes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetRegressor  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import DeepInfluenceRanker  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402


@pytest.fixture
def data():
    X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    return X, X[:, 0] + 1


def make(*end):
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1), *end)
    options = {"optimizer__weight_decay": 0.01, "train_split": None, "verbose": 0}
    return NeuralNetRegressor(module, max_epochs=1, **options)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("kind", [InfluenceRanker, DeepInfluenceRanker])
def test_losses_that_compare_every_row_with_every_other(data, kind):
    X, y = data
    with pytest.raises(ValueError, match=r"MSELoss then compares .* y.reshape\(-1, 1"):
        kind(make()).fit(X, y)
    with pytest.raises(ValueError, match=r"MSELoss then compares .* y\[:, 0\]"):
        kind(make(nn.Flatten(0))).fit(X, y[:, None])
    assert kind(make()).fit(X, y[:, None]).influence(X[:2]).shape == (2, 20)
    assert kind(make(nn.Flatten(0))).fit(X, y).influence(X[:2]).shape == (2, 20)


def test_no_queries(data):
    X, y = data[0], data[1][:, None]
    ranker = DeepInfluenceRanker(make()).fit(X, y)
    assert ranker.influence(X[:0], y[:0]).shape == (0, 20)
    assert ranker.influence(X[:0]).shape == (0, 20)
    assert ranker.score_samples(X[:0], y[:0]).shape == (0,)
    assert ranker.label_scores("loss", X[:0], y[:0]).shape == (0,)
    with pytest.raises(ValueError, match="X has no rows"):
        ranker.mean_influence(X[:0], y[:0])


def test_neither_layers_nor_targets(data):
    X, y = data[0], data[1][:, None]
    with pytest.raises(ValueError, match=r"layers=\[\] names no layer"):
        DeepInfluenceRanker(make(), layers=[]).fit(X, y)
    dataset = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(y))
    for ranker in (DeepInfluenceRanker(make()), InfluenceRanker(make())):
        with pytest.raises(ValueError, match="requires y to be passed"):
            ranker.fit(dataset)
