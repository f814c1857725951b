"""MislabelFilter: what is flagged, what takes its place, in which container."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.filtering import MislabelFilter, MislabelSampler
from sklinfluence.gradient import InfluenceRanker


@pytest.mark.parametrize("detector", [MislabelFilter(), MislabelSampler()])
def test_flags_the_wrong_rows_and_suggests_the_right_labels(noisy_blobs, detector):
    X, y, wrong = noisy_blobs
    detector = clone(detector).fit(X, y)
    assert_array_equal(~detector.get_support(), wrong)
    assert_array_equal(detector.get_support(indices=True), np.flatnonzero(~wrong))
    assert detector.threshold_ == detector.scores_[wrong].min()
    # The blobs lie six standard deviations apart: their own centres tell the truth.
    centres = np.array([[0, 0], [6, 0], [0, 6]])
    nearest = ((X[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert_array_equal(detector.suggested_labels_, np.unique(y)[nearest])


def test_fit_transform_is_not_transform_on_noisy_data(noisy_blobs):
    X, y, wrong = noisy_blobs
    detector = MislabelFilter(random_state=0)
    X_filtered = detector.fit_transform(X, y)
    assert detector.transform(X) is X
    assert_array_equal(X_filtered[~wrong], X[~wrong])
    assert np.all(np.any(X_filtered[wrong] != X[wrong], axis=1))
    assert_array_equal(X_filtered, X[detector.sample_indices_])
    assert not wrong[detector.sample_indices_].any()


def test_fit_transform_is_transform_on_clean_data(noisy_blobs):
    X, y, wrong = noisy_blobs
    X, y = X[~wrong], y[~wrong]
    assert_array_equal(MislabelFilter().fit_transform(X, y), X)
    assert MislabelFilter().fit(X, y).threshold_ == np.inf


@pytest.mark.parametrize(
    "convert_y", [np.asarray, list, pd.Series, pl.Series, lambda y: y.astype(object)]
)
@pytest.mark.parametrize(
    "convert_X",
    [np.asarray, np.ndarray.tolist, sparse.csr_matrix, sparse.coo_array]
    + [pd.DataFrame, lambda X: pl.DataFrame(X, schema=["a", "b"])],
)
def test_containers(noisy_blobs, convert_X, convert_y):
    X, y, wrong = noisy_blobs
    expected = MislabelFilter(random_state=0).fit_transform(X, y)
    detector = MislabelFilter(random_state=0)
    X_filtered = detector.fit_transform(convert_X(X), convert_y(y))
    assert_array_equal(~detector.get_support(), wrong)
    assert_array_equal(y[detector.sample_indices_], y)
    if sparse.issparse(X_filtered):
        X_filtered = X_filtered.toarray()
    assert_allclose(X_filtered, expected)


def test_tables_stay_tables_and_are_not_renamed(noisy_blobs):
    X, y, _ = noisy_blobs
    table = pd.DataFrame(X, columns=["width", "height"], index=np.arange(60)[::-1])
    detector = MislabelFilter(random_state=0).set_output(transform="pandas")
    filtered = detector.fit_transform(table, y)
    assert list(filtered.columns) == ["width", "height"]
    assert_array_equal(filtered.index, table.index)
    assert_array_equal(detector.get_feature_names_out(), ["width", "height"])
    numbered = pd.DataFrame(X)
    detector.fit(numbered, y).transform(numbered)
    assert list(numbered.columns) == [0, 1]


def test_text_reaches_the_ranker_untouched():
    words = {"sport": "ball goal team run", "food": "bread soup salt oven"}
    rng = np.random.default_rng(0)
    y = np.repeat(["sport", "food"], 20)
    X = [" ".join(rng.choice(words[label].split(), 3)) for label in y]
    y[[3, 30]] = "food", "sport"
    ranker = InfluenceRanker(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    detector = MislabelFilter(ranker, random_state=0)
    filtered = detector.fit_transform(X, y)
    assert_array_equal(np.flatnonzero(~detector.get_support()), [3, 30])
    assert filtered == [X[row] for row in detector.sample_indices_]
    assert detector.transform(X) == X
    assert detector.report().index[:2].sort_values().tolist() == [3, 30]


def test_no_class_is_emptied_and_bounds_hold():
    # Every row of class 2 lies among class 0.
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(20, 2)), rng.normal(size=(20, 2)) + 8])
    X = np.vstack([X, rng.normal(size=(6, 2))])
    y = np.repeat([0, 1, 2], [20, 20, 6])
    for settings, most in [({}, 3), ({"max_share": 1.0}, 5)] + [
        ({"max_share": 1.0, "min_per_class": 4}, 2),
        ({"max_share": 0.2}, 1),
    ]:
        detector = MislabelFilter(label_score="loo_loss", **settings).fit(X, y)
        assert np.sum(~detector.get_support() & (y == 2)) == most
        assert_array_equal(y[detector.sample_indices_], y)
        detector = MislabelFilter(random_state=0, **settings).fit(X, y)
        assert 0 < np.sum(~detector.get_support() & (y == 2)) <= most
        assert_array_equal(y[detector.sample_indices_], y)


def test_contamination_flags_that_share_the_worst_first(noisy_blobs):
    X, y, wrong = noisy_blobs
    detector = MislabelFilter(contamination=0.15).fit(X, y)
    flagged = ~detector.get_support()
    assert flagged.sum() == 9
    assert flagged[wrong].all()
    assert detector.threshold_ == np.sort(detector.scores_)[-9]


def test_a_number_as_threshold(noisy_blobs):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(threshold=0.5).fit(X, y)
    assert_array_equal(~detector.get_support(), detector.scores_ >= 0.5)
    assert detector.threshold_ == 0.5


def test_score_samples_of_new_rows(noisy_blobs):
    X, y, _ = noisy_blobs
    # Fitted by Newton's method: the ranker scores its polished head, and a solver that
    # stops earlier would stop elsewhere on another processor.
    model = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    detector = MislabelFilter(InfluenceRanker(model), label_score="loo_loss").fit(X, y)
    right, other = detector.score_samples([[0, 0], [0, 0]], ["ash", "birch"])
    proba = detector.ranker_.estimator_.predict_proba([[0, 0]])[0]
    assert_allclose([right, other], -np.log(proba[:2]), rtol=1e-7)
    unlabelled = detector.score_samples([[0, 0]])
    assert_allclose(unlabelled, right)


def test_report(noisy_blobs):
    X, y, wrong = noisy_blobs
    names = [f"row {i}" for i in range(60)]
    detector = MislabelFilter(label_score="loo_loss")
    detector.fit(pd.DataFrame(X, index=names), y)
    report = detector.report()
    assert list(report.columns) == [
        "is_label_issue",
        "score",
        "label_quality",
        "given_label",
        "predicted_label",
        "suggested_label",
    ]
    assert set(report.index[:5]) == {names[row] for row in np.flatnonzero(wrong)}
    assert report["is_label_issue"].tolist() == [True] * 5 + [False] * 55
    assert report["label_quality"].is_monotonic_increasing
    assert_array_equal(report.loc[names, "given_label"], y)
    assert_array_equal(report.loc[names, "predicted_label"], detector.suggested_labels_)


def test_report_of_lists_and_of_regression(noisy_line):
    X, y, wrong = noisy_line
    report = MislabelFilter().fit(X.tolist(), y.tolist()).report()
    assert set(report.index[:4]) == set(np.flatnonzero(wrong))
    assert_allclose(report.sort_index()["given_label"], y)


def test_integers_are_classes_unless_the_ranker_regresses(noisy_line):
    X, y, _ = noisy_line
    y = np.round(y).astype(int)
    detector = MislabelFilter(InfluenceRanker(Ridge())).fit(X, y)
    assert detector.suggested_labels_.dtype.kind == "f"
    assert not hasattr(detector, "sample_indices_")
    detector = MislabelFilter().fit(X, (y > 3).astype(int))
    assert detector.suggested_labels_.dtype.kind == "i"


def test_refit_forgets(noisy_blobs, noisy_line):
    detector = MislabelFilter().fit(*noisy_blobs[:2])
    detector.fit(*noisy_line[:2])
    assert not hasattr(detector, "sample_indices_")
    assert detector.n_features_in_ == 3
    assert len(detector.scores_) == len(detector.report()) == 80


def test_rows_of_weight_zero_do_not_count_in_the_fit(noisy_blobs):
    X, y, wrong = noisy_blobs
    weight = (~wrong).astype(float)
    ranker = InfluenceRanker(LogisticRegression(tol=1e-10))
    detector = MislabelFilter(ranker, label_score="loo_loss")
    detector.fit(X, y, sample_weight=weight)
    clean = LogisticRegression(tol=1e-10).fit(X[~wrong], y[~wrong])
    proba = clean.predict_proba(X[wrong])
    expected = proba[np.arange(5), np.searchsorted(clean.classes_, y[wrong])]
    # Rows without weight were never seen, so that leaving them out changes nothing.
    assert_allclose(detector.label_quality_[wrong], expected, rtol=1e-4)


def test_pickle_and_clone(noisy_blobs):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(
        InfluenceRanker(), label_score="loo_margin", random_state=3
    )
    assert clone(detector).get_params()["label_score"] == "loo_margin"
    detector.fit(X, y)
    again = pickle.loads(pickle.dumps(detector))
    assert_array_equal(again.sample_indices_, detector.sample_indices_)
    assert_array_equal(again.score_samples(X, y), detector.score_samples(X, y))
    assert again.report().equals(detector.report())


@pytest.mark.parametrize(
    "score",
    ["loo_loss", "loo_margin", "loss", "margin", "self_influence", "cook"]
    + ["gradient_norm", "agra"],
)
def test_every_classification_score_finds_wrong_labels(noisy_blobs, score):
    X, y, wrong = noisy_blobs
    detector = MislabelFilter(label_score=score).fit(X, y)
    # Far blobs: even the weakest score (agra) tells most wrong rows from right ones.
    assert roc_auc_score(wrong, detector.scores_) > 0.8


@pytest.mark.parametrize(
    "score",
    ["studentized", "loo_loss", "loss", "self_influence", "cook", "gradient_norm"],
)
def test_every_regression_score_finds_wrong_targets(noisy_line, score):
    X, y, wrong = noisy_line
    detector = MislabelFilter(label_score=score).fit(X, y)
    assert roc_auc_score(wrong, detector.scores_) > 0.95


@pytest.mark.parametrize("detector_class", [MislabelFilter, MislabelSampler])
def test_label_score_is_an_attribute_like_every_parameter(detector_class):
    detector = detector_class(label_score="loss")
    assert detector.label_score == detector.get_params()["label_score"] == "loss"
    assert detector.set_params(label_score="margin").label_score == "margin"
    assert "label_score='margin'" in repr(detector)
    # scikit-learn takes what is called score for a method that it may call.
    assert not hasattr(detector, "score")
    with pytest.raises(TypeError, match="unexpected keyword argument 'score'"):
        detector_class(score="loss")


def test_grid_search_in_a_pipeline(noisy_blobs):
    X, y, _ = noisy_blobs
    pipe = make_pipeline(
        StandardScaler(),
        MislabelFilter(InfluenceRanker(LogisticRegression()), random_state=0),
        LogisticRegression(),
    )
    pipe.steps[1] = ("clean", pipe.steps[1][1])
    grid = {
        "clean__ranker__damping": [0.0, 0.1],
        "clean__ranker__estimator__C": [0.1, 1.0],
        "clean__label_score": ["loo_loss", "loo_margin"],
    }
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    assert search.cv_results_["mean_test_score"].min() > 0.8
    # What was searched reached the ranker, and changed what it finds.
    best = search.best_estimator_["clean"]
    assert best.ranker_.damping == search.best_params_["clean__ranker__damping"]
    C = search.best_params_["clean__ranker__estimator__C"]
    assert best.ranker_.estimator_.C == C
    scores = [
        clone(pipe).set_params(clean__ranker__damping=damping).fit(X, y)[1].scores_
        for damping in grid["clean__ranker__damping"]
    ]
    assert not np.allclose(*scores)


def test_ties_are_flagged_for_no_class():
    # Columns that say nothing: the pooled probabilities are equal, and the class that
    # comes first must not win.
    rng = np.random.default_rng(2)
    columns = rng.standard_normal((600, 5))
    labels = np.arange(600) % 2
    one = MislabelFilter(random_state=0).fit(columns, labels).get_support()
    other = MislabelFilter(random_state=0).fit(columns, 1 - labels).get_support()
    assert_array_equal(one, other)


def test_rows_of_weight_zero_are_neither_flagged_nor_donors(noisy_blobs):
    X, y, _ = noisy_blobs
    weight = (np.arange(len(y)) % 2).astype(float)
    detector = MislabelFilter(random_state=0).fit(X, y, sample_weight=weight)
    flagged = ~detector.get_support()
    assert flagged.any() and np.all(weight[flagged] > 0)
    assert np.all(weight[detector.sample_indices_[flagged]] > 0)


@pytest.mark.parametrize("kind", ["coo", "dia", "bsr", "csc"])
def test_every_sparse_format_can_be_fitted_and_transformed(noisy_blobs, kind):
    X, y, _ = noisy_blobs
    rows = sparse.csr_matrix(X).asformat(kind)
    detector = MislabelFilter(random_state=0)
    kept = detector.fit_transform(rows, y)
    assert_array_equal(kept.toarray(), X[detector.sample_indices_])
    # New rows may be dense where the training rows were sparse.
    scores = detector.score_samples(X[:5], y[:5])
    assert_allclose(scores, detector.score_samples(rows.tocsr()[:5], y[:5]))


def test_score_samples_needs_one_label_a_row(noisy_blobs):
    X, y, _ = noisy_blobs
    detector = MislabelFilter(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        detector.score_samples(X[:5], y[:1])
