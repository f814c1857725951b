"""Probabilities alone, or predictions of real targets, in the place of rows."""

import pickle

import numpy as np
import pandas as pd
import pytest
from cleanlab.rank import get_label_quality_scores
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.filtering._noise._likelihood import noise_in_force

X, species = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
y, is_flipped = flip_labels(NAMES[species], 0.1, random_state=0)
P = cross_val_predict(GaussianNB(), X, y, cv=5, method="predict_proba")
given = np.searchsorted(NAMES, y)


def test_labels_are_judged_as_by_the_model_that_spoke():
    detector = MislabelFilter("precomputed").fit(P, y)
    assert detector.evidence_ == "precomputed"
    assert average_precision_score(is_flipped, detector.scores_) > 0.9
    flagged = ~detector.get_support()
    assert is_flipped[flagged].mean() > 0.8
    right = detector.suggested_labels_ == NAMES[species]
    assert right[flagged].mean() > 0.8
    assert detector.summary().startswith("MislabelFilter: 150 rows")
    assert_array_equal(detector.report()["given_label"].sort_index(), y)
    assert_allclose(detector.score_samples(P, y), detector.scores_)
    assert_allclose(clone(detector).fit(P, y).scores_, detector.scores_)
    assert_allclose(pickle.loads(pickle.dumps(detector)).scores_, detector.scores_)


def test_without_a_noise_model_the_order_is_that_of_self_confidence():
    """cleanlab's own, on the same probabilities."""
    detector = MislabelFilter("precomputed", noise=None).fit(P, y)
    confidence = get_label_quality_scores(given, P, method="self_confidence")
    order = np.argsort(confidence, kind="stable")
    # Ties of probabilities below 1e-12, or above 1 - 1e-12, aside.
    assert (np.diff(detector.scores_[order]) <= 1e-3).all()
    assert_allclose(detector.label_quality_, confidence, rtol=1e-10, atol=1e-11)


def test_a_noise_model_is_used_only_where_labels_speak_for_it():
    """Probabilities of the given label itself, drawn from them, and of the true one."""
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.full(3, 0.3), size=4000)
    codes = np.array([rng.choice(3, p=row) for row in true])
    noisy = np.where((codes == 0) & (rng.random(4000) < 0.5), 1, codes)
    T = np.array([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    weight = np.ones(4000)
    of_given = np.log(np.maximum(true @ T, 1e-12))
    of_true = np.log(np.maximum(true, 1e-12))
    assert noise_in_force(of_true, noisy, weight, "class", 3) == "class"
    assert noise_in_force(of_given, noisy, weight, "class", 3) is None
    assert noise_in_force(of_true, noisy, weight, None, 3) is None
    shuffled = rng.permutation(4000)
    for log_proba in (of_true, of_given):
        assert noise_in_force(
            log_proba[shuffled], noisy[shuffled], weight, "class", 3
        ) == noise_in_force(log_proba, noisy, weight, "class", 3)


def test_columns_stand_in_the_order_of_classes():
    plain = MislabelFilter("precomputed").fit(P, y)
    for order in ([2, 0, 1], [1, 2, 0]):
        named = MislabelFilter("precomputed", classes=NAMES[order]).fit(P[:, order], y)
        assert_allclose(named.scores_, plain.scores_, rtol=1e-12)
        assert_array_equal(named.suggested_labels_, plain.suggested_labels_)
        assert_allclose(named.score_samples(P[:, order], y), plain.scores_)
        frame = pd.DataFrame(P[:, order], columns=NAMES[order])
        by_name = MislabelFilter("precomputed").fit(frame, y)
        assert_allclose(by_name.scores_, plain.scores_, rtol=1e-12)


@pytest.mark.parametrize("action", ["drop", "relabel"])
def test_a_class_that_no_row_is_given(action):
    """It may be predicted; what relabelling writes is a label that y has."""
    classes = ["oak", *NAMES]
    wide = np.column_stack([np.full(150, 0.3), 0.7 * P])
    wide[7] = [0.94, 0.02, 0.02, 0.02]
    sampler = MislabelSampler("precomputed", classes=classes, action=action)
    rows, labels = sampler.fit_resample(wide, y)
    assert set(labels) <= set(NAMES)
    assert sampler._predicted_labels[7] == "oak"
    assert len(rows) == len(labels)


def test_weights_are_copies():
    weight = np.where(np.arange(150) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(150), weight.astype(int))
    weighted = MislabelFilter("precomputed").fit(P, y, sample_weight=weight)
    repeated = MislabelFilter("precomputed").fit(P[twice], y[twice])
    assert_allclose(weighted.scores_[twice], repeated.scores_, rtol=1e-7)


def test_predictions_of_real_targets():
    rng = np.random.default_rng(0)
    target = X @ [1.0, -1.0, 2.0, 0.5] + rng.normal(size=150)
    target[[3, 90]] += [12, -12]
    said = cross_val_predict(Ridge(), X, target)
    for column in (said, said.reshape(-1, 1), list(said)):
        detector = MislabelFilter("precomputed").fit(column, target)
        assert detector.evidence_ == "precomputed"
        assert_array_equal(np.flatnonzero(~detector.get_support()), [3, 90])
        size = np.abs(target - said)
        # The lower median of 150 magnitudes, in units of a normal error's.
        scale = np.sort(size)[74] / 0.6744897501960817
        assert_allclose(detector.scores_, size / scale, rtol=1e-12)
        assert_allclose(detector.score_samples(column, target), detector.scores_)
    sampler = MislabelSampler("precomputed", action="relabel")
    assert_allclose(sampler.fit_resample(said, target)[1][[3, 90]], said[[3, 90]])


def test_the_doors_that_fit_an_estimator_take_a_fitted_filter():
    for detector in (MislabelFilter("precomputed"), MislabelSampler("precomputed")):
        fitted = detector.fit(P, y)
        kept = np.flatnonzero(fitted.get_support())
        model = FilteredClassifier(GaussianNB(), FrozenEstimator(fitted)).fit(X, y)
        assert_array_equal(model.sample_indices_, kept)
        with pytest.raises(ValueError, match="pass it as FrozenEstimator"):
            FilteredClassifier(LogisticRegression(), detector).fit(X, y)
    with pytest.raises(ValueError, match="takes probabilities or predictions for X"):
        FilteredRegressor(Ridge(), MislabelFilter("precomputed")).fit(X, X[:, 0])


two = np.where(y == "setosa", "no", "yes")
BAD = {
    "one column, two classes": (
        {}, P[:, 0], two, r"y has two classes, \['no', 'yes'\].*np.c_\[1 - p, p\]"
    ),
    "one column, numbers 0 and 1": (
        {}, P[:, :1], (y == "setosa").astype(int), r"pass np.c_\[1 - p, p\]"
    ),
    "one column, three classes": ({}, P[:, 0], y, "a column of probabilities for each"),
    "too few columns": (
        {}, P[:, :2] / P[:, :2].sum(axis=1, keepdims=True), y,
        "X has 2 columns of probabilities, and y has 3 classes",
    ),
    "rows that do not sum to one": (
        {}, np.where(np.arange(150)[:, None] == 4, P / 2, P), y,
        r"1 of 150 rows of X do not sum to one \(row 4 sums to 0.5\)",
    ),
    "holes": ({}, np.where(P > 0.9, np.nan, P), y, "Input X contains NaN"),
    "infinite": ({}, np.where(P > 0.9, np.inf, P), y, "Input X contains infinity"),
    "logarithms": ({}, np.log(P + 1e-9), y, "takes probabilities: no decision values"),
    "text": ({}, np.full((150, 3), "a"), y, "could not convert string|dtype"),
    "classes too few": (
        {"classes": ["setosa", "virginica"]}, P, y, "and classes names 2"
    ),
    "classes twice": (
        {"classes": ["setosa", "setosa", "virginica"]}, P, y, "each class once"
    ),
    "classes that y lacks": (
        {"classes": ["setosa", "versicolor", "oak"]}, P, y,
        r"y holds \['virginica'\], of which classes=",
    ),
    "folds": ({"cv": 3}, P, y, "cv says how rows are held out.*Leave cv=None"),
    "a ranker's score": (
        {"label_score": "loo_loss"}, P, y, "ranker='precomputed' is none"
    ),
    "one class": ({"classes": list(NAMES)}, P, np.full(150, "setosa"), "at least two"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("door", [MislabelFilter, MislabelSampler])
def test_errors(door, name):
    parameters, probabilities, labels, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        door("precomputed", **parameters).fit(probabilities, labels)


def test_groups_and_new_rows():
    with pytest.raises(ValueError, match="groups says how rows are held out"):
        MislabelFilter("precomputed").fit(P, y, groups=given)
    detector = MislabelFilter("precomputed").fit(P, y)
    with pytest.raises(ValueError, match="X has 2 features, but MislabelFilter"):
        detector.score_samples(P[:, :2], y)
    with pytest.raises(ValueError, match="do not sum to one"):
        detector.score_samples(P / 3, y)
