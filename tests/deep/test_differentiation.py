"""Modules that torch cannot vectorise or differentiate forwards. Oracle: autograd."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import DeepInfluenceRanker, TracInRanker  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402

DAMPING = 0.05


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.recurrent = kind(4, 3, batch_first=True)
        self.last = nn.Linear(3, 3)

    def forward(self, X):
        return self.last(self.recurrent(X)[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, X):
        return self.last(self.attention(X).mean(dim=1))


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(24, 3)
        self.last = nn.Linear(3, 3)

    def forward(self, X):
        hidden = torch.tanh(self.hidden(X.flatten(1)))
        # Looks at values of the rows, and of what depends on parameters.
        if X.abs().max().item() > 1e6 or hidden.abs().max().item() > 2:
            raise ValueError("X is out of bounds.")
        return self.last(hidden)


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(6, 3)
        self.last = nn.Linear(3, 3)

    def forward(self, X):
        return self.last(self.bag((X[:, :, 0].abs() * 2).long().clamp(max=5)))


MODULES = {
    "rnn": lambda: Recurrent(nn.RNN),
    "gru": lambda: Recurrent(nn.GRU),
    "lstm": lambda: Recurrent(nn.LSTM),
    "attention": Attention,
    "branch": Branch,
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 6, 4)).astype(np.float32), rng.integers(3, size=20)


def trained(module, data):
    torch.manual_seed(0)
    options = {"max_epochs": 3, "lr": 0.1, "train_split": None, "verbose": 0}
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, **options)
    return net.fit(*data)


def jacobians(net, X):
    """J_i (n_rows, K, p) and raw predictions, one backward pass for each entry."""
    module = net.module_.eval()
    parameters = list(module.parameters())
    out, raw = [], []
    for row in torch.as_tensor(X):
        output = module(row[None])[0]
        raw.append(output.detach())
        out.append(
            torch.stack(
                [
                    torch.cat(
                        [
                            part.reshape(-1)
                            for part in torch.autograd.grad(
                                entry, parameters, retain_graph=True
                            )
                        ]
                    )
                    for entry in output
                ]
            )
        )
    return torch.stack(out).double().numpy(), torch.stack(raw).double().numpy()


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
@pytest.mark.parametrize("name", MODULES)
def test_influence_equals_the_dense_one(data, name, solver):
    X, y = data
    net = trained(MODULES[name](), data)
    J, raw = jacobians(net, X)
    proba = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    S = np.eye(3) * proba[:, :, None] - proba[:, :, None] * proba[:, None, :]
    H = np.einsum("ikp,ikl,ilq->pq", J, S, J) + 20 * DAMPING * np.eye(J.shape[2])
    g = np.einsum("ikp,ik->ip", J, proba - np.eye(3)[y])
    expected = g @ np.linalg.solve(H, g.T)
    ranker = DeepInfluenceRanker(FrozenEstimator(net), solver=solver, damping=DAMPING)
    got = ranker.fit(X, y).influence(X, y)
    # float32 passes; conjugate gradients to a residual of 1e-4.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, atol=2e-3 * scale)
    # Layers were put back as they were.
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("name", ["gru", "attention", "branch"])
def test_hessian_products_equal_finite_differences(data, name):
    X, y = data
    net = trained(MODULES[name]().double(), (X.astype(np.float64), y))
    ranker = DeepInfluenceRanker(FrozenEstimator(net), method="grad_dot")
    objective = ranker.fit(X.astype(np.float64), y)._objective
    direction = torch.randn(objective.n_parameters, dtype=torch.float64)
    got = objective.products(direction[None], "hessian")[0]
    module, step = net.module_.eval(), 1e-5
    theta = nn.utils.parameters_to_vector(module.parameters()).detach()

    def slope(at):
        nn.utils.vector_to_parameters(at, module.parameters())
        raw = module(torch.as_tensor(X, dtype=torch.float64))
        loss = nn.functional.cross_entropy(raw, torch.as_tensor(y), reduction="sum")
        parts = torch.autograd.grad(loss, list(module.parameters()))
        return nn.utils.parameters_to_vector(parts)

    ends = slope(theta + step * direction), slope(theta - step * direction)
    expected = (ends[0] - ends[1]) / (2 * step)
    # Central differences: errors of step^2 and of rounding / step.
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", MODULES)
def test_along_the_training_path(data, name):
    X, y = data
    ranker = TracInRanker(
        NeuralNetClassifier(
            MODULES[name](), criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0
        ).set_params(train_split=None),
        random_state=0,
    ).fit(X, y)
    assert np.isfinite(ranker.influence(X[:2], y[:2])).all()


def test_what_lacks_a_derivative_is_named(data):
    net = FrozenEstimator(trained(Bag(), data))
    message = r"'bag' \(EmbeddingBag\).*_embedding_bag.*grad_dot.*InfluenceRanker"
    with pytest.raises(ValueError, match=message):
        DeepInfluenceRanker(net).fit(*data)
    # What the error says would do does.
    for ranker in (
        DeepInfluenceRanker(net, method="grad_dot"),
        DeepInfluenceRanker(net, layers="last"),
        InfluenceRanker(net, refit_head=False, damping=1e-3),
    ):
        assert np.isfinite(ranker.fit(*data).influence(data[0][:2])).all()
