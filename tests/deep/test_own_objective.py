"""Nets that do not minimise their criterion alone: honoured, refused or warned about.

The oracles are torch's: the gradient of what the net itself minimises, at the optimum
that it was trained to; the same path of parameters, written in two ways.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from skorch import (  # noqa: E402
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.callbacks import LRScheduler  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    TracInRanker,
)
from sklinfluence.gradient import (  # noqa: E402
    InfluenceRanker,
    RepresenterRanker,
)
from sklinfluence.retraining import ExpectedRanker  # noqa: E402

N_ROWS = 24
OF_CRITERION = [InfluenceRanker, RepresenterRanker, DeepInfluenceRanker]
OF_PATH = [TracInRanker, HydraRanker, SGDInfluenceRanker]
ALL = [*OF_CRITERION, *OF_PATH]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, 3))
    y = np.arange(N_ROWS) % 3
    X[:, 0] += 0.7 * y
    return X, y, rng.uniform(0.2, 3.0, N_ROWS)


class Linear(nn.Module):
    """One layer in float64: its optimum is reached, and rounding is out of the way."""

    def __init__(self, n_outputs=3):
        super().__init__()
        self.last = nn.Linear(3, n_outputs, dtype=torch.float64)

    def forward(self, X, sample_weight=None):
        return self.last(X)


class Deep(nn.Module):
    def __init__(self, n_outputs=3):
        super().__init__()
        self.first = nn.Linear(3, 4, dtype=torch.float64)
        self.last = nn.Linear(4, n_outputs, dtype=torch.float64)

    def forward(self, X, sample_weight=None):
        return self.last(torch.tanh(self.first(X)))


class Probabilities(Linear):
    def forward(self, X, sample_weight=None):
        return super().forward(X).softmax(dim=1)


def make(kind=NeuralNetClassifier, module=Linear, **options):
    torch.manual_seed(0)
    settings = {
        "criterion": nn.CrossEntropyLoss,
        "lr": 0.4,
        "batch_size": -1,
        "max_epochs": 600,
        "optimizer__weight_decay": 0.1,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    return kind(module(), **settings)


# -- get_loss -------------------------------------------------------------------------


class Twice(NeuralNetClassifier):
    def get_loss(self, *args, **kwargs):
        return 2.0 * super().get_loss(*args, **kwargs)


class MeanOfWeighted(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        losses = functional.cross_entropy(y_pred, y_true, reduction="none")
        return (X["sample_weight"] * losses).mean()


class WeightedMean(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        losses = functional.cross_entropy(y_pred, y_true, reduction="none")
        return (X["sample_weight"] * losses).sum() / X["sample_weight"].sum()


class WeightedSum(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        losses = functional.cross_entropy(y_pred, y_true, reduction="none")
        return (X["sample_weight"] * losses).sum()


class ClassesByHand(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        losses = functional.cross_entropy(y_pred, y_true, reduction="none")
        return (torch.tensor([0.5, 1.0, 4.0])[y_true] * losses).mean()


HONOURED = {
    Twice: {},
    MeanOfWeighted: {},
    WeightedMean: {},
    WeightedSum: {"lr": 0.4 / N_ROWS, "optimizer__weight_decay": 0.1 * N_ROWS},
    ClassesByHand: {},
}


def taken(kind, X, weight):
    return {"X": X, "sample_weight": weight} if "Weight" in kind.__name__ else X


@pytest.mark.parametrize("ranker", OF_CRITERION)
@pytest.mark.parametrize("kind", HONOURED)
def test_a_nets_optimum_is_that_of_the_objective_read_off_it(data, kind, ranker):
    """A convex net, trained to its end: no other objective has its minimum there."""
    X, y, weight = data
    net = make(kind, **HONOURED[kind])
    fitted = ranker(net).fit(taken(kind, X, weight), y)
    # Slowest is what weight decay alone brings down: (1 - .4 * .1)^600 of it are left.
    # The optimum of the criterion alone is some tenths away.
    gap = "gradient_norm_" if ranker is DeepInfluenceRanker else "stationarity_gap_"
    assert getattr(fitted, gap) < 1e-6


def test_what_the_module_does_to_its_raw_predictions_is_done_again(data):
    X, y, _ = data
    net = make(Twice, module=Probabilities, criterion=nn.NLLLoss)
    fitted = InfluenceRanker(net).fit(X, y)
    plain = InfluenceRanker(make(Twice)).fit(X, y)
    # As above; skorch adds 1e-8 to probabilities before it takes their logarithm.
    assert fitted.stationarity_gap_ < 1e-6
    found, truth = (ranker.self_influence_ for ranker in (fitted, plain))
    np.testing.assert_allclose(found, truth, atol=1e-6 * truth.max())


NESTED = [
    lambda net: make_pipeline(StandardScaler(), net),
    lambda net: make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), net)),
]


@pytest.mark.parametrize("nest", NESTED)
@pytest.mark.parametrize("ranker", [InfluenceRanker, RepresenterRanker])
@pytest.mark.parametrize("kind", [Twice, ClassesByHand])
def test_at_the_end_of_a_pipeline_too(data, kind, ranker, nest):
    X, y, _ = data
    fitted = ranker(nest(make(kind))).fit(X, y)
    # As above; without its get_loss the head is .1 and more from its optimum.
    assert fitted.stationarity_gap_ < 1e-6


@pytest.mark.parametrize("ranker", [InfluenceRanker, DeepInfluenceRanker])
def test_weights_in_X_are_those_given_apart(data, ranker):
    """(Of mean 1, as the mean over rows of weighted losses has them.)"""
    X, y, weight = data
    net = make(MeanOfWeighted)
    inside = ranker(net).fit({"X": X, "sample_weight": weight}, y)
    ones = {"X": X[:5], "sample_weight": np.ones(5)}
    with pytest.raises(ValueError, match="one way"):
        ranker(FrozenEstimator(net.fit({"X": X, "sample_weight": weight}, y))).fit(
            {"X": X, "sample_weight": weight}, y, sample_weight=weight[::-1]
        )
    # The objective times a constant, decay and all: weight decay per unit of weight.
    decay = 0.1 / np.mean(weight)
    plain = make(optimizer__weight_decay=decay)
    plain.initialize()
    plain.module_.load_state_dict(inside.estimator_.module_.state_dict())
    apart = ranker(FrozenEstimator(plain)).fit(X, y, weight / weight.mean())
    np.testing.assert_allclose(
        inside.influence(ones, y[:5]),
        apart.influence(X[:5], y[:5]),
        rtol=1e-6,
        atol=1e-9,
    )


class Focal(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = functional.cross_entropy(y_pred, y_true, reduction="none")
        return ((1.0 - torch.exp(-loss)) ** 2 * loss).mean()


class Tempered(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred / 2.0, y_true, *args, **kwargs)


class Lasso(NeuralNetClassifier):
    """skorch's own example of a get_loss."""

    def get_loss(self, *args, **kwargs):
        size = sum(part.abs().sum() for part in self.module_.parameters())
        return super().get_loss(*args, **kwargs) + 0.01 * size


class Worst(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return functional.cross_entropy(y_pred, y_true, reduction="none").max()


class Harder(NeuralNetClassifier):
    """Trains on a loss that it does not state otherwise."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        smoothing = 0.3 if training else 0.0
        return functional.cross_entropy(y_pred, y_true, label_smoothing=smoothing)


@pytest.mark.parametrize("ranker", OF_CRITERION)
@pytest.mark.parametrize("kind", [Focal, Tempered, Lasso, Worst, Harder])
def test_other_objectives_than_the_criterions_are_refused(data, kind, ranker):
    X, y, _ = data
    message = f"{kind.__name__} has a get_loss of its own that is not CrossEntropyLoss"
    with pytest.raises(ValueError, match=message):
        ranker(make(kind, max_epochs=2)).fit(X, y)


class Asked(NeuralNetClassifier):
    """Has a loss while it trains alone, and says why in several lines, or in none."""

    words = ()

    def get_loss(self, y_pred, y_true, X=None, training=False):
        if y_pred.is_leaf:
            raise RuntimeError(*self.words)
        return super().get_loss(y_pred, y_true)


@pytest.mark.parametrize("words", [("no module\nis here",), ()])
def test_a_loss_that_cannot_be_asked_is_taken_for_the_criterions(
    data, words, monkeypatch
):
    X, y, _ = data
    monkeypatch.setattr(Asked, "words", words)
    said = f"RuntimeError: {'no module' if words else ''}"
    with pytest.warns(UserWarning, match=rf"of Asked cannot be asked .*\({said}\): "):
        fitted = InfluenceRanker(make(Asked)).fit(X, y)
    plain = InfluenceRanker(make()).fit(X, y)
    # The same net, trained by the same steps.
    np.testing.assert_array_equal(fitted.self_influence_, plain.self_influence_)


@pytest.mark.parametrize("ranker", OF_PATH)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Lasso, "get_loss of Lasso .* a penalty"),
        (Worst, "loss of Worst .* neither the mean nor"),
        (Harder, "get_loss of Harder .* training=True"),
        (WeightedMean, "loss of WeightedMean .* neither the mean nor"),
    ],
)
def test_losses_that_are_no_sum_over_rows_are_refused(data, kind, message, ranker):
    X, y, weight = data
    net = make(kind, lr=0.1, batch_size=8, max_epochs=2)
    with pytest.raises(ValueError, match=message):
        ranker(net).fit(taken(kind, X, weight), y)


@pytest.mark.parametrize("kind", [Focal, Tempered, MeanOfWeighted])
def test_losses_of_rows_are_honoured_along_the_path(data, kind):
    """Sums over steps of products of gradients, by plain backward on get_loss."""
    X, y, weight = data
    net = make(kind, Deep, lr=0.3, batch_size=8, max_epochs=2)
    rows = taken(kind, X, weight)
    ranker = TracInRanker(net, method="replay", random_state=0).fit(rows, y)
    path, own = ranker.training_path_, ranker.estimator_
    module = Deep()
    parameters = list(module.parameters())
    expected = np.zeros((N_ROWS, N_ROWS))
    for t, batch in enumerate(path.batches):
        state = {key: torch.as_tensor(value) for key, value in path.load(t).items()}
        module.load_state_dict(state)
        gradients = []
        for i in range(N_ROWS):
            x, label = torch.as_tensor(X[[i]]), torch.as_tensor(y[[i]])
            inputs = {"X": x, "sample_weight": torch.as_tensor(weight[[i]])}
            loss = own.get_loss(module(x), label, X=inputs)
            parts = torch.autograd.grad(loss, parameters)
            gradients.append(torch.cat([part.reshape(-1) for part in parts]).numpy())
        G = np.array(gradients)
        expected[:, batch] += 0.3 / len(batch) * G @ G[batch].T
    # Float64 sums of the same terms.
    np.testing.assert_allclose(
        ranker.influence(rows, y), expected, rtol=1e-8, atol=1e-12
    )
    HydraRanker(net, random_state=0).fit(rows, y)  # takes the recorded steps again


# -- steps ----------------------------------------------------------------------------


class OwnStep(NeuralNetClassifier):
    def train_step(self, batch, **fit_params):
        return super().train_step(batch, **fit_params)


@pytest.mark.parametrize("ranker", [*OF_CRITERION, TracInRanker])
def test_own_steps_are_warned_about(data, ranker):
    X, y, _ = data
    with pytest.warns(UserWarning, match="OwnStep has train_step of its own"):
        ranker(make(OwnStep, max_epochs=2)).fit(X, y)


# -- frozen layers --------------------------------------------------------------------


class Partly(NeuralNetClassifier):
    """Gives its optimiser the last layer alone."""

    def get_all_learnable_params(self):
        pairs = super().get_all_learnable_params()
        return [pair for pair in pairs if pair[0].startswith("last")]


def frozen_first(**options):
    net = make(module=Deep, **options)
    net.module.first.requires_grad_(False)
    return net


STILL = {
    "rate": lambda **options: make(
        module=Deep, optimizer__param_groups=[("first*", {"lr": 0.0})], **options
    ),
    "optimiser": lambda **options: make(Partly, Deep, **options),
}
SCORES = {
    "influence": (InfluenceRanker, {}),
    "representer": (RepresenterRanker, {}),
    "deep": (DeepInfluenceRanker, {}),
    "deep, hessian": (DeepInfluenceRanker, {"curvature": "hessian", "damping": 0.1}),
    "deep, ekfac": (DeepInfluenceRanker, {"solver": "ekfac"}),
    "tracin": (TracInRanker, {"random_state": 0}),
    "tracin, cosine": (TracInRanker, {"normalize": "cosine", "random_state": 0}),
    "tracin, gradient": (TracInRanker, {"normalize": "gradient", "random_state": 0}),
    "tracin, sketch": (TracInRanker, {"projection": 4, "random_state": 0}),
    "hydra, cosine": (HydraRanker, {"normalize": "cosine", "random_state": 0}),
    "sgd, gradient": (SGDInfluenceRanker, {"normalize": "gradient", "random_state": 0}),
}


@pytest.mark.parametrize("still", STILL)
@pytest.mark.parametrize("name", SCORES)
def test_layers_that_stay_are_held_fixed_however_they_are_kept(data, name, still):
    """As with requires_grad=False, which torch itself leaves out."""
    X, y, _ = data
    kind, options = SCORES[name]
    settings = {"max_epochs": 4, "batch_size": 8, "lr": 0.3}
    expected = kind(frozen_first(**settings), **options).fit(X, y)
    found = kind(STILL[still](**settings), **options).fit(X, y)
    np.testing.assert_allclose(
        found.influence(X[:5], y[:5]),
        expected.influence(X[:5], y[:5]),
        rtol=1e-7,
        atol=1e-12,
    )
    np.testing.assert_allclose(
        found.self_influence_, expected.self_influence_, rtol=1e-7, atol=1e-12
    )


@pytest.mark.parametrize("how", ["rate", "requires_grad"])
@pytest.mark.parametrize("ranker", [InfluenceRanker, RepresenterRanker])
def test_a_last_layer_that_stays_is_refused(data, ranker, how):
    X, y, _ = data
    net = make(module=Deep, max_epochs=1)
    if how == "rate":
        net.set_params(optimizer__param_groups=[("last*", {"lr": 0.0})])
    else:
        net.module.last.requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"leaves last\.bias, last\.weight of its last"
    ):
        ranker(net).fit(X, y)


@pytest.mark.parametrize("ranker", [DeepInfluenceRanker, *OF_PATH])
def test_nets_that_stay_whole_are_refused(data, ranker):
    X, y, _ = data
    with pytest.raises(ValueError, match="no parameter of"):
        ranker(make(lr=0.0, max_epochs=1)).fit(X, y)
    with pytest.raises(ValueError, match="layers='first' names no trainable"):
        ranker(STILL["rate"](max_epochs=1), layers="first").fit(X, y)


@pytest.mark.parametrize("ranker", [InfluenceRanker, DeepInfluenceRanker])
def test_a_schedule_that_ends_at_0_froze_nothing(data, ranker):
    X, y, _ = data
    schedule = LRScheduler("CosineAnnealingLR", T_max=3)
    net = make(module=Deep, max_epochs=3, callbacks=[schedule])
    fitted = ranker(net).fit(X, y)
    assert fitted.estimator_.optimizer_.param_groups[0]["lr"] == 0.0
    assert np.any(fitted.influence(X[:2], y[:2]))


# -- reductions -----------------------------------------------------------------------


@pytest.mark.parametrize("ranker", ALL)
def test_nothing_reduces_the_losses(data, ranker):
    X, y, _ = data
    with pytest.raises(ValueError, match="CrossEntropyLoss has reduction='none'"):
        ranker(make(criterion__reduction="none")).fit(X, y)
    with pytest.raises(ValueError, match="has reduction='none'"):
        ExpectedRanker(ranker(make(criterion__reduction="none"))).fit(X, y)


PATHS = {
    "classes": (NeuralNetClassifier, nn.CrossEntropyLoss, 3, {}),
    "binary": (
        NeuralNetBinaryClassifier,
        nn.BCEWithLogitsLoss,
        1,
        {"criterion__pos_weight": torch.tensor(4.0, dtype=torch.float64)},
    ),
    "values": (NeuralNetRegressor, nn.MSELoss, 1, {}),
}
ON_PATHS = {
    "checkpoint": (TracInRanker, {}),
    "checkpoint, theta": (TracInRanker, {"normalize": "theta"}),
    "checkpoint, cosine": (TracInRanker, {"normalize": "cosine"}),
    "checkpoint, sketch": (TracInRanker, {"projection": 5}),
    "replay": (TracInRanker, {"method": "replay"}),
    "hydra": (HydraRanker, {"hessian": True}),
    "sgd": (SGDInfluenceRanker, {}),
}


@pytest.mark.parametrize("case", PATHS)
@pytest.mark.parametrize("name", ON_PATHS)
def test_the_same_path_by_means_and_by_sums(data, name, case):
    X, y, _ = data
    kind, criterion, n_outputs, more = PATHS[case]
    y = {"classes": y, "binary": y > 0, "values": X[:, :1] - X[:, 1:2]}[case]
    ranker, options = ON_PATHS[name]
    fitted = []
    for reduction, lr in [("mean", 0.24), ("sum", 0.24 / 8)]:
        torch.manual_seed(0)
        net = kind(
            Deep(n_outputs),
            criterion=criterion,
            criterion__reduction=reduction,
            lr=lr,
            batch_size=8,
            max_epochs=3,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            **more,
        )
        fitted.append(ranker(net, random_state=0, **options).fit(X, y))
    means, sums = fitted
    for ask in (
        lambda r: r.self_influence_,
        lambda r: r.influence(X[:5], y[:5]),
        lambda r: r.score_samples(X[:5], y[:5]),
    ):
        # The same float64 path but for rounding.
        np.testing.assert_allclose(ask(sums), ask(means), rtol=1e-8, atol=1e-13)
