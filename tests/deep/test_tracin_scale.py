"""What TracIn's numbers are measured in, and what it holds while it computes them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn import config_context  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402
from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    DeepInfluenceRanker,
    TracInRanker,
)


def make_net(**options):
    settings = {
        "criterion": torch.nn.CrossEntropyLoss,
        "lr": 0.2,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    torch.manual_seed(3)
    layers = (torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    return NeuralNetClassifier(torch.nn.Sequential(*layers).double(), **settings)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((24, 3))
    y = np.argmax(X + 0.3 * rng.standard_normal((24, 3)), axis=1).astype(np.int64)
    queries = rng.standard_normal((6, 3))
    return X, y, queries, np.argmax(queries, axis=1).astype(np.int64)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "checkpoint"},
        {"method": "replay"},
        {"projection": 4},
        {"method": "ideal"},
    ],
    ids=str,
)
def test_lengths_of_changes_come_in_blocks(data, options, monkeypatch):
    """The same whatever fits in memory, and never all rows' parameter vectors."""
    X, y, queries, labels = data
    net = make_net(
        batch_size=1 if options.get("method") == "ideal" else 8, max_epochs=1
    )
    ranker = TracInRanker(net, normalize="theta", random_state=0, **options)
    whole = ranker.fit(X, y)
    expected = whole.influence(queries, labels), whole.score_samples(X, y)
    allocated, zeros = [], np.zeros

    def watched(shape, *args, **kwargs):
        allocated.append(int(np.prod(shape)))
        return zeros(shape, *args, **kwargs)

    monkeypatch.setattr(np, "zeros", watched)
    # Room for the vectors of two rows.
    n_parameters = 38
    with config_context(working_memory=6 * n_parameters * 8 / 2**20):
        blocks = clone(ranker).fit(X, y)
        assert max(allocated) < 24 * (4 if "projection" in options else n_parameters)
        found = blocks.influence(queries, labels), blocks.score_samples(X, y)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_units_are_those_of_the_loss_that_was_trained(data):
    """MSELoss counts squares, the other rankers their halves: 2 x 2 for a product."""
    X, _, queries, _ = data
    y = X.sum(axis=1, keepdims=True)
    torch.manual_seed(0)
    net = NeuralNetRegressor(
        torch.nn.Linear(3, 1, dtype=torch.float64),
        lr=0.05,
        batch_size=24,
        max_epochs=1,
        train_split=None,
        verbose=0,
        callbacks=[CheckpointRecorder()],
    ).fit(X, y)
    targets = queries[:, :1]
    traced = TracInRanker(FrozenEstimator(net)).fit(X, y).influence(queries, targets)
    deep = DeepInfluenceRanker(FrozenEstimator(net), method="grad_dot").fit(X, y)
    np.testing.assert_allclose(
        traced, 4 * 0.05 * deep.influence(queries, targets), rtol=1e-9
    )
