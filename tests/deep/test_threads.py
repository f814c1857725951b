"""Fitted rankers of nets asked from several threads: the same numbers, nothing moved.

The oracle is the same question asked by one thread alone; answers are to be equal bit
by bit, for the arithmetic is the same.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier  # noqa: E402
from torch import nn  # noqa: E402

import sklinfluence.deep as deep  # noqa: E402
from sklinfluence._nets._stand_in import double, stand_in  # noqa: E402
from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    SkorchEmbedding,
    TracInAnomalyDetector,
    TracInRanker,
)
from sklinfluence.filtering import MislabelFilter  # noqa: E402
from sklinfluence.gradient import (  # noqa: E402
    InfluenceRanker,
    RepresenterRanker,
)
from sklinfluence.retraining import ExpectedRanker  # noqa: E402

N_THREADS, N_ROUNDS = 2, 2
# Nothing here is about how well the net was trained.
pytestmark = pytest.mark.filterwarnings("ignore")


class Module(nn.Module):
    """Layers with modes, buffers, a hook, a frozen part, and something not to copy."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 5)
        self.norm = nn.BatchNorm1d(5)
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.Linear(5, 5).requires_grad_(False)
        self.last = nn.Linear(5, 3)
        self.uncopied = (number for number in range(3))
        self.first.register_forward_hook(lambda module, args, output: output * 1.0)

    def forward(self, X):
        hidden = self.dropout(torch.relu(self.norm(self.first(X))))
        return self.last(torch.tanh(self.frozen(hidden)))


def make_net(module=Module, **options):
    options = {"max_epochs": 2, "batch_size": 20, "lr": 0.05, **options}
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        iterator_valid__batch_size=16,
        **options,
    )


def make_data(n_rows=40):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 6)).astype(np.float32)
    y = (X[:, :3] + rng.standard_normal((n_rows, 3))).argmax(axis=1)
    return X, y


def frozen(net, every):
    X, y = make_data()
    torch.manual_seed(0)
    recorder = CheckpointRecorder(every=every)
    return FrozenEstimator(net.set_params(callbacks=[recorder]).fit(X, y))


def last_layer(**options):
    torch.manual_seed(0)
    options = {"refit_head": False, "damping": 1e-2, **options}
    return InfluenceRanker(make_net(), **options)


MAKE = {
    "checkpoint": lambda: TracInRanker(make_net(), random_state=0),
    "theta": lambda: TracInRanker(make_net(), normalize="theta", random_state=0),
    "replay": lambda: TracInRanker(make_net(), method="replay", random_state=0),
    "sketched": lambda: TracInRanker(make_net(), projection=4, random_state=0),
    "frozen": lambda: TracInRanker(frozen(make_net(), every=1)),
    "ideal": lambda: TracInRanker(
        make_net(PLAIN, batch_size=1, max_epochs=1), method="ideal", random_state=0
    ),
    "hydra": lambda: HydraRanker(make_net(), random_state=0),
    "hydra with hessians": lambda: HydraRanker(
        make_net(), hessian=True, random_state=0
    ),
    "sgd": lambda: SGDInfluenceRanker(make_net(), random_state=0),
    "deep": lambda: DeepInfluenceRanker(make_net()),
    "deep by cg": lambda: DeepInfluenceRanker(make_net(), solver="cg"),
    "deep hessian": lambda: DeepInfluenceRanker(
        make_net(), curvature="hessian", damping=10.0, normalize="theta"
    ),
    "deep recurrent": lambda: DeepInfluenceRanker(make_net(Recurrent), damping=0.1),
    "deep attention": lambda: DeepInfluenceRanker(make_net(Attention), damping=0.1),
    "last layer": last_layer,
    "last layer, refined lazily": lambda: last_layer(solver="cg"),
    "attention": lambda: InfluenceRanker(
        make_net(Attention), refit_head=False, damping=1e-2
    ),
    "representers": lambda: RepresenterRanker(
        make_net(optimizer__weight_decay=0.01), method="lje", refit_head=False
    ),
    "expected": lambda: ExpectedRanker(
        TracInRanker(make_net()), n_estimators=2, random_state=0
    ),
    "anomaly": lambda: TracInAnomalyDetector(TracInRanker(make_net(), random_state=0)),
    "embedding": lambda: SkorchEmbedding(make_net()),
    "filter": lambda: MislabelFilter(
        last_layer(), label_score="self_influence", contamination=0.1
    ),
}
PLAIN = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.LSTM(2, 3, batch_first=True)
        self.last = nn.Linear(3, 3)

    def forward(self, X):
        return self.last(self.cells(X.reshape(len(X), 3, 2))[0][:, -1])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(2, 1, 4, 0.1, batch_first=True)
        self.last = nn.Linear(6, 3)

    def forward(self, X):
        return self.last(self.layer(X.reshape(len(X), 3, 2)).reshape(len(X), 6))


# Methods and how each is asked; those that an estimator lacks are passed over.
ASKED = {
    "influence": lambda ask, X, y: ask(X, y),
    "mean_influence": lambda ask, X, y: ask(X, y),
    "proponents": lambda ask, X, y: np.array(ask(X, y, n=3)),
    "opponents": lambda ask, X, y: np.array(ask(X, n=3)),
    "score_samples": lambda ask, X, y: ask(X, y),
    "transform": lambda ask, X, y: ask(X),
    "predict": lambda ask, X, y: ask(X),
    "predict_proba": lambda ask, X, y: ask(X),
    "decision_function": lambda ask, X, y: ask(X),
    "score": lambda ask, X, y: ask(X, y),
    "spread": lambda ask, X, y: ask(X, y),
}


def answer(ranker, name, X, y):
    if name == "self_influence_":
        return np.array(ranker.self_influence_)
    if isinstance(ranker, TracInAnomalyDetector):
        return getattr(ranker, name)(X)
    return ASKED[name](getattr(ranker, name), X, y)


def nets_of(ranker):
    if isinstance(ranker, ExpectedRanker):
        return [net for member in ranker.rankers_ for net in nets_of(member)]
    for name in ("ranker_", "net_", "estimator_"):
        if hasattr(ranker, name):
            inner = getattr(ranker, name)
            found = inner if hasattr(inner, "module_") else None
            return [found] if found is not None else nets_of(inner)
    return [ranker.estimator]  # a FrozenEstimator's


def look(net):
    """All of a net that a query could have changed."""
    parts = dict(net.module_.named_modules())
    tensors = {**dict(net.module_.named_parameters()), **net.module_.state_dict()}
    return {
        "values": {name: t.detach().numpy().tobytes() for name, t in tensors.items()},
        "grads": [(p.requires_grad, p.grad is None) for p in net.module_.parameters()],
        "where": [t.data_ptr() for t in net.module_.state_dict().values()],
        "modes": {name: part.training for name, part in parts.items()},
        "hooks": {name: len(part._forward_hooks) for name, part in parts.items()},
        "attributes": sorted(vars(net)),
    }


def look_at_process():
    return {
        "generator": torch.get_rng_state().numpy().tobytes(),
        "numpy": np.random.get_state()[1].tobytes(),
        "fast attention": torch.backends.mha.get_fastpath_enabled(),
        "attention": torch.backends.cuda.flash_sdp_enabled(),
        "mkldnn": torch.backends.mkldnn.enabled,
        "grad": torch.is_grad_enabled(),
    }


@pytest.fixture
def eager_switching():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture(params=MAKE)
def fitted(request):
    torch.manual_seed(0)
    ranker = MAKE[request.param]().fit(*make_data())
    for net in nets_of(ranker):
        # A net in training mode, but for a part, as a user's fine-tuning leaves it.
        net.module_.train()
        if hasattr(net.module_, "norm"):
            net.module_.norm.eval()
    return ranker


def test_every_ranker_of_nets_is_among_these():
    classes = [getattr(deep, name) for name in deep.__all__]
    rankers = {
        kind
        for kind in classes
        if issubclass(kind, BaseEstimator) and hasattr(kind, "fit")
    }
    assert rankers <= {type(make()) for make in MAKE.values()}


def test_two_threads_get_what_one_gets(fitted, eager_switching):
    X, y = make_data()
    X, y = X[:12], y[:12]
    names = [name for name in (*ASKED, "self_influence_") if hasattr(fitted, name)]
    alone = {name: answer(fitted, name, X, y) for name in names}
    before = [look(net) for net in nets_of(fitted)]
    process = look_at_process()
    questions = names * (N_THREADS * N_ROUNDS)
    with ThreadPoolExecutor(N_THREADS) as pool:
        answers = list(pool.map(lambda name: answer(fitted, name, X, y), questions))
    for name, got in zip(questions, answers, strict=True):
        np.testing.assert_array_equal(got, alone[name], err_msg=name)
    assert [look(net) for net in nets_of(fitted)] == before
    assert look_at_process() == process


def test_whoever_uses_the_net_meanwhile_sees_nothing(fitted, eager_switching):
    X, y = make_data()
    (net, *_), X, y = nets_of(fitted), X[:12], y[:12]
    names = [name for name in ASKED if hasattr(fitted, name)]
    alone = {name: answer(fitted, name, X, y) for name in names}
    module = net.module_.eval()
    plain, before = torch.from_numpy(X), look(net)

    def by_hand(_):
        # With gradients on, which the net's own users are free to have. (It is also
        # what keeps attention off kernels that a switch of the process chooses.)
        return module(plain).detach().numpy()

    expected = by_hand(0)
    with ThreadPoolExecutor(N_THREADS) as pool:
        ours = [pool.submit(answer, fitted, name, X, y) for name in names]
        theirs = list(pool.map(by_hand, range(40)))
    for name, got in zip(names, ours, strict=True):
        np.testing.assert_array_equal(got.result(), alone[name], err_msg=name)
    # Kernels of attention are a switch of the process: another one rounds otherwise.
    rounding = 4 * np.finfo(np.float32).eps * np.abs(expected).max()
    for got in theirs:
        np.testing.assert_allclose(got, expected, rtol=0, atol=rounding)
    assert look(net) == before


class Drawing(nn.Linear):
    """A module that draws random numbers in evaluation mode too."""

    def forward(self, X):
        return super().forward(X + torch.rand_like(X))


@pytest.mark.parametrize("module", [nn.Linear, Drawing])
def test_generators_are_given_back_by_nets_that_draw_and_by_no_others(module):
    X, _ = make_data()
    net = make_net(module, module__in_features=6, module__out_features=3)
    with stand_in(net.initialize()) as own:
        before = torch.get_rng_state()
        own.predict_proba(X)
        drew = not torch.equal(torch.get_rng_state(), before)
        assert drew == (module is Drawing)
        torch.rand(1)  # somebody else, in another thread
        after = torch.get_rng_state()
    left = before if drew else after
    assert torch.equal(torch.get_rng_state(), left)


def test_doubles_share_parameters_and_nothing_else():
    net = make_net().initialize()
    net.module_.register_buffer("ring", torch.zeros(2))
    own = double(net)
    pairs = zip(net.module_.parameters(), own.module_.parameters(), strict=True)
    assert all(one is other for one, other in pairs)
    assert not any(part.training for part in own.module_.modules())
    assert all(part.training for part in net.module_.modules())
    own.module_.ring += 1
    own.module_.norm.running_mean += 1
    own.module_.first.register_forward_hook(lambda *args: None)
    assert not net.module_.ring.any()
    assert not net.module_.norm.running_mean.any()
    assert len(net.module_.first._forward_hooks) == 1
    # What cannot be copied is shared, rather than the net refused.
    assert own.module_.uncopied is net.module_.uncopied
