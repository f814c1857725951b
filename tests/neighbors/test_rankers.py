"""Rankers of neighbours against values that are worked out row by row."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline

from sklinfluence.neighbors import KNNLeaveOneOutRanker, KNNShapleyRanker

# Differences of votes: sums of fractions, nothing but rounding.
EXACT = {"rtol": 0, "atol": 1e-12}
RANKERS = [KNNShapleyRanker, KNNLeaveOneOutRanker]
# Rows of small whole numbers: many distances are equal, some rows are copies.
rng = np.random.default_rng(0)
GRID = rng.integers(0, 3, (9, 2)).astype(float)
LABELS = np.array(["a", "b", "c"])[rng.integers(0, 3, 9)]
REALS = rng.normal(size=9)
QUERIES = rng.integers(0, 3, (6, 2)).astype(float)
ASKED, ASKED_REALS = np.array(["a", "b", "c", "a", "b", "c"]), rng.normal(size=6)


def order_of(query, X):
    """Rows by their distance, ties in order of rows."""
    return np.argsort(((X - query) ** 2).sum(axis=1), kind="stable")


def utility_of(query, asked, X, y, K, kind):
    order = order_of(query, X)

    def utility(chosen):
        near = [row for row in order if row in chosen]
        if kind == "radius":
            near = [row for row in near if ((X[row] - query) ** 2).sum() <= 2.25]
        else:
            near = near[:K]
        if y.dtype.kind == "f":
            return -((y[near].sum() / K - asked) ** 2)
        if kind == "hard":
            return (y[near] == asked).sum() / K
        return (y[near] == asked).mean() if near else 1 / len(np.unique(y))

    return utility


def shapley(n, utility):
    values = np.zeros(n)
    for row in range(n):
        others = [other for other in range(n) if other != row]
        for size in range(n):
            for chosen in combinations(others, size):
                gain = utility({*chosen, row}) - utility(set(chosen))
                values[row] += gain / (n * comb(n - 1, size))
    return values


def leave_one_out(n, utility):
    everyone = set(range(n))
    return [utility(everyone) - utility(everyone - {row}) for row in range(n)]


GAMES = {KNNShapleyRanker: shapley, KNNLeaveOneOutRanker: leave_one_out}


def truth(ranker, X, y, queries, asked):
    kind = "radius" if ranker.utility == "threshold" else ranker.utility
    return np.array(
        [
            GAMES[type(ranker)](
                len(y), utility_of(q, t, X, y, ranker.n_neighbors, kind)
            )
            for q, t in zip(queries, asked, strict=True)
        ]
    )


@pytest.fixture(params=[1024, 1e-3], ids=["one-block", "many-blocks"])
def working_memory(request):
    with config_context(working_memory=request.param):
        yield


@pytest.mark.usefixtures("working_memory")
@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("utility", ["soft", "hard", "threshold"])
def test_labels(kind, utility):
    radius = 1.5 if utility == "threshold" else None
    ranker = kind(n_neighbors=3, utility=utility, radius=radius)
    weights = np.array([1.0, 1.0, 3.0])
    ranker.fit(
        GRID,
        LABELS,
        X_val=QUERIES[:3],
        y_val=ASKED[:3],
        sample_weight_val=weights,
    )
    expected = truth(ranker, GRID, LABELS, QUERIES, ASKED)
    assert_allclose(ranker.influence(QUERIES, ASKED), expected, **EXACT)
    mean = np.average(expected[:3], axis=0, weights=weights)
    assert_allclose(ranker.values_, mean, **EXACT)
    predicted = ranker.predict(QUERIES)
    expected = truth(ranker, GRID, LABELS, QUERIES, predicted)
    assert_allclose(ranker.transform(QUERIES), expected, **EXACT)


@pytest.mark.usefixtures("working_memory")
@pytest.mark.parametrize("kind", RANKERS)
def test_real_targets(kind):
    ranker = kind(n_neighbors=3)
    ranker.fit(GRID, REALS, X_val=QUERIES, y_val=ASKED_REALS)
    expected = truth(ranker, GRID, REALS, QUERIES, ASKED_REALS)
    assert_allclose(ranker.influence(QUERIES, ASKED_REALS), expected, **EXACT)
    assert_allclose(ranker.values_, expected.mean(axis=0), **EXACT)


def test_shares_of_a_prediction_sum_to_it():
    X, y = load_diabetes(return_X_y=True)
    ranker = KNNShapleyRanker(n_neighbors=7).fit(X[:300], y[:300])
    model = KNeighborsRegressor(7).fit(X[:300], y[:300])
    # Targets are hundreds.
    total = ranker.influence(X[300:]).sum(axis=1)
    assert_allclose(total, model.predict(X[300:]), rtol=1e-12)


def test_values_sum_to_the_models_own_probability():
    X, y = load_iris(return_X_y=True)
    ranker = KNNShapleyRanker(n_neighbors=5).fit(X, y, X_val=X, y_val=y)
    proba = KNeighborsClassifier(5).fit(X, y).predict_proba(X)[np.arange(150), y]
    # Equal distances may be taken in another order by scikit-learn's search.
    assert_allclose(ranker.values_.sum(), proba.mean() - 1 / 3, rtol=0, atol=2e-3)


@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("utility", ["soft", "hard"])
def test_weight_zero_is_absence(kind, utility):
    X, y = load_iris(return_X_y=True)
    weights = np.ones(150)
    weights[::4] = 0
    val = {"X_val": X[1::5], "y_val": y[1::5]}
    with_zeros = kind(utility=utility).fit(X, y, weights, **val)
    absent = kind(utility=utility).fit(X[weights > 0], y[weights > 0], **val)
    assert_allclose(with_zeros.values_[weights > 0], absent.values_, **EXACT)
    assert not with_zeros.values_[weights == 0].any()
    assert not with_zeros.influence(X[:5], y[:5])[:, ::4].any()
    assert np.array_equal(with_zeros.predict(X), absent.predict(X))


def test_weights_multiply_matches():
    weights = np.array([1, 2, 0.5, 1, 1, 3, 1, 1, 1])
    ranker = KNNShapleyRanker(2, utility="hard").fit(
        GRID, LABELS, weights, X_val=QUERIES, y_val=ASKED
    )
    for query, asked in zip(QUERIES, ASKED, strict=True):
        order = order_of(query, GRID)

        def utility(chosen, order=order, asked=asked):
            near = [row for row in order if row in chosen][:2]
            return (weights[near] * (LABELS[near] == asked)).sum() / 2

        found = ranker.influence(query[None], [asked])[0]
        assert_allclose(found, shapley(9, utility), **EXACT)


@pytest.mark.parametrize("kind", RANKERS)
@pytest.mark.parametrize("cv", [3, KFold(4, shuffle=True, random_state=0)])
def test_folds_value_the_rows_that_they_train_on(kind, cv):
    X, y = make_classification(90, 4, random_state=0)
    ranker = kind(3, cv=cv).fit(X, y)
    folds = StratifiedKFold(3) if cv == 3 else cv
    total, asked = np.zeros(90), np.zeros(90)
    for train, test in folds.split(X, y):
        one = kind(3).fit(X[train], y[train])
        total[train] += one.influence(X[test], y[test]).sum(axis=0)
        asked[train] += len(test)
    assert_allclose(ranker.values_, total / asked, **EXACT)


def test_a_row_that_no_fold_trains_on_is_not_measured():
    X, y = load_iris(return_X_y=True)
    rows = np.arange(150)
    folds = [(rows[rows % 3 == 1], rows[rows % 3 == 2])]
    ranker = KNNShapleyRanker(cv=folds).fit(X, y)
    assert np.array_equal(np.isnan(ranker.values_), rows % 3 != 1)
    assert set(ranker.ranking_[rows % 3 == 1]) == set(range(1, 51))


@pytest.mark.parametrize("utility", ["hard", "soft"])
@pytest.mark.parametrize("tol", [0.05, 0.15])
def test_tol_bounds_the_error(utility, tol):
    X, y = make_classification(2000, 5, random_state=1)
    val = {"X_val": X[:40], "y_val": y[:40]}
    whole = KNNShapleyRanker(3, utility=utility).fit(X, y, **val)
    cut = KNNShapleyRanker(3, utility=utility, tol=tol).fit(X, y, **val)
    error = cut.influence(X[:40], y[:40]) - whole.influence(X[:40], y[:40])
    assert 0 < np.abs(error).max() <= tol
    assert np.abs(cut.values_ - whole.values_).max() <= tol
    kept = np.count_nonzero(cut.influence(X[:1], y[:1]))
    assert kept < 200


def test_tol_bounds_the_error_of_real_targets():
    X = rng.normal(size=(3000, 3))
    y = 5 + X[:, 0] + rng.normal(size=3000)
    val = {"X_val": X[:40], "y_val": y[:40]}
    for tol in (0.02, 0.1):
        whole = KNNShapleyRanker(4).fit(X, y, **val)
        cut = KNNShapleyRanker(4, tol=tol).fit(X, y, **val)
        error = cut.influence(X[:40], y[:40]) - whole.influence(X[:40], y[:40])
        assert 0 < np.abs(error).max() <= tol * np.abs(y).max() ** 2


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tol", [0.0, 0.02])
def test_copies_are_equally_far_and_come_in_order(dtype, tol):
    """Products round copies of a row apart: nearer is the one that comes first."""
    X, y = make_classification(600, 20, random_state=0)
    X = np.vstack([X, X[::-1], X]).astype(dtype)
    y = np.concatenate([y, y[::-1], y])
    ranker = KNNShapleyRanker(5, utility="hard", tol=tol).fit(X, y)
    nearest = ranker._game.neighbors.nearest(X[:7].astype(dtype))
    first = [0, 1199, 1200]
    assert np.array_equal(nearest[0, :3], first)
    for row in range(7):
        assert list(nearest[row, :3]) == [row, 1199 - row, 1200 + row]


def test_sparse_rows_are_dense_rows():
    X, y = make_classification(120, 6, random_state=3)
    X[np.abs(X) < 0.5] = 0.0
    X = np.vstack([X, X[:30]])
    y = np.concatenate([y, y[:30]])
    for ranker in (KNNShapleyRanker(), KNNShapleyRanker(utility="hard", tol=0.1)):
        dense = clone(ranker).fit(X, y)
        for form in (sparse.csr_matrix, sparse.coo_array):
            found = clone(ranker).fit(form(X), y)
            assert_allclose(found.values_, dense.values_, **EXACT)


def test_threads_change_nothing():
    X, y = make_classification(300, 6, random_state=0)
    with config_context(working_memory=0.1):
        one = KNNShapleyRanker(n_jobs=1).fit(X, y)
        two = KNNShapleyRanker(n_jobs=2).fit(X, y)
    assert np.array_equal(one.values_, two.values_)


def test_an_embedding_in_front_gets_the_validation_rows_too():
    X, y = load_iris(return_X_y=True)
    val = {"X_val": X[::3], "y_val": y[::3]}
    with config_context(enable_metadata_routing=True):
        ranker = KNNShapleyRanker().set_fit_request(X_val=True, y_val=True)
        steps = [("pca", PCA(2)), ("ranker", ranker)]
        model = Pipeline(steps, transform_input=["X_val"]).fit(X, y, **val)
    pca = PCA(2).fit(X)
    val["X_val"] = pca.transform(val["X_val"])
    direct = KNNShapleyRanker().fit(pca.transform(X), y, **val)
    assert_allclose(model[-1].values_, direct.values_, **EXACT)


@pytest.mark.parametrize("kind", RANKERS)
def test_flipped_labels_are_worth_least(kind):
    X, y = make_classification(400, 6, class_sep=2, flip_y=0, random_state=0)
    flipped = np.zeros(400, dtype=bool)
    flipped[::10] = True
    ranker = kind().fit(X, np.where(flipped, 1 - y, y))
    # By chance a tenth of the 40 suspects would be flipped.
    assert flipped[ranker.ranking_ <= 40].mean() > 0.5
    assert_allclose(ranker.label_scores("value"), -ranker.values_)
    for name in ("self_influence_", "score_samples", "decision_function"):
        assert not hasattr(ranker, name)


@pytest.mark.parametrize(
    ("change", "fit", "match"),
    [
        ({}, {"X_val": QUERIES}, "X_val was given without y_val"),
        ({}, {"y_val": ASKED}, "belong to X_val"),
        ({}, {"X_val": QUERIES, "y_val": ["z"] * 6}, r"not fitted on: \['z'\]"),
        ({}, {"X_val": QUERIES, "y_val": ASKED[:4]}, "y has 4 rows, X has 6"),
        ({}, {"sample_weight": np.zeros(9)}, "at least one non-zero number"),
        ({"utility": "threshold"}, {}, "belong together.*radius=None"),
        ({"radius": 1.0}, {}, "belong together.*utility='soft'"),
        ({"n_neighbors": 0}, {}, "n_neighbors"),
        ({"metric": 3}, {}, "metric"),
        ({"metric_params": {"no": 1}}, {}, "metric_params=.*'no'.*keyword"),
        ({"metric": "none such"}, {}, "metric='none such'.*gives no distances"),
    ],
)
@pytest.mark.parametrize("kind", RANKERS)
def test_bad_input_is_named(kind, change, fit, match):
    with pytest.raises(ValueError, match=match):
        kind(**change).fit(GRID, LABELS, **fit)


@pytest.mark.parametrize("kind", RANKERS)
def test_bad_input_of_real_targets_is_named(kind):
    with pytest.raises(ValueError, match="must weigh the same"):
        kind().fit(GRID, REALS, np.arange(1.0, 10.0))
    with pytest.raises(ValueError, match="counts matching labels"):
        kind(utility="threshold", radius=1.0).fit(GRID, REALS)


def test_tol_means_nothing_to_a_radius():
    with pytest.raises(ValueError, match="leave tol=0"):
        KNNShapleyRanker(utility="threshold", radius=1.0, tol=0.1).fit(GRID, LABELS)
