"""Regression nets whose module returns a column, the commonest kind, in filters."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import DataConversionWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch import NeuralNetRegressor  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import DeepInfluenceRanker  # noqa: E402
from sklinfluence.filtering import (  # noqa: E402
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker  # noqa: E402


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4)).astype(np.float32)
    y = X @ np.array([1, 2, -1, 0.5], dtype=np.float32)
    y += 0.1 * rng.normal(size=80).astype(np.float32)
    y[3] += 30
    return X, y[:, None]


def make():
    torch.manual_seed(0)
    return NeuralNetRegressor(
        nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)),
        optimizer__weight_decay=1e-2,
        lr=0.05,
        batch_size=16,
        max_epochs=20,
        train_split=None,
        verbose=0,
    )


def frozen(X, y):
    return FrozenEstimator(make().fit(X, y))


KINDS = {
    "net": lambda X, y: make(),
    "frozen": frozen,
    "pipeline": lambda X, y: make_pipeline(StandardScaler(), make()),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cv", [None, 3])
def test_a_column_reaches_the_net(data, kind, cv):
    X, y = data
    ranker = InfluenceRanker(KINDS[kind](X, y))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataConversionWarning)
        found = MislabelFilter(ranker, cv=cv).fit(X, y)
    assert np.argmax(found.scores_) == 3 and not found.get_support()[3]
    assert found.suggested_labels_.shape == (80,)
    assert found.score_samples(X[:5], y[:5, 0]).shape == (5,)
    assert len(found.report()) == 80


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_samplers_give_a_column_back(data):
    X, y = data
    rows, targets = MislabelSampler(InfluenceRanker(make())).fit_resample(X, y)
    assert len(rows) == len(targets) < 80 and targets.shape[1:] == (1,)


def test_a_ranker_that_scores_by_self_influence(data):
    X, y = data
    found = MislabelFilter(
        DeepInfluenceRanker(make()), label_score="self_influence", contamination=0.05
    ).fit(X, y)
    assert not found.get_support()[3] and found.report().shape == (80, 6)


def test_flat_targets_are_refused_by_name(data):
    X, y = data
    with pytest.raises(ValueError, match=r"y\.reshape"):
        MislabelFilter(InfluenceRanker(make())).fit(X, y[:, 0])


def test_other_estimators_still_get_them_flat(data):
    X, y = data
    with pytest.warns(DataConversionWarning):
        found = MislabelFilter(InfluenceRanker(Ridge())).fit(X, y)
    assert found.ranker_.estimator_.coef_.ndim == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("door", [None, MislabelFilter, MislabelSampler])
def test_filtered_nets_are_trained_on_a_column(door, data):
    X, y = data
    filter_ = None if door is None else door(InfluenceRanker(make()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataConversionWarning)
        model = FilteredRegressor(make(), filter_).fit(X, y)
    assert 3 not in model.sample_indices_
    kept = model.sample_indices_
    torch.manual_seed(0)
    alone = make().fit(X[kept], y[kept])
    assert model.predict(X).shape == alone.predict(X).shape == (80, 1)


@pytest.mark.parametrize("door", [None, MislabelFilter, MislabelSampler])
@pytest.mark.parametrize("column", [True, False])
def test_filtered_nets_learn_a_linear_target(door, column):
    """(n,) against the net's (n, 1) would broadcast, and nothing would be learnt."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3)).astype(np.float32)
    y = (X @ np.array([1, -2, 0.5]) + 0.5).astype(np.float32)
    torch.manual_seed(0)
    # A net of flat outputs takes targets as they come.
    outputs = [] if column else [nn.Flatten(0)]
    net = NeuralNetRegressor(
        nn.Sequential(nn.Linear(3, 1), *outputs),
        lr=0.1,
        batch_size=20,
        max_epochs=30,
        train_split=None,
        verbose=0,
    )
    filter_ = None if door is None else door(InfluenceRanker(Ridge()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = FilteredRegressor(net, filter_).fit(X, y[:, None] if column else y)
    error = np.ravel(model.predict(X)) - y
    # SGD on a target without noise: nothing but rounding is left.
    assert np.sum(error**2) < 0.01 * np.sum((y - y.mean()) ** 2)


def test_filtered_estimators_still_get_targets_flat(data):
    X, y = data
    with pytest.warns(DataConversionWarning):
        model = FilteredRegressor(Ridge()).fit(X, y)
    assert model.predict(X).shape == (80,)
