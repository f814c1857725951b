"""TracIn against loops by hand: plain backward, one row at a time."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier  # noqa: E402
from skorch.helper import SliceDict  # noqa: E402

from sklinfluence.deep import CheckpointRecorder, TracInRanker  # noqa: E402
from sklinfluence.filtering import MislabelFilter  # noqa: E402
from sklinfluence.retraining import ExpectedRanker  # noqa: E402


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(3, 5, dtype=torch.float64)
        self.head = torch.nn.Linear(5, 3, dtype=torch.float64)

    def forward(self, X):
        return self.head(torch.relu(self.hidden(X)))


def make_net(**options):
    settings = {
        "criterion": torch.nn.CrossEntropyLoss,
        "lr": 0.2,
        "batch_size": 8,
        "max_epochs": 3,
        "iterator_train__shuffle": True,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    torch.manual_seed(3)
    return NeuralNetClassifier(Net(), **settings)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((24, 3))
    y = np.argmax(X + 0.3 * rng.standard_normal((24, 3)), axis=1).astype(np.int64)
    queries = rng.standard_normal((6, 3))
    return X, y, queries, np.argmax(queries, axis=1).astype(np.int64)


def at(path, c):
    module = Net()
    module.load_state_dict({k: torch.as_tensor(a) for k, a in path.load(c).items()})
    return module


def gradients(module, X, y, part=None):
    """Row by row, by plain backward."""
    out = []
    parameters = list((module if part is None else getattr(module, part)).parameters())
    for row, label in zip(torch.as_tensor(X), torch.as_tensor(y), strict=True):
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(row[None]), label[None]).backward()
        out.append(np.concatenate([p.grad.numpy().ravel() for p in parameters]))
    return np.array(out)


def losses(module, X, y):
    loss = torch.nn.functional.cross_entropy(
        module(torch.as_tensor(X)), torch.as_tensor(y), reduction="none"
    )
    return loss.detach().numpy()


def unit(G):
    return G / np.linalg.norm(G, axis=1, keepdims=True)


# float64 sums of the same products in another order.
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize("part", [None, "head", "hidden"])
def test_checkpoint_is_a_sum_of_products(data, part, device):
    X, y, queries, labels = data
    layers = {None: "all", "head": "last", "hidden": ["hidden"]}[part]
    net = make_net(device=device)
    ranker = TracInRanker(net, layers=layers, random_state=0).fit(X, y)
    path = ranker.training_path_
    assert path.steps.tolist() == [3, 6, 9]
    expected, own = np.zeros((6, 24)), np.zeros(24)
    for c in range(3):
        G = gradients(at(path, c), X, y, part)
        expected += 0.2 * gradients(at(path, c), queries, labels, part) @ G.T
        own += 0.2 * (G**2).sum(axis=1)
    np.testing.assert_allclose(ranker.influence(queries, labels), expected, **CLOSE)
    np.testing.assert_allclose(ranker.self_influence_, own, **CLOSE)
    np.testing.assert_allclose(ranker.score_samples(X, y), own, **CLOSE)
    np.testing.assert_allclose(
        ranker.mean_influence(queries, labels), expected.mean(axis=0), **CLOSE
    )


def test_rates_follow_the_schedule(data):
    """Each checkpoint weighs as much as the rate of the step that led there."""
    X, y, queries, labels = data
    from skorch.callbacks import LRScheduler

    schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    net = make_net(callbacks=[schedule])
    ranker = TracInRanker(net, random_state=0).fit(X, y)
    path, expected = ranker.training_path_, 0.0
    for c, rate in enumerate([0.2, 0.1, 0.05]):
        G = gradients(at(path, c), X, y)
        expected = expected + rate * gradients(at(path, c), queries, labels) @ G.T
    np.testing.assert_allclose(ranker.influence(queries, labels), expected, **CLOSE)


@pytest.mark.parametrize("normalize", ["gradient", "cosine", "theta", "loss"])
def test_normalisations(data, normalize):
    X, y, queries, labels = data
    ranker = TracInRanker(make_net(), normalize=normalize, random_state=0).fit(X, y)
    path, expected, own, change = ranker.training_path_, 0.0, 0.0, 0.0
    for c in range(3):
        G, Q = gradients(at(path, c), X, y), gradients(at(path, c), queries, labels)
        own, change = own + 0.2 * (G**2).sum(axis=1), change + 0.2 * G
        G = unit(G) if normalize in ("gradient", "cosine") else G
        Q = unit(Q) if normalize == "cosine" else Q
        expected = expected + 0.2 * Q @ G.T
    if normalize == "loss":
        expected = expected / np.sqrt(own)
    if normalize == "theta":
        expected = expected / np.linalg.norm(change, axis=1)
    np.testing.assert_allclose(ranker.influence(queries, labels), expected, **CLOSE)
    np.testing.assert_allclose(
        ranker.self_influence_, np.diag(ranker.influence(X, y)), **CLOSE
    )
    np.testing.assert_allclose(
        ranker.score_samples(X, y), ranker.self_influence_, **CLOSE
    )


def test_replay_counts_rows_in_their_batches(data, device):
    X, y, queries, labels = data
    net = make_net(device=device)
    ranker = TracInRanker(net, method="replay", random_state=0).fit(X, y)
    path, expected = ranker.training_path_, np.zeros((6, 24))
    assert sorted(np.concatenate(path.batches[:3]).tolist()) == list(range(24))
    for t, batch in enumerate(path.batches):
        Q = gradients(at(path, t), queries, labels)
        for i in batch:
            g = gradients(at(path, t), X[[i]], y[[i]])[0]
            expected[:, i] += 0.2 / len(batch) * Q @ g
    np.testing.assert_allclose(ranker.influence(queries, labels), expected, **CLOSE)
    np.testing.assert_allclose(
        ranker.self_influence_, np.diag(ranker.influence(X, y)), **CLOSE
    )


def test_ideal_is_the_loop_and_telescopes(data, device):
    X, y, queries, labels = data
    net = make_net(batch_size=1, lr=0.05, max_epochs=2, device=device)
    ranker = TracInRanker(net, method="ideal", random_state=0).fit(X, y)
    path, expected, own = ranker.training_path_, np.zeros((6, 24)), np.zeros(24)
    module = at(path, 0)
    first = losses(module, queries, labels)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    for (i,) in path.batches:
        before = losses(module, queries, labels), losses(module, X[[i]], y[[i]])
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            module(torch.as_tensor(X[[i]])), torch.as_tensor(y[[i]])
        )
        loss.backward()
        optimizer.step()
        expected[:, i] += before[0] - losses(module, queries, labels)
        own[i] += (before[1] - losses(module, X[[i]], y[[i]])).item()
    influence = ranker.influence(queries, labels)
    # The two runs do the same float64 arithmetic.
    np.testing.assert_allclose(influence, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ranker.self_influence_, own, rtol=0, atol=1e-10)
    last = losses(module, queries, labels)
    np.testing.assert_allclose(influence.sum(axis=1), first - last, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_size": 8}, "8 rows"),
        ({"optimizer__momentum": 0.9}, "momentum"),
        ({"optimizer": torch.optim.Adam}, "Adam"),
        ({"callbacks": [CheckpointRecorder()]}, "not every step"),
    ],
)
def test_ideal_refuses_what_it_is_not_defined_for(data, options, reason):
    X, y, _, _ = data
    net = make_net(**{"batch_size": 1, "max_epochs": 1, **options})
    with pytest.raises(ValueError, match=f"{reason}.*replay"):
        TracInRanker(net, method="ideal").fit(X, y)


def test_replay_refuses_gaps(data):
    X, y, _, _ = data
    net = make_net(callbacks=[CheckpointRecorder()])
    with pytest.raises(ValueError, match="every='step'"):
        TracInRanker(net, method="replay").fit(X, y)


def test_projection_is_unbiased(data):
    """The mean over seeds comes to the exact value at the rate of independent draws."""
    X, y, queries, labels = data
    recorder = CheckpointRecorder()
    torch.manual_seed(0)
    net = make_net(callbacks=[recorder], max_epochs=2).fit(X, y)
    exact = TracInRanker(FrozenEstimator(net)).fit(X, y)
    sketched = [
        TracInRanker(FrozenEstimator(net), projection=8, random_state=seed).fit(X, y)
        for seed in range(60)
    ]
    draws = np.array([ranker.influence(queries, labels) for ranker in sketched])
    error = draws.mean(axis=0) - exact.influence(queries, labels)
    standard_error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    z = error / standard_error
    # 144 correlated z-scores (draws are shared): mean square about 1, none beyond 5.
    assert np.mean(z**2) < 2.5
    assert np.abs(z).max() < 5
    own = sketched[0]
    np.testing.assert_allclose(
        own.self_influence_, np.diag(own.influence(X, y)), **CLOSE
    )


def test_training_here_and_elsewhere_agree(data, tmp_path):
    X, y, queries, labels = data
    here = TracInRanker(make_net(), method="replay", random_state=0).fit(X, y)
    recorder = CheckpointRecorder(tmp_path / "run", every="step")
    net = make_net(callbacks=[recorder])
    torch.manual_seed(0)
    net.fit(X, y)
    frozen = TracInRanker(FrozenEstimator(net), method="replay").fit(X, y)
    without = make_net().initialize()
    without.module_.load_state_dict(net.module_.state_dict())
    without.classes_inferred_ = net.classes_
    read = TracInRanker(
        FrozenEstimator(without), method="replay", checkpoints=tmp_path / "run"
    ).fit(X, y)
    for ranker in (frozen, read):
        np.testing.assert_array_equal(
            ranker.influence(queries, labels), here.influence(queries, labels)
        )
    with pytest.raises(ValueError, match="CheckpointRecorder"):
        TracInRanker(FrozenEstimator(without)).fit(X, y)
    with pytest.raises(ValueError, match="24 rows"):
        TracInRanker(FrozenEstimator(net)).fit(X[:10], y[:10])


def test_held_out_rows_have_no_influence(data):
    from skorch.dataset import ValidSplit

    X, y, queries, labels = data
    net = make_net(train_split=ValidSplit(4))
    ranker = TracInRanker(net, random_state=0).fit(X, y)
    held_out = ~ranker.training_path_.trained
    assert held_out.sum() == 6
    influence = ranker.influence(queries, labels)
    assert np.all(influence[:, held_out] == 0)
    assert np.all(ranker.self_influence_[held_out] == 0)
    assert np.all(influence[:, ~held_out] != 0)


def test_net_and_generators_stay_as_they_were(data):
    X, y, queries, labels = data
    net = make_net()
    before = {k: v.clone() for k, v in net.module.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    ranker = TracInRanker(net, random_state=0).fit(X, y)
    assert torch.equal(torch.rand(3), expected)
    assert not net.initialized_
    assert all(torch.equal(before[k], v) for k, v in net.module.state_dict().items())
    modes = [m.training for m in ranker.estimator_.module_.modules()]
    ranker.influence(queries, labels)
    assert modes == [m.training for m in ranker.estimator_.module_.modules()]


def test_order_state_alone_changes_the_batches(data):
    X, y, _, _ = data
    runs = [
        TracInRanker(make_net(), random_state=0, order_state=s).fit(X, y)
        for s in (1, 1, 2)
    ]
    first = [np.concatenate(run.training_path_.batches) for run in runs]
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])


def test_labels(data):
    X, y, queries, _ = data
    ranker = TracInRanker(make_net(), random_state=0).fit(X, y)
    predicted = ranker.predict(queries)
    np.testing.assert_array_equal(
        ranker.influence(queries), ranker.influence(queries, predicted)
    )
    with pytest.raises(ValueError, match=r"\[7\]"):
        ranker.influence(queries, np.full(6, 7))
    sparse = ranker.set_params(n_influences=4).transform(queries)
    assert sparse.nnz == 24


def test_margins_and_forgetting(data):
    X, y, _, _ = data
    ranker = TracInRanker(make_net(max_epochs=6, lr=2.0), random_state=0).fit(X, y)
    path, margins = ranker.training_path_, []
    for c in range(6):
        raw = at(path, c)(torch.as_tensor(X)).detach().numpy()
        given = raw[np.arange(24), y]
        raw[np.arange(24), y] = -np.inf
        margins.append(given - raw.max(axis=1))
    margins = np.array(margins)
    np.testing.assert_allclose(
        ranker.label_scores("area_under_margin"), -margins.mean(axis=0), **CLOSE
    )
    np.testing.assert_allclose(ranker.label_scores("margin"), -margins[-1], **CLOSE)
    right, events = margins > 0, np.zeros(24)
    for i in range(24):
        events[i] = sum(right[t, i] and not right[t + 1, i] for t in range(5))
        events[i] = events[i] if right[:, i].any() else 6
    np.testing.assert_array_equal(ranker.label_scores("forgetting"), events)
    np.testing.assert_array_equal(ranker.label_scores("forgetting", X, y), events)
    with pytest.raises(ValueError, match="area_under_margin"):
        ranker.label_scores("loo_loss")


def test_wrong_labels_come_first():
    """What all of this is for: planted errors at the head of each ranking."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 3))
    y = (X[:, 0] > 0).astype(np.int64)
    wrong = rng.choice(np.flatnonzero(np.abs(X[:, 0]) > 0.7), 8, replace=False)
    y[wrong] = 1 - y[wrong]
    ranker = TracInRanker(make_net(max_epochs=15), random_state=0).fit(X, y)
    for name in ("self_influence", "area_under_margin"):
        is_wrong = np.isin(np.arange(120), wrong)
        assert roc_auc_score(is_wrong, ranker.label_scores(name)) > 0.95, name


@pytest.mark.parametrize("score", ["area_under_margin", "forgetting"])
def test_filter_takes_the_scores_by_name(score):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    y = (X[:, 0] > 0).astype(np.int64)
    wrong = rng.choice(np.flatnonzero(np.abs(X[:, 0]) > 0.7), 6, replace=False)
    y[wrong] = 1 - y[wrong]
    ranker = TracInRanker(make_net(max_epochs=10), random_state=0)
    flt = MislabelFilter(ranker, label_score=score, contamination=6 / 80).fit(X, y)
    np.testing.assert_array_equal(flt.scores_, flt.ranker_.label_scores(score))
    dropped = np.flatnonzero(~flt.get_support())
    assert len(np.intersect1d(dropped, wrong)) >= 4


def test_binary_net_and_float32():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((16, 3))
    y = (X[:, 0] > 0).astype(np.float32)
    net = NeuralNetBinaryClassifier(
        torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0)),
        lr=0.1,
        max_epochs=2,
        batch_size=4,
        train_split=None,
        verbose=0,
    )
    # float64 rows, as scikit-learn deals in them, on a net in float32.
    ranker = TracInRanker(net, random_state=0).fit(X, y)
    assert ranker.influence(X[:3]).shape == (3, 16)
    margin = ranker.label_scores("margin")
    assert np.array_equal(margin < 0, ranker.predict(X) == y)
    precise = TracInRanker(net, random_state=0, dtype="float64").fit(X, y)
    # One run, its gradients in single and in double precision.
    np.testing.assert_allclose(
        ranker.influence(X, y), precise.influence(X, y), rtol=1e-4, atol=1e-6
    )


class FromNames(torch.nn.Module):
    """Takes its input by name."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)

    def forward(self, row):
        return self.linear(row)


def test_inputs_that_skorch_takes(data):
    X, y, queries, labels = data
    X, queries = X.astype(np.float32), queries.astype(np.float32)
    net = NeuralNetClassifier(
        FromNames,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=2,
        train_split=None,
        verbose=0,
    )
    plain = TracInRanker(net, random_state=0).fit(X, y)
    expected = plain.influence(queries, labels)
    assert expected.shape == (6, 24)
    tensors = torch.as_tensor(X), torch.as_tensor(y)
    asked = torch.as_tensor(queries), torch.as_tensor(labels)
    rows, wanted = (torch.utils.data.TensorDataset(*t) for t in (tensors, asked))
    for fit_on, ask in [
        (({"row": X}, y), ({"row": queries}, labels)),
        ((SliceDict(row=X), y), (SliceDict(row=queries), labels)),
        (tensors, asked),
        ((rows,), (wanted,)),
    ]:
        ranker = TracInRanker(net, random_state=0).fit(*fit_on)
        np.testing.assert_array_equal(ranker.influence(*ask), expected)
        np.testing.assert_array_equal(
            ranker.proponents(*ask, n=2)[1], plain.proponents(queries, labels, n=2)[1]
        )
        np.testing.assert_array_equal(
            ranker.score_samples(*ask), plain.score_samples(queries, labels)
        )


def test_expected_influence_varies_what_it_is_asked_to(data):
    X, y, queries, labels = data
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=3,
        module__out_features=3,
        criterion=torch.nn.CrossEntropyLoss,
        batch_size=8,
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    single = TracInRanker(net, method="replay")

    def states(vary):
        expected = ExpectedRanker(single, 3, vary=vary, random_state=0).fit(X, y)
        members = zip(expected.rankers_, expected.orders_, strict=True)
        paths = [(ranker.training_path_, order) for ranker, order in members]
        starts = {path.load(0)["weight"].tobytes() for path, _ in paths}
        batches = {order[np.concatenate(p.batches)].tobytes() for p, order in paths}
        influence = expected.influence(queries, labels)
        columns = [
            r.influence(queries, labels)[:, np.argsort(o)]
            for r, o in zip(expected.rankers_, expected.orders_, strict=True)
        ]
        np.testing.assert_allclose(influence, np.mean(columns, axis=0), **CLOSE)
        return len(starts), len(batches)

    assert states(("init",)) == (3, 1)
    assert states(("order",)) == (1, 3)
    assert states(("init", "order")) == (3, 3)
