"""Groups of rows: against refits, closed forms and the papers' expansions."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_classification,
)
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.preprocessing import scale

from sklinfluence._removal._groups import (
    _refactored,
    _woodbury,
    group_changes,
    group_indices,
)
from sklinfluence.gradient import InfluenceRanker

EXACT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}


def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


def wine():
    X, y = load_wine(return_X_y=True)
    return scale(X), y


def losses(model, X, y):
    """Each query's loss under a scikit-learn classifier."""
    log_proba = model.predict_log_proba(X)
    return -log_proba[np.arange(len(y)), np.searchsorted(model.classes_, y)]


def refit_rise(model, X, y, groups, weight=None):
    """What a refit without each group does to every row's loss."""
    weight = np.ones(len(y)) if weight is None else weight
    before = losses(model.fit(X, y, sample_weight=weight), X, y)
    rises = []
    for group in groups:
        kept = weight.copy()
        kept[group] = 0.0
        rises.append(losses(model.fit(X, y, sample_weight=kept), X, y) - before)
    return np.column_stack(rises)


def random_groups(n_rows, share, n_groups, seed=0):
    rng = np.random.default_rng(seed)
    sizes = np.linspace(1, share * n_rows, n_groups).astype(int)
    return [rng.choice(n_rows, max(1, size), replace=False) for size in sizes]


def test_three_ways_to_name_groups():
    X, y = wine()
    ranker = InfluenceRanker().fit(X, y)
    labels = np.arange(len(y)) % 4
    lists = [np.flatnonzero(labels == g) for g in range(4)]
    expected = ranker.group_influence(labels, X[:5], y[:5])
    assert expected.shape == (5, 4)
    for groups in (lists, labels == np.arange(4)[:, None], list(labels)):
        assert_allclose(ranker.group_influence(groups, X[:5], y[:5]), expected)
    one = ranker.group_influence(labels == 2, X[:5], y[:5])
    assert_allclose(one, expected[:, [2]])
    strings = np.array(list("abcd"))[labels]
    assert_allclose(ranker.group_influence(strings, X[:5], y[:5]), expected)


def test_without_queries_the_training_rows_are_asked():
    X, y = wine()
    ranker = InfluenceRanker().fit(X, y)
    groups = random_groups(len(y), 0.1, 3)
    for order in ("first", "newton"):
        own = ranker.group_influence(groups, order=order)
        assert_allclose(own, ranker.group_influence(groups, X, y, order=order))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", [cancer, wine])
def test_exact_is_the_refit(data, weighted):
    X, y = data()
    weight = np.random.default_rng(1).uniform(0.2, 2, len(y)) if weighted else None
    model = LogisticRegression(C=0.5, **EXACT)
    ranker = InfluenceRanker(model).fit(X, y, sample_weight=weight)
    groups = random_groups(len(y), 0.2, 4)
    rise = ranker.group_influence(groups, X, y, order="exact")
    # scikit-learn's own stopping, not ours, is what is left.
    assert_allclose(rise, refit_rise(model, X, y, groups, weight), atol=1e-6)


def drawn_wide(seed):
    """Few rows on a wide range of scales and penalties, and 60 per cent of them."""
    rng = np.random.default_rng(seed)
    n, d, K = rng.integers(12, 60), rng.integers(1, 6), rng.integers(2, 4)
    X = rng.normal(size=(n, d)) * 10 ** rng.uniform(-1, 2)
    noise = rng.gumbel(size=(n, K)) * rng.choice([1, 5, 20])
    y = np.argmax(X[:, :1] * np.arange(K) + noise, axis=1)
    C = 10 ** rng.uniform(-1, 6)
    groups = [rng.choice(n, size=int(n * f), replace=False) for f in (0.2, 0.4, 0.6)]
    return X, y, C, groups[-1]


@pytest.mark.parametrize("seed", [60, 162, 483, 591])
def test_exact_is_the_refit_where_one_step_overshoots(seed):
    """By tens of nats: from there Newton's method does not find its way back."""
    X, y, C, group = drawn_wide(seed)
    model = LogisticRegression(C=C, **EXACT)
    ranker = InfluenceRanker(model).fit(X, y)
    one_step = ranker.group_influence([group], X, y, order="newton")
    rise = ranker.group_influence([group], X, y, order="exact")
    truth = refit_rise(model, X, y, [group], None)
    # Losses of up to 20 nats, of parameters penalised next to nothing.
    assert_allclose(rise, truth, atol=1e-4)
    assert np.abs(one_step - truth).max() > 10.0


@pytest.mark.parametrize("order", ["newton", "exact"])
def test_least_squares_groups_are_exact_in_one_step(order):
    X, y = load_diabetes(return_X_y=True)
    X, weight = scale(X), np.random.default_rng(2).uniform(0.2, 2, len(y))
    model = Ridge(alpha=7.0, solver="cholesky")
    ranker = InfluenceRanker(model).fit(X, y, sample_weight=weight)
    groups = random_groups(len(y), 0.3, 4)
    drop = ranker.group_influence(groups, X, order=order)
    before = model.fit(X, y, sample_weight=weight).predict(X)
    for at, group in enumerate(groups):
        kept = weight.copy()
        kept[group] = 0.0
        after = model.fit(X, y, sample_weight=kept).predict(X)
        assert_allclose(drop[:, at], before - after, atol=1e-6 * np.ptp(y))


def test_ridge_classifier_groups_are_exact():
    X, y = cancer()
    model = RidgeClassifier(alpha=3.0, solver="cholesky")
    ranker = InfluenceRanker(model).fit(X, y)
    group = np.arange(40)
    rise = ranker.group_influence([group], X, y)[:, 0]
    code = 2.0 * y - 1
    before = 0.5 * (ranker.decision_function(X) - code) ** 2
    kept = np.setdiff1d(np.arange(len(y)), group)
    after = 0.5 * (model.fit(X[kept], y[kept]).decision_function(X) - code) ** 2
    assert_allclose(rise, after - before, atol=1e-6)


def test_sgd_groups_keep_the_penalty_of_the_fit():
    X, y = cancer()
    model = SGDClassifier("log_loss", alpha=0.01, random_state=0)
    ranker = InfluenceRanker(model).fit(X, y)
    group = np.arange(30)
    rise = ranker.group_influence([group], X, y, order="exact")[:, 0]
    # The same objective by another solver: lambda = n alpha.
    other = LogisticRegression(C=1 / (0.01 * len(y)), **EXACT)
    assert_allclose(rise, refit_rise(other, X, y, [group])[:, 0], atol=1e-6)


def test_l1_groups_are_refits_while_the_active_set_holds():
    X, y = load_diabetes(return_X_y=True)
    X = scale(X)
    n = len(y)
    model = ElasticNet(alpha=0.5, l1_ratio=0.9, tol=1e-12, max_iter=10_000)
    ranker = InfluenceRanker(model).fit(X, y)
    group = np.arange(0, n, 50)
    kept = np.setdiff1d(np.arange(n), group)
    # Its penalty is relative to the number of rows.
    same = ElasticNet(
        alpha=0.5 * n / len(kept), l1_ratio=0.9, tol=1e-12, max_iter=10_000
    )
    same.fit(X[kept], y[kept])
    assert np.array_equal(same.coef_ != 0, ranker.estimator_.coef_ != 0)
    drop = ranker.group_influence([group], X)[:, 0]
    assert_allclose(drop, ranker.predict(X) - same.predict(X), atol=1e-6 * np.ptp(y))


@pytest.mark.parametrize("data", [cancer, wine])
def test_groups_of_one_row_are_that_row(data):
    X, y = data()
    groups = np.arange(6)[:, None]
    newton = InfluenceRanker(method="newton").fit(X, y)
    rise = newton.group_influence(list(groups), X, y)
    # Two orders of the same products.
    assert_allclose(rise, newton.influence(X, y)[:, :6], atol=1e-12)
    first = InfluenceRanker().fit(X, y)
    rise = first.group_influence(list(groups), X, y, order="first")
    assert_allclose(rise, first.influence(X, y)[:, :6], atol=1e-12)


def test_first_order_is_additive_over_a_partition():
    X, y = wine()
    ranker = InfluenceRanker().fit(X, y)
    labels = np.arange(len(y)) % 7
    parts = ranker.group_influence(labels, X, y, order="first")
    assert_allclose(parts.sum(axis=1), ranker.influence(X, y).sum(axis=1), atol=1e-11)


def test_both_routes_of_the_newton_step_agree():
    for X, y in (cancer(), wine()):
        fitted = InfluenceRanker().fit(X, y).reading_.fitted
        for group in random_groups(len(y), 0.3, 5):
            # Condition numbers of some thousands, in double precision.
            assert_allclose(
                np.ravel(_woodbury(fitted, group)),
                _refactored(fitted, group),
                atol=1e-10,
            )


def test_second_order_is_two_terms_of_the_newton_step():
    """By explicit matrices: (I + H^-1 H_U) H^-1 g_U."""
    X, y = cancer()
    C = 0.2
    ranker = InfluenceRanker(LogisticRegression(C=C, **EXACT)).fit(X, y)
    rows = np.column_stack([X, np.ones(len(X))])
    proba = ranker.predict_proba(X)[:, 1]
    curvature = proba * (1 - proba)
    H = (rows.T * curvature) @ rows + np.diag([1 / C] * X.shape[1] + [0.0])
    group = np.arange(25)
    g = rows[group].T @ (proba - y)[group]
    H_U = (rows[group].T * curvature[group]) @ rows[group]
    first = np.linalg.solve(H, g)
    change = first + np.linalg.solve(H, H_U @ first)
    slope = (proba - y)[:, None] * rows
    rise = ranker.group_influence([group], X, y, order="second")[:, 0]
    assert_allclose(rise, slope @ change, atol=1e-8)


def test_mean_form_of_the_second_order_agrees_to_second_order():
    """Basu et al.'s expansion of the mean objective, at no penalty (S 5.1.1.3)."""
    rng = np.random.default_rng(0)
    n = 4000
    X = rng.normal(size=(n, 4))
    y = (X @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=n) > 0).astype(int)
    model = LogisticRegression(C=np.inf, **EXACT)
    fitted = InfluenceRanker(model).fit(X, y).reading_.fitted
    rows = np.column_stack([X, np.ones(n)])
    proba = 1 / (1 + np.exp(-fitted.raw[:, 0]))
    curvature = proba * (1 - proba)
    H = (rows.T * curvature) @ rows / n
    shares, misses = [0.01, 0.02, 0.04, 0.08], []
    for share in shares:
        group = np.flatnonzero(y == 1)[: int(share * n)]
        G = rows[group].T @ (proba - y)[group] / n
        K = (rows[group].T * curvature[group]) @ rows[group] / n
        first = np.linalg.solve(H, G)
        second = np.linalg.solve(H, K @ first)
        mean_form = (1 - 2 * share) / (1 - share) ** 2 * first
        mean_form += second / (1 - share) ** 2
        ours = group_changes(fitted, [group], "second")[0, 0]
        misses.append(np.linalg.norm(ours - mean_form) / np.linalg.norm(ours))
    assert misses[0] < 5 * shares[0] ** 2
    slope = np.polyfit(np.log(shares), np.log(misses), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("data", [cancer, wine])
def test_each_order_is_nearer_to_the_refit(data):
    X, y = data()
    ranker = InfluenceRanker(LogisticRegression(C=0.1, **EXACT)).fit(X, y)
    groups = random_groups(len(y), 0.1, 12)
    exact = ranker.group_influence(groups, X, y, order="exact")
    miss = {
        order: np.abs(ranker.group_influence(groups, X, y, order=order) - exact).mean()
        for order in ("first", "second", "newton")
    }
    assert miss["newton"] < miss["second"] < miss["first"]


@pytest.mark.parametrize(
    "C, share, least_r, slopes",
    [(0.1, 0.2, 0.98, (0.9, 1.1)), (1.0, 0.05, 0.95, (0.85, 1.15))],
)
@pytest.mark.parametrize("data", [cancer, wine])
def test_newton_groups_follow_the_refit(data, C, share, least_r, slopes):
    X, y = data()
    ranker = InfluenceRanker(LogisticRegression(C=C)).fit(X[::2], y[::2])
    groups = random_groups(len(y[::2]), share, 30)
    asked = X[1::2], y[1::2]
    newton = ranker.group_influence(groups, *asked).mean(axis=0)
    exact = ranker.group_influence(groups, *asked, order="exact").mean(axis=0)
    assert np.corrcoef(newton, exact)[0, 1] >= least_r
    slope = np.polyfit(exact, newton, 1)[0]
    assert slopes[0] <= slope <= slopes[1]


def test_a_group_that_empties_a_class_is_refused_by_name():
    X, y = wine()
    names = np.array(["barbera", "barolo", "grignolino"])[y]
    ranker = InfluenceRanker().fit(X, names)
    with pytest.raises(ValueError, match=r"Group 1 holds every .* class 'barolo'"):
        ranker.group_influence([[0], np.flatnonzero(y == 1)], X[:2], names[:2])
    # A class's rows of weight 0 do not keep it alive.
    weight = np.where((y == 1) & (np.arange(len(y)) % 2 == 0), 0.0, 1.0)
    ranker.fit(X, names, sample_weight=weight)
    gone = np.flatnonzero((y == 1) & (weight > 0))
    with pytest.raises(ValueError, match="'barolo'"):
        ranker.group_influence([gone], X[:2], names[:2])
    regression = InfluenceRanker(Ridge()).fit(X[:, 1:], X[:, 0])
    with pytest.raises(ValueError, match="every training row"):
        regression.group_influence([np.arange(len(y))])


@pytest.mark.parametrize(
    "groups, message",
    [
        ([[0, 500]], "names row 500"),
        ([[0, 0]], "names row 0 twice"),
        ([[0.5]], "Group 0 must hold training rows"),
        (np.zeros((3, 5)), "a label for each"),
        ([[0], 3], "index arrays only"),
    ],
)
def test_bad_groups_are_named(groups, message):
    with pytest.raises(ValueError, match=message):
        group_indices(groups, 178)


def test_bad_order_is_named():
    X, y = wine()
    with pytest.raises(ValueError, match="order='third'"):
        InfluenceRanker().fit(X, y).group_influence([[0]], order="third")


def test_empty_groups_have_no_influence():
    X, y = wine()
    ranker = InfluenceRanker().fit(X, y)
    for order in ("first", "second", "newton", "exact"):
        rise = ranker.group_influence([[], [1]], X[:3], y[:3], order=order)
        assert np.all(rise[:, 0] == 0) and np.all(rise[:, 1] != 0)


def test_a_group_without_which_no_optimum_is_left_is_nan():
    X = np.column_stack([np.r_[np.zeros(18), 1.0, 2.0], np.arange(20) % 3])
    y = np.arange(20.0)
    ranker = InfluenceRanker(LinearRegression()).fit(X, y)
    with pytest.warns(UserWarning, match=r"group\(s\) 1 the objective has no unique"):
        rise = ranker.group_influence([[0], [18, 19]], X[:4])
    assert np.isnan(rise[:, 1]).all() and np.isfinite(rise[:, 0]).all()


def test_conjugate_gradients_give_the_same():
    X, y = wine()
    groups = random_groups(len(y), 0.1, 4)
    for order in ("first", "second", "newton", "exact"):
        by_factor, by_steps = (
            InfluenceRanker(solver=s).fit(X, y).group_influence(groups, order=order)
            for s in ("cholesky", "cg")
        )
        assert_allclose(by_factor, by_steps, atol=1e-6)


def test_exact_is_exact_whatever_the_solver():
    X, y = wine()
    groups = random_groups(len(y), 0.1, 3)
    exact, rough = (
        InfluenceRanker(solver=s).fit(X, y).group_influence(groups, order="exact")
        for s in ("cholesky", "ekfac")
    )
    assert_allclose(exact, rough, atol=1e-6)


def test_n_jobs_changes_nothing():
    X, y = wine()
    groups = random_groups(len(y), 0.1, 6)
    one, two = (
        InfluenceRanker(n_jobs=n).fit(X, y).group_influence(groups) for n in (1, 2)
    )
    assert_allclose(one, two, rtol=0, atol=0)


def flipped(model, X, y, rows, query, label):
    weight = np.ones(len(y))
    weight[rows] = 0.0
    return model.fit(X, y, sample_weight=weight).predict(query)[0] != label


@pytest.mark.parametrize("data", [cancer, wine])
def test_most_damaging_sets_flip_a_refit_and_are_minimal(data):
    X, y = data()
    train, asked = slice(0, None, 2), X[1::2]
    model = LogisticRegression(C=1.0, **EXACT)
    ranker = InfluenceRanker(model).fit(X[train], y[train])
    decision = np.sort(ranker.predict_proba(asked), axis=1)
    unsure = np.argsort(decision[:, -1] - decision[:, -2])[:4]
    found = ranker.most_damaging(asked[unsure])
    assert any(rows is not None for rows in found)
    for query, rows in zip(asked[unsure], found, strict=True):
        if rows is None:
            continue
        label = ranker.predict(query[None])[0]
        assert flipped(model, X[train], y[train], rows, query[None], label)
        for row in rows:
            fewer = np.setdiff1d(rows, [row])
            assert not flipped(model, X[train], y[train], fewer, query[None], label)


def test_most_damaging_finds_the_smallest_where_all_can_be_tried():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(14, 2))
    y = (X[:, 0] + 0.8 * rng.normal(size=14) > 0).astype(int)
    model = LogisticRegression(C=1.0, **EXACT)
    ranker = InfluenceRanker(model).fit(X, y)
    queries = X[np.argsort(np.abs(ranker.decision_function(X)))[:3]] * 0.9
    for query, rows in zip(queries, ranker.most_damaging(queries), strict=True):
        label = ranker.predict(query[None])[0]
        assert len(rows) <= 2
        sizes = [
            size
            for size in range(1, 3)
            for some in combinations(range(14), size)
            if flipped(model, X, y, list(some), query[None], label)
        ]
        assert len(rows) == min(sizes)


def test_most_damaging_edges():
    X, y = cancer()
    ranker = InfluenceRanker().fit(X, y)
    predicted = ranker.predict(X[:1])
    assert ranker.most_damaging(X[:1], 1 - predicted)[0].size == 0
    assert ranker.most_damaging(X[:1], predicted, n=1)[0] is None
    with pytest.raises(ValueError, match="a regressor has none"):
        InfluenceRanker(Ridge()).fit(X, X[:, 0]).most_damaging(X[:1])
    with pytest.raises(ValueError, match="damping=0"):
        InfluenceRanker(damping=1.0).fit(X, y).most_damaging(X[:1])
    with pytest.raises(ValueError, match="n=0"):
        ranker.most_damaging(X[:1], n=0)


@pytest.mark.slow
@pytest.mark.parametrize("C, share, least_r", [(0.1, 0.2, 0.98), (1.0, 0.05, 0.95)])
def test_newton_groups_follow_refits_of_digits(C, share, least_r):
    X, y = load_digits(return_X_y=True)
    X = X / 16
    model = LogisticRegression(C=C, **EXACT)
    ranker = InfluenceRanker(model).fit(X[:600], y[:600])
    groups = random_groups(600, share, 12)
    asked = X[600:800], y[600:800]
    newton = ranker.group_influence(groups, *asked).mean(axis=0)
    before = losses(model.fit(X[:600], y[:600]), *asked)
    refits = []
    for group in groups:
        weight = np.ones(600)
        weight[group] = 0.0
        model.fit(X[:600], y[:600], sample_weight=weight)
        refits.append(np.mean(losses(model, *asked) - before))
    r = np.corrcoef(newton, refits)[0, 1]
    slope = np.polyfit(refits, newton, 1)[0]
    print(f"digits C={C}, up to {share:.0%}: r {r:.4f}, slope {slope:.3f}")
    assert r >= least_r and 0.85 <= slope <= 1.15


def test_groups_that_change_an_l1_active_set_are_named():
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X[:60]), scale(y[:60])
    alpha = 0.2
    ranker = InfluenceRanker(Lasso(alpha=alpha, tol=1e-10)).fit(X, y)
    active = ranker.estimator_.coef_ != 0
    groups = np.arange(60).reshape(4, 15)
    changed = []
    for number, group in enumerate(groups):
        keep = np.setdiff1d(np.arange(60), group)
        refit = Lasso(alpha=alpha * 60 / 45, tol=1e-10).fit(X[keep], y[keep])
        if np.any(np.sign(refit.coef_) != np.sign(ranker.estimator_.coef_)):
            changed.append(number)
    assert active.any() and changed  # else nothing is tested
    named = ", ".join(map(str, changed))
    with pytest.warns(UserWarning, match=rf"group\(s\) {named} other"):
        ranker.group_influence(list(groups), X, y, order="exact")


def test_no_flips_are_claimed_of_l1_heads():
    X, y = load_wine(return_X_y=True)
    model = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=0.5, max_iter=5000, tol=1e-6
    )
    ranker = InfluenceRanker(model).fit(scale(X), y)
    with pytest.raises(ValueError, match="verifies its sets by refits"):
        ranker.most_damaging(scale(X)[:1])


@pytest.mark.parametrize("seed", [13, 0, 1])
def test_no_row_of_a_most_damaging_set_can_be_put_back(seed):
    """Weighted rows, one far out: what the last rows found are needed for changes."""
    rng = np.random.RandomState(seed)
    # Draws that lead to a set in which more than one row falls out one after another.
    rng.gamma(1, 1, 40), rng.randn(6, 3), rng.gamma(1, 1, 40), rng.randn(6, 3)
    X, y = make_classification(
        40,
        3,
        n_informative=3,
        n_redundant=0,
        n_classes=3,
        n_clusters_per_class=1,
        flip_y=0.1,
        random_state=seed,
    )
    X[0] *= 6
    rng.gamma(1, 1, 40), rng.randn(6, 3)
    weight = rng.gamma(1, 1, 40)
    weight[3] = 8
    asked = rng.randn(6, 3) * 0.5
    model = LogisticRegression(tol=1e-10, max_iter=1000)
    ranker = InfluenceRanker(model).fit(X, y, weight)
    labels = ranker.predict(asked)
    for query, label, rows in zip(
        asked, labels, ranker.most_damaging(asked, n=15), strict=True
    ):
        if rows is None:
            continue

        def flips(gone, query=query, label=label):
            left = np.setdiff1d(np.arange(40), gone)
            refit = model.fit(X[left], y[left], weight[left])
            return refit.predict([query])[0] != label

        assert flips(rows)
        assert not any(flips(np.delete(rows, k)) for k in range(len(rows)))
