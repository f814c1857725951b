"""What errors and warnings about nets advise, in the words of nets."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.curvature import SingularHessianError  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402


@pytest.fixture(scope="module")
def data():
    """Classes that a hyperplane separates: without penalty there is no optimum."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    return (rng.normal(size=(60, 4)) + 6 * np.eye(4)[y]).astype(np.float32), y


def make(**kwargs):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    options = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(module, **{**options, **kwargs})


def test_a_net_without_weight_decay(data):
    wanted = r"optimizer__weight_decay=1e-3.*refit_head=False with damping=1e-3"
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    with pytest.raises(SingularHessianError, match=wanted) as raised:
        InfluenceRanker(make(max_epochs=20, lr=0.1, batch_size=32)).fit(X, y)
    assert "finite C" not in str(raised.value)
    # Damping does not help polishing: that is said, too.
    net = FrozenEstimator(make().fit(*data))
    with pytest.warns(ConvergenceWarning, match=wanted) as caught:
        InfluenceRanker(net, damping=1e-3).fit(*data)
    assert not any("max_iter" in str(warning.message) for warning in caught)
    # What is advised does without errors and warnings.
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        InfluenceRanker(net, refit_head=False, damping=1e-3).fit(*data)


def test_a_penalised_net_that_was_hardly_trained(data):
    net = make(max_epochs=1, optimizer__weight_decay=1e-3)
    with pytest.warns(ConvergenceWarning, match="longer .max_epochs, lr.") as caught:
        InfluenceRanker(net).fit(*data)
    assert not any("max_iter" in str(warning.message) for warning in caught)


def test_words_for_linear_models_are_theirs(data):
    with pytest.warns(ConvergenceWarning, match="a finite C, an alpha above 0"):
        InfluenceRanker(LogisticRegression(C=np.inf), solver="cg").fit(*data)
