"""Frames and holes for every score of the filter without a ranker."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sklinfluence.filtering import FilteredRegressor, MislabelFilter
from sklinfluence.filtering._columns import ReadColumns, needs_reading
from sklinfluence.filtering._columns._winsorize import Winsorizer, value_range

pd = pytest.importorskip("pandas")
rng = np.random.default_rng(0)
NUMBERS = rng.standard_normal((80, 2))
KIND = rng.choice(["x", "y", "z"], 80)


def frame():
    table = pd.DataFrame(NUMBERS, columns=["a", "b"])
    table["kind"] = KIND
    table.loc[3, "a"] = np.nan
    return table


def target():
    """By the kind and a number, a gross error in row 7."""
    y = NUMBERS[:, 1] + 2.0 * (KIND == "x") + 0.1 * rng.standard_normal(80)
    y[7] += 9.0
    return y


def test_numbers_without_holes_are_not_read():
    assert not needs_reading(NUMBERS)
    assert not needs_reading(pd.DataFrame(NUMBERS))
    assert needs_reading(np.where(NUMBERS > 2, np.nan, NUMBERS))
    pytest.importorskip("skrub")
    assert needs_reading(frame())
    # They keep their units: only outliers are held.
    held = ReadColumns().fit_transform(NUMBERS)
    np.testing.assert_array_equal(held, Winsorizer().fit_transform(NUMBERS))


@pytest.mark.parametrize("score", ["loo_loss", "self_influence", "agra"])
def test_classes_of_a_frame_by_scores_of_rankers(score):
    pytest.importorskip("skrub")
    y = np.where(KIND == "x", "one", "other")
    y[11] = "other" if y[11] == "one" else "one"
    detector = MislabelFilter(label_score=score, contamination=0.02).fit(frame(), y)
    assert detector.scores_.argmax() == 11
    assert detector.score_samples(frame(), y).shape == (80,)


@pytest.mark.parametrize("score", ["auto", "studentized", "cook"])
def test_real_targets_of_a_frame(score):
    pytest.importorskip("skrub")
    parts = {"label_score": score, "contamination": 0.02, "pool": ("linear", "forest")}
    parts["random_state"] = 0
    y = target()
    detector = MislabelFilter(**parts).fit(frame(), y)
    assert detector.scores_.argmax() == 7
    assert detector.evidence_ == ("leave-one-out" if score == "cook" else "pooled")
    assert list(detector.report().index[:1]) == [7]
    # The door for real targets goes the same way.
    model = FilteredRegressor(_Numbers(), MislabelFilter(**parts)).fit(frame(), y)
    np.testing.assert_allclose(model.filter_.scores_, detector.scores_)


class _Numbers(Ridge):
    """Ridge regression on the one column without holes."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X[["b"]], y, sample_weight)


def test_weight_zero_is_absence_to_the_range():
    column = np.r_[NUMBERS[:, 0], 1e9, -1e9][:, None]
    weight = np.r_[np.full(80, 2.0), 0.0, 0.0]
    weighted = Winsorizer().fit(column, sample_weight=weight)
    absent = Winsorizer().fit(column[:80])
    np.testing.assert_array_equal(weighted.highest_, absent.highest_)
    np.testing.assert_array_equal(weighted.lowest_, absent.lowest_)
    counts = rng.integers(1, 4, 80)
    heavy = np.where(np.arange(80) == 5, 40.0, NUMBERS[:, 0])
    weighted = Winsorizer().fit(heavy[:, None], sample_weight=counts)
    repeated = Winsorizer().fit(np.repeat(heavy, counts)[:, None])
    np.testing.assert_array_equal(weighted.highest_, repeated.highest_)
    assert value_range(heavy[:, None], np.ones(80))[1] == repeated.highest_


@pytest.mark.parametrize("score", ["cook", "studentized"])
def test_a_row_of_no_weight_moves_no_score_of_real_targets(score):
    X, y = np.vstack([NUMBERS, [[1e9, 0.0]]]), np.append(target(), 0.0)
    weight = np.append(np.ones(80), 0.0)
    pool = ("linear", "forest")
    settings = {"label_score": score, "contamination": 0.02, "random_state": 0}
    weighted = MislabelFilter(pool=pool, **settings).fit(X, y, sample_weight=weight)
    absent = MislabelFilter(pool=pool, **settings).fit(X[:80], y[:80])
    # The same rows in the same order: but for rounding.
    np.testing.assert_allclose(weighted.scores_[:80], absent.scores_, rtol=1e-7)
