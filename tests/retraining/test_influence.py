"""Influence on queries from refits, against refits written out here."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.retraining import DownsamplingRanker, LeaveOneOutRanker
from tests.retraining.games import DIABETES, IRIS

# Losses of a few nats (thousands of half squares) of the same fits: rounding alone.
EXACT = {"rtol": 1e-9, "atol": 1e-12}
X, Y = IRIS
TRAIN, QUERIES = slice(0, 30), slice(30, 40)
LOGISTIC = LogisticRegression(tol=1e-10, max_iter=10_000)


def log_losses(rows, X_asked, y_asked):
    model = LOGISTIC.fit(X[rows], Y[rows])
    return -np.log(model.predict_proba(X_asked)[np.arange(len(y_asked)), y_asked])


def test_leave_one_out_is_the_loss_of_refits():
    ranker = LeaveOneOutRanker(LOGISTIC, cv=2, random_state=0).fit(X[TRAIN], Y[TRAIN])
    rows = np.arange(30)

    def rise(X_asked, y_asked, row):
        without = log_losses(np.delete(rows, row), X_asked, y_asked)
        return without - log_losses(rows, X_asked, y_asked)

    truth = np.array([rise(X[QUERIES], Y[QUERIES], row) for row in rows]).T
    assert_allclose(ranker.influence(X[QUERIES], Y[QUERIES]), truth, **EXACT)
    own = [rise(X[[row]], Y[[row]], row)[0] for row in rows]
    assert_allclose(ranker.self_influence_, own, **EXACT)
    newton = InfluenceRanker(LOGISTIC, method="newton", refine=1e-10)
    near = newton.fit(X[TRAIN], Y[TRAIN]).influence(X[QUERIES], Y[QUERIES])
    # Where both define one thing: refined steps end at the refits.
    assert_allclose(near, truth, rtol=0, atol=1e-5 * np.abs(truth).max())


def test_a_probability_of_zero_has_the_loss_that_log_loss_gives_it():
    """A nearest neighbour is sure of itself, and wrong: its loss is -log(eps)."""
    near, rows = KNeighborsClassifier(1), np.arange(30)
    labels = np.random.default_rng(0).integers(3, size=len(X))
    asked = labels[QUERIES]
    ranker = LeaveOneOutRanker(near, cv=2, random_state=0).fit(X[TRAIN], labels[TRAIN])

    def losses(rows):
        proba = near.fit(X[rows], labels[rows]).predict_proba(X[QUERIES])
        each = zip(asked, proba, strict=True)
        return [log_loss([label], [p], labels=[0, 1, 2]) for label, p in each]

    without = np.array([losses(np.delete(rows, row)) for row in rows])
    truth = (without - losses(rows)).T
    assert np.abs(truth).max() > 30  # some row alone has a query right, or wrong
    assert_allclose(ranker.influence(X[QUERIES], asked), truth, **EXACT)


@pytest.mark.parametrize("asked", [True, False])
def test_leave_one_out_of_real_targets(asked):
    X, y = DIABETES
    ranker = LeaveOneOutRanker(Ridge(0.1), cv=2).fit(X[:25], y[:25])
    targets = y[25:30] if asked else None
    ridge = InfluenceRanker(Ridge(0.1), method="newton").fit(X[:25], y[:25])
    truth = ridge.influence(X[25:30], targets)
    # One Newton step of least squares is the refit.
    found = ranker.influence(X[25:30], targets)
    assert_allclose(found, truth, rtol=0, atol=1e-9 * np.abs(truth).max())


def test_downsampling_is_the_mean_loss_of_refits():
    ranker = DownsamplingRanker(
        LOGISTIC, share=0.6, max_evaluations=40, cv=2, random_state=3
    ).fit(X[TRAIN], Y[TRAIN])
    sets = ranker._sets(30)
    losses = np.array(
        [log_losses(np.flatnonzero(chosen), X[QUERIES], Y[QUERIES]) for chosen in sets]
    )
    truth, error = np.empty((10, 30)), np.empty((10, 30))
    for row in range(30):
        out, inside = losses[~sets[:, row]], losses[sets[:, row]]
        truth[:, row] = out.mean(axis=0) - inside.mean(axis=0)
        variances = [side.var(axis=0, ddof=1) / len(side) for side in (out, inside)]
        error[:, row] = np.sqrt(np.sum(variances, axis=0))
    assert_allclose(ranker.influence(X[QUERIES], Y[QUERIES]), truth, **EXACT)
    assert_allclose(ranker.spread(X[QUERIES], Y[QUERIES]), error, **EXACT)
    own = [
        np.mean([log_losses(np.flatnonzero(s), X[[r]], Y[[r]])[0] for s in sets[~at]])
        - np.mean([log_losses(np.flatnonzero(s), X[[r]], Y[[r]])[0] for s in sets[at]])
        for r, at in ((row, sets[:, row]) for row in range(3))
    ]
    assert_allclose(ranker.self_influence_[:3], own, **EXACT)


@pytest.mark.parametrize("kind", [LeaveOneOutRanker, DownsamplingRanker])
def test_a_group_shares_its_influence(kind):
    groups = np.arange(30) // 5
    extra = {"max_evaluations": 20} if kind is DownsamplingRanker else {}
    ranker = kind(LOGISTIC, cv=None, random_state=0, **extra)
    val = {"X_val": X[40:], "y_val": Y[40:]}
    ranker.fit(X[TRAIN], Y[TRAIN], groups=groups, **val)
    influence = ranker.influence(X[QUERIES], Y[QUERIES])
    assert_allclose(influence[:, ::5], influence[:, 4::5])
    if kind is LeaveOneOutRanker:
        rows = np.arange(30)
        without = log_losses(rows[groups != 2], X[QUERIES], Y[QUERIES])
        rise = without - log_losses(rows, X[QUERIES], Y[QUERIES])
        assert_allclose(influence[:, groups == 2].sum(axis=1), rise, **EXACT)


def test_rows_in_every_set_or_none_are_told_of():
    X, y = IRIS
    ranker = DownsamplingRanker(GaussianNB(), max_evaluations=3, random_state=0)
    with pytest.warns(UserWarning, match="never measured"):
        ranker.fit(X[:30], y[:30], X_val=X[30:60], y_val=y[30:60])
    with pytest.warns(UserWarning, match=r"in every one of 3 sets, or in none.* NaN"):
        influence = ranker.influence(X[30:40], y[30:40])
    assert_array_equal(np.isnan(influence).all(axis=0), np.isnan(ranker.values_))
