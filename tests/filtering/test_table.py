"""Any data frame: what is read, what is refused, and what it is worth."""

import pickle
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklinfluence.filtering import (
    FilteredClassifier,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.filtering._columns._table import TableColumns

FRAMES = {"pandas": pd.DataFrame, "polars": lambda table: pl.from_pandas(table)}
COLOURS = np.array(["red", "green", "blue", "grey"])


def mixed_table(seed=0, n_rows=240):
    """Numbers, booleans, categories, strings, dates, free text, holes: X, y, wrong."""
    rng = np.random.RandomState(seed)
    codes = rng.randint(2, size=n_rows)
    number = codes + rng.normal(scale=0.8, size=n_rows)
    colour = COLOURS[
        np.where(rng.rand(n_rows) < 0.7, codes, rng.randint(4, size=n_rows))
    ]
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        200 * codes + rng.randint(300, size=n_rows), "D"
    )
    words = np.array([["quick", "fox", "run"], ["lazy", "dog", "sleep"]])
    text = [
        " ".join([*rng.choice(words[code], 2), f"item{rng.randint(1000)}"])
        for code in codes
    ]
    table = pd.DataFrame(
        {
            "number": number,
            "count": pd.array(rng.randint(5, size=n_rows), dtype="Int64"),
            "flag": rng.rand(n_rows) < 0.3 + 0.4 * codes,
            "colour": pd.Categorical(colour),
            "letter": np.array(["x", "y", "z"], dtype=object)[
                rng.randint(3, size=n_rows)
            ],
            "day": day,
            "text": text,
        }
    )
    for name in ["number", "count", "colour", "letter", "day", "text"]:
        table.loc[rng.rand(n_rows) < 0.05, name] = None
    wrong = rng.rand(n_rows) < 0.1
    y = np.array(["no", "yes"])[np.where(wrong, 1 - codes, codes)]
    return table, y, wrong


def by_hand(table):
    """The columns that somebody would make: one-hot, days, a few words."""
    hand = pd.get_dummies(table[["colour", "letter"]].astype(object), dtype=float)
    hand["number"], hand["flag"] = table["number"], table["flag"].astype(float)
    hand["count"] = table["count"].astype(float)
    hand["day"] = (table["day"] - pd.Timestamp("2020-01-01")).dt.days
    for word in ["quick", "fox", "run", "lazy", "dog", "sleep"]:
        hand[word] = table["text"].fillna("").str.contains(word).astype(float)
    return hand.to_numpy()


@pytest.mark.parametrize("kind", FRAMES)
def test_wrong_labels_are_found_as_in_columns_made_by_hand(kind):
    table, y, wrong = mixed_table()
    frame = FRAMES[kind](table)
    scores = MislabelFilter(random_state=0).fit(frame, y).scores_
    hand = MislabelFilter(random_state=0).fit(by_hand(table), y).scores_
    # One table: 24 wrong rows, whose average precision has a standard error of .03.
    precision = average_precision_score(wrong, scores)
    assert precision > 0.7
    assert precision > average_precision_score(wrong, hand) - 0.06


@pytest.mark.parametrize("kind", FRAMES)
def test_containers_index_and_new_rows(kind):
    table, y, _ = mixed_table(n_rows=90)
    table.index = [f"row {i}" for i in range(90)]
    frame = FRAMES[kind](table)
    detector = MislabelFilter(random_state=0).fit(frame, y)
    assert list(detector.feature_names_in_) == list(table.columns)
    report = detector.report()
    if kind == "pandas":
        assert set(report.index) == set(table.index)
    X_kept, y_kept = MislabelSampler(random_state=0).fit_resample(frame, y)
    assert type(X_kept) is type(frame)
    assert len(X_kept) == len(y_kept) < 90
    new = detector.score_samples(frame[:7], y[:7])
    assert new.shape == (7,)
    assert np.isfinite(new).all()
    assert type(detector.transform(frame[:7])) is type(frame)
    loaded = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(loaded.score_samples(frame[:7], y[:7]), new)


def test_categories_that_come_later_and_rows_of_no_weight():
    table, y, _ = mixed_table(n_rows=90)
    detector = MislabelFilter(random_state=0).fit(table, y)
    later = table[:5].astype({"colour": object}).assign(colour="mauve")
    assert np.isfinite(detector.score_samples(later, y[:5])).all()
    weight = np.ones(95)
    weight[90:] = 0.0
    odd = table[:5].assign(letter="never seen", number=1e6)
    both = MislabelFilter(random_state=0).fit(
        pd.concat([table, odd]), np.r_[y, y[:5]], sample_weight=weight
    )
    scale = np.abs(detector.scores_).max()
    np.testing.assert_allclose(both.scores_[:90], detector.scores_, atol=1e-6 * scale)


def test_the_filtered_door_reads_tables():
    table, y, _ = mixed_table(n_rows=90)
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = FilteredClassifier(make_pipeline(encoder, LogisticRegression()))
    assert model.fit(table, y).score(table, y) > 0.7


@pytest.mark.parametrize("kind", FRAMES)
def test_numbers_and_booleans_need_no_skrub(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "skrub", None)
    table, y, _ = mixed_table(n_rows=90)
    table = table[["number", "count", "flag"]]
    found = MislabelFilter(random_state=0).fit(FRAMES[kind](table), y)
    plain = table.astype(float).to_numpy()
    expected = MislabelFilter(random_state=0).fit(plain, y)
    assert np.isnan(plain).any()
    np.testing.assert_allclose(found.scores_, expected.scores_)


@pytest.mark.parametrize("kind", FRAMES)
def test_other_frames_without_skrub_name_the_extra(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "skrub", None)
    table, y, _ = mixed_table(n_rows=40)
    with pytest.raises(ImportError, match=r"sklinfluence\[table\]") as error:
        MislabelFilter().fit(FRAMES[kind](table), y)
    assert "\n" not in str(error.value)
    assert "'colour'" in str(error.value)


@pytest.mark.parametrize("kind", FRAMES)
def test_infinite_values_are_refused_by_their_column(kind):
    table, y, _ = mixed_table(n_rows=40)
    table.loc[3, "number"] = np.inf
    with pytest.raises(ValueError, match=r"infinity in the columns.*'number'"):
        MislabelFilter().fit(FRAMES[kind](table), y)
    with pytest.raises(ValueError, match=r"infinity in the columns.*'number'"):
        MislabelFilter().fit(FRAMES[kind](table[["number", "flag"]]), y)


def test_two_columns_of_one_name_are_refused_by_it():
    table, y, _ = mixed_table(n_rows=40)
    twice = pd.concat([table, table[["letter"]]], axis=1)
    # scikit-learn's own check comes first where it makes one.
    named = r"(more than one column named|unique column names)[\s\S]*'letter'"
    with pytest.raises(ValueError, match=named):
        MislabelFilter().fit(twice, y)


def test_arrays_where_frames_were_fitted_and_arrays_of_strings():
    table, y, _ = mixed_table(n_rows=40)
    detector = MislabelFilter(random_state=0).fit(table, y)
    with pytest.raises(ValueError, match=r"data frame with columns.*'colour'"):
        detector.score_samples(table.to_numpy(), y)
    strings = table[["letter", "text"]].fillna("none").to_numpy()
    with pytest.raises(ValueError, match=r"columns of strings.*data frame"):
        MislabelFilter().fit(strings, y)


def test_numbers_keep_their_digits():
    # Encoders of strings work in single precision; numbers do not pass through them.
    table = pd.DataFrame({"a": [1.0, 1.0 + 1e-12, 1e40, None], "b": list("xyxy")})
    columns = TableColumns(np.random.RandomState(0)).fit(table).transform(table)
    np.testing.assert_array_equal(columns[:3, 0], table["a"][:3])
    assert np.isnan(columns[3, 0])
    objects = pd.DataFrame({"a": np.array([1, 2.5, 3], dtype=object)})
    fitted = TableColumns(np.random.RandomState(0)).fit(objects)
    assert fitted.others_ == []
