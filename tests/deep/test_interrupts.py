"""Ctrl-C while a net trains: fit breaks off, and what was fitted before stands."""

import signal

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402
from skorch.callbacks import Callback, EarlyStopping  # noqa: E402
from torch import nn  # noqa: E402

import sklinfluence.deep as deep  # noqa: E402
from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    SkorchEmbedding,
    TracInAnomalyDetector,
    TracInRanker,
)
from sklinfluence.filtering import (  # noqa: E402
    FilteredClassifier,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import (  # noqa: E402
    InfluenceRanker,
    RepresenterRanker,
)
from sklinfluence.metrics import loo_correlation  # noqa: E402
from sklinfluence.model_selection import LeaveOneOutSearch  # noqa: E402
from sklinfluence.retraining import ExpectedRanker  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


class Trap(nn.Linear):
    """A linear module that is interrupted at a step of training."""

    countdown = None
    by_signal = False

    def forward(self, X):
        if self.training and Trap.countdown is not None:
            Trap.countdown -= 1
            if Trap.countdown < 0:
                Trap.countdown = None
                interrupt()
        return super().forward(X)


def interrupt():
    if Trap.by_signal:
        signal.raise_signal(signal.SIGINT)
    raise KeyboardInterrupt


def make_net(**options):
    return NeuralNetClassifier(
        Trap,
        module__in_features=3,
        module__out_features=2,
        criterion=nn.CrossEntropyLoss,
        **{"max_epochs": 2, "batch_size": 10, "lr": 0.05, **options},
        optimizer__weight_decay=0.01,
        train_split=None,
        verbose=0,
    )


def last_layer(net=None):
    net = make_net() if net is None else net
    return InfluenceRanker(net, refit_head=False, damping=1e-2)


def by_folds(**options):
    return MislabelFilter(
        last_layer(), label_score="self_influence", contamination=0.1, cv=3, **options
    )


MAKE = {
    "tracin": lambda: TracInRanker(make_net(), random_state=0),
    "replay": lambda: TracInRanker(make_net(callbacks="disable"), method="replay"),
    "hydra": lambda: HydraRanker(make_net(), random_state=0),
    "sgd": lambda: SGDInfluenceRanker(make_net(), random_state=0),
    "deep": lambda: DeepInfluenceRanker(make_net()),
    "anomaly": lambda: TracInAnomalyDetector(TracInRanker(make_net())),
    "expected": lambda: ExpectedRanker(
        TracInRanker(make_net()), n_estimators=2, random_state=0
    ),
    "expected heads": lambda: ExpectedRanker(
        last_layer(make_net(callbacks="disable")), n_estimators=2, random_state=0
    ),
    "embedding": lambda: SkorchEmbedding(make_net()),
    "head": last_layer,
    "head, no callbacks": lambda: last_layer(make_net(callbacks="disable")),
    "head in a pipeline": lambda: last_layer(
        make_pipeline(StandardScaler(), make_net())
    ),
    "embedding before a head": lambda: InfluenceRanker(
        make_pipeline(SkorchEmbedding(make_net()), LogisticRegression())
    ),
    "representers": lambda: RepresenterRanker(
        make_net(), method="lje", refit_head=False
    ),
    "filter": lambda: MislabelFilter(
        last_layer(), label_score="self_influence", contamination=0.1
    ),
    "filter by folds": by_folds,
    "sampler": lambda: MislabelSampler(
        last_layer(), label_score="self_influence", contamination=0.1
    ),
    "filtered net": lambda: FilteredClassifier(make_net(), MislabelFilter()),
    "filtered by a net": lambda: FilteredClassifier(LogisticRegression(), by_folds()),
    "filtered search": lambda: FilteredClassifier(
        GridSearchCV(make_net(), {"lr": [0.01, 0.1]}, cv=2), MislabelFilter()
    ),
    "search": lambda: LeaveOneOutSearch(
        make_pipeline(StandardScaler(), make_net()),
        {"standardscaler__with_std": [True]},
    ),
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


@pytest.fixture(params=["raised", "signal"], autouse=True)
def trap(request):
    Trap.by_signal = request.param == "signal"
    yield
    Trap.countdown = None


def test_every_estimator_that_trains_nets_is_among_these():
    classes = [getattr(deep, name) for name in deep.__all__]
    trainers = {
        kind
        for kind in classes
        if issubclass(kind, BaseEstimator) and hasattr(kind, "fit")
    }
    assert trainers <= {type(make()) for make in MAKE.values()}


@pytest.mark.parametrize("n_steps", [0, 5])
@pytest.mark.parametrize("name", MAKE)
def test_fit_breaks_off_and_leaves_the_earlier_fit(data, name, n_steps):
    X, y = data
    estimator = MAKE[name]().fit(X, y)
    before = dict(vars(estimator))
    fresh = clone(estimator)
    parameters = dict(vars(fresh))
    for broken, was in ((estimator, before), (fresh, parameters)):
        Trap.countdown = n_steps
        with pytest.raises(KeyboardInterrupt):
            broken.fit(X[::-1].copy(), y[::-1].copy())
        assert Trap.countdown is None
        now = vars(broken)
        assert now.keys() == was.keys()
        assert all(now[key] is was[key] for key in now)


@pytest.mark.parametrize("name", ["head", "head, no callbacks", "filtered net"])
def test_the_trained_net_keeps_its_callbacks(data, name):
    estimator = MAKE[name]().fit(*data)
    net, given = estimator.estimator_, estimator.estimator
    assert net.callbacks == given.callbacks
    assert net.get_params().keys() == given.get_params().keys()
    plain = clone(given).fit(*data)
    assert [n for n, _ in net.callbacks_] == [n for n, _ in plain.callbacks_]


class StopAt(Callback):
    """Ends training early, as skorch's own EarlyStopping does."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            stop()


def stop():
    raise KeyboardInterrupt


class Pressed(Callback):
    """Ctrl-C happens to come while a callback is busy."""

    def on_epoch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "callback", [StopAt(), EarlyStopping(monitor="train_loss", patience=1, threshold=9)]
)
@pytest.mark.parametrize("make", [last_layer, lambda net: TracInRanker(net)])
def test_callbacks_may_stop_early(data, make, callback):
    net = make_net(max_epochs=9, callbacks=[callback])
    ranker = make(net).fit(*data)
    assert 1 <= len(ranker.estimator_.history) <= 2


def python_handler(number, frame):
    raise KeyboardInterrupt


@pytest.mark.parametrize("handler", [signal.default_int_handler, python_handler])
@pytest.mark.parametrize("make", [last_layer, lambda net: TracInRanker(net)])
def test_ctrl_c_in_a_callback_is_no_early_stop(data, make, handler):
    usual = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            make(make_net(callbacks=[Pressed()])).fit(*data)
    finally:
        signal.signal(signal.SIGINT, usual)


def test_refits_of_fidelity_measures_break_off(data):
    X, y = data[0], data[0][:, :1]
    settings = {"batch_size": 10, "max_epochs": 2, "train_split": None, "verbose": 0}
    net = NeuralNetRegressor(Trap(3, 1), **settings)
    ranker = last_layer(net).fit(X, y)
    Trap.countdown = 9
    with pytest.raises(KeyboardInterrupt):
        loo_correlation(ranker, X, y, X[:3], y[:3], n_rows=4)


def test_an_interrupted_run_resumes_at_its_last_epoch(data, tmp_path):
    """Bit for bit the run that nobody interrupted."""
    X, y = data

    def ranker(recorder, n_epochs):
        options = {"iterator_train__shuffle": True, "max_epochs": n_epochs}
        return TracInRanker(
            make_net(callbacks=[recorder], **options), method="replay", random_state=0
        )

    whole = ranker(CheckpointRecorder(every="step"), 3).fit(X, y)
    folder = tmp_path / "run"
    Trap.countdown = 6
    with pytest.raises(KeyboardInterrupt):
        ranker(CheckpointRecorder(folder, every="step"), 3).fit(X, y)
    resumed = ranker(CheckpointRecorder(folder, every="step", resume=True), 2)
    resumed.fit(X, y)
    path, expected = resumed.training_path_, whole.training_path_
    assert path.n_steps == expected.n_steps == 12
    for step in range(13):
        for name, array in expected.load(step).items():
            np.testing.assert_array_equal(path.load(step)[name], array)
