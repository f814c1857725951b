"""Row gradients and Hessian products against plain autograd."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn import config_context  # noqa: E402
from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402

from sklinfluence.deep._net._functional import (  # noqa: E402
    FunctionalNet,
    last_linear,
    select_parameters,
)


class TwoInputs(torch.nn.Module):
    """Named inputs, a convolution, batch normalisation and dropout."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv1d(1, 2, 3)
        self.norm = torch.nn.BatchNorm1d(2)
        self.drop = torch.nn.Dropout(0.5)
        self.embedding = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(11, 3)

    def forward(self, signal, token):
        hidden = self.norm(self.convolution(signal[:, None, :]))
        hidden = self.drop(torch.relu(hidden)).flatten(1)
        return self.head(torch.cat([hidden, self.embedding(token)], dim=1))


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = {
        "signal": rng.standard_normal((10, 6)).astype(np.float32),
        "token": rng.integers(0, 5, 10),
    }
    y = rng.integers(0, 3, 10)
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        TwoInputs,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=2,
        lr=0.1,
        train_split=None,
        verbose=0,
    ).fit(X, y)
    return net, X, y


def one_by_one(net, X, y, dtype=torch.float64):
    module = TwoInputs().to(dtype)
    module.load_state_dict(net.module_.state_dict())
    module.eval()
    out = []
    for i in range(10):
        module.zero_grad()
        signal = torch.as_tensor(X["signal"][[i]]).to(dtype)
        raw = module(signal, torch.as_tensor(X["token"][[i]]))
        torch.nn.functional.cross_entropy(raw, torch.as_tensor(y[[i]])).backward()
        out.append(
            np.concatenate([p.grad.numpy().ravel() for p in module.parameters()])
        )
    return np.array(out), module


@pytest.mark.parametrize("working_memory", [1024, 1e-3])
def test_gradients_row_by_row(fitted, working_memory):
    net, X, y = fitted
    function = FunctionalNet(net, dtype=torch.float64)
    state, rows = function.state(), function.rows(X, y)
    expected, _ = one_by_one(net, X, y)
    with config_context(working_memory=working_memory):
        blocks = list(function.per_sample_gradients(state, rows))
    assert len(blocks) == (1 if working_memory > 1 else 10)
    gradients = np.concatenate([block.numpy() for _, block in blocks])
    # Batch normalisation in evaluation mode, no dropout, float64.
    np.testing.assert_allclose(gradients, expected, rtol=1e-9, atol=1e-12)
    assert net.module_.convolution.weight.dtype == torch.float32


def test_layers(fitted):
    net, X, y = fitted
    expected, module = one_by_one(net, X, y)
    names = [name for name, _ in module.named_parameters()]
    sizes = [p.numel() for p in module.parameters()]
    owner = np.repeat([name.partition(".")[0] for name in names], sizes)
    for layers, part in [("last", "head"), ("embedding", "embedding")]:
        function = FunctionalNet(net, layers, dtype=torch.float64)
        gradients = function.gradients(function.state(), function.rows(X, y))
        np.testing.assert_allclose(
            gradients.numpy(), expected[:, owner == part], rtol=1e-9, atol=1e-12
        )
    assert select_parameters(net.module_, "head.bias") == ("head.bias",)
    assert last_linear(net.module_) == "head"
    with pytest.raises(ValueError, match=r"convolution, embedding, head, norm"):
        select_parameters(net.module_, "tail")
    with pytest.raises(ValueError, match="has no nn"):
        last_linear(torch.nn.Conv1d(1, 1, 1))


def test_hessian_products(fitted):
    net, X, y = fitted
    function = FunctionalNet(net, ["head", "convolution"], dtype=torch.float64)
    state, rows = function.state(), function.rows(X, y)
    weights = torch.linspace(0.0, 2.0, 10, dtype=torch.float64)
    module = TwoInputs().double()
    module.load_state_dict(net.module_.state_dict())
    module.eval()
    chosen = [p for n, p in module.named_parameters() if n in function.names]

    raw = module(rows.X["signal"], rows.X["token"])
    losses = torch.nn.functional.cross_entropy(raw, rows.y, reduction="none")
    first = torch.autograd.grad((weights * losses).sum(), chosen, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in first])
    dense = []
    for value in flat:
        second = torch.autograd.grad(value, chosen, retain_graph=True)
        dense.append(torch.cat([g.reshape(-1) for g in second]))
    dense = torch.stack(dense)
    V = torch.randn(4, len(flat), dtype=torch.float64)
    np.testing.assert_allclose(
        function.hessian_products(state, rows, weights, V),
        V @ dense,
        rtol=1e-8,
        atol=1e-10,
    )
    np.testing.assert_allclose(
        function.hessian(state, rows, weights), dense, rtol=1e-8, atol=1e-10
    )


def test_losses_and_modes(fitted):
    net, X, y = fitted
    net.module_.train()
    net.module_.norm.eval()
    function = FunctionalNet(net)
    losses = function.losses(function.state(), function.rows(X, y))
    raw = TwoInputs()
    raw.load_state_dict(net.module_.state_dict())
    raw.eval()
    expected = torch.nn.functional.cross_entropy(
        raw(torch.as_tensor(X["signal"]), torch.as_tensor(X["token"])),
        torch.as_tensor(y),
        reduction="none",
    )
    np.testing.assert_allclose(losses, expected.detach(), rtol=1e-5)
    assert net.module_.training
    assert net.module_.drop.training
    assert not net.module_.norm.training


@pytest.mark.parametrize(
    ("criterion", "reduction"),
    [({}, "mean"), ({"criterion__reduction": "sum"}, "sum")],
)
def test_reduction(criterion, reduction):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((9, 2)).astype(np.float32)
    net = NeuralNetRegressor(torch.nn.Linear(2, 1), **criterion).initialize()
    function = FunctionalNet(net)
    assert function.reduction(function.rows(X, X[:, :1])) == reduction


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("n_rows", [3, 40])
def test_reduction_of_a_loss_that_is_drawn(reduction, n_rows):
    """As of a variational autoencoder: the mean is told from the sum, noise and all."""

    class Drawn(NeuralNetRegressor):
        def get_loss(self, y_pred, y_true, X=None, training=False):
            losses = (y_pred + 0.1 * torch.randn_like(y_pred) - y_true) ** 2
            return losses.mean() if reduction == "mean" else losses.sum()

    X = np.random.default_rng(0).standard_normal((n_rows, 2)).astype(np.float32)
    net = Drawn(torch.nn.Linear(2, 1), criterion__reduction=reduction).initialize()
    function = FunctionalNet(net)
    assert function.reduction(function.rows(X, X[:, :1]), random=True) == reduction


def test_reduction_of_a_loss_that_does_not_fall_apart():
    class Odd(NeuralNetRegressor):
        def get_loss(self, y_pred, y_true, X=None, training=False):
            return (y_pred - y_true).abs().max()

    X = np.random.default_rng(0).standard_normal((9, 2)).astype(np.float32)
    function = FunctionalNet(Odd(torch.nn.Linear(2, 1)).initialize())
    with pytest.raises(ValueError, match="neither the mean nor"):
        function.reduction(function.rows(X, X[:, :1]))
