"""Copies of rows: four of them are a weight of four, and none vouches for another."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import scale
from sklearn.tree import DecisionTreeClassifier

from sklinfluence._estimators import find_copies
from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
    _detector,
)
from sklinfluence.filtering._evidence._neighbor_votes import neighbor_votes
from sklinfluence.filtering._evidence._out_of_bag import out_of_bag
from sklinfluence.filtering._evidence._sample import Sample
from sklinfluence.filtering._noise import probability_right
from sklinfluence.filtering._votes import weighing_once
from sklinfluence.gradient import InfluenceRanker

pytestmark = pytest.mark.filterwarnings("ignore:.*rows have copies")

LOGISTIC = InfluenceRanker(LogisticRegression(solver="newton-cholesky", tol=1e-10))
CODES = InfluenceRanker(RidgeClassifier())
CLASSIFIERS = {
    "pool": MislabelFilter(random_state=0),
    "pool, uniform": MislabelFilter(noise="uniform", random_state=0),
    "pool, no noise model": MislabelFilter(noise=None, random_state=0),
    "logistic": MislabelFilter(LOGISTIC),
    "codes": MislabelFilter(CODES),
    "logistic, no noise model": MislabelFilter(LOGISTIC, noise=None),
    "left-out loss": MislabelFilter(LOGISTIC, label_score="loo_loss"),
    "left-out margin of codes": MislabelFilter(CODES, label_score="loo_margin"),
    "sampler": MislabelSampler(LOGISTIC),
    "pool in folds": MislabelFilter(cv=3, random_state=0),
    "ranker in folds": MislabelFilter(LOGISTIC, cv=3, label_score="loo_loss"),
}
REGRESSORS = {
    "default": MislabelFilter(random_state=0),
    "ridge": MislabelFilter(InfluenceRanker(Ridge(alpha=3.0))),
    "left-out loss": MislabelFilter(
        InfluenceRanker(Ridge()), label_score="loo_loss", threshold=1e9
    ),
    "ridge in folds": MislabelFilter(InfluenceRanker(Ridge()), cv=3),
}


def noisy_iris():
    # One of its rows is another's copy.
    X, y = load_iris(return_X_y=True)
    X, first = np.unique(X, axis=0, return_index=True)
    order = np.random.default_rng(3).permutation(len(X))
    y, wrong = flip_labels(y[first[order]], 0.15, random_state=1)
    return X[order], y, wrong


def noisy_diabetes():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:120], y[:120].copy()
    y[[3, 50, 90]] += [500.0, -500.0, 500.0]
    return X, y


CASES = {
    **{f"{name}, classes": (made, noisy_iris) for name, made in CLASSIFIERS.items()},
    **{f"{name}, real": (made, noisy_diabetes) for name, made in REGRESSORS.items()},
}


@pytest.mark.parametrize("counts", ["four", "one to four"])
@pytest.mark.parametrize("case", CASES)
def test_a_weight_of_four_is_four_copies(case, counts):
    detector, data = CASES[case]
    X, y = data()[:2]
    count = np.full(len(y), 4)
    if counts != "four":
        count = np.random.default_rng(0).integers(1, 5, len(y))
    weighted = detector.fit(X, y, sample_weight=count.astype(float))
    scores, quality = weighted.scores_, weighted.label_quality_
    new = weighted.score_samples(X, y)
    copied = detector.fit(np.repeat(X, count, axis=0), np.repeat(y, count))
    # Sums in another order: a factor of condition 1e4 makes 1e-12 of 1e-16.
    unit = np.abs(scores).max()
    assert_allclose(copied.scores_, np.repeat(scores, count), atol=1e-7 * unit)
    assert_allclose(copied.label_quality_, np.repeat(quality, count), atol=1e-7)
    assert_allclose(copied.score_samples(X, y), new, atol=1e-7 * np.abs(new).max())


@pytest.mark.parametrize("case", CASES)
def test_rows_that_are_distinct_come_out_as_if_nobody_had_asked(case):
    detector, data = CASES[case]
    X, y = data()[:2]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*have copies")
        asked = detector.fit(X, y).scores_
    # duplicates=None groups nothing: to the bit, not to rounding.
    detector.set_params(duplicates=None)
    unasked = detector.fit(X, y).scores_
    detector.set_params(duplicates=0.0)
    assert np.array_equal(asked, unasked)


def texts():
    """Terms of two kinds of texts that share all their words."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{k}" for k in range(500)])
    y = np.arange(300) % 2
    rows = []
    for label in y:
        shares = np.where(np.arange(500) % 2 == label, 4.0, 1.0)
        rows.append(" ".join(rng.choice(words, 20, p=shares / shares.sum())))
    return TfidfVectorizer().fit_transform(rows), y


def digits():
    X, y = load_digits(return_X_y=True)
    return X[:500], y[:500]


def iris():
    X, first = np.unique(load_iris().data, axis=0, return_index=True)
    return X, load_iris().target[first]


SETS = {"digits": digits, "iris": iris, "texts": texts}


def drawn(how, y, rng):
    """Rows of a table in which some are copied."""
    rows = np.arange(len(y))
    if how == "twice":
        return np.tile(rows, 2)
    if how == "four times":
        return np.repeat(rows, 4)
    if how == "bootstrapped":
        return rng.choice(rows, len(rows))
    # Oversampled: half of one class is lost first, and its rest fills the gap.
    few = y == y[0]
    lost = rng.choice(np.flatnonzero(few), few.sum() // 2, replace=False)
    kept = np.setdiff1d(rows, lost)
    extra = rng.choice(np.setdiff1d(np.flatnonzero(few), lost), len(lost))
    return np.concatenate([kept, extra])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["twice", "four times", "bootstrapped", "oversampled"])
@pytest.mark.parametrize("name", SETS)
def test_as_many_are_found_as_without_copies(name, how):
    X, y = SETS[name]()
    recall, false = [], []
    for seed in range(3):
        noisy, wrong = flip_labels(y, 0.2, random_state=seed)
        rows = drawn(how, noisy, np.random.default_rng(seed))
        once, first = np.unique(rows, return_index=True)
        shares = []
        for at, kept in ((once, slice(None)), (rows, first)):
            flags = ~MislabelFilter(random_state=0).fit(X[at], noisy[at]).get_support()
            # Each row once, or the class that is repeated would count for more.
            flags = flags[kept]
            shares.append((flags[wrong[once]].mean(), flags[~wrong[once]].mean()))
        recall.append(shares[1][0] - shares[0][0])
        false.append(shares[1][1] - shares[0][1])
    # Uneven weights alone cost a table of 150 rows .05: so many copies of each row by
    # chance, right or wrong, are noise to a fit.
    assert np.mean(recall) > (-0.1 if how == "bootstrapped" else -0.05)
    assert np.mean(false) < 0.02


def test_digits_twice_hid_every_flip_before():
    X, y = digits()
    y, wrong = flip_labels(y, 0.2, random_state=0)
    rows = np.tile(np.arange(len(y)), 2)
    flags = ~MislabelFilter(random_state=0).fit(X[rows], y[rows]).get_support()
    assert flags[wrong[rows]].mean() > 0.9
    alone = MislabelFilter(duplicates=None, random_state=0).fit(X[rows], y[rows])
    # Rows that leave one by one are vouched for by their copies.
    assert np.mean(~alone.get_support()[wrong[rows]]) < 0.6


@pytest.mark.parametrize(
    "detector",
    [
        MislabelFilter(pool=("linear", "kernel"), random_state=0),
        MislabelFilter(LOGISTIC),
        MislabelFilter(RandomForestClassifier(random_state=0), random_state=0),
    ],
    ids=["pool", "ranker", "forest"],
)
@pytest.mark.parametrize("by", ["copies", "weights"])
def test_a_rare_class_repeated_until_all_are_as_many_tilts_no_flag(detector, by):
    more_honest = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        y = (np.arange(500) % 8 == 0).astype(int)
        X = rng.standard_normal((500, 10)) + y[:, None]
        given, wrong = flip_labels(y, 0.15, random_state=seed)
        rare = np.flatnonzero(given)
        extra = rng.choice(rare, len(y) - 2 * len(rare))
        counts = 1 + np.bincount(extra, minlength=len(y))
        flags = ~detector.fit(X, given).get_support()
        if by == "weights":
            detector.fit(X, given, sample_weight=counts.astype(float))
            balanced = ~detector.get_support()
        else:
            rows = np.repeat(np.arange(len(y)), counts)
            detector.fit(X[rows], given[rows])
            balanced = ~detector.get_support()[np.cumsum(counts) - 1]
        more_honest.append(np.mean(balanced[~wrong]) - np.mean(flags[~wrong]))
    # .01 to .02; .08 to .16 where predictions are taken as the repeated rows make them.
    assert np.mean(more_honest) < 0.04


def test_copies_of_other_labels_leave_too():
    # A third of the rows stands twice, the second time by another label: nothing but
    # the other rows can tell which of the two is right.
    X, y = iris()
    again = np.arange(0, len(y), 3)
    both = MislabelFilter(random_state=0)
    both.fit(np.vstack([X, X[again]]), np.r_[y, (y[again] + 1) % 3])
    flags = ~both.get_support()
    assert np.mean(flags[len(y) :]) > 0.8
    assert np.mean(flags[: len(y)]) < 0.1
    # What is said of the rows but for their labels is the same.
    proba = both.ranker_.loo_proba_
    assert np.array_equal(proba[again], proba[len(y) :])


def near_copies(X, y, seed=0):
    rng = np.random.default_rng(seed)
    shaken = X + 1e-4 * X.std(axis=0) * rng.standard_normal(X.shape)
    return np.vstack([X, shaken]), np.tile(y, 2)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_near_copies_leave_together_where_the_user_says_so(make):
    X, y, wrong = noisy_iris()
    once = ~MislabelFilter(random_state=0).fit(make(X), y).get_support()
    X2, y2 = near_copies(X, y)
    near = MislabelFilter(duplicates=0.01, random_state=0).fit(make(X2), y2)
    flags, wrong = ~near.get_support(), np.tile(wrong, 2)
    assert flags[wrong].mean() >= once[wrong[: len(y)]].mean() - 0.05
    # A step of 1e-4 moves log odds by about as much.
    assert_allclose(near.scores_[: len(y)], near.scores_[len(y) :], atol=0.05)
    for exact in (0.0, None):
        apart = MislabelFilter(duplicates=exact, random_state=0).fit(make(X2), y2)
        assert np.mean(~apart.get_support()[wrong]) < flags[wrong].mean() - 0.1


def folds_seen(cv, X, y, groups=None, **params):
    """Which rows each fold's ranker is fitted on, and which it is asked about."""
    seen = []

    class Spy(InfluenceRanker):
        def fit(self, X, y, sample_weight=None):
            seen.append(("fit", np.asarray(X)[:, 0]))
            return super().fit(X, y, sample_weight)

        def label_scores(self, score="loo_loss", X=None, y=None):
            if X is not None:
                seen.append(("asked", np.asarray(X)[:, 0]))
            return super().label_scores(score, X, y)

    detector = MislabelFilter(Spy(), label_score="loo_loss", cv=cv, **params)
    detector.fit(X, y, groups=groups)
    asked = [part for what, part in seen if what == "asked"]
    return list(zip([p for w, p in seen if w == "fit"][1:], asked, strict=True))


OWN_FOLDS = KFold(4, shuffle=True, random_state=1).split(np.zeros(160))
SPLITTERS = {
    "int": 4,
    "stratified": StratifiedKFold(4),
    "shuffled": KFold(4, shuffle=True, random_state=0),
    "by other groups": GroupKFold(4),
    "pairs": list(OWN_FOLDS),
}


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_no_fold_is_trained_on_a_copy_of_what_it_holds_out(splitter):
    rng = np.random.default_rng(0)
    X = rng.permutation(np.repeat(np.arange(40.0), 4))[:, np.newaxis]
    y = (X[:, 0] + rng.normal(0, 5, 160) > 20).astype(int)
    groups = np.arange(160) % 7
    folds = folds_seen(SPLITTERS[splitter], X, y, groups=groups)
    assert all(len(np.intersect1d(*fold)) == 0 for fold in folds)
    asked = np.concatenate([part for _, part in folds])
    assert np.array_equal(np.sort(asked), np.sort(X[:, 0]))


def test_folds_of_a_number_are_even_over_distinct_rows():
    X, y = np.repeat(np.arange(40.0), 4)[:, np.newaxis], np.repeat(np.arange(40) % 2, 4)
    for rest, held_out in folds_seen(4, X, y):
        assert len(np.unique(held_out)) == 10 and len(np.unique(rest)) == 30
        assert np.mean(held_out % 2) == 0.5


def test_more_folds_than_distinct_rows_are_refused():
    X, y = np.repeat(np.eye(3), 20, axis=0), np.tile([0, 1], 30)
    with pytest.raises(ValueError, match=r"cv=5 needs .* there are 3\. Use fewer"):
        MislabelFilter(LOGISTIC, cv=5).fit(X, y)


def test_a_warning_counts_the_rows_with_copies():
    X, y, _ = noisy_iris()
    X = np.vstack([X, X[:2], X[:1]])
    message = r"^5 of the 152 rows have copies: .*either\.$"
    with pytest.warns(UserWarning, match=message):
        MislabelFilter(LOGISTIC).fit(X, np.r_[y, y[:2], y[:1]])


@pytest.mark.parametrize("door", ["filter", "sampler", "classifier", "regressor"])
def test_every_door_warns(door):
    X, y, _ = noisy_iris()
    X, y = np.vstack([X, X[:2]]), np.r_[y, y[:2]]
    inner = MislabelFilter(LOGISTIC)
    made = {
        "filter": inner,
        "sampler": MislabelSampler(LOGISTIC),
        "classifier": FilteredClassifier(LogisticRegression(), inner),
        "regressor": FilteredRegressor(Ridge()),
    }[door]
    with pytest.warns(UserWarning, match="4 of the 151 rows have copies"):
        made.fit(X, y + 0.5 if door == "regressor" else y)


def few_distinct(n_rows=600, seed=0):
    """Three yes-no questions and an answer that mostly follows from their sum."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2, (n_rows, 3)).astype(float)
    y = (X.sum(axis=1) > 1.5).astype(int)
    y, wrong = flip_labels(y, 0.1, random_state=seed)
    return X, y, wrong


@pytest.mark.parametrize("ranker", [None, LOGISTIC], ids=["pool", "ranker"])
def test_a_table_of_few_distinct_rows_is_told_what_is_done(ranker):
    X, y, wrong = few_distinct()
    detector = MislabelFilter(ranker, random_state=0)
    with pytest.warns(UserWarning, match="Only 8 rows are distinct.*duplicates=None"):
        detector.fit(X, y)
    # Each of the eight is judged by the seven others, whatever its own rows say.
    assert len(np.unique(np.column_stack([X, y]), axis=0)) == 16
    assert len(np.unique(detector.scores_.round(9))) <= 16
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*have copies")
        detector.set_params(duplicates=None).fit(X, y)
    flags = ~detector.get_support()
    assert flags[wrong].mean() > 0.9 and flags[~wrong].mean() < 0.05


@pytest.mark.parametrize("ranker", [None, LOGISTIC], ids=["pool", "ranker"])
def test_rows_that_are_all_equal_accuse_nobody(ranker):
    X, y = np.ones((60, 2)), np.arange(60) % 3 // 2
    detector = MislabelFilter(ranker, random_state=0).fit(X, y)
    assert detector.get_support().all() and np.isfinite(detector.scores_).all()


def test_frozen_rankers_are_asked_without_copies_too():
    X, y, _ = noisy_iris()
    X, y = np.tile(X, (2, 1)), np.tile(y, 2)
    plain = MislabelFilter(LOGISTIC, label_score="loo_loss").fit(X, y)
    fitted = FrozenEstimator(InfluenceRanker(LOGISTIC.estimator).fit(X, y))
    frozen = MislabelFilter(fitted, label_score="loo_loss").fit(X, y)
    assert_allclose(frozen.scores_, plain.scores_)


def test_what_is_said_of_the_row_itself_stays():
    # Self-influence is a quantity of one row; its copies have theirs.
    X, y = load_wine(return_X_y=True)
    X, y = np.tile(scale(X), (2, 1)), np.tile(y, 2)
    ranker = InfluenceRanker()
    detector = MislabelFilter(ranker, label_score="self_influence").fit(X, y)
    assert_allclose(detector.scores_, ranker.fit(X, y).self_influence_)


@pytest.mark.parametrize("value", [-0.1, "exact", np.nan])
def test_tolerances_that_are_none_are_refused(value):
    X, y, _ = noisy_iris()
    with pytest.raises(ValueError, match="'duplicates' parameter of MislabelFilter"):
        MislabelFilter(duplicates=value).fit(X, y)


def part_copied(seed=0):
    """Iris, a third of its rows once more, shuffled; numbers of the distinct rows."""
    X, y, _ = noisy_iris()
    rng = np.random.default_rng(seed)
    rows = np.append(np.arange(len(y)), rng.choice(len(y), 50, replace=False))
    rng.shuffle(rows)
    return X[rows], y[rows], rows


def sample_of(X, y):
    return Sample(X, y, None, make_folds=None, copies=find_copies(X))


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_are_none_of_the_copies(weights):
    X, y, rows = part_copied()
    # No two neighbours as far away, of which either might be the fourth.
    X = X + 1e-2 * np.random.default_rng(1).standard_normal((200, 4))[rows]
    model = KNeighborsClassifier(4, weights=weights)
    targets = np.eye(3)[y]
    said, _ = neighbor_votes(model, sample_of(X, y)).refit(targets)
    for row in range(len(y)):
        rest = rows != rows[row]
        votes = model.fit(X[rest], y[rest]).predict_proba(X[[row]])[0]
        # One neighbour more stands for all rows.
        expected = (4 * votes + targets.mean(axis=0)) / 5
        np.testing.assert_allclose(np.exp(said[row]), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "forest", [RandomForestClassifier, ExtraTreesClassifier, BaggingClassifier]
)
def test_trees_that_drew_a_copy_do_not_speak(forest):
    X, y, rows = part_copied()
    model = forest(n_estimators=300, bootstrap=True, random_state=0)
    votes = out_of_bag(model, sample_of(X, y), np.arange(3))
    drawn = votes.model.estimators_samples_
    has_seen = np.column_stack([np.isin(rows, rows[np.unique(at)]) for at in drawn])
    assert np.array_equal(votes.leaf_means.is_out, ~has_seen)
    # So it does not matter what its copy is called.
    first, again = np.flatnonzero(rows == rows[np.bincount(rows)[rows].argmax()])
    other = np.eye(3)[y]
    other[again] = np.roll(other[again], 1)
    told, _ = votes.refit(np.eye(3)[y])
    told_otherwise, _ = votes.refit(other)
    np.testing.assert_array_equal(told[first], told_otherwise[first])


def test_a_forest_too_small_for_its_copies_is_cross_fitted_by_group():
    X, y, wrong = noisy_iris()
    forest = RandomForestClassifier(60, random_state=0)
    assert MislabelFilter(forest).fit(X, y).evidence_ == "out-of-bag"
    at = np.tile(np.arange(len(y)), 2)
    twice = MislabelFilter(forest, random_state=0).fit(X[at], y[at])
    assert twice.evidence_ == "cross-fitted"
    assert np.mean(~twice.get_support()[wrong[at]]) > 0.5


@pytest.mark.parametrize("cv", [None, 3, KFold(3)])
def test_estimators_are_cross_fitted_by_group(cv):
    X, y, rows = part_copied()
    seen = []

    class Tree(DecisionTreeClassifier):
        def fit(self, X, y, sample_weight=None):
            self.rows_ = {tuple(row) for row in X}
            return super().fit(X, y, sample_weight)

        def predict_proba(self, X):
            if len(X) > 1:  # not one row alone, to see how it answers
                seen.append(self.rows_ & {tuple(row) for row in X})
            return super().predict_proba(X)

    found = MislabelFilter(Tree(max_depth=3), cv=cv, noise=None).fit(X, y)
    assert found.evidence_ == "cross-fitted"
    assert len(seen) >= 3 and not any(seen)
    quality = found.label_quality_
    if cv is None or cv == 3:
        # In one fold, all copies of a row are told the same.
        first = np.unique(rows, return_index=True)[1]
        same = np.argmax(rows[:, None] == rows[first][None], axis=1)
        np.testing.assert_array_equal(quality, quality[first][same])


def test_probabilities_that_came_have_no_copies():
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), 40)
    y = np.append(rng.integers(0, 3, 37), [0, 1, 2])
    count = rng.integers(1, 4, 40)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*have copies")
        weighted = MislabelFilter("precomputed").fit(P, y, count.astype(float))
        at = np.repeat(np.arange(40), count)
        copied = MislabelFilter("precomputed").fit(P[at], y[at])
    assert_allclose(copied.scores_, weighted.scores_[at], atol=1e-9)


def test_copies_of_weight_zero_are_no_observations():
    """Degrees of freedom count rows that are there."""
    X, y = noisy_diabetes()
    X, y = np.vstack([X, X[:30], X[:30]]), np.r_[y, y[:30], y[:30] + 1.0]
    weight = np.ones(len(y))
    weight[[2, 5, 40, 121, 150]] = 0.0
    weighted = MislabelFilter(InfluenceRanker(Ridge()))
    weighted.fit(X, y, sample_weight=weight)
    there = weight > 0
    without = MislabelFilter(InfluenceRanker(Ridge())).fit(X[there], y[there])
    found, truth = weighted.label_quality_[there], without.label_quality_
    # Sums of the same numbers, zeros among them; one degree of freedom is 1e-3.
    assert_allclose(found, truth, rtol=1e-8)


def test_sureness_is_under_the_weights_that_its_noise_is_fitted_under(monkeypatch):
    asked = []
    monkeypatch.setattr(
        _detector,
        "probability_right",
        lambda proba, *rest: asked.append(proba) or probability_right(proba, *rest),
    )
    X, y, _ = noisy_iris()
    weight = np.where(y == 2, 5.0, 1.0)
    detector = MislabelFilter(LOGISTIC).fit(X, y, sample_weight=weight)
    tilt, plain = detector._model.tilt_, detector._model.loo_proba_
    # Class 2 weighs five times as much, less what its wrong labels have of it.
    assert 1.0 < tilt[2] - tilt[0] < np.log(5.0)
    weighted = plain * np.exp(tilt)
    assert_allclose(asked[0], weighted / weighted.sum(axis=1, keepdims=True))


def test_what_rows_weigh_where_each_distinct_one_weighs_one():
    copies = find_copies(np.array([[0.0], [1.0], [0.0], [2.0]]))
    given, of_classes = np.array([3.0, 2.0, 1.0, 0.0]), np.array([1.0, 4.0, 1.0, 4.0])
    assert_allclose(weighing_once(given, copies), [0.75, 1.0, 0.25, 0.0])
    assert_allclose(weighing_once(given, None), [1.0, 1.0, 1.0, 0.0])
    # The weights of classes, a head's own, are none that count rows.
    kept = weighing_once(given * of_classes, None, given)
    assert_allclose(kept, [1.0, 4.0, 1.0, 0.0])


def test_a_rankers_class_weight_tilts_what_it_is_meant_to():
    X, y, _ = noisy_iris()
    balanced = LogisticRegression(class_weight={0: 1.0, 1: 1.0, 2: 5.0})
    detector = MislabelFilter(InfluenceRanker(balanced)).fit(X, y)
    assert_allclose(detector._model.tilt_, 0.0, atol=1e-12)
