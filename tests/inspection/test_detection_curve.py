"""DetectionCurveDisplay: the numbers by counting, the drawing by its artists."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import FilteredClassifier, MislabelFilter
from sklinfluence.inspection import DetectionCurveDisplay


class ScoredFilter(BaseEstimator):
    """Stands for any fitted filter: it has `scores_`."""

    def fit(self, scores):
        self.scores_ = np.asarray(scores, dtype=float)
        return self


class HoldsFilter(BaseEstimator):
    """Stands for a meta-estimator: its filter is `filter_`."""

    def fit(self, scores):
        self.filter_ = ScoredFilter().fit(scores)
        return self


def make_scores(n=200, share=0.15, n_levels=None, seed=0):
    rng = np.random.RandomState(seed)
    truth = rng.uniform(size=n) < share
    scores = truth + rng.normal(size=n)
    return truth, scores if n_levels is None else np.round(scores * n_levels)


def count_by_threshold(truth, scores):
    """Walk down the distinct scores and count, nothing but Python."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(scores), reverse=True):
        seen = [t for t, s in zip(truth, scores, strict=True) if s >= threshold]
        points.append((len(seen) / len(truth), sum(seen) / sum(truth)))
    return np.array(points).T


# n_levels=1 rounds the scores to whole numbers: most rows are tied.
@pytest.mark.parametrize("n_levels", [None, 1])
def test_curve_is_what_counting_gives(pyplot, n_levels):
    truth, scores = make_scores(n_levels=n_levels)
    display = DetectionCurveDisplay.from_predictions(truth, scores)
    inspected, found = count_by_threshold(truth, scores)
    # The same ratios of counts below 200, by two routes: rounding only.
    np.testing.assert_allclose(display.inspected, inspected, atol=1e-14)
    np.testing.assert_allclose(display.found, found, atol=1e-14)
    assert display.prevalence == truth.mean()


def test_average_precision_and_auroc_by_their_definitions(pyplot):
    truth, scores = make_scores()
    display = DetectionCurveDisplay.from_predictions(truth, scores)
    ranked = truth[np.argsort(-scores)]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    wins = scores[truth][:, None] > scores[~truth]
    # Sums of 200 terms in another order: rounding only.
    assert display.average_precision == pytest.approx(precision[ranked].mean(), 1e-12)
    assert display.roc_auc == pytest.approx(wins.mean(), 1e-12)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_auroc_is_the_normalised_area_under_the_curve(pyplot, share):
    truth, scores = make_scores(share=share, n_levels=2)
    display = DetectionCurveDisplay.from_predictions(truth, scores)
    area = trapezoid(display.found, display.inspected)
    normalised = (area - display.prevalence / 2) / (1 - display.prevalence)
    # An identity; 1e-12 for rounding.
    assert display.roc_auc == pytest.approx(normalised, abs=1e-12)


def test_perfect_and_reversed_scores_are_the_two_ends(pyplot):
    truth, _ = make_scores()
    best = DetectionCurveDisplay.from_predictions(truth, truth.astype(float))
    np.testing.assert_allclose(best.ideal_.get_xydata()[1], [truth.mean(), 1.0])
    assert best.roc_auc == 1.0
    assert best.average_precision == 1.0
    np.testing.assert_allclose(best.line_.get_xydata(), best.ideal_.get_xydata())
    worst = DetectionCurveDisplay.from_predictions(truth, -truth.astype(float))
    assert worst.roc_auc == 0.0


def test_row_order_changes_nothing(pyplot):
    truth, scores = make_scores(n_levels=1)
    order = np.random.RandomState(1).permutation(len(truth))
    one = DetectionCurveDisplay.from_predictions(truth, scores)
    other = DetectionCurveDisplay.from_predictions(truth[order], scores[order])
    np.testing.assert_array_equal(one.found, other.found)
    assert one.average_precision == other.average_precision


@pytest.mark.parametrize("estimator", [ScoredFilter(), HoldsFilter()])
def test_from_estimator_takes_the_filters_scores(pyplot, estimator):
    truth, scores = make_scores()
    by_estimator = DetectionCurveDisplay.from_estimator(estimator.fit(scores), truth)
    by_scores = DetectionCurveDisplay.from_predictions(truth, scores)
    np.testing.assert_array_equal(by_estimator.found, by_scores.found)
    assert by_estimator.name == type(estimator).__name__


def test_from_estimator_name_wins_over_the_class_name(pyplot):
    truth, scores = make_scores()
    fitted = ScoredFilter().fit(scores)
    display = DetectionCurveDisplay.from_estimator(fitted, truth, name="mine")
    assert display.line_.get_label().startswith("mine (AP = ")


def test_from_estimator_refuses_what_is_not_fitted_or_not_a_filter(pyplot):
    truth, scores = make_scores()
    with pytest.raises(NotFittedError, match="ScoredFilter"):
        DetectionCurveDisplay.from_estimator(ScoredFilter(), truth)
    stranger = ScoredFilter().fit(scores)
    del stranger.scores_
    stranger.other_ = 1
    with pytest.raises(TypeError, match="ScoredFilter has no scores_"):
        DetectionCurveDisplay.from_estimator(stranger, truth)


def test_plot_sets_artists_labels_and_limits(pyplot):
    truth, scores = make_scores()
    display = DetectionCurveDisplay.from_predictions(truth, scores, name="a filter")
    import matplotlib as mpl

    assert isinstance(display.ax_, mpl.axes.Axes)
    assert isinstance(display.figure_, mpl.figure.Figure)
    assert display.ax_.figure is display.figure_
    for artist in (display.line_, display.chance_level_, display.ideal_):
        assert isinstance(artist, mpl.lines.Line2D)
    assert display.ax_.get_xlabel() == "Share of rows inspected"
    assert display.ax_.get_ylabel() == "Share of mislabelled rows found"
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    figure = f"AP = {display.average_precision:.2f}"
    assert legend == [f"a filter ({figure})", "Chance (AUROC = 0.5)", "Ideal"]


def test_plot_draws_on_the_given_axes_and_leaves_lines_out_when_asked(pyplot):
    truth, scores = make_scores()
    _, ax = pyplot.subplots()
    DetectionCurveDisplay.from_predictions(truth, scores, ax=ax, name="one")
    display = DetectionCurveDisplay.from_predictions(
        truth, -scores, ax=ax, name="two", plot_chance_level=False, plot_ideal=False
    )
    assert display.ax_ is ax
    assert display.chance_level_ is None
    assert display.ideal_ is None
    assert len(ax.get_lines()) == 4
    assert len(pyplot.get_fignums()) == 1


def test_a_display_made_by_hand_draws_without_a_legend_it_has_no_words_for(pyplot):
    display = DetectionCurveDisplay(inspected=[0, 1], found=[0, 1], prevalence=0.1)
    display.plot(plot_chance_level=False, plot_ideal=False)
    assert display.ax_.get_legend() is None
    display.plot(name="by hand")
    assert display.line_.get_label() == "by hand"


@pytest.mark.parametrize("which", ["curve_kwargs", "chance_level_kw", "ideal_kw"])
def test_styles_override_defaults_and_aliases_may_not_clash(pyplot, which):
    artist = {
        "curve_kwargs": "line_",
        "chance_level_kw": "chance_level_",
        "ideal_kw": "ideal_",
    }[which]
    truth, scores = make_scores()
    style = {which: {"c": "red", "lw": 3}}
    display = DetectionCurveDisplay.from_predictions(truth, scores, **style)
    line = getattr(display, artist)
    assert line.get_color() == "red"
    assert line.get_linewidth() == 3
    with pytest.raises(TypeError, match="Got both c and color"):
        display.plot(**{which: {"c": "red", "color": "blue"}})


@pytest.mark.parametrize(
    ("truth", "scores", "message"),
    [
        ([0, 0, 0], [1, 2, 3], "is_mislabelled marks no row"),
        ([1, 1, 1], [1, 2, 3], "is_mislabelled marks every row"),
        ([0, 1, 2], [1, 2, 3], "must say True or False (1 or 0) for every row"),
        ([0, 1], [1, 2, 3], "inconsistent numbers of samples: [2, 3]"),
        ([0, 1, 1], [1, np.nan, 3], "contains NaN"),
    ],
)
def test_bad_input_is_named(pyplot, truth, scores, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DetectionCurveDisplay.from_predictions(truth, scores)


@pytest.mark.parametrize("method", ["plot", "from_predictions", "from_estimator"])
def test_missing_matplotlib_is_said_before_anything_is_computed(monkeypatch, method):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    display = DetectionCurveDisplay(inspected=[0, 1], found=[0, 1], prevalence=0.1)
    arguments = {
        "plot": (),
        "from_predictions": ([0, 1], [0, 1]),
        "from_estimator": (SimpleNamespace(), [0, 1]),
    }[method]
    message = f"DetectionCurveDisplay.{method} requires matplotlib"
    with pytest.raises(ImportError, match=message):
        getattr(display, method)(*arguments)


def test_the_filter_is_found_wherever_it_is(pyplot):
    X, y = load_iris(return_X_y=True)
    y, is_flipped = flip_labels(y, 0.1, random_state=0)
    filtered = FilteredClassifier(
        DecisionTreeClassifier(), MislabelFilter(pool=["linear"])
    )
    search = GridSearchCV(filtered, {"estimator__max_depth": [2]})
    pipe = make_pipeline(StandardScaler(), search)
    around = GridSearchCV(pipe, {}).fit(X, y)
    inner = around.best_estimator_[-1].best_estimator_.filter_
    for model in [around, around.best_estimator_, FrozenEstimator(around)]:
        display = DetectionCurveDisplay.from_estimator(model, is_flipped)
        expected = DetectionCurveDisplay.from_predictions(is_flipped, inner.scores_)
        np.testing.assert_array_equal(display.found, expected.found)
    with pytest.raises(TypeError, match="StandardScaler has no scores_"):
        scaler = make_pipeline(StandardScaler()).fit(X)
        DetectionCurveDisplay.from_estimator(scaler, is_flipped)
