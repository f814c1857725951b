"""What rankers along the training path take, refuse by name, and leave as it was."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from skorch import (  # noqa: E402
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from torch import nn  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    HydraRanker,
    SGDInfluenceRanker,
    TracInRanker,
)

RANKERS = [TracInRanker, HydraRanker, SGDInfluenceRanker]


def make_net(
    *ends, n_outputs=3, kind=NeuralNetClassifier, criterion=nn.CrossEntropyLoss, **more
):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, n_outputs), *ends)
    settings = {
        "lr": 0.2,
        "batch_size": 16,
        "max_epochs": 4,
        "train_split": None,
        "verbose": 0,
        **more,
    }
    return kind(module, criterion=criterion, **settings)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)).astype(np.float32)
    return X, (X[:, 0] + 0.3 * rng.standard_normal(60) > 0) + (X[:, 1] > 0.8) * 1


class Pairs(torch.utils.data.Dataset):
    """Nothing but rows and their number."""

    def __init__(self, X, y):
        self.rows = [
            (torch.tensor(x), int(label)) for x, label in zip(X, y, strict=True)
        ]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


class LogOnce(NeuralNetClassifier):
    """NLLLoss of log probabilities, as torch has it and skorch has not."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return self.criterion_(y_pred, y_true)


# -- margins ----------------------------------------------------------------------


def binary_pair():
    common = {"n_outputs": 1, "kind": NeuralNetBinaryClassifier}
    return (
        make_net(criterion=nn.BCEWithLogitsLoss, **common),
        make_net(nn.Sigmoid(), criterion=nn.BCELoss, **common),
    )


def nll_pair(*ends, kind):
    return make_net(), make_net(*ends, criterion=nn.NLLLoss, kind=kind)


@pytest.mark.parametrize("score", ["margin", "area_under_margin", "forgetting"])
@pytest.mark.parametrize(
    "pair",
    [
        binary_pair,
        lambda: nll_pair(nn.Softmax(-1), kind=NeuralNetClassifier),
        lambda: nll_pair(nn.LogSoftmax(-1), kind=LogOnce),
    ],
    ids=["sigmoid", "softmax", "log_softmax"],
)
def test_margins_do_not_depend_on_where_the_module_ends(data, pair, score):
    """The same loss written twice is the same run: logits are the oracle."""
    X, y = data
    one, other = pair()
    if isinstance(one, NeuralNetBinaryClassifier):
        y = (y > 0).astype(np.int64)
    expected, found = (
        TracInRanker(net, random_state=0).fit(X, y).label_scores(score)
        for net in (one, other)
    )
    assert np.ptp(expected) > 0.1
    # float32 runs of 16 steps, and logits by way of float32 probabilities.
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_margins_of_a_saturated_sigmoid_are_finite(data):
    X, y = data
    y = (y > 0).astype(np.int64)
    recorder = CheckpointRecorder()
    net = make_net(
        nn.Sigmoid(),
        criterion=nn.BCELoss,
        n_outputs=1,
        kind=NeuralNetBinaryClassifier,
        callbacks=[recorder],
    ).fit(X, y.astype(np.float32))
    with torch.no_grad():
        net.module_[2].weight *= 1e6
    with pytest.warns(UserWarning, match="not those at the last checkpoint"):
        ranker = TracInRanker(FrozenEstimator(net)).fit(X, y)
    assert np.isfinite(ranker.label_scores("margin")).all()


# -- what is taken ----------------------------------------------------------------


@pytest.mark.parametrize("ranker", RANKERS)
def test_a_dataset_of_ones_own(data, ranker):
    X, y = data
    y = y.astype(np.int64)
    expected = ranker(make_net(), random_state=0).fit(X, y).influence(X[:5], y[:5])
    for given in (None, y):
        fitted = ranker(make_net(), random_state=0).fit(Pairs(X, y), given)
        influence = fitted.influence(Pairs(X[:5], y[:5]))
        np.testing.assert_allclose(influence, expected, rtol=1e-6, atol=1e-8)
    net = make_net(callbacks=[CheckpointRecorder(every="step")]).fit(Pairs(X, y), None)
    frozen = ranker(FrozenEstimator(net)).fit(Pairs(X, y))
    assert frozen.classes_.tolist() == [0, 1, 2]


def test_rows_of_a_dataset_have_to_be_pairs(data):
    lone = [row for row, _ in Pairs(*data).rows]
    rows = Pairs(*data)
    rows.rows = lone
    with pytest.raises(TypeError, match="not pairs"):
        TracInRanker(make_net()).fit(rows)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, float])
def test_labels_of_any_type(data, dtype):
    X, y = data
    expected = TracInRanker(make_net(), random_state=0).fit(X, y.astype(np.int64))
    found = TracInRanker(make_net(), random_state=0).fit(X, y.astype(dtype))
    np.testing.assert_array_equal(
        found.influence(X[:5], y[:5].astype(dtype)), expected.influence(X[:5], y[:5])
    )


@pytest.mark.parametrize("ends", [(), (nn.Flatten(0),)], ids=["column", "flat"])
def test_whole_numbers_for_a_binary_net(data, ends):
    X, y = data
    y = (y > 0).astype(np.int64)
    options = {"n_outputs": 1, "criterion": nn.BCEWithLogitsLoss}
    options["kind"] = NeuralNetBinaryClassifier
    whole = TracInRanker(make_net(*ends, **options), random_state=0).fit(X, y)
    real = TracInRanker(make_net(*ends, **options), random_state=0)
    real.fit(X, y.astype(np.float32))
    np.testing.assert_array_equal(whole.self_influence_, real.self_influence_)
    np.testing.assert_array_equal(
        whole.influence(X[:3], y[:3]), real.influence(X[:3], y[:3])
    )


@pytest.mark.parametrize("ranker", RANKERS)
def test_callbacks_may_be_disabled(data, ranker):
    X, y = data
    net = make_net(callbacks="disable")
    found = ranker(net, random_state=0).fit(X, y)
    expected = ranker(make_net(), random_state=0).fit(X, y)
    np.testing.assert_array_equal(found.self_influence_, expected.self_influence_)
    names = {name for name, _ in found.estimator_.callbacks_}
    assert "epoch_timer" not in names and net.callbacks == "disable"


@pytest.mark.parametrize("ranker", RANKERS)
def test_no_queries(data, ranker):
    X, y = data
    fitted = ranker(make_net(), random_state=0).fit(X, y)
    assert fitted.influence(X[:0]).shape == (0, 60)
    assert fitted.influence(X[:0], y[:0]).shape == (0, 60)
    assert fitted.score_samples(X[:0], y[:0]).shape == (0,)


# -- what is left alone -----------------------------------------------------------


QUESTIONS = {
    "fit": lambda ranker, X, y: ranker.fit(X, y),
    "influence": lambda ranker, X, y: ranker.influence(X),
    "influence with y": lambda ranker, X, y: ranker.influence(X, y),
    "score_samples": lambda ranker, X, y: ranker.score_samples(X),
    "predict": lambda ranker, X, y: ranker.predict(X),
    "predict_proba": lambda ranker, X, y: ranker.predict_proba(X),
    "score": lambda ranker, X, y: ranker.score(X, y),
    "label_scores": lambda ranker, X, y: ranker.label_scores("margin"),
}


@pytest.mark.parametrize("ranker", RANKERS)
def test_a_frozen_net_stays_in_its_mode(data, ranker):
    X, y = data
    net = make_net(callbacks=[CheckpointRecorder(every="step")]).fit(X, y)
    fitted = ranker(FrozenEstimator(net)).fit(X, y)
    for mode in (True, False):
        net.module_.train(mode)
        net.module_[1].train(not mode)
        modes = [module.training for module in net.module_.modules()]
        for name, ask in QUESTIONS.items():
            before = torch.get_rng_state()
            ask(fitted, X, y)
            now = [module.training for module in net.module_.modules()]
            assert now == modes, name
            assert torch.equal(before, torch.get_rng_state()), name


# -- what is refused --------------------------------------------------------------


def refused(ranker, X, y, error, match):
    with pytest.raises(error, match=match):
        ranker.fit(X, y)


@pytest.mark.parametrize("ranker", RANKERS)
@pytest.mark.parametrize(
    "other",
    [
        LogisticRegression(),
        FrozenEstimator(LogisticRegression()),
        make_pipeline(StandardScaler(), make_net()),
    ],
    ids=["linear", "frozen", "pipeline"],
)
def test_other_estimators(data, ranker, other):
    refused(ranker(other), *data, TypeError, f"estimator of {ranker.__name__}")


def test_a_frozen_net_that_was_never_trained(data):
    net = FrozenEstimator(make_net())
    refused(TracInRanker(net), *data, NotFittedError, "never trained")


def test_no_layers(data):
    refused(TracInRanker(make_net(), layers=[]), *data, ValueError, r"layers=\[\]")


def test_lazy_layers(data):
    settings = make_net().get_params(deep=False)
    settings["module"] = nn.Sequential(nn.LazyLinear(3))
    net = NeuralNetClassifier(**settings)
    refused(TracInRanker(net), *data, ValueError, "lazy layers.*0.weight")


@pytest.mark.parametrize("ranker", RANKERS)
def test_sample_weight(data, ranker):
    X, y = data
    with pytest.raises(ValueError, match=f"sample_weight.*{ranker.__name__}"):
        ranker(make_net()).fit(X, y, sample_weight=np.ones(60))
    assert ranker(make_net(max_epochs=1)).fit(X, y, sample_weight=None).ranking_.any()


@pytest.mark.parametrize(
    "options",
    [{}, {"n_outputs": 1, "kind": NeuralNetBinaryClassifier}],
    ids=["classes", "binary"],
)
def test_string_labels(data, options):
    if options:
        options = {**options, "criterion": nn.BCEWithLogitsLoss}
    X, y = data
    y = np.array(["no", "yes"])[(y > 0).astype(int)]
    refused(TracInRanker(make_net(**options)), X, y, ValueError, "'no'.*LabelEncoder")


@pytest.mark.parametrize("shape", [(60,), (60, 1)], ids=str)
@pytest.mark.parametrize("frozen", [True, False])
def test_losses_that_broadcast(data, frozen, shape):
    X, y = data
    ends = () if len(shape) == 1 else (nn.Flatten(0),)
    options = {"kind": NeuralNetRegressor, "criterion": nn.MSELoss, "n_outputs": 1}
    net = make_net(*ends, **options, callbacks=[CheckpointRecorder()])
    y = y.astype(np.float32).reshape(shape)
    if frozen:
        net = FrozenEstimator(net.fit(X, y))
    refused(TracInRanker(net), X, y, ValueError, "every row with every other")


@pytest.mark.parametrize("ranker", RANKERS)
def test_rows_that_are_not_finite(data, ranker):
    X, y = data
    hole = X.copy()
    hole[7, 2] = np.nan
    refused(ranker(make_net()), hole, y, ValueError, "X contains NaN")
    net = make_net(callbacks=[CheckpointRecorder(every="step")]).fit(X, y)
    refused(ranker(FrozenEstimator(net)), hole, y, ValueError, "X contains NaN")


def test_training_that_diverges(data):
    X, y = data
    options = {"kind": NeuralNetRegressor, "criterion": nn.MSELoss, "n_outputs": 1}
    net = make_net(**options, lr=1e6)
    y = y.reshape(-1, 1)
    refused(TracInRanker(net), X, y, ValueError, "not finite in training.*Lower lr")


@pytest.mark.parametrize("ends", [(), (nn.LogSoftmax(-1),)], ids=["raw", "log"])
@pytest.mark.parametrize("frozen", [True, False])
def test_nll_of_what_is_no_probability(data, ends, frozen):
    net = make_net(*ends, criterion=nn.NLLLoss, callbacks=[CheckpointRecorder()])
    if frozen:
        net = FrozenEstimator(net.fit(*data))
    match = "no probabilities, of which NLLLoss"
    refused(TracInRanker(net), *data, ValueError, match)


@pytest.mark.parametrize("ranker", RANKERS)
def test_weights_of_smoothed_labels(data, ranker):
    options = {"criterion__weight": torch.ones(3), "criterion__label_smoothing": 0.1}
    net = make_net(**options)
    refused(ranker(net), *data, ValueError, "both weight and label_smoothing")


@pytest.mark.parametrize("kind", RANKERS)
def test_queries_without_values_are_named(kind, data):
    X, y = data
    ranker = kind(make_net(), random_state=0).fit(X, y)
    missing = X[:3].copy()
    missing[1, 0] = np.nan
    for ask in (ranker.influence, ranker.score_samples):
        with pytest.raises(ValueError, match="X contains NaN"):
            ask(missing, y[:3])
    frame = pytest.importorskip("pandas").DataFrame(X[:3])
    with pytest.raises(ValueError, match="X is a DataFrame"):
        ranker.influence(frame, y[:3])
