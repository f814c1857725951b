"""Weights in a criterion count training rows, not queries; smoothing counts for both.

The oracle is torch's own functional losses, unweighted, row by row.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.frozen import FrozenEstimator  # noqa: E402
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    TracInRanker,
)
from sklinfluence.gradient import InfluenceRanker  # noqa: E402

N_ROWS, LR, N_STEPS = 12, 0.3, 6
WEIGHT = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)


def plain_loss(raw, y, smoothing):
    """One row's loss, without any weight."""
    if raw.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(raw[:, 0], y)
    return functional.cross_entropy(raw, y, label_smoothing=smoothing)


# Criterion, the weight of a row with label y, and what a batch's sum is divided by.
CASES = {
    "class weight, mean": (
        {"criterion__weight": WEIGHT},
        lambda y: WEIGHT.numpy()[y],
        lambda weights: weights.sum(),
    ),
    "class weight, sum": (
        {"criterion__weight": WEIGHT, "criterion__reduction": "sum"},
        lambda y: WEIGHT.numpy()[y],
        lambda weights: 1.0,
    ),
    "smoothing": (
        {"criterion__label_smoothing": 0.2},
        lambda y: np.ones(len(y)),
        len,
    ),
    "pos_weight, mean": (
        {"criterion__pos_weight": torch.tensor([4.0], dtype=torch.float64)},
        lambda y: np.where(y == 1, 4.0, 1.0),
        len,
    ),
    "pos_weight, sum": (
        {
            "criterion__pos_weight": torch.tensor(4.0, dtype=torch.float64),
            "criterion__weight": torch.tensor([0.5], dtype=torch.float64),
            "criterion__reduction": "sum",
        },
        lambda y: np.where(y == 1, 2.0, 0.5),
        lambda weights: 1.0,
    ),
}


@pytest.fixture(params=CASES)
def run(request):
    """A recorded run, its rows and queries, and the case's own numbers."""
    options, row_weight, total = CASES[request.param]
    is_binary = "pos_weight" in request.param
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS + 5, 2))
    # In order, so that the first rows alone would not tell the kinds of mean apart.
    y = np.sort(rng.integers(0, 2 if is_binary else 3, len(X)))
    y = y.astype(float) if is_binary else y
    kind = NeuralNetBinaryClassifier if is_binary else NeuralNetClassifier
    torch.manual_seed(0)
    net = kind(
        nn.Linear(2, 1 if is_binary else 3).double(),
        criterion=nn.BCEWithLogitsLoss if is_binary else nn.CrossEntropyLoss,
        lr=LR,
        max_epochs=N_STEPS // 3,
        batch_size=4,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[CheckpointRecorder(every="step")],
        verbose=0,
        **options,
    )
    order = rng.permutation(len(X))
    train, test = np.sort(order[:N_ROWS]), order[N_ROWS:]
    net.fit(X[train], y[train])
    smoothing = options.get("criterion__label_smoothing", 0.0)
    return net, X[train], y[train], X[test], y[test], smoothing, row_weight, total


def gradients(module, X, y, smoothing):
    out = []
    for x, label in zip(torch.as_tensor(X), torch.as_tensor(y), strict=True):
        loss = plain_loss(module(x[None]), label[None], smoothing)
        parts = torch.autograd.grad(loss, list(module.parameters()))
        out.append(torch.cat([part.reshape(-1) for part in parts]).numpy())
    return np.array(out)


def at_step(path, step, module):
    values = {k: torch.as_tensor(v) for k, v in path.load(step).items()}
    module.load_state_dict(values)
    return module


def test_replay(run):
    net, X, y, X_query, y_query, smoothing, row_weight, total = run
    ranker = TracInRanker(FrozenEstimator(net), method="replay").fit(X, y)
    path = ranker.training_path_
    module = nn.Linear(2, 1 if y.dtype.kind == "f" else 3).double()
    expected = np.zeros((len(X_query), N_ROWS))
    for t, batch in enumerate(path.batches):
        at_step(path, t, module)
        share = row_weight(y[batch]) / total(row_weight(y[batch]))
        G = gradients(module, X[batch], y[batch], smoothing) * share[:, None]
        expected[:, batch] += LR * gradients(module, X_query, y_query, smoothing) @ G.T
    # float64 sums of the same numbers.
    np.testing.assert_allclose(
        ranker.influence(X_query, y_query), expected, rtol=1e-9, atol=1e-12
    )
    checkpoint = TracInRanker(FrozenEstimator(net), layers="all").fit(X, y)
    weights = row_weight(y)
    got = checkpoint.influence(X_query, y_query)
    assert np.all(got[:, weights == 0] == 0)


def test_unrolled(run):
    """Both directions against the change of the final parameters, step by step."""
    net, X, y, X_query, y_query, smoothing, row_weight, total = run
    forward = HydraRanker(FrozenEstimator(net), hessian=True).fit(X, y)
    backward = SGDInfluenceRanker(FrozenEstimator(net)).fit(X, y)
    path = forward.training_path_
    module = nn.Linear(2, 1 if y.dtype.kind == "f" else 3).double()
    # Retraining with a slightly lighter row, by plain torch: a finite difference.
    ends, eps = [], 1e-6
    for i in [None, *range(N_ROWS)]:
        keep = np.ones(N_ROWS)
        if i is not None:
            keep[i] -= eps
        at_step(path, 0, module)
        for batch in path.batches:
            weights = row_weight(y[batch]) / total(row_weight(y[batch]))
            G = gradients(module, X[batch], y[batch], smoothing)
            step = LR * (keep[batch] * weights) @ G
            with torch.no_grad():
                flat = nn.utils.parameters_to_vector(module.parameters())
                nn.utils.vector_to_parameters(
                    flat - torch.as_tensor(step), module.parameters()
                )
        flat = nn.utils.parameters_to_vector(module.parameters())
        ends.append(flat.detach().numpy())
    change = (np.array(ends[1:]) - ends[0]) / eps
    at_step(path, path.n_steps, module)
    expected = gradients(module, X_query, y_query, smoothing) @ change.T
    for ranker in (forward, backward):
        # The difference is off by eps times a second derivative of order one.
        np.testing.assert_allclose(
            ranker.influence(X_query, y_query), expected, rtol=1e-4, atol=1e-6
        )


def test_losses_of_queries(run):
    """All rankers say the same of a row's loss: torch's, unweighted."""
    net, X, y, X_query, y_query, smoothing, _, _ = run
    frozen = FrozenEstimator(net)
    raw = net.module_(torch.as_tensor(X_query)).detach()
    expected = [
        float(plain_loss(raw[[j]], torch.as_tensor(y_query[[j]]), smoothing))
        for j in range(len(X_query))
    ]
    rankers = [
        TracInRanker(frozen),
        DeepInfluenceRanker(frozen, damping=0.1),
        InfluenceRanker(frozen, refit_head=False, damping=0.1),
    ]
    for ranker in rankers:
        got = ranker.fit(X, y).label_scores("loss", X_query, y_query)
        np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_grad_dot_is_weighted_by_the_row_alone(run):
    net, X, y, X_query, y_query, smoothing, row_weight, _ = run
    ranker = DeepInfluenceRanker(FrozenEstimator(net), method="grad_dot").fit(X, y)
    module = net.module_
    G = gradients(module, X, y, smoothing) * row_weight(y)[:, None]
    expected = gradients(module, X_query, y_query, smoothing) @ G.T
    np.testing.assert_allclose(
        ranker.influence(X_query, y_query), expected, rtol=1e-9, atol=1e-12
    )
