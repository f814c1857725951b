"""EK-FAC of networks: where it is exact, and what is exact about it elsewhere."""

import numpy as np
import pytest
import sklearn
from sklearn.frozen import FrozenEstimator

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402
from torch import nn  # noqa: E402
from torch.func import functional_call, jacrev  # noqa: E402

from sklinfluence.curvature import EKFAC  # noqa: E402
from sklinfluence.deep import DeepInfluenceRanker  # noqa: E402
from sklinfluence.deep._net._operators import NetCurvature  # noqa: E402

N_ROWS = 25


def images(n_outputs=None):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 2, 5, 5)).astype(np.float32)
    if n_outputs is None:
        return X, rng.integers(3, size=N_ROWS)
    return X, rng.normal(size=(N_ROWS, n_outputs)).astype(np.float32)


def fit(module, X, y, **kwargs):
    torch.manual_seed(0)
    classes = y.ndim == 1
    kind = NeuralNetClassifier if classes else NeuralNetRegressor
    return kind(
        module,
        criterion=nn.CrossEntropyLoss if classes else nn.MSELoss,
        max_epochs=2,
        train_split=None,
        verbose=0,
        **kwargs,
    ).fit(X, y)


def operator_of(net, X, y, **kwargs):
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net), dtype="float64", damping=0.05, **kwargs
    )
    return NetCurvature(ranker.fit(X, y)._objective)


def gauss_newton(net, X, operator):
    """Dense, from the Jacobian of all logits with respect to each parameter."""
    values = {n: p.detach().double() for n, p in net.module_.named_parameters()}
    buffers = {
        n: b.double() if b.is_floating_point() else b
        for n, b in net.module_.named_buffers()
    }
    rows = torch.as_tensor(X).double()
    net.module_.eval()

    def raw_of(values):
        return functional_call(net.module_, {**values, **buffers}, (rows,))

    raw = raw_of(values)
    jacobian = jacrev(raw_of)(values)
    J = torch.cat([part.flatten(2) for part in jacobian.values()], dim=2)
    if isinstance(net, NeuralNetClassifier):
        p = torch.softmax(raw, dim=1)
        S = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    else:
        S = torch.eye(raw.shape[1], dtype=torch.float64).expand(len(rows), -1, -1)
    H = torch.einsum("nka,nkl,nlb->ab", J, S, J).numpy()
    return H + np.diag(operator.diagonal_terms[0])


EXACT = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(50, 2)),
    "no bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(50, 2, bias=False)),
    "one place": lambda: nn.Sequential(nn.Conv2d(2, 2, 5), nn.Flatten()),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_for_least_squares_of_one_layer(name):
    """There the Gauss-Newton matrix is a Kronecker product, identity times moments."""
    X, y = images(2)
    net = fit(EXACT[name](), X, y, optimizer__weight_decay=0.1)
    operator = operator_of(net, X, y)
    H = gauss_newton(net, X, operator)
    B = np.random.default_rng(0).normal(size=(len(H), 3))
    solved = operator.kronecker_factors().solve(B)
    np.testing.assert_allclose(solved, np.linalg.solve(H, B), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_exact_for_a_softmax_whose_rows_bend_alike(name):
    """With zero weights every row has one curvature, S: the matrix is S times moments.

    Least squares leaves the basis of the outputs arbitrary; here it has to be found.
    """
    X, y = images()
    make = {
        "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(50, 3)),
        "no bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(50, 3, bias=False)),
        "one place": lambda: nn.Sequential(nn.Conv2d(2, 3, 5), nn.Flatten()),
    }[name]
    net = fit(make(), X, y, optimizer__weight_decay=0.1)
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.zero_()
        if name != "no bias":
            # Unequal probabilities, equal for all rows.
            list(net.module_.parameters())[-1].copy_(torch.tensor([0.3, -1.0, 0.7]))
    operator = operator_of(net, X, y)
    H = gauss_newton(net, X, operator)
    B = np.random.default_rng(0).normal(size=(len(H), 3))
    solved = operator.kronecker_factors().solve(B)
    np.testing.assert_allclose(solved, np.linalg.solve(H, B), rtol=1e-8, atol=1e-12)


CONVOLUTIONS = [
    {"padding": 1, "stride": 2},
    {"padding": "same", "dilation": 2},
    {"padding": 1, "padding_mode": "circular"},
    {"padding": (1, 0), "bias": False},
]


def network(**kwargs):
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, **kwargs),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


@pytest.mark.parametrize("kwargs", CONVOLUTIONS)
def test_diagonal_is_that_of_the_matrix_in_the_basis(kwargs):
    X, y = images()
    net = fit(network(**kwargs), X, y)
    operator = operator_of(net, X, y)
    H = gauss_newton(net, X, operator)
    factors = operator.kronecker_factors()
    assert [layer.name for layer in factors.layers] == ["0", "5"]
    for layer in factors.layers:
        basis = np.kron(layer.outputs, layer.columns)
        np.testing.assert_allclose(basis.T @ basis, np.eye(len(basis)), atol=1e-10)
        block = H[np.ix_(layer.index, layer.index)]
        diagonal = np.diag(basis.T @ block @ basis)
        np.testing.assert_allclose(diagonal, 1 / layer.inverse.ravel(), rtol=1e-8)
    # Batch normalisation has no such layer: the diagonal itself.
    index, inverse = factors.rest
    assert len(index) == 6
    np.testing.assert_allclose(1 / inverse, np.diag(H)[index], rtol=1e-8)
    np.testing.assert_allclose(operator.trace(), np.trace(H), rtol=1e-10)


def test_operator_of_a_convolutional_net():
    X, y = images()
    net = fit(network(padding=1), X, y)
    operator = operator_of(net, X, y)
    H = gauss_newton(net, X, operator)
    V = np.random.default_rng(0).normal(size=(len(H), 4))
    np.testing.assert_allclose(operator.matvec(V), H @ V, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(operator.dense(), H, rtol=1e-8, atol=1e-10)


class Twice(nn.Module):
    """One layer that sees every row twice, and a frozen one."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(50, 50)
        self.frozen = nn.Linear(50, 50).requires_grad_(False)
        self.last = nn.Linear(50, 3)

    def forward(self, X):
        X = self.shared(torch.tanh(self.shared(X.flatten(1))))
        return self.last(torch.tanh(self.frozen(X)))


def test_shared_and_frozen_layers():
    X, y = images()
    net = fit(Twice, X, y)
    factors = operator_of(net, X, y).kronecker_factors()
    assert [layer.name for layer in factors.layers] == ["last"]
    assert len(factors.rest[0]) == 50 * 51
    B = np.random.default_rng(0).normal(size=(50 * 51 + 153, 2))
    assert np.all(np.sum(B * factors.solve(B), axis=0) > 0)


def test_corrected_by_every_direction_it_is_exact():
    """With all of Lanczos' directions nothing is left to approximate."""
    X, y = images()
    net = fit(network(padding=1), X, y)
    operator = operator_of(net, X, y)
    H = gauss_newton(net, X, operator)
    B = np.random.default_rng(0).normal(size=(len(H), 3))
    expected = np.linalg.solve(H, B)
    errors = []
    for n_directions in (0, 20, 60, len(H)):
        solver = EKFAC(n_directions=n_directions)
        solved, info = solver.solve(solver.init(operator), B)
        errors.append(np.linalg.norm(solved - expected))
        residual = np.linalg.norm(H @ solved - B, axis=0) / np.linalg.norm(B, axis=0)
        np.testing.assert_allclose(info["residual"], residual, atol=1e-8)
    assert np.all(np.diff(errors) < 0)
    # Lanczos in float64 with full orthogonalisation.
    assert errors[-1] <= 1e-8 * np.linalg.norm(expected)


def test_directions_are_bounded_by_working_memory():
    X, y = images()
    net = fit(network(padding=1), X, y)
    operator = operator_of(net, X, y)
    with sklearn.config_context(working_memory=8 * operator.shape[0] * 5 / 2**20):
        state = EKFAC(n_directions=200).init(operator)
    assert len(state.values) <= 5
