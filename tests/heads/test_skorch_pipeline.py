"""Nets at the end of Pipelines: float64 rows, weights, routing. Oracle: by hand."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence._estimators._ask import ask  # noqa: E402
from sklinfluence._estimators._fit import fit_weighted  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402


class WeightedNet(NeuralNetRegressor):
    """Keeps what its fit was given."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = X, y, sample_weight
        return super().fit(X, y)


def make(kind):
    torch.manual_seed(0)
    n_outputs = 3 if kind is NeuralNetClassifier else 1
    return kind(
        nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, n_outputs)),
        criterion=nn.CrossEntropyLoss if n_outputs == 3 else nn.MSELoss,
        optimizer__weight_decay=0.01,
        max_epochs=3,
        train_split=None,
        verbose=0,
    )


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(40, 4))
    return X, {NeuralNetClassifier: np.arange(40) % 3, WeightedNet: X[:, :1] + 1}


NESTED = [
    lambda net: make_pipeline(StandardScaler(), net),
    lambda net: make_pipeline(StandardScaler(), make_pipeline("passthrough", net)),
]


@pytest.mark.parametrize("nest", NESTED)
@pytest.mark.parametrize("kind", [NeuralNetClassifier, WeightedNet])
def test_rows_in_float64(data, nest, kind):
    X, y = data[0], data[1][kind]
    scaled = StandardScaler().fit_transform(X).astype(np.float32)
    by_hand = InfluenceRanker(make(kind), refit_head=False)
    by_hand.fit(scaled, y if y.ndim == 1 else y.astype(np.float32))
    ranker = InfluenceRanker(nest(make(kind)), refit_head=False).fit(X, y)
    # The same numbers through the same net, in the same batches.
    np.testing.assert_allclose(
        ranker.influence(X[:5], y[:5]), by_hand.influence(scaled[:5], y[:5]), rtol=1e-6
    )
    np.testing.assert_allclose(ranker.predict(X), by_hand.predict(scaled), rtol=1e-6)
    assert ranker.score(X, y) == pytest.approx(by_hand.score(scaled, y))
    # Nothing of how it was fitted is left in the Pipeline.
    last = ranker.estimator_.steps[-1][1]
    assert type(getattr(last, "steps", [(None, last)])[-1][1]) is kind


@pytest.mark.parametrize("nest", NESTED)
def test_weights_and_types_that_the_net_is_given(data, nest):
    X, y = data[0], data[1][WeightedNet]
    weight = np.linspace(0.5, 1.5, 40)
    net = make(WeightedNet)
    fitted = fit_weighted(nest(net), X, y, weight)
    rows, targets, weights = net.seen_
    assert rows.dtype == targets.dtype == np.float32
    # Scaled without weights: they go to the last step alone.
    np.testing.assert_allclose(rows, StandardScaler().fit_transform(X), rtol=1e-5)
    np.testing.assert_array_equal(weights, weight)
    expected = net.predict(StandardScaler().fit_transform(X).astype(np.float32))
    np.testing.assert_allclose(ask(fitted, "predict", X), expected, rtol=1e-6)


def test_routing_decides_where_weights_go(data):
    X, y = data[0], data[1][WeightedNet]
    weight = np.linspace(0.5, 1.5, 40)
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        net = make(WeightedNet).set_fit_request(sample_weight=True)
        fit_weighted(make_pipeline(scaler, net), X, y, weight)
    rows, _, weights = net.seen_
    expected = StandardScaler().fit(X, sample_weight=weight).transform(X)
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(weights, weight)


FIRST = """
import numpy as np
from skorch import NeuralNetRegressor
from torch import nn
from sklinfluence._estimators import ask, fit_inputs, fit_weighted
net = NeuralNetRegressor(nn.Linear(2, 1), max_epochs=1, verbose=0, train_split=None)
X, y = np.ones((6, 2)), np.ones((6, 1))
{question}
"""
QUESTIONS = {
    "fit_inputs": "assert fit_inputs(net, X, y)[0].dtype == np.float32",
    "fit": "fit_weighted(net, X, y)",
    "ask": "ask(net.initialize(), 'predict', X)",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_first_net_of_a_process_is_met_as_one(question):
    """Their adapters come with it: float64 rows are a net's from the first call on."""
    code = FIRST.format(question=QUESTIONS[question])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
