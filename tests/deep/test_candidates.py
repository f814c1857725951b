"""FastIF on networks: the nearest rows alone, and the paper's recursion."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import NearestNeighbors

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")

from sklinfluence.deep import DeepInfluenceRanker, SkorchEmbedding  # noqa: E402

X, Y = load_iris(return_X_y=True)
ORDER = np.random.default_rng(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)]
    return skorch.NeuralNetClassifier(
        torch.nn.Sequential(*layers).double(),
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=10,
        lr=0.1,
        train_split=None,
        verbose=0,
    ).fit(X[:40], Y[:40])


@pytest.mark.parametrize("normalize", [None, "cosine", "theta"])
def test_the_nearest_rows_have_their_influence_and_others_none(net, normalize):
    frozen = FrozenEstimator(net)
    ranker = DeepInfluenceRanker(frozen, normalize=normalize).fit(X[:40], Y[:40])
    whole = ranker.influence(X[40:46], Y[40:46])
    found = ranker.influence(X[40:46], Y[40:46], candidates=7)
    embedding = SkorchEmbedding(frozen).fit(X[:40], Y[:40])
    search = NearestNeighbors(n_neighbors=7).fit(embedding.transform(X[:40]))
    near = search.kneighbors(embedding.transform(X[40:46]), return_distance=False)
    expected = np.zeros_like(whole)
    np.put_along_axis(expected, near, np.take_along_axis(whole, near, 1), axis=1)
    # The same float64 products, in other blocks.
    assert_allclose(found.toarray(), expected, rtol=1e-9, atol=1e-12)
    for ask, sign in ((ranker.proponents, -1), (ranker.opponents, 1)):
        values, index = ask(X[40:46], Y[40:46], n=2, candidates=7)
        for j in range(6):
            order = near[j][np.argsort(sign * expected[j, near[j]])][:2]
            assert np.array_equal(index[j], order)
            assert_allclose(values[j], expected[j, order], rtol=1e-9, atol=1e-12)


def test_the_papers_settings_leave_little_but_products_of_gradients(net):
    """A thousand steps of one row at a scale of 1e4, and a warning that says so."""
    ranker = DeepInfluenceRanker(
        FrozenEstimator(net), solver="fastif", damping=0.005
    ).fit(X[:40], Y[:40])
    solver = ranker._solver
    assert (solver.depth, solver.batch_size) == (1000, 1)
    assert_allclose(solver.scale, 1e4 * 40)
    with pytest.warns(ConvergenceWarning, match="stopped short"):
        found = ranker.influence(X[40:42], Y[40:42], candidates=5)
    assert found.nnz == 10
    # Of so large a scale little more than the gradients' products is left: 750 steps
    # of 1000 in the mean, each 1 / scale of the gradient.
    plain = DeepInfluenceRanker(FrozenEstimator(net), method="grad_dot")
    plain = plain.fit(X[:40], Y[:40]).influence(X[40:42], Y[40:42])
    pairs = found.toarray()[found.nonzero()], plain[found.nonzero()]
    assert np.corrcoef(*pairs)[0, 1] > 0.99


@pytest.mark.parametrize("candidates", [0, 41, 2.0])
def test_bad_counts_are_named(net, candidates):
    ranker = DeepInfluenceRanker(FrozenEstimator(net)).fit(X[:40], Y[:40])
    with pytest.raises(ValueError, match="candidates"):
        ranker.influence(X[40:42], Y[40:42], candidates=candidates)
