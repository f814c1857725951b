"""What a person reads: the table, and the summary by class."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.filtering._report import summary_text

DETECTORS = [MislabelFilter, MislabelSampler]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    given, _ = flip_labels(y, 0.2, kind="class", random_state=0)
    return X, y, given


@pytest.mark.parametrize("detector_class", DETECTORS)
def test_the_table_shows_what_sorts_it_and_what_relabelling_writes(
    detector_class, digits
):
    X, y, given = digits
    detector = detector_class(random_state=0).fit(X, given)
    report = detector.report()
    assert list(report.columns) == [
        "is_label_issue", "score", "label_quality", "given_label", "predicted_label",
        "suggested_label",
    ]  # fmt: skip
    assert report["score"].is_monotonic_decreasing
    by_row = report.sort_index()
    np.testing.assert_array_equal(by_row["score"], detector.scores_)
    relabelled = MislabelSampler(action="relabel", random_state=0)
    _, written = relabelled.fit_resample(X, given)
    issue = by_row["is_label_issue"].to_numpy()
    np.testing.assert_array_equal(by_row["suggested_label"][issue], written[issue])
    # The noise model is what makes suggestions better than predictions.
    right = (by_row["suggested_label"] == y)[issue].mean()
    assert right > (by_row["predicted_label"] == y)[issue].mean()


@pytest.mark.parametrize("detector_class", DETECTORS)
def test_real_targets_have_the_same_columns(detector_class, noisy_line):
    X, y, wrong = noisy_line
    report = detector_class(random_state=0).fit(X, y).report()
    assert report["score"].is_monotonic_decreasing
    assert set(report.index[:4]) == set(np.flatnonzero(wrong))
    by_row = report.sort_index()
    issue = by_row["is_label_issue"].to_numpy()
    sampler = MislabelSampler(action="relabel", random_state=0)
    _, written = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(by_row["suggested_label"][issue], written[issue])
    np.testing.assert_array_equal(written[~issue], y[~issue])


@pytest.mark.parametrize("detector_class", DETECTORS)
def test_the_summary_counts_rows_and_flags_by_class(detector_class, noisy_blobs):
    X, y, wrong = noisy_blobs
    detector = detector_class(random_state=0).fit(X, y)
    np.testing.assert_array_equal(detector.get_support(), ~wrong)
    lines = detector.summary().splitlines()
    counted = f"{detector_class.__name__}: 60 rows, 5 flagged (8.3%), of which "
    assert lines[0].startswith(counted)
    # All five are; sixty rows leave some doubt of it.
    assert int(lines[0].removeprefix(counted).split("%")[0]) >= 80
    assert len(lines) == 4
    for line, name in zip(lines[1:], np.unique(y), strict=True):
        rows, flagged = np.sum(y == name), np.sum(wrong[y == name])
        assert line.split() == (
            f"{name} {rows} rows, {flagged} flagged ({flagged / rows:.1%})".split()
        )


def test_doors_reach_the_summary_and_targets_have_one_line(noisy_blobs, noisy_line):
    X, y, _ = noisy_blobs
    model = FilteredClassifier(DecisionTreeClassifier()).fit(X, y)
    assert model.filter_.summary().startswith("MislabelFilter: 60 rows, 5 flagged")
    X, y, _ = noisy_line
    model = FilteredRegressor(LinearRegression()).fit(X, y)
    flagged = np.sum(~model.filter_.get_support())
    assert flagged >= 4
    head, _, sure = model.filter_.summary().partition(", of which ")
    assert head == f"MislabelFilter: 80 rows, {flagged} flagged ({flagged / 80:.1%})"
    # At the default fdr=.05.
    assert int(sure.split("%")[0]) >= 95


def test_rows_of_weight_zero_are_counted_apart(noisy_blobs):
    X, y, wrong = noisy_blobs
    detector = MislabelFilter(random_state=0).fit(X, y, (~wrong).astype(float))
    head = detector.summary().splitlines()[0]
    assert head == (
        "MislabelFilter: 55 rows, 0 flagged (0.0%); 5 more of weight 0, which are not "
        "judged"
    )


def test_many_classes_are_listed_where_most_is_lost():
    given = np.repeat(np.arange(30), 10)
    flags = (np.arange(300) % 10) < given // 10
    rows = flags, given, np.ones(300, bool)
    lines = summary_text("F", *rows, True, np.nan).splitlines()
    assert [int(line.split()[0]) for line in lines[1:-1]] == list(range(10, 30))
    assert lines[-1] == "  10 other classes: 100 rows, 0 flagged (0.0%)"


@pytest.mark.parametrize("detector_class", DETECTORS)
def test_without_pandas_the_table_says_what_to_install(
    detector_class, noisy_blobs, monkeypatch
):
    X, y, _ = noisy_blobs
    detector = detector_class(random_state=0).fit(X, y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"report.*pip install sklinfluence\[report"):
        detector.report()
    assert "5 flagged" in detector.summary()
