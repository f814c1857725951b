"""Influence against the truth: the model fitted afresh without each row.

All training rows times all queries, on real sets. The fast tests run on small ones;
those marked slow are the full comparison, and print what they find (pytest -s):
Pearson's r, the slope of the estimate on the truth, and the median of |error| over
|effect|, beside the plain influence function's.
"""

import numpy as np
import pytest
from joblib import Parallel, delayed
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sklinfluence.gradient import InfluenceRanker

# The estimators of the rankers stop at scikit-learn's tolerance and are polished; the
# oracle may fall back to lbfgs on its last digits.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fresh_fit(C, X, y, weight=None):
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=9999)
    return model.fit(X, y, sample_weight=weight)


def losses(model, X, y):
    raw = model.decision_function(X)
    if raw.ndim == 1:
        raw = np.column_stack([np.zeros(len(X)), raw])
    return (
        logsumexp(raw, axis=1)
        - raw[np.arange(len(X)), np.searchsorted(model.classes_, y)]
    )


def without_rows(C, X, y, Xq, yq, rows):
    out = []
    for i in rows:
        weight = np.ones(len(y))
        weight[i] = 0.0
        out.append(losses(fresh_fit(C, X, y, weight), Xq, yq))
    return out


def true_influence(C, X, y, Xq, yq, n_jobs=1):
    parts = np.array_split(np.arange(len(y)), max(1, len(y) // 50))
    found = Parallel(n_jobs=n_jobs)(
        delayed(without_rows)(C, X, y, Xq, yq, rows) for rows in parts
    )
    return np.vstack(found).T - losses(fresh_fit(C, X, y), Xq, yq)[:, None]


def bundled(name, load=None):
    """X and y of a set that comes with scikit-learn, or of the shared ones."""
    if name == "breast_cancer":
        return load_breast_cancer(return_X_y=True)
    if name == "wine":
        return load_wine(return_X_y=True)
    if name.startswith("digits"):
        X, y = load_digits(return_X_y=True)
        return X, y % 2 if name == "digits-parity" else y
    data = load(name)
    return np.asarray(data["X"], dtype=float), data["y"]


def split(X, y, n_train, n_queries, n_components, seed=0):
    """Shuffled, standardised by the training rows; their principal components."""
    order = np.random.default_rng(seed).permutation(len(y))[: n_train + n_queries]
    X, y = X[order], y[order]
    X = X[:, X[:n_train].std(axis=0) > 0]
    X = StandardScaler().fit(X[:n_train]).transform(X)
    if n_components:
        X = PCA(n_components, svd_solver="full").fit(X[:n_train]).transform(X)
        X = X / X[:n_train].std()
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def agreement(estimate, truth):
    """Pearson's r, slope of the estimate on the truth, median of |error|/|effect|."""
    e, t = estimate.ravel(), truth.ravel()
    moved = t != 0
    error = np.median(np.abs(e - t)[moved] / np.abs(t[moved]))
    return np.corrcoef(e, t)[0, 1], np.polyfit(t, e, 1)[0], error


def compare(C, X, y, Xq, yq, title="", n_jobs=1):
    truth = true_influence(C, X, y, Xq, yq, n_jobs)
    found = {}
    for name, parameters in {
        "influence": {"method": "influence"},
        "newton": {"method": "newton"},
        "refined": {"method": "newton", "refine": 1e-4},
    }.items():
        model = LogisticRegression(C=C, max_iter=1000)
        ranker = InfluenceRanker(model, **parameters).fit(X, y)
        found[name] = agreement(ranker.influence(Xq, yq), truth)
    p = np.size(model.fit(X, y).coef_) + np.size(model.intercept_)
    line = "  ".join(
        f"{name}: r {r:.5f} slope {slope:.4f} error {error:.1e}"
        for name, (r, slope, error) in found.items()
    )
    print(f"\n{title} n={len(y)} p={p} n/p={len(y) / p:.0f} C={C:g}  {line}")
    return found


@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(
    ("name", "n_train", "n_components"),
    [("breast_cancer", 150, 6), ("wine", 100, 0), ("digits", 120, 6)],
)
def test_small_sets_are_retrained(name, n_train, n_components, C):
    data = split(*bundled(name), n_train, 50, n_components)
    found = compare(C, *data, title=name)
    r, slope, error = found["refined"]
    assert r >= 0.999
    assert 0.99 <= slope <= 1.01
    assert error < 1e-2
    if C == 0.1:
        r, slope, _ = found["newton"]
        assert r >= 0.98
        assert 0.85 <= slope <= 1.1
    # The Newton step is what the plain influence function is not.
    assert found["newton"][0] > found["influence"][0]
    assert abs(found["newton"][1] - 1) < abs(found["influence"][1] - 1)
    assert found["newton"][2] < found["influence"][2]


def test_leave_one_out_predictions_are_the_refits():
    X, y, _, _ = split(*bundled("wine"), 100, 50, 0)
    ranker = InfluenceRanker(LogisticRegression(C=1.0), refine=1e-6).fit(X, y)
    raw, proba = [], []
    for i in range(len(y)):
        weight = np.ones(len(y))
        weight[i] = 0.0
        model = fresh_fit(1.0, X, y, weight)
        raw.append(model.decision_function(X[[i]])[0])
        proba.append(model.predict_proba(X[[i]])[0])
    # Where the bound says that one step will do (1e-6 nats), it is within that.
    centred = np.subtract(raw, np.mean(raw, axis=1, keepdims=True))
    ours = ranker.loo_decision_function_
    ours = ours - ours.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, centred, atol=2e-6)
    np.testing.assert_allclose(ranker.loo_proba_, proba, atol=1e-6)
    log = np.log(np.array(proba)[np.arange(len(y)), y])
    assert ranker.loo_score_ == pytest.approx(log.mean(), abs=1e-6)


# -- the full comparison

SHARED = {"spambase", "mnist_test", "usps", "satimage", "bank_marketing"}


def full(request, name, n_train, n_queries, n_components, C):
    load = request.getfixturevalue("shared_data") if name in SHARED else None
    data = split(*bundled(name, load), n_train, n_queries, n_components)
    return compare(C, *data, title=name, n_jobs=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_components"),
    [
        ("breast_cancer", 0),
        ("breast_cancer", 10),
        ("digits", 20),
        ("mnist_test", 20),
        ("usps", 20),
        ("spambase", 0),
        ("satimage", 8),
    ],
)
def test_four_hundred_rows(request, name, n_components):
    n_queries = 169 if name == "breast_cancer" else 300
    r, slope, _ = full(request, name, 400, n_queries, n_components, 0.1)["newton"]
    assert r >= 0.98
    assert 0.85 <= slope <= 1.1


# (set, training rows, components): at least 20 rows a parameter.
MANY_ROWS = {
    "breast_cancer": ("breast_cancer", 400, 10),
    "spambase": ("spambase", 1200, 0),
    "digits-parity": ("digits-parity", 1300, 0),
    "bank_marketing": ("bank_marketing", 1200, 0),
    "satimage": ("satimage", 1100, 8),
}
# One exact Newton step is not enough here. What decides is not n / p but how far the
# hardest rows lie outside: standardised heavy-tailed columns and a weak penalty give
# single rows leverage near 1, from where one step overshoots. `refine` settles them.
ONE_STEP_IS_NOT_ENOUGH = {
    ("breast_cancer", 10.0),
    ("spambase", 1.0),
    ("spambase", 10.0),
    ("digits-parity", 1.0),
    ("digits-parity", 10.0),
    ("bank_marketing", 1.0),
    ("bank_marketing", 10.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("key", MANY_ROWS)
def test_many_rows_a_parameter(request, key, C):
    name, n_train, n_components = MANY_ROWS[key]
    n_queries = 169 if name == "breast_cancer" else 300
    found = full(request, name, n_train, n_queries, n_components, C)
    assert found["refined"][0] >= 0.999
    assert 0.99 <= found["refined"][1] <= 1.01
    r, slope, _ = found["newton"]
    if (key, C) in ONE_STEP_IS_NOT_ENOUGH:
        # Strict: should one step do after all, this list is out of date.
        assert not (r >= 0.99 and 0.9 <= slope <= 1.1)
        assert r > found["influence"][0]
    else:
        assert r >= 0.99
        assert 0.9 <= slope <= 1.1


@pytest.mark.slow
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(
    ("name", "n_train", "n_components"),
    [
        ("breast_cancer", 400, 0),
        ("wine", 118, 0),
        ("digits", 400, 20),
        ("mnist_test", 400, 20),
        ("usps", 400, 20),
    ],
)
def test_refined_rows_are_retrained(request, name, n_train, n_components, C):
    n_queries = {"wine": 60, "breast_cancer": 169}.get(name, 300)
    found = full(request, name, n_train, n_queries, n_components, C)["refined"]
    assert found[0] >= 0.999
    assert 0.99 <= found[1] <= 1.01
