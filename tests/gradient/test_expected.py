"""Means over model states, against models fitted by hand."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import stability
from sklinfluence.retraining import ExpectedRanker


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = np.where(X[:, 0] + 0.5 * rng.standard_normal(60) > 0, "yes", "no")
    return X[:50], y[:50], X[50:], y[50:]


def single():
    net = MLPClassifier(hidden_layer_sizes=(4,), max_iter=8, batch_size=10)
    return InfluenceRanker(net, method="grad_dot", refit_head=False)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_mean_and_spread_over_members(data):
    X, y, queries, labels = data
    ranker = ExpectedRanker(single(), n_estimators=4, random_state=0).fit(X, y)
    members = []
    for member, order in zip(ranker.rankers_, ranker.orders_, strict=True):
        # The same model by scikit-learn alone, from the seed it was given.
        net = member.estimator_
        by_hand = MLPClassifier(
            hidden_layer_sizes=(4,),
            max_iter=8,
            batch_size=10,
            random_state=net.random_state,
        ).fit(X[order], y[order])
        np.testing.assert_array_equal(by_hand.coefs_[0], net.coefs_[0])

        def parts(rows, given, net=net):
            hidden = np.maximum(rows @ net.coefs_[0] + net.intercepts_[0], 0)
            residual = net.predict_proba(rows)[:, 1] - (given == "yes")
            return np.column_stack([hidden, np.ones(len(rows))]) * residual[:, None]

        members.append(parts(queries, labels) @ parts(X, y).T)
    influence = ranker.influence(queries, labels)
    # float64 sums of the same products.
    np.testing.assert_allclose(influence, np.mean(members, axis=0), rtol=1e-9)
    np.testing.assert_allclose(
        ranker.spread(queries, labels), np.std(members, axis=0), rtol=1e-8
    )
    own = np.diag(ranker.influence(X, y))
    np.testing.assert_allclose(ranker.self_influence_, own, rtol=1e-9)
    np.testing.assert_allclose(ranker.score_samples(X, y), own, rtol=1e-9)
    np.testing.assert_allclose(
        ranker.self_influence_std_, np.diag(ranker.spread(X, y)), rtol=1e-8
    )
    np.testing.assert_allclose(
        ranker.mean_influence(queries, labels), influence.mean(axis=0), rtol=1e-9
    )
    proba = np.mean([m.predict_proba(queries) for m in ranker.rankers_], axis=0)
    np.testing.assert_allclose(ranker.predict_proba(queries), proba)
    predicted = np.array(["no", "yes"])[proba.argmax(axis=1)]
    np.testing.assert_array_equal(ranker.predict(queries), predicted)
    np.testing.assert_array_equal(
        ranker.influence(queries), ranker.influence(queries, predicted)
    )
    losses = [
        m.label_scores("loss")[np.argsort(o)]
        for m, o in zip(ranker.rankers_, ranker.orders_, strict=True)
    ]
    np.testing.assert_allclose(ranker.label_scores("loss"), np.mean(losses, axis=0))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_varies(data):
    X, y, _, _ = data
    fits = {
        vary: ExpectedRanker(single(), 3, vary=vary, random_state=0).fit(X, y)
        for vary in [("init",), ("order",), ("init", "order")]
    }
    for vary, ranker in fits.items():
        seeds = {member.estimator_.random_state for member in ranker.rankers_}
        orders = {tuple(order) for order in ranker.orders_}
        assert len(seeds) == (3 if "init" in vary else 1)
        assert len(orders) == (3 if "order" in vary else 1)
    assert fits[("init",)].orders_[0].tolist() == list(range(50))
    # The draws of either do not depend on whether the other varies.
    both = fits[("init", "order")]
    for one, other in zip(both.orders_, fits[("order",)].orders_, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="'init', 'order'"):
        ExpectedRanker(single(), vary=("seed",)).fit(X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_parallel_fits_are_the_same(data):
    X, y, queries, labels = data
    one = ExpectedRanker(single(), 3, random_state=0).fit(X, y)
    # Threads: starting processes takes longer than all the rest of this file.
    with parallel_config("threading"):
        two = ExpectedRanker(single(), 3, random_state=0, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(
        one.influence(queries, labels), two.influence(queries, labels)
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_means_are_more_stable_than_single_models(data):
    X, y, queries, labels = data

    def agreement(n_estimators):
        pair = [
            ExpectedRanker(single(), n_estimators, random_state=seed).fit(X, y)
            for seed in (1, 2)
        ]
        return stability(*(ranker.influence(queries, labels) for ranker in pair))

    alone, together = agreement(1), agreement(12)
    for measure, value in together.items():
        assert value > alone[measure], measure


def test_a_model_without_randomness_has_no_spread(data):
    X, y, queries, labels = data
    ranker = ExpectedRanker(InfluenceRanker(LogisticRegression()), 3, random_state=0)
    ranker.fit(X, y, sample_weight=np.linspace(0.5, 2.0, 50))
    exact = InfluenceRanker(LogisticRegression()).fit(X, y, np.linspace(0.5, 2.0, 50))
    # Rows in another order: the polished optimum is the same to rounding.
    np.testing.assert_allclose(
        ranker.influence(queries, labels), exact.influence(queries, labels), atol=1e-8
    )
    assert ranker.spread(queries, labels).max() < 1e-8
    regression = ExpectedRanker(InfluenceRanker(Ridge()), 2).fit(X, X[:, 0])
    single_ridge = InfluenceRanker(Ridge()).fit(X, X[:, 0])
    np.testing.assert_allclose(
        regression.influence(queries), single_ridge.influence(queries), atol=1e-10
    )
    np.testing.assert_allclose(
        regression.predict(queries), single_ridge.predict(queries)
    )


SHAPE = "one column a row: a row of weight 0 has its column, a row left out has none"
WEIGHT_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": SHAPE,
    "check_sample_weight_equivalence_on_sparse_data": SHAPE,
}


@parametrize_with_checks(
    [ExpectedRanker(InfluenceRanker(LogisticRegression()), 2, random_state=0)],
    expected_failed_checks=lambda estimator: WEIGHT_CHECKS,
    xfail_strict=True,
)
def test_sklearn_compatible_estimator(estimator, check):
    check(estimator)
