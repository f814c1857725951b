"""loo_correlation and lds: refits in a loop, correlated by scipy."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import lds, loo_correlation


@pytest.fixture(scope="module")
def classes():
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    X, y = X[order], np.array(["a", "b", "c"])[y[order]]
    model = LogisticRegression(tol=1e-10, max_iter=5000)
    return InfluenceRanker(model, method="newton").fit(X[:60], y[:60]), X, y


def test_loo_correlation_by_a_loop(classes):
    ranker, X, y = classes
    got = loo_correlation(ranker, X[:60], y[:60], X[60:64], y[60:64])
    influence = ranker.influence(X[60:64], y[60:64])
    for j in range(4):
        losses = []
        for i in range(60):
            kept = np.arange(60) != i
            model = LogisticRegression(tol=1e-10, max_iter=5000)
            proba = model.fit(X[:60][kept], y[:60][kept]).predict_proba(X[[60 + j]])
            losses.append(-np.log(proba[0, list(model.classes_).index(y[60 + j])]))
        # The same refits: rounding.
        assert got[j] == pytest.approx(pearsonr(influence[j], losses)[0], abs=1e-9)
    # One Newton step at C=1 on 60 rows is nearly the refit.
    assert got.min() > 0.99


def test_exact_influence_of_least_squares_correlates_fully():
    X, y = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker(Ridge(0.1), method="newton").fit(X[:80], y[:80])
    got = loo_correlation(
        ranker, X[:80], y[:80], X[80:85], y[80:85], n_rows=30, random_state=0
    )
    # Leaving out is exact for least squares; what is left is rounding.
    np.testing.assert_allclose(got, 1.0, atol=1e-9)


def test_lds_by_a_loop(classes):
    ranker, X, y = classes
    got = lds(ranker, X[:60], y[:60], X[60:62], y[60:62], n_subsets=20, random_state=0)
    rng = np.random.RandomState(0)
    subsets = [set(rng.choice(60, 30, replace=False)) for _ in range(20)]
    influence = ranker.influence(X[60:62], y[60:62])
    for j in range(2):
        losses, sums = [], []
        for subset in subsets:
            rows = sorted(subset)
            model = LogisticRegression(tol=1e-10, max_iter=5000).fit(X[rows], y[rows])
            log_proba = model.predict_log_proba(X[[60 + j]])[0]
            losses.append(-log_proba[list(model.classes_).index(y[60 + j])])
            sums.append(sum(influence[j, i] for i in range(60) if i not in subset))
        # Ranks of the same numbers: rounding.
        assert got[j] == pytest.approx(spearmanr(sums, losses)[0], abs=1e-12)


def test_errors(classes):
    ranker, X, y = classes
    with pytest.raises(ValueError, match="fitted on 60"):
        lds(ranker, X, y, X[:3], y[:3])
    with pytest.raises(ValueError, match="class"):
        lds(ranker, X[:60], y[:60], X[:20], y[:20], n_subsets=10, share=0.03)
