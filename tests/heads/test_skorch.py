"""Nets of skorch: embedding, objective and the net left alone. Oracle: torch itself."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")

from skorch import (  # noqa: E402
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.dataset import Dataset, ValidSplit  # noqa: E402
from skorch.exceptions import NotInitializedError  # noqa: E402
from skorch.helper import SliceDataset, SliceDict, predefined_split  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.filtering import MislabelFilter  # noqa: E402
from sklinfluence.gradient import InfluenceRanker  # noqa: E402
from sklinfluence.heads import linear_head  # noqa: E402

N_ROWS, DECAY = 60, 0.02


class Net(nn.Module):
    """A hidden layer with dropout, and one of the ends that nets have."""

    def __init__(self, n_outputs=3, end="raw"):
        super().__init__()
        self.hidden = nn.Linear(5, 4)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(4, n_outputs)
        self.end = end

    def embed(self, X):
        return torch.tanh(self.hidden(X))

    def forward(self, X):
        raw = self.last(self.drop(self.embed(X)))
        return {
            "raw": lambda: raw,
            "softmax": lambda: torch.softmax(raw, dim=-1),
            "log_softmax": lambda: torch.log_softmax(raw, dim=-1),
            "sigmoid": lambda: torch.sigmoid(raw),
            "squeezed": lambda: raw.squeeze(-1),
        }[self.end]()


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N_ROWS, 5)).astype(np.float32)


def targets(kind, rows):
    truth = np.random.default_rng(1).normal(size=(5, 3))
    raw = rows @ truth + np.random.default_rng(2).normal(size=(len(rows), 3))
    if kind is NeuralNetClassifier:
        return raw.argmax(axis=1)
    if kind is NeuralNetBinaryClassifier:
        return (raw[:, 0] > 0).astype(np.float32)
    return raw.astype(np.float32)


def make(kind, *, end="raw", n_outputs=None, **kwargs):
    default = {NeuralNetBinaryClassifier: 1}.get(kind, 3)
    if kind is NeuralNetClassifier and end == "raw":
        kwargs.setdefault("criterion", nn.CrossEntropyLoss)
    options = {
        "module__end": end,
        "module__n_outputs": n_outputs or default,
        "max_epochs": 3,
        "lr": 0.05,
        "optimizer__weight_decay": DECAY,
        "train_split": None,
        "verbose": 0,
        "batch_size": -1,
    }
    torch.manual_seed(0)
    return kind(Net, **{**options, **kwargs})


WEIGHT = torch.tensor([0.5, 2.0, 1.5])
OBJECTIVES = [
    (NeuralNetClassifier, {}),
    (NeuralNetClassifier, {"criterion__weight": WEIGHT}),
    (NeuralNetClassifier, {"criterion__label_smoothing": 0.1}),
    (NeuralNetClassifier, {"criterion__reduction": "sum"}),
    (NeuralNetClassifier, {"end": "softmax"}),
    (NeuralNetClassifier, {"end": "softmax", "criterion__weight": WEIGHT}),
    (NeuralNetBinaryClassifier, {}),
    (NeuralNetBinaryClassifier, {"end": "squeezed"}),
    (NeuralNetBinaryClassifier, {"criterion__pos_weight": torch.tensor([3.0])}),
    (NeuralNetBinaryClassifier, {"criterion__weight": torch.tensor(2.0)}),
    (NeuralNetBinaryClassifier, {"end": "sigmoid", "criterion": nn.BCELoss}),
    (NeuralNetRegressor, {}),
    (NeuralNetRegressor, {"criterion__reduction": "sum"}),
]


@pytest.mark.parametrize("kind, kwargs", OBJECTIVES)
def test_objective_is_the_nets_own(rows, gradient, kind, kwargs):
    """The head's gradient is a multiple of what the optimiser sees on all rows."""
    y = targets(kind, rows)
    net = make(kind, **kwargs).fit(rows, y)
    head = linear_head(net, y)
    net.module_.eval().zero_grad()
    last = net.module_.last
    loss = net.get_loss(net.infer(rows), torch.as_tensor(y))
    loss.backward()
    expected = np.column_stack(
        [
            (part.grad + DECAY * part.detach()).double().reshape(len(last.bias), -1)
            for part in (last.weight, last.bias)
        ]
    )
    got, _ = gradient(head, rows)
    # In sum form the penalty is decay times a factor: the factor of the loss as well.
    factor = head.penalty[0, 0] / DECAY
    assert np.all(head.penalty == head.penalty[0, 0])
    # float32 gradients of a net against float64.
    np.testing.assert_allclose(got / factor, expected, rtol=2e-4, atol=2e-5)


def test_log_softmax_of_a_net_with_its_own_loss(rows):
    """NLLLoss on log-probabilities, in a class that does not take their logarithm."""

    class LogNet(NeuralNetClassifier):
        def get_loss(self, y_pred, y_true, *args, **kwargs):
            return self.criterion_(y_pred, torch.as_tensor(y_true))

    y = targets(NeuralNetClassifier, rows)
    net = make(LogNet, end="log_softmax", n_outputs=3, max_epochs=3).fit(rows, y)
    embedding = linear_head(net, y).embed(rows)
    assert embedding.shape == (N_ROWS, 4)


def test_penalty_of_parameter_groups(rows):
    y = targets(NeuralNetClassifier, rows)
    groups = [("*.bias", {"weight_decay": 0.0}), ("hidden*", {"weight_decay": 0.5})]
    net = make(NeuralNetClassifier, optimizer__param_groups=groups).fit(rows, y)
    penalty = linear_head(net, y).penalty
    np.testing.assert_allclose(penalty[:, :-1], N_ROWS * DECAY)
    assert np.all(penalty[:, -1] == 0.0)


@pytest.mark.parametrize(
    "kind", [NeuralNetClassifier, NeuralNetBinaryClassifier, NeuralNetRegressor]
)
def test_influence_is_the_cores_on_embeddings(rows, kind):
    """A net's last layer against scikit-learn's estimator on what it receives."""
    y = targets(kind, rows)
    net = make(kind).fit(rows, y)
    # A column of ones for the bias, which weight decay penalises like a weight.
    embedding = net.module_.eval().embed(torch.as_tensor(rows)).detach().numpy()
    embedding = np.column_stack([embedding.astype(float), np.ones(N_ROWS)])
    if kind is NeuralNetRegressor:
        oracle = Ridge(alpha=N_ROWS * 3 / 2 * DECAY, fit_intercept=False)
    else:
        oracle = LogisticRegression(
            C=1 / (N_ROWS * DECAY), fit_intercept=False, tol=1e-12, max_iter=10_000
        )
    expected = InfluenceRanker(oracle).fit(embedding, y)
    ranker = InfluenceRanker(FrozenEstimator(net)).fit(rows, y)
    want = expected.influence(embedding, y)
    got = ranker.influence(rows, y)
    # The embeddings are float32 in both; optima agree to the Newton tolerance.
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
    np.testing.assert_allclose(
        ranker.self_influence_, expected.self_influence_, rtol=1e-5
    )


def test_refit_head(rows):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier).fit(rows, y)
    as_it_is = InfluenceRanker(FrozenEstimator(net), refit_head=False).fit(rows, y)
    weight = net.module_.last.weight.detach().numpy()
    np.testing.assert_array_equal(as_it_is.head_.coef, weight.astype(float))
    with pytest.warns(match="far from the optimum"):
        refitted = InfluenceRanker(FrozenEstimator(net)).fit(rows, y)
    assert np.abs(refitted.head_.coef - weight).max() > 0.1
    assert refitted.estimator_.estimator is net


@pytest.mark.parametrize(
    "kwargs",
    [
        {"batch_size": 7},
        {"iterator_valid__batch_size": 1},
        {"iterator_valid__shuffle": True},
        {"iterator_valid__drop_last": True, "batch_size": 50},
    ],
)
def test_embedding_in_row_order(rows, kwargs):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier, **kwargs).fit(rows, y)
    expected = net.module_.eval().embed(torch.as_tensor(rows)).detach().numpy()
    got = linear_head(net, y).embed(rows)
    # Sums of four numbers in another order.
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_net_is_left_alone(rows):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier).fit(rows, y)
    net.module_.train()
    net.module_.drop.eval()  # a mixed mode: .train() would not restore it
    net.module_.last.weight.grad = torch.ones_like(net.module_.last.weight)
    before = copy.deepcopy(net.module_.state_dict())
    modes = [module.training for module in net.module_.modules()]
    random_state = torch.get_rng_state()

    ranker = InfluenceRanker(FrozenEstimator(net), refit_head=False).fit(rows, y)
    ranker.influence(rows)
    ranker.predict(rows)
    ranker.predict_proba(rows)
    ranker.score_samples(rows, y)

    assert torch.equal(random_state, torch.get_rng_state())
    assert modes == [module.training for module in net.module_.modules()]
    for name, value in net.module_.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(
        net.module_.last.weight.grad, torch.ones_like(net.module_.last.weight)
    )
    assert not net.module_.last._forward_hooks


def _containers(rows, y):
    return {
        "float64": rows.astype(np.float64),
        "list": rows.tolist(),
        "tensor": torch.as_tensor(rows),
        "float64 tensor": torch.as_tensor(rows).double(),
        "dict": {"X": rows.astype(np.float64)},
        "slice dict": SliceDict(X=rows),
        "dataset": Dataset(rows, y),
        "slice dataset": SliceDataset(Dataset(rows, y)),
    }


@pytest.mark.parametrize("container", _containers(np.zeros((2, 5)), np.zeros(2)))
def test_inputs_that_skorch_takes(rows, container):
    y = targets(NeuralNetClassifier, rows)
    X = _containers(rows, y)[container]
    net = FrozenEstimator(make(NeuralNetClassifier).fit(rows, y))
    ranker = InfluenceRanker(net, refit_head=False)
    expected = ranker.fit(rows, y).influence(rows, y)
    import sklearn

    ranker.fit(X, y)
    with sklearn.config_context(working_memory=1e-2):  # many blocks of queries
        np.testing.assert_allclose(ranker.influence(X, y), expected, atol=1e-6)
        assert ranker.transform(X).shape == (N_ROWS, N_ROWS)
    np.testing.assert_allclose(
        ranker.mean_influence(X, y), expected.mean(axis=0), atol=1e-6
    )
    np.testing.assert_allclose(
        ranker.score_samples(X, y), np.diag(expected), rtol=1e-3, atol=1e-6
    )
    labels = MislabelFilter(ranker, contamination=0.1).fit(X, y)
    assert labels.get_support().sum() == N_ROWS - 6


@pytest.mark.parametrize(
    "container", ["float64", "tensor", "dict", "slice dict", "dataset"]
)
def test_filter_fits_a_net(rows, container):
    y = targets(NeuralNetClassifier, rows)
    X = _containers(rows, y)[container]
    ranker = InfluenceRanker(make(NeuralNetClassifier), refit_head=False)
    labels = MislabelFilter(ranker, contamination=0.1, cv=3)
    kept = labels.fit_transform(X, y)
    assert len(kept) == N_ROWS
    assert len(labels.scores_) == N_ROWS


@pytest.mark.parametrize("kind", [NeuralNetBinaryClassifier, NeuralNetRegressor])
def test_targets_are_cast(rows, kind):
    y = targets(kind, rows)
    y = y.astype(int) if kind is NeuralNetBinaryClassifier else y.astype(np.float64)
    ranker = InfluenceRanker(make(kind), refit_head=False).fit(rows.astype(float), y)
    assert np.all(np.isfinite(ranker.self_influence_))


def test_clones_and_never_changes_the_given_net(rows):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier)
    InfluenceRanker(net, refit_head=False).fit(rows, y)
    assert not hasattr(net, "module_")


def test_pretrained_module(rows):
    """Weights from elsewhere: initialised, never trained by skorch."""
    y = targets(NeuralNetClassifier, rows)
    module = Net()
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss).initialize()
    head = linear_head(net, y)
    assert np.all(head.weights == 1.0)  # nothing was split, so nothing was held out
    np.testing.assert_array_equal(head.coef, module.last.weight.detach().numpy())


def test_rows_held_out_have_no_weight(rows):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier, train_split=ValidSplit(3)).fit(rows, y)
    with pytest.warns(match="kept 20 of 60 rows out of training"):
        head = linear_head(net, y)
    seen = net.get_split_datasets(rows, y)[0].indices
    np.testing.assert_array_equal(np.flatnonzero(head.weights), np.sort(seen))
    np.testing.assert_allclose(head.penalty, 40 * DECAY)
    other = make(NeuralNetClassifier, train_split=predefined_split(Dataset(rows, y)))
    assert np.all(linear_head(other.fit(rows, y), y).weights == 1.0)


def test_random_split_is_refused(rows):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier, train_split=ValidSplit(0.3)).fit(rows, y)
    state = np.random.get_state()[1].copy()
    with pytest.raises(ValueError, match="train_split of NeuralNetClassifier"):
        linear_head(net, y)
    np.testing.assert_array_equal(state, np.random.get_state()[1])
    net.set_params(train_split=ValidSplit(0.3, random_state=0)).fit(rows, y)
    with pytest.warns(match="out of training"):
        assert np.sum(linear_head(net, y).weights == 0) == 18


class TwoHeads(nn.Module):
    """The last layer is registered first."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 3)
        self.first = nn.Linear(5, 3)

    def forward(self, X):
        return self.last(torch.relu(self.first(X)))


class NamedNet(NeuralNetClassifier):
    head_layer = "last"


def test_layer_is_proved_and_can_be_named(rows):
    y = targets(NeuralNetClassifier, rows)
    options = {"criterion": nn.CrossEntropyLoss, "max_epochs": 1, "verbose": 0}
    net = NeuralNetClassifier(TwoHeads, train_split=None, **options).fit(rows, y)
    with pytest.raises(ValueError, match="Layer 'first' of TwoHeads is not the last"):
        linear_head(net, y).embed(rows)
    named = NamedNet(TwoHeads, train_split=None, **options).fit(rows, y)
    head = linear_head(named, y)
    weight = named.module_.last.weight.detach().numpy()
    np.testing.assert_array_equal(head.coef, weight)
    assert head.embed(rows).shape == (N_ROWS, 3)
    named.head_layer = "tail"
    with pytest.raises(ValueError, match="head_layer='tail'"):
        linear_head(named, y)


@pytest.mark.parametrize(
    "kind, kwargs, message",
    [
        (NeuralNetRegressor, {"criterion": nn.HuberLoss}, "HuberLoss"),
        (NeuralNetClassifier, {"criterion": nn.MultiMarginLoss}, "MultiMarginLoss"),
        (
            NeuralNetClassifier,
            {"criterion__weight": WEIGHT, "criterion__label_smoothing": 0.1},
            "both weight and label_smoothing",
        ),
        (
            NeuralNetBinaryClassifier,
            {"criterion__weight": torch.ones(N_ROWS, 1)},
            "a weight of 60 values",
        ),
        (NeuralNetClassifier, {"criterion__ignore_index": 1}, "ignore_index=1"),
    ],
)
def test_refusals_name_the_setting(rows, kind, kwargs, message):
    y = targets(kind, rows)
    net = make(kind, **kwargs).initialize()
    with pytest.raises(ValueError, match=message):
        linear_head(net, y)


def test_unreduced_criterion_is_refused(rows):
    y = targets(NeuralNetClassifier, rows)
    net = make(NeuralNetClassifier, criterion__reduction="none").initialize()
    with pytest.raises(ValueError, match="reduction='none'"):
        linear_head(net, y)


def test_unfitted_net(rows):
    with pytest.raises(NotInitializedError):
        linear_head(make(NeuralNetClassifier), targets(NeuralNetClassifier, rows))


def test_broadcasting_targets_are_refused(rows):
    y = targets(NeuralNetRegressor, rows)[:, 0]
    net = make(NeuralNetRegressor, n_outputs=1).initialize()
    with pytest.raises(ValueError, match=r"y\.reshape\(-1, 1\)"):
        linear_head(net, y).embed(rows)


@pytest.mark.parametrize("labels", [np.array(["a", "b"] * 30), np.arange(60) - 1])
def test_labels_that_torch_cannot_take(rows, labels):
    with pytest.raises(ValueError, match="LabelEncoder"):
        InfluenceRanker(make(NeuralNetClassifier)).fit(rows, labels)


def test_unseen_label_is_named(rows):
    y = targets(NeuralNetClassifier, rows)
    net = FrozenEstimator(make(NeuralNetClassifier).fit(rows, y))
    ranker = InfluenceRanker(net, refit_head=False).fit(rows, y)
    with pytest.raises(ValueError, match=r"not fitted on.*7"):
        ranker.influence(rows[:2], [0, 7])


def test_sample_weight_is_refused_where_fit_takes_none(rows):
    y = targets(NeuralNetClassifier, rows)
    with pytest.raises(ValueError, match="fit of NeuralNetClassifier does not take it"):
        InfluenceRanker(make(NeuralNetClassifier)).fit(rows, y, np.ones(N_ROWS))


class WeightedNet(NeuralNetClassifier):
    """A net that takes sample weights, as skorch's documentation has it."""

    def fit(self, X, y, sample_weight=None):
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        labels = np.column_stack([y, weight]).astype(np.float32)
        self.classes_inferred_ = np.unique(y)
        self.initialize()
        return self.partial_fit(X, labels)

    def check_data(self, X, y):
        pass

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        losses = self.criterion_(y_pred, y_true[:, 0].long())
        return (y_true[:, 1] * losses).mean()


def test_sample_weight_of_a_net_that_takes_it(rows):
    y = targets(NeuralNetClassifier, rows)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, N_ROWS)
    net = make(WeightedNet, criterion=nn.CrossEntropyLoss, criterion__reduction="none")
    ranker = InfluenceRanker(net, refit_head=False).fit(rows, y, weight)
    np.testing.assert_array_equal(ranker.head_.weights, weight)
    np.testing.assert_allclose(ranker.head_.penalty, N_ROWS * DECAY)


def test_pickle_and_deepcopy(rows):
    y = targets(NeuralNetClassifier, rows)
    ranker = InfluenceRanker(make(NeuralNetClassifier), refit_head=False).fit(rows, y)
    expected = ranker.influence(rows[:3])
    for copied in (pickle.loads(pickle.dumps(ranker)), copy.deepcopy(ranker)):
        np.testing.assert_array_equal(copied.influence(rows[:3]), expected)


def test_nothing_imports_torch_before_a_net_is_met():
    code = (
        "import sys, sklinfluence, sklinfluence.heads, sklinfluence.gradient, "
        "sklinfluence.filtering\n"
        "from sklearn.linear_model import Ridge\n"
        "import numpy as np\n"
        "X = np.eye(3)\n"
        "sklinfluence.gradient.InfluenceRanker(Ridge()).fit(X, [0.5, 1.0, 2.0])\n"
        "print([name for name in ('torch', 'skorch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
