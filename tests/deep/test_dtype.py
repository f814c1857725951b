"""What `dtype` asks for is what is computed in, whatever the net was trained in."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier  # noqa: E402
from torch.func import functional_call, grad, hessian, vmap  # noqa: E402

import sklinfluence.deep  # noqa: E402
from sklinfluence.deep import (  # noqa: E402
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    TracInRanker,
)

LR, N_ROWS = 0.3, 18


def module():
    return torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS + 5, 3)).astype(np.float32)
    y = (X[:, 0] + 0.5 * rng.standard_normal(len(X)) > 0).astype(np.int64)
    return X[:N_ROWS], y[:N_ROWS], X[N_ROWS:], y[N_ROWS:]


def net():
    torch.manual_seed(3)
    return NeuralNetClassifier(
        module(),
        criterion=torch.nn.CrossEntropyLoss,
        lr=LR,
        batch_size=6,
        max_epochs=3,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


class ByHand:
    """Derivatives in float64 at the numbers, float32, that training went through."""

    def __init__(self):
        self.net = module().double()

    def flat(self, state):
        parts = [np.asarray(state[name]) for name, _ in self.net.named_parameters()]
        flat = np.concatenate([part.ravel() for part in parts])
        return torch.as_tensor(flat.astype(np.float64))

    def loss(self, flat, row, label):
        parts = torch.split(flat, [p.numel() for p in self.net.parameters()])
        named = {
            name: part.reshape(p.shape)
            for part, (name, p) in zip(parts, self.net.named_parameters(), strict=True)
        }
        raw = functional_call(self.net, named, (row[None],))
        return torch.nn.functional.cross_entropy(raw, label[None])

    def gradients(self, flat, X, y):
        rows, labels = torch.as_tensor(X).double(), torch.as_tensor(y)
        return vmap(grad(self.loss), (None, 0, 0))(flat, rows, labels).numpy()

    def hessian(self, flat, X, y):
        rows, labels = torch.as_tensor(X).double(), torch.as_tensor(y)
        return vmap(hessian(self.loss), (None, 0, 0))(flat, rows, labels).mean(0)


def unrolled(ranker, data, with_hessian):
    """-g_query . d theta / d weight of each row, the derivative taken forwards."""
    X, y, Xq, yq = data
    path, by_hand = ranker.training_path_, ByHand()
    change = np.zeros((N_ROWS, 26))
    for t, batch in enumerate(path.batches):
        flat = by_hand.flat(path.load(t))
        if with_hessian:
            H = by_hand.hessian(flat, X[batch], y[batch]).numpy()
            change -= LR * change @ H
        change[batch] -= LR / len(batch) * by_hand.gradients(flat, X[batch], y[batch])
    end = by_hand.flat(path.load(path.n_steps))
    return -by_hand.gradients(end, Xq, yq) @ change.T


def traced(ranker, data):
    X, y, Xq, yq = data
    path, by_hand, total = ranker.training_path_, ByHand(), 0.0
    for c in range(len(path.steps)):
        flat = by_hand.flat(path.load(c))
        rows = by_hand.gradients(flat, X, y)
        total = total + LR * by_hand.gradients(flat, Xq, yq) @ rows.T
    return total


def dotted(ranker, data):
    X, y, Xq, yq = data
    state = ranker.estimator_.module_.state_dict()
    by_hand = ByHand()
    flat = by_hand.flat({name: value.numpy() for name, value in state.items()})
    return by_hand.gradients(flat, Xq, yq) @ by_hand.gradients(flat, X, y).T


# Of a net, what it is compared with.
RANKERS = {
    "hydra": (HydraRanker, {}, lambda r, d: unrolled(r, d, False)),
    "hydra, hessian": (
        HydraRanker,
        {"hessian": True},
        lambda r, d: unrolled(r, d, True),
    ),
    "sgd": (SGDInfluenceRanker, {}, lambda r, d: unrolled(r, d, True)),
    "tracin": (TracInRanker, {}, traced),
    "deep": (DeepInfluenceRanker, {"method": "grad_dot"}, dotted),
}


def test_every_ranker_with_a_dtype_is_in_the_list():
    public = [getattr(sklinfluence.deep, name) for name in sklinfluence.deep.__all__]
    having = {
        kind
        for kind in public
        if inspect.isclass(kind) and "dtype" in inspect.signature(kind).parameters
    }
    assert having == {kind for kind, _, _ in RANKERS.values()}


@pytest.mark.parametrize("name", RANKERS)
def test_float64_is_computed_in_float64(name, data):
    kind, options, oracle = RANKERS[name]
    X, y, Xq, yq = data
    if kind is not DeepInfluenceRanker:
        options = {"random_state": 0, **options}
    # Fresh nets, trained alike in float32.
    exact = kind(net(), dtype="float64", **options).fit(X, y)
    truth = oracle(exact, data)
    # float64 sums in another order; float32 would be off by 1e-7.
    error = np.abs(exact.influence(Xq, yq) - truth).max() / np.abs(truth).max()
    assert error < 1e-12
    for dtype in (None, "float32"):
        rough = kind(net(), dtype=dtype, **options).fit(X, y)
        truth = oracle(rough, data)
        error = np.abs(rough.influence(Xq, yq) - truth).max() / np.abs(truth).max()
        assert 1e-10 < error < 1e-5
