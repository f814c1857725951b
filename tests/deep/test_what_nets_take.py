"""One list for every ranker of nets: what they refuse, by name, and in what they take.

Whatever is refused is refused before the net is trained: `Untrained` sees to that.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.frozen import FrozenEstimator  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from skorch import (  # noqa: E402
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.callbacks import Callback  # noqa: E402
from skorch.helper import SliceDict  # noqa: E402
from torch import nn  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    CheckpointRecorder,
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    SkorchEmbedding,
    TracInAnomalyDetector,
    TracInRanker,
)
from sklinfluence.gradient import (  # noqa: E402
    InfluenceRanker,
    RepresenterRanker,
)
from sklinfluence.retraining import ExpectedRanker  # noqa: E402

N_ROWS = 30
RANKERS = {
    "InfluenceRanker": InfluenceRanker,
    "RepresenterRanker": RepresenterRanker,
    "DeepInfluenceRanker": DeepInfluenceRanker,
    "TracInRanker": lambda net: TracInRanker(net, random_state=0),
    "HydraRanker": lambda net: HydraRanker(net, random_state=0),
    "SGDInfluenceRanker": lambda net: SGDInfluenceRanker(net, random_state=0),
    "ExpectedRanker": lambda net: ExpectedRanker(TracInRanker(net), n_estimators=2),
}
WRAPPERS = {
    **RANKERS,
    "SkorchEmbedding": SkorchEmbedding,
    "TracInAnomalyDetector": lambda net: TracInAnomalyDetector(TracInRanker(net)),
}


OF_PATH = ("TracInRanker", "HydraRanker", "SGDInfluenceRanker")


class Untrained(Callback):
    def on_train_begin(self, net, **kwargs):
        raise AssertionError("the net is trained")


class Module(nn.Module):
    """Its input has a name, which frames and dicts go by."""

    def __init__(self, n_outputs=3, end=None, dtype=None):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 5, dtype=dtype)
        self.last = nn.Linear(5, n_outputs, dtype=dtype)
        self.end = end or nn.Identity()

    def forward(self, X):
        return self.end(self.last(torch.tanh(self.first(X))))


def classes(end=None, n_outputs=3, criterion=nn.CrossEntropyLoss, **options):
    return make(NeuralNetClassifier, Module(n_outputs, end), criterion, **options)


def binary(n_outputs=1, **options):
    module = Module(n_outputs)
    return make(NeuralNetBinaryClassifier, module, nn.BCEWithLogitsLoss, **options)


def values(n_outputs=1, end=None, **options):
    return make(NeuralNetRegressor, Module(n_outputs, end), nn.MSELoss, **options)


def make(kind, module, criterion, **options):
    settings = {
        "optimizer__weight_decay": 0.01,
        "max_epochs": 2,
        "train_split": None,
        "verbose": 0,
        **options,
    }
    return kind(module, criterion=criterion, **settings)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N_ROWS, 4)).astype(np.float32), np.arange(N_ROWS) % 3


def same(part):
    return part


def two_columns(y):
    return np.column_stack([y, y])


def column(y):
    return y.reshape(-1, 1).astype(np.float32)


# Net, what becomes of X and of y, and what the error says.
REFUSED = {
    "label above": (classes, same, lambda y: y + 1, "label 3, and the module .* 3 out"),
    "one output": (
        lambda **more: classes(n_outputs=1, **more),
        same,
        same,
        r"label 2, and the module of NeuralNetClassifier has 1 output\(s\)",
    ),
    "label below": (classes, same, lambda y: y - 1, "numbers of classes.*got -1"),
    "float labels": (classes, same, lambda y: y + 0.5, "numbers of classes.*got .*0.5"),
    "strings": (classes, same, lambda y: np.array([*"abc"])[y], "'a'.*LabelEncoder"),
    "two labels": (classes, same, two_columns, "one label a row.* y\\[:, k\\]"),
    "integer X": (classes, lambda X: X.astype(np.int64), same, "cannot take X .*int64"),
    "boolean X": (classes, lambda X: X > 0, same, r"cannot take X .*\(30, 4\), bool"),
    "wide X": (classes, lambda X: np.c_[X, X], same, r"cannot take X .*\(30, 8\)"),
    "objects": (classes, lambda X: X.astype(object), same, "cannot take X .*object"),
    "X by another name": (classes, lambda X: {"Z": X}, same, "cannot take X .*'Z'"),
    "sigmoid": (
        lambda **more: classes(nn.Sigmoid(), criterion=nn.NLLLoss, **more),
        same,
        same,
        "no probabilities, of which NLLLoss",
    ),
    "log softmax": (
        lambda **more: classes(nn.LogSoftmax(-1), criterion=nn.NLLLoss, **more),
        same,
        same,
        "no probabilities, of which NLLLoss",
    ),
    "no reduction": (
        lambda **more: classes(criterion__reduction="none", **more),
        same,
        same,
        "CrossEntropyLoss has reduction='none'",
    ),
    "signs": (binary, same, lambda y: 2 * (y > 0) - 1, "takes 0 and 1.*got y of -1, 1"),
    "binary strings": (
        binary,
        same,
        lambda y: np.array(["no", "yes", "yes"])[y],
        "takes 0 and 1 as labels, got .*'no'",
    ),
    "binary, two labels": (
        binary,
        same,
        lambda y: two_columns(y > 0),
        "one label a row.* y\\[:, k\\]",
    ),
    "binary, two outputs": (
        lambda **more: binary(2, **more),
        same,
        lambda y: y > 0,
        "shape \\(n,\\) or \\(n, 1\\)",
    ),
    "string values": (
        values,
        same,
        lambda y: np.array([["a"], ["b"], ["c"]])[y],
        "takes numbers as targets, got .*'a'",
    ),
    "a column too many": (
        values,
        same,
        lambda y: two_columns(y).astype(np.float32),
        r"y has 2 column\(s\), and the module .* returns 1",
    ),
    "no column": (values, same, lambda y: y.astype(np.float32), "every row with every"),
    "flat values": (
        lambda **more: values(end=nn.Flatten(0), **more),
        same,
        column,
        "every row with every",
    ),
}


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_training(data, case, name):
    make_net, of_X, of_y, message = REFUSED[case]
    net = make_net(callbacks=[Untrained()])
    X, y = data
    with pytest.raises(ValueError, match=message):
        WRAPPERS[name](net).fit(of_X(X), of_y(y))


OF_NETS = [n for n in WRAPPERS if n not in ("InfluenceRanker", "RepresenterRanker")]


@pytest.mark.parametrize("name", WRAPPERS)
def test_weights_are_refused_before_training(data, name):
    ranker = WRAPPERS[name](classes(callbacks=[Untrained()]))
    with pytest.raises(ValueError, match="sample_weight was given, but fit of"):
        ranker.fit(*data, sample_weight=np.ones(N_ROWS))


@pytest.mark.parametrize("name", OF_NETS)
@pytest.mark.parametrize("wrap", [same, FrozenEstimator], ids=["bare", "frozen"])
def test_other_estimators_are_refused_before_training(data, name, wrap):
    class Unfitted(LogisticRegression):
        def fit(self, X, y):
            raise AssertionError("the estimator is fitted")

    if name == "ExpectedRanker" and wrap is FrozenEstimator:
        pytest.skip("refused for being frozen")
    with pytest.raises(TypeError, match=r"estimator of .* must be a skorch Neural"):
        WRAPPERS[name](wrap(Unfitted())).fit(*data)


@pytest.mark.parametrize("name", [n for n in OF_NETS if n != "ExpectedRanker"])
def test_frozen_nets_without_training_are_refused(data, name):
    net = FrozenEstimator(classes())
    with pytest.raises(NotFittedError, match="was never trained"):
        WRAPPERS[name](net).fit(*data)


ASKED = {
    "influence": lambda ranker, X, y: ranker.influence(X, y),
    "influence on predictions": lambda ranker, X, y: ranker.influence(X),
    "mean_influence": lambda ranker, X, y: ranker.mean_influence(X, y),
    "proponents": lambda ranker, X, y: ranker.proponents(X, y, n=2)[0],
    "transform": lambda ranker, X, y: ranker.transform(X),
    "score_samples": lambda ranker, X, y: ranker.score_samples(X, y),
    "label_scores": lambda ranker, X, y: ranker.label_scores("self_influence", X, y),
    "predict": lambda ranker, X, y: ranker.predict(X),
    "predict_proba": lambda ranker, X, y: ranker.predict_proba(X),
    "score": lambda ranker, X, y: ranker.score(X, y),
}


@pytest.fixture(scope="module", params=RANKERS)
def fitted(request, data):
    return RANKERS[request.param](classes()).fit(*data)


@pytest.mark.parametrize("case", ["integer X", "boolean X", "wide X", "objects"])
@pytest.mark.parametrize("question", ASKED)
def test_refused_queries(fitted, data, question, case):
    X, y = data
    _, of_X, _, message = REFUSED[case]
    with pytest.raises(ValueError, match=message.replace("30", r"\d+")):
        ASKED[question](fitted, of_X(X[:6]), y[:6])


@pytest.mark.parametrize("label", [3, -1])
@pytest.mark.parametrize("question", ["influence", "mean_influence", "score_samples"])
def test_refused_labels_of_queries(fitted, data, question, label):
    X, _ = data
    with pytest.raises(ValueError, match=f"label.*{label}|got {label}"):
        ASKED[question](fitted, X[:2], np.array([0, label]))


def frozen_net(net, X, y):
    recorder = CheckpointRecorder(every="step")
    return FrozenEstimator(net.set_params(callbacks=[recorder]).fit(X, y))


@pytest.mark.parametrize("case", ["label above", "wide X", "integer X", "two labels"])
@pytest.mark.parametrize("name", [n for n in RANKERS if n != "ExpectedRanker"])
def test_refused_around_a_trained_net(data, case, name):
    X, y = data
    net = frozen_net(classes(), X, y)
    _, of_X, of_y, message = REFUSED[case]
    with pytest.raises(
        ValueError, match=f"{message}|not fitted on: .3|no linear layer"
    ):
        RANKERS[name](net).fit(of_X(X), of_y(y))


NUMBERS = {
    "classes": (classes, lambda y: y),
    "binary": (binary, lambda y: (y > 0).astype(np.int64)),
    "values": (values, lambda y: y.reshape(-1, 1).astype(np.float32)),
}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", RANKERS)
def test_numbers_that_come_as_objects_are_numbers(data, name, kind):
    """As those of a nullable column do, or of a list of Python's own."""
    X, y = data
    net, of_y = NUMBERS[kind]
    y = of_y(y)

    def fitted(y):
        torch.manual_seed(1)
        ranker = RANKERS[name](net())
        if name == "ExpectedRanker":
            ranker.set_params(random_state=0)
        return ranker.fit(X, y)

    plain, objects = fitted(y), fitted(y.astype(object))
    expected = plain.influence(X[:4], y[:4])
    np.testing.assert_array_equal(objects.influence(X[:4], y[:4]), expected)
    asked = plain.influence(X[:4], y[:4].astype(object))
    np.testing.assert_array_equal(asked, expected)


# -- containers -----------------------------------------------------------------------


class Halved(torch.utils.data.Dataset):
    """Keeps other rows than it hands out."""

    def __init__(self, X, y):
        self.X, self.y = 2 * X, y + 7

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i] / 2, int(self.y[i] - 7)


class Pairs(torch.utils.data.Dataset):
    """Nothing but rows and their number."""

    def __init__(self, X, y):
        self.rows = [(x, int(label)) for x, label in zip(X, y, strict=True)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def tensors(X, y):
    return torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(y))


CONTAINERS = {
    "tensor": lambda X, y: torch.as_tensor(X),
    "float64": lambda X, y: X.astype(np.float64),
    "dict": lambda X, y: {"X": X},
    "SliceDict": lambda X, y: SliceDict(X=X),
    "dict of tensors": lambda X, y: {"X": torch.as_tensor(X)},
    "TensorDataset": tensors,
    "Dataset": Pairs,
    "Dataset with an X": Halved,
}


@pytest.mark.parametrize("name", [n for n in RANKERS if n != "ExpectedRanker"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(data, container, name):
    """The same rows have the same answers, whatever they come in."""
    X, y = data
    wrap = CONTAINERS[container]
    expected = RANKERS[name](classes()).fit(X, y)
    found = RANKERS[name](classes()).fit(wrap(X, y), y)
    np.testing.assert_allclose(
        found.self_influence_, expected.self_influence_, rtol=1e-5, atol=1e-8
    )
    few = wrap(X[:6], y[:6])
    for question, ask in ASKED.items():
        # Along the path, a Dataset brings the labels that its losses are of.
        on_labels = "Dataset" in container and name in OF_PATH
        if on_labels and question in ("influence on predictions", "transform"):
            continue
        # float32, by the same operations.
        np.testing.assert_allclose(
            ask(found, few, y[:6]),
            ask(expected, X[:6], y[:6]),
            rtol=1e-4,
            atol=1e-7,
            err_msg=question,
        )


TARGETS = {
    "nullable": lambda pandas, y: pandas.Series(y, dtype="Int64"),
    "list": lambda pandas, y: y.tolist(),
    "float": lambda pandas, y: y.astype(float),
    "tensor": lambda pandas, y: torch.as_tensor(y),
    "boolean": lambda pandas, y: y > 0,
    "nullable boolean": lambda pandas, y: pandas.Series(y > 0, dtype="boolean"),
}


@pytest.mark.parametrize("name", [n for n in RANKERS if n != "ExpectedRanker"])
@pytest.mark.parametrize("container", TARGETS)
def test_targets_of_other_types(data, container, name):
    pandas = pytest.importorskip("pandas")
    X, y = data
    net = classes
    if "boolean" in container:
        y, net = (y > 0).astype(int), binary
    expected = RANKERS[name](net()).fit(X, y)
    found = RANKERS[name](net()).fit(X, TARGETS[container](pandas, y))
    queries = TARGETS[container](pandas, y[:6])
    for question in ("influence", "score_samples", "mean_influence"):
        np.testing.assert_allclose(
            ASKED[question](found, X[:6], queries),
            ASKED[question](expected, X[:6], y[:6]),
            rtol=1e-5,
            atol=1e-8,
            err_msg=question,
        )


class Named(torch.utils.data.Dataset):
    """Rows with several targets each."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], {"label": int(self.y[i]), "age": float(i)}


class OfLabel(NeuralNetClassifier):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        return super().get_loss(y_pred, y_true["label"], X, training)


@pytest.mark.parametrize("name", OF_PATH)
def test_named_targets(data, name):
    """A loss that reads one of them: that of a net with these targets alone."""
    X, y = data
    module, loss = Module(), nn.CrossEntropyLoss
    expected = RANKERS[name](make(NeuralNetClassifier, module, loss)).fit(X, y)
    named = {"label": y, "age": np.arange(N_ROWS, dtype=float)}
    few = {key: value[:6] for key, value in named.items()}
    for rows, targets in [(Named(X, y), None), (Named(X, y), y), (X, named)]:
        found = RANKERS[name](make(OfLabel, module, loss)).fit(rows, targets)
        for queries in [(Named(X[:6], y[:6]), None), (X[:6], few)]:
            for question in ("influence", "mean_influence", "score_samples"):
                np.testing.assert_allclose(
                    ASKED[question](found, *queries),
                    ASKED[question](expected, X[:6], y[:6]),
                    rtol=1e-5,
                    atol=1e-8,
                )
        assert found.proponents(X[:6], few, n=2)[1].shape == (6, 2)
        with pytest.raises(ValueError, match="dict of targets, 'label', 'age'"):
            found.influence(X[:6])
        with pytest.raises(ValueError, match="dict of targets, 'label', 'age'"):
            found.score_samples(X[:6], {"age": few["age"]})


@pytest.mark.parametrize(
    "name", ["InfluenceRanker", "RepresenterRanker", "DeepInfluenceRanker"]
)
def test_named_targets_of_rankers_of_the_criterion(data, name):
    X, y = data
    with pytest.raises(TypeError, match=f"y of {name} is a dict of targets, 'label'"):
        RANKERS[name](classes()).fit(X, {"label": y})


# -- 16 bits --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in WRAPPERS if n != "ExpectedRanker"])
def test_bfloat16(data, name):
    X, y = data
    module = Module(dtype=torch.bfloat16)
    net = make(NeuralNetClassifier, module, nn.CrossEntropyLoss)
    ranker = WRAPPERS[name](net).fit(X, y)
    if name == "SkorchEmbedding":
        found = ranker.transform(X)
        inner = module.first(torch.as_tensor(X).bfloat16())
        assert found.shape == tuple(inner.shape)
    elif name == "TracInAnomalyDetector":
        assert np.isfinite(ranker.score_samples(X)).all()
    else:
        assert np.isfinite(ranker.influence(X[:4], y[:4])).all()
        assert np.isfinite(ranker.influence(X[:4])).all()
        np.testing.assert_array_equal(
            ranker.predict(X), ranker.predict_proba(X).argmax(axis=1)
        )
