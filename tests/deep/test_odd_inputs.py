"""Kinds of input to rankers of nets that generated ones first brought down."""

import numpy as np
import pytest
from scipy import sparse

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from numpy.testing import assert_array_equal  # noqa: E402
from skorch import NeuralNetClassifier, NeuralNetRegressor  # noqa: E402

from sklinfluence.deep import (  # noqa: E402
    DeepInfluenceRanker,
    HydraRanker,
    SGDInfluenceRanker,
    SkorchEmbedding,
    TracInAnomalyDetector,
    TracInRanker,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
LABELS = np.arange(12) % 2
RANKERS = [DeepInfluenceRanker, HydraRanker, SGDInfluenceRanker, TracInRanker]
EVERY = [
    *RANKERS,
    SkorchEmbedding,
    lambda net: TracInAnomalyDetector(TracInRanker(net)),
]
NAMES = [
    *(kind.__name__ for kind in RANKERS),
    "SkorchEmbedding",
    "TracInAnomalyDetector",
]


def net(is_class=True):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2 if is_class else 1)
    )
    kind = NeuralNetClassifier if is_class else NeuralNetRegressor
    criterion = torch.nn.CrossEntropyLoss if is_class else torch.nn.MSELoss
    settings = {"max_epochs": 2, "batch_size": 6, "train_split": None, "verbose": 0}
    return kind(module, criterion=criterion, **settings)


@pytest.mark.parametrize("kind", EVERY, ids=NAMES)
def test_no_rows_are_named(kind):
    with pytest.raises(ValueError, match=r"X has no rows \(0 samples\)"):
        kind(net()).fit(X[:0], LABELS[:0])


@pytest.mark.parametrize("is_class", [True, False], ids=["classes", "values"])
@pytest.mark.parametrize("kind", EVERY, ids=NAMES)
def test_sparse_targets_are_named(kind, is_class):
    y = sparse.csr_matrix(np.ones((12, 1)))
    with pytest.raises(ValueError, match=r"y is a sparse matrix.*toarray"):
        kind(net(is_class)).fit(X, y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("is_class", [True, False], ids=["classes", "values"])
@pytest.mark.parametrize("kind", RANKERS, ids=NAMES[:4])
def test_queries_that_are_no_numbers_are_named(kind, is_class, value):
    """A tanh takes infinity to 1, so that only the gradient is not finite."""
    y = LABELS if is_class else X[:, :1]
    ranker = kind(net(is_class)).fit(X, y)
    queries = X[:4].copy()
    queries[1, 0] = value
    for ask in (ranker.influence, ranker.score_samples, ranker.mean_influence):
        with pytest.raises(ValueError, match="X contains NaN or infinity"):
            ask(queries)


def test_an_index_of_hydra_is_checked_as_that_of_heads():
    ranker = HydraRanker(net()).fit(X, LABELS)
    change = ranker.parameter_influence(np.arange(12))
    assert_array_equal(ranker.parameter_influence(-1), change[11])
    assert_array_equal(ranker.parameter_influence([3, 0]), change[[3, 0]])
    assert_array_equal(ranker.parameter_influence(np.arange(12) < 2), change[:2])
    for wrong in (12, -13, 0.5, "0", [0, 99], None):
        with pytest.raises(ValueError, match="index"):
            ranker.parameter_influence(wrong)


@pytest.mark.parametrize("seed", [True, np.int64(3), np.uint8(3)])
def test_seeds_are_integers_of_any_kind(seed):
    first = HydraRanker(net(), random_state=seed).fit(X, LABELS).self_influence_
    same = HydraRanker(net(), random_state=int(seed)).fit(X, LABELS).self_influence_
    assert_array_equal(first, same)


@pytest.mark.parametrize("kind", [DeepInfluenceRanker, TracInRanker])
def test_a_sparse_matrix_of_keys_is_no_dict_of_columns(kind):
    ranker = kind(net()).fit(X, LABELS)
    assert_array_equal(ranker.predict(sparse.dok_matrix(X[:4])), ranker.predict(X[:4]))
