"""The models behind label_score="auto": one given ranker, or two pooled surrogates."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import spearmanr
from sklearn import config_context
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.filtering._evidence._label_models import (
    NoiseAwareRanker,
    PooledLabelModel,
)
from sklinfluence.gradient import InfluenceRanker


@pytest.fixture(scope="module")
def flipped_digits():
    X, y = load_digits(return_X_y=True)
    # The set is in the order of its writers: shuffled, new rows are like old ones.
    rows = np.random.default_rng(0).permutation(len(y))[:600]
    given, is_flipped = flip_labels(y[rows], 0.2, kind="class", random_state=0)
    return X[rows], y[rows], given, is_flipped


# --- a given ranker -------------------------------------------------------------------


def rounds_by_refits(model, X, codes, n_rounds, tau_0=0.1):
    """The rounds with a scikit-learn fit for every row and round, two classes.

    A soft label is two weighted copies of its row, which any classifier takes.
    """
    n = len(codes)
    W = np.eye(2)[codes]
    T = np.array([[1 - tau_0, tau_0], [tau_0, 1 - tau_0]])
    history = []
    for _ in range(n_rounds):
        logit = np.empty(n)
        for i in range(n):
            rest = np.delete(np.arange(n), i)
            model.fit(
                np.vstack([X[rest], X[rest]]),
                np.repeat([0, 1], n - 1),
                np.concatenate([W[rest, 0], W[rest, 1]]),
            )
            logit[i] = model.decision_function(X[[i]])[0]
        a = temperature(logit, W)
        P = 1 / (1 + np.exp(-a * logit))
        P = np.column_stack([1 - P, P])
        W = P * T[:, codes].T
        W /= W.sum(axis=1, keepdims=True)
        e = np.clip(np.mean(1 - W[np.arange(n), codes]), 0.01, 0.45)
        T = np.array([[W[codes == j, k].sum() for j in (0, 1)] for k in (0, 1)])
        T += 0.3 * n / 2 * np.array([[1 - e, e], [e, 1 - e]])
        T /= T.sum(axis=1, keepdims=True)
        joint = np.log(P) + np.log(T[:, codes]).T
        rows = np.arange(n)
        history.append(joint[rows, 1 - codes] - joint[rows, codes])
    return np.mean(history, axis=0), P


def temperature(logit, W):
    """Least cross-entropy on a fine grid of factors: no derivative is involved."""
    grid = np.geomspace(0.1, 10, 20001)
    risk = [np.mean(np.logaddexp(0, a * logit) - a * W[:, 1] * logit) for a in grid]
    return grid[np.argmin(risk)]


def test_scores_of_a_ranker_are_those_of_refits_row_by_row():
    X, y = make_classification(
        50, 3, n_informative=3, n_redundant=0, class_sep=1.5, random_state=0
    )
    codes, _ = flip_labels(y, 0.1, random_state=0)
    model = LogisticRegression(C=0.1, tol=1e-8)
    scores, P = rounds_by_refits(model, X, codes, n_rounds=2)
    found = NoiseAwareRanker(InfluenceRanker(model), n_rounds=2).fit(X, codes)
    # One Newton step for each row: its error in the logit is a few thousandths here.
    assert_allclose(found.label_scores("auto"), scores, atol=0.03)
    assert_allclose(found.loo_proba_, P, atol=0.01)


def test_without_a_noise_model_the_order_is_that_of_the_leave_one_out_loss(noisy_blobs):
    X, y, _ = noisy_blobs
    two = np.isin(y, ["ash", "birch"])
    ranker = InfluenceRanker(LogisticRegression())
    plain = MislabelFilter(ranker, noise=None).fit(X[two], y[two])
    loss = MislabelFilter(ranker, label_score="loo_loss").fit(X[two], y[two])
    assert len(plain._model._result.rounds) == 1
    # A temperature is all that lies between, and two classes keep their order under
    # it. Newton stops at a move of 1e-3 here and of 1e-11 there: near ties may swap.
    assert spearmanr(plain.scores_, loss.scores_).statistic > 0.999


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(C=0.1),
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
        RidgeClassifier(alpha=100.0),
        SGDClassifier(loss="log_loss", alpha=0.1, random_state=0),
    ],
)
def test_a_ranker_is_used_alone(flipped_digits, estimator):
    X, _, given, is_flipped = flipped_digits
    X = X / 16
    with warnings.catch_warnings():
        # Stochastic gradients stop short, and the ranker polishes what they leave.
        warnings.simplefilter("ignore", ConvergenceWarning)
        detector = MislabelFilter(InfluenceRanker(estimator)).fit(X, given)
        plain = MislabelFilter(
            InfluenceRanker(estimator),
            label_score="loo_margin",
        ).fit(X, given)
    assert isinstance(detector.ranker_, InfluenceRanker)
    precision = average_precision_score(is_flipped, detector.scores_)
    assert precision > average_precision_score(is_flipped, plain.scores_) - 0.02
    assert precision > 0.6


def test_class_noise_is_learned_and_no_rate_is_published(flipped_digits):
    X, _, given, is_flipped = flipped_digits
    ranker = InfluenceRanker(LogisticRegression(C=0.001))
    precision = {
        noise: average_precision_score(
            is_flipped, MislabelFilter(ranker, noise=noise).fit(X, given).scores_
        )
        for noise in ("class", "uniform", None)
    }
    assert precision["class"] > max(precision["uniform"], precision[None])
    fitted = vars(MislabelFilter(random_state=0).fit(X, given))
    public = {name for name in fitted if name.endswith("_")}
    assert not {name for name in public if "rate" in name or "transition" in name}


def test_heads_of_high_leverage_are_warned_about():
    X, y = make_classification(40, 30, n_informative=5, random_state=0)
    detector = MislabelFilter(InfluenceRanker(LogisticRegression(C=100.0)))
    with pytest.warns(
        UserWarning, match=r"degrees of freedom a row.*smaller C"
    ) as caught:
        detector.fit(X, y)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of forty rows it flags many, and says so: not what is tested here.
        warnings.filterwarnings("ignore", message=".*of the rows are flagged")
        MislabelFilter(InfluenceRanker(LogisticRegression(C=1e-3))).fit(X, y)
        # Its own surrogate is tuned, however wide the data.
        MislabelFilter(random_state=0).fit(X, y)


def test_damping_of_the_ranker_reaches_the_rounds():
    X, y = make_classification(60, 4, class_sep=3.0, random_state=0)
    scores = [
        MislabelFilter(InfluenceRanker(LogisticRegression(), damping=damping))
        .fit(X, y)
        .scores_
        for damping in (0.0, 1.0)
    ]
    assert np.abs(scores[0] - scores[1]).max() > 0.01


# --- two pooled surrogates ------------------------------------------------------------


def test_score_samples_of_new_rows_match_held_out_quality(flipped_digits):
    X, y, given, _ = flipped_digits
    for ranker in (None, InfluenceRanker(LogisticRegression(C=0.001))):
        detector = MislabelFilter(ranker, random_state=0).fit(X[:400], given[:400])
        wrong, is_wrong = flip_labels(y[400:], 0.3, kind="class", random_state=1)
        scores = detector.score_samples(X[400:], wrong)
        assert average_precision_score(is_wrong, scores) > 0.9
        unlabelled = detector.score_samples(X[400:])
        assert np.all(unlabelled <= 0)


@pytest.mark.parametrize("ranker", [None, InfluenceRanker(LogisticRegression())])
def test_labels_that_training_lacked_are_named(noisy_blobs, ranker):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(ranker, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"not fitted on: \['yew'\]"):
        detector.score_samples(X[:2], ["ash", "yew"])


@pytest.mark.parametrize(
    ("X", "what"),
    [
        (["good", "bad", "ugly", "fine"] * 5, "text"),
        (np.array([["good"], ["bad"]] * 10), "columns of strings"),
    ],
)
def test_text_needs_a_ranker(X, what):
    with pytest.raises(ValueError, match=rf"X holds {what}, .*Pass a ranker"):
        MislabelFilter().fit(X, [0, 1] * 10)


def test_infinite_values_are_refused(noisy_blobs):
    X, y, _ = noisy_blobs
    X = X.copy()
    X[3, 1] = np.inf
    for container in (np.asarray, sparse.csr_matrix):
        with pytest.raises(ValueError, match="contains infinity"):
            MislabelFilter().fit(container(X), y)


def test_sparse_rows_are_never_made_dense_as_they_are():
    # Words by topic: each topic draws thirty a row by its own order of 4000 words.
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 4001)
    words = [rng.permutation(share / share.sum()) for _ in range(3)]
    y = np.arange(300) % 3
    X = sparse.csr_matrix([rng.multinomial(30, words[topic]) for topic in y])
    given, is_flipped = flip_labels(y, 0.1, random_state=0)
    detector = MislabelFilter(random_state=0)
    filtered = detector.fit_transform(X, given)
    assert sparse.issparse(filtered)
    assert average_precision_score(is_flipped, detector.scores_) > 0.8
    assert detector.score_samples(X[:5], given[:5]).shape == (5,)


def test_rows_that_come_twice_do_not_break_the_fit():
    # Leave-one-out sees each row's double, takes the head for perfect and lets C grow.
    rng = np.random.default_rng(0)
    X = np.repeat(rng.uniform(size=(15, 30)), 3, axis=0)
    y = np.repeat(rng.integers(0, 3, size=15), 3)
    for container in (np.asarray, sparse.csr_matrix):
        detector = MislabelFilter(random_state=0).fit(container(X), y)
        assert np.isfinite(detector.scores_).all()
        assert detector.get_support().all()


def test_global_output_settings_do_not_reach_the_inside(noisy_blobs):
    X, y, wrong = noisy_blobs
    with config_context(transform_output="pandas"):
        detector = MislabelFilter(random_state=0).fit(X, y)
    assert_array_equal(~detector.get_support(), wrong)


def test_the_seed_is_what_a_result_depends_on():
    X, y = make_classification(700, 6, n_informative=4, random_state=0)
    fits = [MislabelFilter(random_state=seed).fit(X, y) for seed in (0, 0, 1)]
    assert_array_equal(fits[0].scores_, fits[1].scores_)
    assert np.any(fits[0].scores_ != fits[2].scores_)
    # Two draws of landmarks rank nearly alike.
    assert np.corrcoef(fits[0].scores_, fits[2].scores_)[0, 1] > 0.98


def test_n_rounds(flipped_digits):
    X, _, given, _ = flipped_digits
    one = MislabelFilter(n_rounds=1, random_state=0).fit(X, given)
    three = MislabelFilter(n_rounds=3, random_state=0).fit(X, given)
    rounds = three._model._detector.result_
    assert_allclose(one.scores_, rounds.log_odds[0])
    assert_allclose(three.scores_, rounds.log_odds.mean(axis=0))


def test_one_class_is_refused_and_says_why():
    X = np.arange(10.0)[:, None]
    with pytest.raises(ValueError, match="y has 1 class"):
        PooledLabelModel().fit(X, np.zeros(10, dtype=int))
    y = np.arange(10) % 2
    with pytest.raises(ValueError, match="positive sample_weight have 1 class"):
        PooledLabelModel().fit(X, y, sample_weight=(y == 0).astype(float))


@pytest.mark.parametrize("ranker", [None, InfluenceRanker(LogisticRegression())])
def test_pickles(noisy_blobs, ranker):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(ranker, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(detector))
    assert_array_equal(again.score_samples(X, y), detector.score_samples(X, y))


# --- what the filter makes of them ----------------------------------------------------


@pytest.mark.parametrize("ranker", [None, InfluenceRanker(LogisticRegression(C=0.001))])
def test_suggested_labels(flipped_digits, ranker):
    X, y, given, is_flipped = flipped_digits
    detector = MislabelFilter(ranker, random_state=0).fit(X, given)
    suggested, flagged = detector.suggested_labels_, ~detector.get_support()
    changed = suggested != given
    # What is flagged is called something else, what is not flagged keeps its name
    # unless only a bound kept it.
    assert np.all(changed[flagged])
    report = detector.report().sort_index()
    doubted = (report["predicted_label"] != given) & (detector.scores_ > np.log(0.1))
    assert_array_equal(changed, doubted)
    assert np.mean(suggested[flagged & is_flipped] == y[flagged & is_flipped]) > 0.9
    assert np.mean(suggested == y) > np.mean(given == y) + 0.1


def test_a_share_relabels_only_what_is_doubted(noisy_blobs):
    X, y, wrong = noisy_blobs
    sampler = MislabelSampler(action="relabel", contamination=0.3, random_state=0)
    _, relabelled = sampler.fit_resample(X, y)
    assert np.sum(~sampler.get_support()) == 18
    assert_array_equal(relabelled != y, wrong)


def test_report_is_worst_first_by_score(flipped_digits):
    X, _, given, _ = flipped_digits
    detector = MislabelFilter(random_state=0).fit(X, given)
    report = detector.report()
    assert np.all(np.diff(detector.scores_[report.index]) <= 0)
    rows = np.arange(len(X))
    quality = detector._model.loo_proba_[rows, given]
    assert_allclose(report["label_quality"].sort_index(), quality)
    assert report["is_label_issue"].sum() == np.sum(~detector.get_support())


@pytest.mark.parametrize("ranker", [None, InfluenceRanker(LogisticRegression())])
def test_folds_and_groups(noisy_blobs, ranker):
    X, y, wrong = noisy_blobs
    groups = np.arange(len(y)) % 12
    detector = MislabelFilter(ranker, cv=GroupKFold(4), random_state=0)
    detector.fit(X, y, groups=groups)
    for train, test in GroupKFold(4).split(X, y, groups):
        fold = MislabelFilter(ranker, random_state=0).fit(X[train], y[train])
        expected = fold.score_samples(X[test], y[test])
        assert_allclose(detector.scores_[test], expected)
    # A fold of 45 rows knows less of the noise than all rows: one may be missed.
    flagged = ~detector.get_support()
    assert flagged[wrong].sum() >= 4
    assert flagged[~wrong].sum() == 0
    changed = detector.suggested_labels_ != y
    assert_array_equal(changed, flagged)
