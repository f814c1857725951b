"""flip_detection_scorer: by hand, in searches, and against known truth."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import FilteredClassifier, MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import flip_detection_scorer


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    return X[order], y[order]


class Oracle:
    """Knows the true labels: scores a row by whether its label is wrong."""

    def __init__(self, truth, sign=1.0):
        self.truth, self.sign = truth, sign

    def score_samples(self, X, y=None):
        return self.sign * (self.truth != y)


@pytest.mark.parametrize("kind", ["uniform", "class", "instance"])
def test_perfect_and_perverse_detectors(iris, kind):
    X, y = iris
    scorer = flip_detection_scorer(0.2, 0, kind)
    assert scorer(Oracle(y), X, y) == 1.0
    # All flips last and tied rows counted together: precision is the flips' share.
    assert scorer(Oracle(y, sign=0.0), X, y) == pytest.approx(0.2)
    assert scorer(Oracle(y, sign=-1.0), X, y) <= 0.2 + 1e-12


def test_one_draw_by_hand(iris):
    X, y = iris
    ranker = InfluenceRanker(LogisticRegression(max_iter=1000)).fit(X[:100], y[:100])
    scorer = flip_detection_scorer(random_state=3, n_repeats=1)
    seed = np.random.RandomState(3).randint(2**31 - 1, size=1)[0]
    noisy, is_flipped = flip_labels(y[100:], 0.1, random_state=seed)
    scores = ranker.score_samples(X[100:], noisy)
    expected = average_precision_score(is_flipped, scores)
    assert scorer(ranker, X[100:], y[100:]) == expected
    by_name = flip_detection_scorer(random_state=3, n_repeats=1, score="loo_loss")
    scores = ranker.label_scores("loo_loss", X[100:], noisy)
    expected = average_precision_score(is_flipped, scores)
    assert by_name(ranker, X[100:], y[100:]) == expected


def test_same_flips_at_every_call_and_after_pickling(iris):
    X, y = iris
    ranker = InfluenceRanker(LogisticRegression(max_iter=1000)).fit(X, y)
    for seed in (None, 0, np.random.RandomState(0)):
        scorer = flip_detection_scorer(random_state=seed)
        again = pickle.loads(pickle.dumps(scorer))
        assert scorer(ranker, X, y) == scorer(ranker, X, y) == again(ranker, X, y)
    assert repr(scorer).startswith("flip_detection_scorer(rate=0.1, random_state=")


def test_finds_the_detector_in_pipelines_filters_and_searches(iris):
    X, y = iris
    scorer = flip_detection_scorer(0.2, 0)
    ranker = InfluenceRanker(LogisticRegression(max_iter=1000))
    Z = StandardScaler().fit_transform(X)
    expected = scorer(ranker.fit(Z, y), Z, y)
    assert scorer(make_pipeline(StandardScaler(), ranker).fit(X, y), X, y) == expected
    search = GridSearchCV(ranker, {"damping": [0.0]}, scoring=scorer, cv=3).fit(Z, y)
    assert scorer(search, Z, y) == expected
    mislabel_filter = MislabelFilter(ranker).fit(X, y)
    filtered = FilteredClassifier(DecisionTreeClassifier(), MislabelFilter(ranker))
    filtered = make_pipeline("passthrough", filtered.fit(X, y))
    found = scorer(mislabel_filter, X, y)
    assert 0.5 < found == scorer(filtered, X, y)


def test_in_cross_validation_of_a_filter(iris):
    X, y = iris
    ranker = InfluenceRanker(LogisticRegression(max_iter=1000))
    scorer = flip_detection_scorer(0.2, 0)
    out = cross_validate(MislabelFilter(ranker), X, y, scoring=scorer, cv=3)
    assert np.all(out["test_score"] > 0.5)


def test_labels_that_training_lacked_are_left_out(iris):
    X, y = iris
    kept = y < 2
    ranker = InfluenceRanker(LogisticRegression()).fit(X[kept], y[kept])
    scorer = flip_detection_scorer(0.2, 0)
    with pytest.warns(
        UserWarning, match=r"50 of 150 rows .* labels, \[2\]. .*Stratified"
    ):
        found = scorer(ranker, X, y)
    assert found == scorer(ranker, X[kept], y[kept])


def test_errors_say_what_is_wrong(iris):
    X, y = iris
    scorer = flip_detection_scorer(random_state=0)
    ranker = InfluenceRanker(LogisticRegression(max_iter=1000)).fit(X, y)
    with pytest.raises(ValueError, match=r"Nothing to flip: rate=0\.1 of 4 rows"):
        scorer(ranker, X[:4], y[:4])
    with pytest.raises(ValueError, match=r"Nothing to flip.*StratifiedKFold"):
        scorer(ranker, X[y == 0], y[y == 0])
    with pytest.raises(ValueError, match="y is continuous"):
        scorer(InfluenceRanker(Ridge()).fit(X, y + 0.5), X, y + 0.5)
    for estimator in (LogisticRegression(max_iter=1000), KernelDensity()):
        with pytest.raises(TypeError, match="has no score_samples"):
            scorer(estimator.fit(X, y), X, y)
    with pytest.raises(ValueError, match="'rate' parameter of flip_detection_scorer"):
        flip_detection_scorer(0.0)


def detection_with_known_truth(ranker, score, X, y, rate=0.1, seeds=2):
    """Average precision on training labels that were flipped: the truth is known."""
    found = []
    for seed in range(seeds):
        noisy, is_flipped = flip_labels(y, rate, random_state=seed)
        scores = ranker.fit(X, noisy).label_scores(score)
        found.append(average_precision_score(is_flipped, scores))
    return np.mean(found)


# Two settings of which one is better when truth is known: by .6 (self-influence, far
# too strong a penalty) and by .03 to .4 (leave-one-out loss, far too weak a one).
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("score", "Cs"), [("self_influence", (1e-4, 1e-2)), ("loo_loss", (1e-2, 1e2))]
)
@pytest.mark.parametrize("load", [load_breast_cancer, load_digits, load_wine])
def test_prefers_the_setting_that_finds_more_when_truth_is_known(load, score, Cs):
    X, y = load(return_X_y=True)
    rows = np.random.RandomState(0).permutation(len(y))[:600]
    X, y = StandardScaler().fit_transform(X[rows]), y[rows]
    noisy, _ = flip_labels(y, 0.1, random_state=100)
    ranker = InfluenceRanker(LogisticRegression(max_iter=300))
    truth = {
        C: detection_with_known_truth(ranker.set_params(estimator__C=C), score, X, y)
        for C in Cs
    }
    # The labels that the search sees are noisy themselves.
    search = GridSearchCV(
        ranker,
        {"estimator__C": Cs},
        scoring=flip_detection_scorer(0.1, 0, score=score),
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(X, noisy)
    print(load.__name__, score, truth, search.cv_results_["mean_test_score"])
    assert search.best_params_["estimator__C"] == max(truth, key=truth.get)
