"""Displays: the numbers by what made them, the drawing by its artists."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression, Ridge

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import (
    DiagnosticsDisplay,
    InfluenceDisplay,
    NoiseDisplay,
    ProponentsDisplay,
    RemovalCurveDisplay,
    diagnostics,
)

X, Y = load_iris(return_X_y=True)
X, Y = X[::3], Y[::3]
MADE = {
    "InfluenceDisplay": lambda: InfluenceDisplay.from_predictions(X[:, :2], Y - 1.0),
    "NoiseDisplay": lambda: NoiseDisplay.from_predictions(Y, Y[::-1]),
    "DiagnosticsDisplay": lambda: DiagnosticsDisplay.from_predictions(
        [0.5, 0.2], [1.0, -2.0], [0.5, 0.5]
    ),
    "RemovalCurveDisplay": lambda: RemovalCurveDisplay.from_predictions(
        [0.0, 0.1], [0.8, 0.7]
    ),
    "ProponentsDisplay": lambda: ProponentsDisplay.from_predictions(
        "a", ["b", "c"], ["d"], kind="text"
    ),
}


@pytest.fixture(scope="module")
def ranker():
    return InfluenceRanker(LogisticRegression(max_iter=1000)).fit(X, Y)


@pytest.mark.parametrize("name", MADE)
def test_plots_again_on_axes_of_ones_own(pyplot, name):
    display = MADE[name]()
    assert display.ax_.figure is display.figure_
    _, ax = pyplot.subplots()
    assert display.plot(ax=ax) is display
    assert display.ax_ is ax and display.figure_ is ax.figure


@pytest.mark.parametrize("name", MADE)
def test_without_matplotlib_it_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{name}.from_predictions requires matplot"):
        MADE[name]()


# --- influence in the plane ---


def test_area_and_marker_are_the_influence(pyplot):
    influence = np.array([4.0, -2.0, 0.0, 1.0, np.nan])
    points = np.arange(10.0).reshape(5, 2)
    display = InfluenceDisplay.from_predictions(
        points, influence, queries=[[0.5, 0.5]], feature_names=["a", "b"]
    )
    assert_array_equal(display.influence, influence)
    assert_array_equal(display.proponents_.get_offsets(), points[[0, 3]])
    assert_array_equal(display.opponents_.get_offsets(), points[[1]])
    sizes = np.r_[display.proponents_.get_sizes(), display.opponents_.get_sizes()]
    # Area is linear in the magnitude, from what is still seen to 15 points across.
    assert_allclose(sizes, 6 + (220 - 6) * np.array([4.0, 1.0, 2.0]) / 4)
    assert_allclose((sizes - sizes[0]) / (sizes[1] - sizes[0]), [0, 1, 2 / 3])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("a", "b")
    assert_array_equal(display.queries_.get_offsets(), [[0.5, 0.5]])


def test_influence_is_the_rankers(pyplot, ranker):
    own = InfluenceDisplay.from_estimator(ranker, X)
    assert_array_equal(own.influence, ranker.self_influence_)
    asked = InfluenceDisplay.from_estimator(ranker, X, X[:2], Y[:2], columns=(2, 3))
    assert_array_equal(asked.influence, ranker.mean_influence(X[:2], Y[:2]))
    assert_array_equal(asked.points, X[:, 2:4])
    assert_array_equal(asked.queries, X[:2, 2:4])


def test_columns_by_name(pyplot, ranker):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    display = InfluenceDisplay.from_estimator(ranker, frame, columns=("d", "b"))
    assert_array_equal(display.points, X[:, [3, 1]])
    assert display.feature_names == ["d", "b"]
    with pytest.raises(ValueError, match="are names, and X is no frame"):
        InfluenceDisplay.from_estimator(ranker, X, columns=("d", "b"))
    with pytest.raises(ValueError, match="drawn, and X has 4 columns"):
        InfluenceDisplay.from_estimator(ranker, sparse.csr_matrix(X), columns=(0, 4))
    with pytest.raises(ValueError, match="must name two columns"):
        InfluenceDisplay.from_estimator(ranker, X, columns=(1,))
    with pytest.raises(ValueError, match="points has 4 columns"):
        InfluenceDisplay.from_predictions(X, Y)


# --- noise ---


class Suggesting(BaseEstimator):
    def fit(self, labels):
        self.suggested_labels_ = np.asarray(labels)
        return self


def test_transition_is_counted_by_hand(pyplot):
    true, given = np.array(list("aaaabbc")), np.array(list("aabbbac"))
    display = NoiseDisplay.from_predictions(true, given)
    truth = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert_allclose(display.transition, truth)
    assert [text.get_text() for text in display.text_[0]] == ["0.50", "0.50", "0.00"]
    assert display.text_[2, 2].get_color() == "w" != display.text_[0, 2].get_color()
    by_filter = NoiseDisplay.from_estimator(Suggesting().fit(true), given)
    assert_array_equal(by_filter.transition, display.transition)
    names = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert names == list("abc")
    assert_array_equal(display.display_labels, list("abc"))


def test_a_class_that_nothing_is_of(pyplot):
    display = NoiseDisplay.from_predictions([0, 0], [0, 1])
    assert np.isnan(display.transition[1]).all()
    assert display.text_[1, 0].get_text() == ""
    assert NoiseDisplay(transition=np.eye(2)).plot(include_values=False).text_ is None


def test_real_targets_are_named(pyplot):
    with pytest.raises(ValueError, match="y_given holds real targets"):
        NoiseDisplay.from_predictions([0, 1], [0.5, 1.25])


def test_who_suggests_no_labels_is_named(pyplot, ranker):
    with pytest.raises(TypeError, match="InfluenceRanker suggests no labels"):
        NoiseDisplay.from_estimator(ranker, Y)


# --- diagnostics ---


@pytest.mark.parametrize("alpha", [1e-6, 5.0])
def test_contours_are_where_cooks_distance_is_that(pyplot, alpha):
    data, y = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker(Ridge(alpha), method="newton").fit(data[:80], y[:80])
    display = DiagnosticsDisplay.from_estimator(ranker)
    table = diagnostics(ranker, dfbetas=False)
    assert_array_equal(display.leverage, table["leverage"])
    assert_array_equal(display.residual, table["internally_studentized"])
    third = np.sort(table["cooks_distance"])[-3]
    solid = display.contours_[1]
    assert solid.get_label() == f"Cook's distance {third:.2g}"
    row = int(np.argsort(table["cooks_distance"].to_numpy())[-3])
    at, bound = solid.get_xydata().T[:, :400]
    near = np.interp(display.leverage[row], at, bound)
    # Between points of the line, some 1e-4 of it.
    assert near == pytest.approx(abs(display.residual[row]), rel=1e-3)
    assert [text.get_text() for text in display.labels_][2] == str(row)


def test_rows_of_a_model_bear_their_names(pyplot):
    pandas = pytest.importorskip("pandas")
    data, y = load_diabetes(return_X_y=True, as_frame=True)
    data = data[:40].set_axis([f"row {at}" for at in range(40)])
    assert isinstance(data, pandas.DataFrame)
    model = Ridge().fit(data, y[:40])
    display = DiagnosticsDisplay.from_estimator(model, data, y[:40])
    assert all(text.get_text().startswith("row ") for text in display.labels_)
    assert_array_equal(display.row_names, data.index)
    assert not display.plot(n_labels=0, levels=[]).contours_


def test_heads_of_several_outputs_are_named(pyplot):
    data, y = load_diabetes(return_X_y=True)
    ranker = InfluenceRanker(Ridge()).fit(data, np.c_[y, y**2])
    with pytest.raises(ValueError, match="several outputs"):
        DiagnosticsDisplay.from_estimator(ranker)


# --- removal ---


@pytest.mark.parametrize("order", ["lowest", "highest"])
def test_scores_are_those_of_refits(pyplot, ranker, order):
    display = RemovalCurveDisplay.from_estimator(
        ranker, X, Y, X, Y, order=order, removed=[0.0, 0.3], n_random=2, random_state=0
    )
    by_value = np.argsort(-ranker.self_influence_, kind="stable")
    by_value = by_value if order == "lowest" else by_value[::-1]
    kept = by_value[round(0.3 * len(Y)) :]
    model = clone(ranker.estimator_)
    truth = [model.fit(X, Y).score(X, Y), model.fit(X[kept], Y[kept]).score(X, Y)]
    assert_allclose(display.scores, truth)
    rng, chance = np.random.RandomState(0), []
    for _ in range(2):
        kept = rng.permutation(len(Y))[round(0.3 * len(Y)) :]
        chance.append(model.fit(X[kept], Y[kept]).score(X, Y))
    assert_allclose(display.chance_scores, [truth[0], np.mean(chance)])
    assert_allclose(display.chance_level_.get_ydata(), display.chance_scores)
    assert display.line_.get_label() == "InfluenceRanker"


def test_values_come_before_self_influence(pyplot, ranker):
    class Valued(BaseEstimator):
        estimator_ = ranker.estimator_
        values_ = np.where(Y == 0, 1.0, np.where(Y == 1, 0.5, 0.0))

        def fit(self):
            return self

    # Of the highest first two thirds are left, of which one class is gone; at the end
    # one class is left, and nothing to fit.
    display = RemovalCurveDisplay.from_estimator(
        Valued(), X, Y, X, Y, order="highest", removed=[0.34, 0.7], n_random=0
    )
    assert display.scores[0] == pytest.approx(2 / 3, abs=0.05)
    assert np.isnan(display.scores[1]) and display.chance_scores is None


def test_what_cannot_be_removed_is_named(pyplot, ranker):
    for given, match in (
        ({"order": "first"}, "neither 'lowest' nor 'highest'"),
        ({"removed": [0.0, 1.0]}, "must be shares from 0 to below 1"),
    ):
        with pytest.raises(ValueError, match=match):
            RemovalCurveDisplay.from_estimator(ranker, X, Y, X, Y, **given)
    with pytest.raises(ValueError, match="X has 5 rows, the ranker was fitted on 50"):
        RemovalCurveDisplay.from_estimator(ranker, X[:5], Y[:5], X, Y)


# --- proponents ---


def test_rows_are_the_rankers_strongest(pyplot, ranker):
    display = ProponentsDisplay.from_estimator(ranker, X, Y, X[20:21], Y[20:21], n=2)
    for found, strongest in (
        (display.proponents, ranker.proponents),
        (display.opponents, ranker.opponents),
    ):
        _, index = strongest(X[20:21], Y[20:21], n=2)
        assert_array_equal(np.array(list(found), dtype=float), X[index[0]])
    value, index = ranker.proponents(X[20:21], Y[20:21], n=2)
    assert display.titles[1][0] == f"{Y[index[0, 0]]} ({value[0, 0]:+.2g})"
    cells = display.cells_.get_celld()
    assert cells[2, 0].get_text().get_text() == display.titles[1][0]
    assert cells[1, 1].get_text().get_text() == f"{X[20, 0]:.4g}"


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.bsr_matrix])
def test_sparse_rows_are_a_table_of_numbers(pyplot, container):
    rows = container(X)
    model = InfluenceRanker(LogisticRegression(max_iter=1000)).fit(rows, Y)
    display = ProponentsDisplay.from_estimator(model, rows, Y, container(X[20:21]), n=2)
    _, index = model.proponents(container(X[20:21]), n=2)
    assert_array_equal(np.array(display.proponents), X[index[0]])
    assert_array_equal(display.query, X[20])


def test_images_and_texts(pyplot):
    data, y = load_digits(return_X_y=True)
    data, y = data[:100] / 16, y[:100]
    ranker = InfluenceRanker(LogisticRegression(max_iter=500)).fit(data, y)
    asked = data[:1], y[:1]
    display = ProponentsDisplay.from_estimator(
        ranker, data, y, *asked, kind="image", image_shape=(8, 8)
    )
    assert len(display.cells_) == 7
    drawn = display.cells_[0].images[0].get_array()
    assert_array_equal(drawn, data[0].reshape(8, 8))
    texts = [f"text {at} " + "word " * 80 for at in range(100)]
    written = ProponentsDisplay.from_estimator(
        ranker, data, y, *asked, kind="text", shown=texts, shown_query=["a text"]
    )
    _, index = ranker.proponents(*asked, n=3)
    said = written.cells_[1].texts[0].get_text()
    assert said.startswith(f"text {index[0, 0]}") and said.endswith("…")
    with pytest.raises(ValueError, match="needs image_shape="):
        ProponentsDisplay.from_estimator(ranker, data, y, *asked, kind="image")
    with pytest.raises(ValueError, match="one query is drawn at a time"):
        ProponentsDisplay.from_estimator(ranker, data, y, data[:2])
    with pytest.raises(ValueError, match="kind='sound' is none of"):
        ProponentsDisplay.from_predictions("a", [], [], kind="sound")
