"""Semivalues of retrained models against the sum over all subsets."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    check_scoring,
    log_loss,
    make_scorer,
    mean_absolute_error,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)
from sklinfluence.retraining._semivalues import size_weights
from tests.retraining.games import (
    DIABETES,
    SHARES,
    Additive,
    Picky,
    classes_game,
    members,
    play,
    real_game,
    semivalue,
    total,
)

# Scores are near 1 in size, of sums of at most 2^7 of them.
EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_weights_of_sizes_have_mean_one(kind, n):
    assert_allclose(size_weights(kind, n).mean(), 1.0, rtol=1e-12)


def test_beta_4_1_looks_at_small_sets():
    weights = size_weights((4, 1), 8)
    # Kwon and Zou's Beta(4, 1): p(0) / p(n - 1) = 120 for n = 8.
    assert_allclose(weights[0] / weights[-1], 120.0, rtol=1e-12)


@pytest.mark.parametrize("kind", SHARES)
def test_enumeration_of_labels(kind):
    X, y, val, v = classes_game()
    ranker = ShapleyRanker(semivalue=kind, max_evaluations=64).fit(X, y, **val)
    assert_allclose(ranker.values_, semivalue(6, v, SHARES[kind]), **EXACT)
    assert not ranker.values_stderr_.any()
    assert ranker.n_evaluations_ == 64 + 2


@pytest.mark.parametrize("kind", ["shapley", "banzhaf"])
def test_enumeration_of_real_targets(kind):
    X, y, val, v = real_game()
    ranker = ShapleyRanker(Ridge(0.1), semivalue=kind, max_evaluations=64)
    ranker.fit(X, y, **val)
    # R2 of few rows reaches -10.
    assert_allclose(ranker.values_, semivalue(6, v, SHARES[kind]), rtol=0, atol=1e-11)


def test_banzhaf_by_enumeration():
    X, y, val, v = classes_game(estimator=GaussianNB())
    ranker = BanzhafRanker(GaussianNB(), max_evaluations=64).fit(X, y, **val)
    assert_allclose(ranker.values_, semivalue(6, v, SHARES["banzhaf"]), **EXACT)


@pytest.mark.parametrize("kind", SHARES)
def test_permutations_come_within_their_error(kind):
    X, y, val, v = classes_game(7)
    truth = semivalue(7, v, SHARES[kind])
    ranker = ShapleyRanker(semivalue=kind, max_evaluations=126, random_state=0)
    # 2^7 sets are more than it may evaluate: ten pairs of permutations.
    ranker.fit(X, y, **val)
    assert ranker.n_evaluations_ == 10 * 12 + 2
    away = np.abs(ranker.values_ - truth) / ranker.values_stderr_
    assert away.max() < 5 and away.mean() < 2


def test_efficiency_holds_for_every_permutation():
    X, y, val, v = classes_game(12)
    ranker = ShapleyRanker(max_evaluations=25, random_state=3).fit(X, y, **val)
    assert_allclose(ranker.values_.sum(), v(range(12)) - v([]), **EXACT)


@pytest.mark.parametrize(
    "ranker",
    [
        ShapleyRanker(max_evaluations=40),
        AMERanker(probabilities=(0.5,), penalize=False, max_evaluations=60),
        LeaveOneOutRanker(),
    ],
    ids=str,
)
def test_additive_scores_give_each_row_its_own(ranker):
    y = np.array([3.0, -1.0, 0.5, 0.0, 2.0, -4.0, 1.0, 1.0, -2.0])
    X = np.zeros((9, 1))
    ranker.set_params(estimator=Additive(), scoring=total)
    ranker.fit(X, y, X_val=X, y_val=y)
    assert_allclose(ranker.values_, y, rtol=0, atol=1e-10)


def test_a_row_that_changes_nothing_is_worth_nothing_and_alike_rows_alike():
    y = np.array([3.0, 0.0, 2.0, 2.0])
    ranker = ShapleyRanker(Additive(), scoring=total)
    ranker.fit(np.zeros((4, 1)), y, X_val=np.zeros((1, 1)), y_val=[0.0])
    assert ranker.values_[1] == 0.0
    assert ranker.values_[2] == ranker.values_[3]


@pytest.mark.parametrize("kind", [(0.5,), (0.2, 0.4, 0.6, 0.8)])
def test_marginal_effects_are_means_over_their_sets(kind):
    """Enough sets that least squares nears its expectation, which is enumerated."""
    _, _, _, v = classes_game(5)
    table = [v(np.flatnonzero(held)) for held in members(5)]

    def share(s, n):
        return np.mean([p**s * (1 - p) ** (n - 1 - s) for p in kind])

    ranker = AMERanker(probabilities=kind, penalize=False, max_evaluations=4000)
    found = play(ranker, table)
    away = np.abs(found.values - semivalue(5, v, share)) / found.stderr
    assert away.max() < 4


@pytest.mark.parametrize("kind", [(0.5,), (0.2, 0.4, 0.6, 0.8)])
def test_marginal_effects_of_refits_are_those_of_the_game(kind):
    X, y, val, v = classes_game(5)
    table = [v(np.flatnonzero(held)) for held in members(5)]
    ranker = AMERanker(
        probabilities=kind, penalize=False, max_evaluations=60, random_state=3
    )
    found = play(ranker, table, seed=3)
    assert_allclose(ranker.fit(X, y, **val).values_, found.values, **EXACT)


def test_lasso_finds_the_few_rows_that_matter():
    y = np.zeros(60)
    y[[7, 31]] = 5.0, -3.0
    ranker = AMERanker(Additive(), scoring=total, max_evaluations=50, random_state=0)
    ranker.fit(np.zeros((60, 1)), y, X_val=np.zeros((1, 1)), y_val=[0.0])
    assert ranker.ranking_[31] == 1 and ranker.ranking_[7] == 60
    others = np.delete(ranker.values_, [7, 31])
    assert np.abs(others).max() < 0.5
    assert np.isnan(ranker.values_stderr_).all()


def test_leave_one_out_refits():
    X, y, val, v = classes_game(9, GaussianNB())
    ranker = LeaveOneOutRanker(GaussianNB()).fit(X, y, **val)
    everyone = set(range(9))
    truth = [v(everyone) - v(everyone - {row}) for row in range(9)]
    assert_allclose(ranker.values_, truth, **EXACT)


def test_downsampling_at_all_but_one_is_centred_leave_one_out():
    X, y, val, _ = real_game(12)
    alone = LeaveOneOutRanker(Ridge(0.1)).fit(X, y, **val).values_
    # Enough draws of one row to leave out that each comes; the mean over the rows
    # that came weighs them by how often, so each must come alike: by hand.
    ranker = DownsamplingRanker(Ridge(0.1), share=0.99)
    ranker._drawing = lambda n, seed: lambda k: np.arange(n) != k % n
    ranker.max_evaluations = 24
    ranker.fit(X, y, **val)
    truth = 12 / 11 * (alone - alone.mean())
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "ranker",
    [BanzhafRanker(max_evaluations=300), DownsamplingRanker(max_evaluations=300)],
    ids=str,
)
def test_reused_sets_come_within_their_error(ranker):
    X, y, val, v = classes_game(9)
    ranker.set_params(random_state=0).fit(X, y, **val)
    share = SHARES["banzhaf"]
    if isinstance(ranker, DownsamplingRanker):
        truth = _at_size(9, 6, v)
    else:
        truth = semivalue(9, v, share)
    away = np.abs(ranker.values_ - truth) / ranker.values_stderr_
    assert away.max() < 4 and away.mean() < 1.6


def _at_size(n, size, v):
    sets = list(combinations(range(n), size))
    scores = np.array([v(chosen) for chosen in sets])
    held = np.array([[row in chosen for row in range(n)] for chosen in sets])
    return [scores[held[:, i]].mean() - scores[~held[:, i]].mean() for i in range(n)]


@pytest.mark.parametrize(
    "ranker",
    [
        BanzhafRanker(max_evaluations=100, random_state=0),
        ShapleyRanker(max_evaluations=60, random_state=0),
    ],
    ids=str,
)
def test_failed_fits_leave_their_gains_out(ranker):
    X, y, val, _ = classes_game(8)
    X = X.copy()
    X[0, 0], X[5, 0] = -1.0, -2.0
    with pytest.warns(UserWarning, match=r"could not be evaluated.*misses another"):
        ranker.set_params(estimator=Picky()).fit(X, y, **val)
    assert 0 < ranker.n_failed_ < ranker.n_evaluations_
    assert np.isfinite(ranker.values_).all()


def test_a_model_that_cannot_be_fitted_ends_the_run_at_once():
    X, y, val, _ = classes_game(8)
    X = X.copy()
    X[3, 0] = 99.0
    with pytest.raises(RuntimeError, match="misses another") as caught:
        BanzhafRanker(Picky(), max_evaluations=10**9).fit(X, y, **val)
    assert "Picky cannot be fitted on all rows" in caught.value.__notes__[0]


def test_rows_never_measured_are_named():
    X, y, val, _ = classes_game(9)
    with pytest.warns(UserWarning, match=r"Row\(s\) .* never measured"):
        ranker = BanzhafRanker(max_evaluations=1, random_state=0).fit(X, y, **val)
    assert np.isnan(ranker.values_).all()


@pytest.mark.parametrize(
    "scoring",
    [None, "accuracy", "neg_log_loss", "roc_auc_ovr", "balanced_accuracy"],
)
def test_scorers_are_scikit_learns(scoring):
    X, y, val, _ = classes_game(20)
    model = DecisionTreeClassifier(max_depth=2, random_state=0)
    ranker = LeaveOneOutRanker(model, scoring=scoring).fit(X, y, **val)
    scorer = check_scoring(model, scoring)

    def score(rows):
        return scorer(model.fit(X[rows], y[rows]), val["X_val"], val["y_val"])

    rows = np.arange(20)
    truth = [score(rows) - score(np.delete(rows, row)) for row in rows]
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-10)


def test_a_scorer_of_ones_own():
    X, y, val, _ = real_game(10)
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    ranker = LeaveOneOutRanker(Ridge(), scoring=scorer).fit(X, y, **val)

    def score(rows):
        return scorer(Ridge().fit(X[rows], y[rows]), val["X_val"], val["y_val"])

    rows = np.arange(10)
    truth = [score(rows) - score(np.delete(rows, row)) for row in rows]
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-9)


def test_log_loss_by_arithmetic_is_the_scorers():
    X, y, val, _ = classes_game(20)
    y, y_val = np.array(["b", "a", "c"])[y], np.array(["b", "a", "c"])[val["y_val"]]
    weights = np.linspace(0, 2, len(y_val))
    model = DecisionTreeClassifier(max_depth=2, random_state=0)
    ranker = LeaveOneOutRanker(model, scoring="neg_log_loss").fit(
        X, y, X_val=val["X_val"], y_val=y_val, sample_weight_val=weights
    )

    def score(rows):
        proba = model.fit(X[rows], y[rows]).predict_proba(val["X_val"])
        return -log_loss(y_val, proba, sample_weight=weights)

    rows = np.arange(20)
    truth = [score(rows) - score(np.delete(rows, row)) for row in rows]
    # Leaves are pure: the losses are up to 36, and their rounding 36 times that of 1.
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", [KNeighborsClassifier(3), LogisticRegression()])
def test_log_loss_wants_every_class_among_the_validation_rows(form):
    X, y, val, _ = classes_game(20)
    kept = val["y_val"] != 0
    val = {name: rows[kept] for name, rows in val.items()}
    with pytest.raises(ValueError, match="different number of classes"):
        LeaveOneOutRanker(form, scoring="neg_log_loss").fit(X, y, **val)


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_r2_by_arithmetic_is_the_scorers(scoring):
    X, y = DIABETES
    weights = np.linspace(0, 2, 382)
    val = {"X_val": X[60:], "y_val": y[60:], "sample_weight_val": weights}
    ranker = LeaveOneOutRanker(Ridge(), scoring=scoring).fit(X[:20], y[:20], **val)
    rows = np.arange(20)

    def score(rows):
        model = Ridge().fit(X[rows], y[rows])
        return model.score(X[60:], y[60:], sample_weight=weights)

    truth = [score(rows) - score(np.delete(rows, row)) for row in rows]
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-12)
