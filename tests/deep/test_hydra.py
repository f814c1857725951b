"""Unrolled SGD against loops by hand and against training without a row's weight."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402

from sklinfluence.deep import HydraRanker, SGDInfluenceRanker, TracInRanker  # noqa: E402
from sklinfluence.deep._hydra import products  # noqa: E402


class Smooth(torch.nn.Module):
    """A small net without kinks, in float64."""

    def __init__(self, n_outputs=2):
        super().__init__()
        self.hidden = torch.nn.Linear(3, 4, dtype=torch.float64)
        self.head = torch.nn.Linear(4, n_outputs, dtype=torch.float64)

    def forward(self, X):
        return self.head(torch.tanh(self.hidden(X)))


def make_net(**options):
    settings = {
        "criterion": torch.nn.CrossEntropyLoss,
        "lr": 0.3,
        "batch_size": 6,
        "max_epochs": 4,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    # An instance: its own parameters, float64, are seen before training.
    torch.manual_seed(3)
    return NeuralNetClassifier(Smooth(), **settings)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    y = (X[:, 0] + 0.5 * rng.standard_normal(20) > 0).astype(np.int64)
    queries = rng.standard_normal((7, 3))
    return X, y, queries, (queries[:, 0] > 0).astype(np.int64)


def named_gradients(module, X, y, index):
    """Gradient of one row's loss by plain backward."""
    module.zero_grad()
    X, y = torch.as_tensor(X[[index]]), torch.as_tensor(y[[index]])
    torch.nn.functional.cross_entropy(module(X), y).backward()
    return np.concatenate([p.grad.numpy().ravel() for p in module.parameters()])


def load(module, path, c):
    module.load_state_dict(
        {name: torch.as_tensor(a) for name, a in path.load(c).items()}
    )
    return module


def test_fast_form_without_weight_decay_is_survey_65(data):
    X, y, queries, labels = data
    ranker = HydraRanker(make_net(), random_state=0).fit(X, y)
    path, module = ranker.training_path_, Smooth()
    summed = np.zeros((20, 26))
    for t, batch in enumerate(path.batches):
        load(module, path, t)
        for i in batch:
            summed[i] += 0.3 / len(batch) * named_gradients(module, X, y, i)
    load(module, path, path.n_steps)
    final = np.array([named_gradients(module, queries, labels, j) for j in range(7)])
    # Sums of the same float64 terms in another order.
    np.testing.assert_allclose(
        ranker.influence(queries, labels), final @ summed.T, rtol=1e-9, atol=1e-12
    )


def retrain(path, X, y, left_out, settings, lr):
    """The recorded run again in the same batches, one row's weight 0 in its losses."""
    module = load(Smooth(), path, 0)
    optimizer = torch.optim.SGD(module.parameters(), lr=lr, **settings)
    X, y = torch.as_tensor(X), torch.as_tensor(y)
    for batch in path.batches:
        optimizer.zero_grad()
        losses = torch.nn.functional.cross_entropy(
            module(X[batch]), y[batch], reduction="none"
        )
        keep = torch.as_tensor(batch != left_out, dtype=torch.float64)
        # The batch's size stays.
        ((keep * losses).sum() / len(batch)).backward()
        optimizer.step()
    return module


SETTINGS = [
    {},
    {"momentum": 0.8},
    {"momentum": 0.8, "weight_decay": 0.01},
    {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    {"momentum": 0.5, "dampening": 0.3},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_with_hessians_it_follows_retraining_without_the_row(data, settings):
    X, y, queries, labels = data
    lr = 0.3 * (1 - settings.get("momentum", 0.0))
    options = {f"optimizer__{key}": value for key, value in settings.items()}
    net = make_net(lr=lr, max_epochs=10, **options)
    ranker = HydraRanker(net, hessian=True, random_state=0).fit(X, y)
    queried, targets = torch.as_tensor(queries), torch.as_tensor(labels)

    def losses(module):
        raw = module(queried)
        loss = torch.nn.functional.cross_entropy(raw, targets, reduction="none")
        return loss.detach().numpy()

    full = retrain(ranker.training_path_, X, y, -1, settings, lr)
    # The same run twice: what was recorded is what was done.
    end = ranker.training_path_.load(len(ranker.training_path_.steps) - 1)
    for name, parameter in full.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), end[name], atol=1e-12)
    truth = np.array(
        [
            losses(retrain(ranker.training_path_, X, y, i, settings, lr)) - losses(full)
            for i in range(20)
        ]
    ).T
    influence = ranker.influence(queries, labels)
    # First order in a weight that goes all the way from 1 to 0.
    assert np.corrcoef(influence.ravel(), truth.ravel())[0, 1] > 0.97
    fast = HydraRanker(net, random_state=0).fit(X, y).influence(queries, labels)
    error = np.linalg.norm(influence - truth)
    assert error < np.linalg.norm(fast - truth)


# Of the hidden layer; the head has the first dictionary.
GROUPS = [
    ({"momentum": 0.8}, {"nesterov": True}),
    ({}, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    ({"momentum": 0.8, "nesterov": True}, {"nesterov": False, "dampening": 0.3}),
    ({"momentum": 0.5}, {"momentum": 0.0, "lr": 0.05}),
]


def grouped(settings, hidden):
    """What skorch is told, and torch's optimiser for the same groups."""
    options = {f"optimizer__{key}": value for key, value in settings.items()}
    if hidden:
        options["optimizer__param_groups"] = [("hidden*", hidden)]

    def optimizer(module):
        groups = [
            {"params": module.head.parameters()},
            {"params": module.hidden.parameters(), **hidden},
        ]
        return torch.optim.SGD(groups, **{"lr": 0.1, **settings})

    return options, optimizer


@pytest.mark.parametrize(
    ("settings", "hidden"), [(settings, {}) for settings in SETTINGS] + GROUPS
)
def test_derivative_by_a_small_change_of_weight(data, settings, hidden, device):
    """The hypergradient is a derivative: finite differences find the same."""
    X, y, _, _ = data
    options, make_optimizer = grouped(settings, hidden)
    net = make_net(lr=0.1, device=device, **options)
    ranker = HydraRanker(net, hessian=True, random_state=0).fit(X, y)
    path, epsilon = ranker.training_path_, 1e-5
    ends = []
    for sign in (1, -1):
        module = load(Smooth(), path, 0)
        optimizer = make_optimizer(module)
        for batch in path.batches:
            optimizer.zero_grad()
            losses = torch.nn.functional.cross_entropy(
                module(torch.as_tensor(X[batch])),
                torch.as_tensor(y[batch]),
                reduction="none",
            )
            weight = torch.as_tensor(1.0 + sign * epsilon * (batch == 4))
            ((weight * losses).sum() / len(batch)).backward()
            optimizer.step()
        parameters = [p.detach().numpy().ravel() for p in module.parameters()]
        ends.append(np.concatenate(parameters))
    difference = (ends[0] - ends[1]) / (2 * epsilon)
    # theta - theta without the row, to first order, is the derivative itself. Central
    # differences of step 1e-5 in float64 are good to about 1e-9.
    np.testing.assert_allclose(
        ranker.parameter_influence(4), difference, rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize(
    ("settings", "hidden", "normalize"),
    [(settings, {}, None) for settings in SETTINGS]
    + [(settings, hidden, None) for settings, hidden in GROUPS]
    + [(SETTINGS[3], {}, normalize) for normalize in ("gradient", "cosine", "loss")],
)
def test_backward_and_forward_unrolling_agree(
    data, settings, hidden, normalize, device
):
    X, y, queries, labels = data
    options, _ = grouped(settings, hidden)
    shared = {"normalize": normalize, "random_state": 0}
    net = make_net(device=device, **options)
    forward = HydraRanker(net, hessian=True, **shared).fit(X, y)
    backward = SGDInfluenceRanker(net, **shared).fit(X, y)
    # One chain rule read from either end, in float64.
    tolerance = {"rtol": 1e-8, "atol": 1e-12}
    np.testing.assert_allclose(
        backward.influence(queries, labels),
        forward.influence(queries, labels),
        **tolerance,
    )
    np.testing.assert_allclose(
        backward.self_influence_, forward.self_influence_, **tolerance
    )
    np.testing.assert_allclose(
        backward.score_samples(queries, labels),
        forward.score_samples(queries, labels),
        **tolerance,
    )


@pytest.mark.parametrize("ranker", [HydraRanker, SGDInfluenceRanker])
@pytest.mark.parametrize("normalize", [None, "gradient", "cosine", "loss"])
def test_self_influence_is_the_diagonal(data, ranker, normalize):
    X, y, _, _ = data
    fitted = ranker(make_net(), normalize=normalize, random_state=0).fit(X, y)
    np.testing.assert_allclose(
        fitted.self_influence_, np.diag(fitted.influence(X, y)), rtol=1e-9, atol=1e-14
    )


def test_dense_hessian_and_products_agree(data):
    """H V by one product for each row, and by a dense H where rows outnumber those."""
    X, y, _, _ = data
    ranker = HydraRanker(make_net(max_epochs=1), layers="last", random_state=0)
    ranker.fit(X, y)
    function, rows = ranker._functional(), ranker._rows
    state, weights = function.state(), np.full(20, 0.05)
    V = np.random.default_rng(0).standard_normal((30, function.n_parameters))
    assert function.n_parameters == 10
    one_by_one = np.array(
        [products(function, state, rows, weights, v[None])[0] for v in V]
    )
    # float64 products of the same numbers.
    np.testing.assert_allclose(
        products(function, state, rows, weights, V), one_by_one, rtol=1e-9, atol=1e-12
    )


def test_weighted_criterion(data):
    """A class weight is a row weight; a batch is divided by the sum of its weights."""
    X, y, queries, labels = data
    weight = torch.tensor([1.0, 3.0], dtype=torch.float64)
    net = make_net(criterion__weight=weight)
    ranker = HydraRanker(net, random_state=0).fit(X, y)
    path, module = ranker.training_path_, Smooth()
    summed, s = np.zeros((20, 26)), np.where(y == 1, 3.0, 1.0)
    for t, batch in enumerate(path.batches):
        load(module, path, t)
        for i in batch:
            share = 0.3 * s[i] / s[batch].sum()
            summed[i] += share * named_gradients(module, X, y, i)
    load(module, path, path.n_steps)
    final = np.array([named_gradients(module, queries, labels, j) for j in range(7)])
    np.testing.assert_allclose(
        ranker.influence(queries, labels), final @ summed.T, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("ranker", [HydraRanker, SGDInfluenceRanker])
def test_refuses_what_it_cannot_unroll(data, ranker):
    X, y, _, _ = data
    with pytest.raises(ValueError, match="Adam"):
        ranker(make_net(optimizer=torch.optim.Adam)).fit(X, y)


def test_predictions_without_targets():
    """Regression without y: influence on the prediction, positive = pushed up."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    torch.manual_seed(0)
    net = NeuralNetRegressor(
        Smooth(1), lr=0.05, max_epochs=5, batch_size=5, train_split=None, verbose=0
    )
    ranker = HydraRanker(net, hessian=True, random_state=0).fit(X, y)
    influence = ranker.influence(X[:4])
    path = ranker.training_path_

    def predict(left_out):
        module = load(Smooth(1), path, 0)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
        for batch in path.batches:
            optimizer.zero_grad()
            errors = module(torch.as_tensor(X[batch])) - torch.as_tensor(y[batch])
            keep = torch.as_tensor((batch != left_out)[:, None], dtype=torch.float64)
            ((keep * errors**2).sum() / len(batch)).backward()
            optimizer.step()
        return module(torch.as_tensor(X[:4])).detach().numpy()[:, 0]

    truth = np.array([predict(-1) - predict(i) for i in range(20)]).T
    assert np.corrcoef(influence.ravel(), truth.ravel())[0, 1] > 0.99


def test_two_outputs_ask_for_targets():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    net = NeuralNetRegressor(Smooth(2), max_epochs=1, train_split=None, verbose=0)
    ranker = TracInRanker(net).fit(X, y)
    with pytest.raises(ValueError, match="2 targets"):
        ranker.influence(X)
    assert ranker.influence(X, y).shape == (12, 12)
