"""One kind of container in, the same out, and the same rows flagged, in every door."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.metrics import flip_detection_scorer, loo_correlation
from sklinfluence.model_selection import LeaveOneOutSearch

CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "array": np.asarray,
    "column": lambda y: np.reshape(y, (-1, 1)),
    "Series": lambda y: pd.Series(y, index=np.arange(len(y)) + 100, name="label"),
    "DataFrame": lambda y: pd.DataFrame({"label": y}, index=np.arange(len(y)) + 100),
    "Index": pd.Index,
    "nullable": lambda y: pd.Series(y).convert_dtypes(),
    "nullable array": lambda y: pd.array(y.tolist()),
    "categorical": lambda y: pd.Series(y, dtype="category"),
    "Categorical": pd.Categorical,
    "polars": lambda y: pl.Series("label", y.tolist()),
    "polars frame": lambda y: pl.DataFrame({"label": y.tolist()}),
    "polars categories": lambda y: pl.Series("label", y.astype(str).tolist()).cast(
        pl.Categorical
    ),
    "Arrow": lambda y: pd.Series(y).convert_dtypes(dtype_backend="pyarrow"),
}
VALUES = {
    "integers": lambda y: np.unique(y, return_inverse=True)[1],
    "strings": np.asarray,
    "booleans": lambda y: y == "ash",
}
OTHERS = [values for values in VALUES if values != "integers"]
# Labels are read before anybody votes on them: one vote and one round say the same.
QUICK = {"pool": ["linear"], "n_rounds": 1, "random_state": 0}
DOORS = {
    "filter": lambda: MislabelFilter(**QUICK),
    "filter of a ranker": lambda: MislabelFilter(InfluenceRanker(LogisticRegression())),
    "filter with folds": lambda: MislabelFilter(**QUICK, cv=3),
    "drop": lambda: MislabelSampler(**QUICK),
    "relabel": lambda: MislabelSampler(**QUICK, action="relabel"),
    "classifier": lambda: FilteredClassifier(
        DecisionTreeClassifier(random_state=0), MislabelFilter(**QUICK)
    ),
    "classifier, relabel": lambda: FilteredClassifier(
        DecisionTreeClassifier(random_state=0),
        MislabelSampler(**QUICK, action="relabel"),
    ),
    "ranker": lambda: InfluenceRanker(LogisticRegression()),
    "representers": lambda: RepresenterRanker(LogisticRegression()),
    "search": lambda: LeaveOneOutSearch(LogisticRegression(), {"C": [0.1, 1.0]}),
}


def contain(container, values):
    if container == "Arrow":
        pytest.importorskip("pyarrow")
    return CONTAINERS[container](values)


def asked(model, X, y):
    """What every method that takes labels says."""
    if hasattr(model, "score_samples"):
        yield model.score_samples(X, y)
    if hasattr(model, "score"):
        yield model.score(X, y)
    if hasattr(model, "influence"):
        yield model.influence(X, y)
        yield model.mean_influence(X, y)
        yield model.proponents(X, y)[0]
        yield model.label_scores("self_influence", X, y)
    if hasattr(model, "filter_"):
        yield model.filter_.scores_
    if hasattr(model, "report"):
        yield model.report()["label_quality"]
        yield flip_detection_scorer(random_state=0)(model, X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize(
    ("door", "values"),
    [
        *((door, "integers") for door in DOORS),
        *((door, values) for door in ("relabel", "ranker") for values in OTHERS),
    ],
)
@pytest.mark.parametrize("container", CONTAINERS)
def test_labels_in_any_container(noisy_blobs, door, container, values):
    X, y, _ = noisy_blobs
    y = VALUES[values](y)
    given = contain(container, y)
    if container == "polars categories":
        y = y.astype(str)
    model, expected = DOORS[door]().fit(X, given), DOORS[door]().fit(X, y)
    pairs = zip(asked(model, X, given), asked(expected, X, y), strict=True)
    for found, right in pairs:
        assert_allclose(found, right, rtol=1e-12)
    if hasattr(model, "classes_"):
        assert_array_equal(model.classes_, expected.classes_)
    if not hasattr(model, "fit_resample"):
        return
    before = np.array(given)
    _, labels = DOORS[door]().fit_resample(X, given)
    right = DOORS[door]().fit_resample(X, y)[1]
    assert type(labels) is type(given)
    assert getattr(labels, "dtype", None) == getattr(given, "dtype", None)
    assert_array_equal(np.ravel(np.asarray(labels)), right)
    assert_array_equal(np.asarray(given), before)
    if hasattr(given, "iloc") and door == "relabel":
        assert_array_equal(labels.index, given.index)


OF_ARRAYS = {}


def of_arrays(sampler, X, y):
    """(Targets that a sampler gives, predictions without its flags), made once."""
    key = sampler.action, y.dtype.str
    if key not in OF_ARRAYS:
        model = FilteredRegressor(Ridge(), sampler).fit(X, y)
        OF_ARRAYS[key] = sampler.fit_resample(X, y)[1], model.predict(X)
    return OF_ARRAYS[key]


@pytest.mark.parametrize("values", [np.float32, np.int64])
@pytest.mark.parametrize("container", [c for c in CONTAINERS if "ateg" not in c])
@pytest.mark.parametrize("action", ["drop", "relabel"])
def test_targets_in_any_container(noisy_line, action, container, values):
    X, y, _ = noisy_line
    y = np.round(y, 2).astype(values)
    given = contain(container, y)
    sampler = MislabelSampler(InfluenceRanker(Ridge()), action=action)
    right, predictions = of_arrays(sampler, X, y)
    _, found = sampler.fit_resample(X, given)
    if container not in ("Index", "nullable array"):
        assert type(found) is type(given)
    # float32 targets: single precision relative to targets of about ten.
    assert_allclose(np.ravel(np.asarray(found, dtype=float)), right, atol=1e-5)
    model = FilteredRegressor(Ridge(), sampler).fit(X, given)
    assert_allclose(model.predict(X), predictions, atol=1e-5)


ROWS = {
    "array": np.asarray,
    "float32": np.float32,
    "DataFrame": lambda X: pd.DataFrame(X, columns=["a", "b"]),
    "nullable": lambda X: pd.DataFrame(X, columns=["a", "b"]).convert_dtypes(),
    "polars": lambda X: pl.DataFrame(X, schema=["a", "b"]),
    "CSR": sparse.csr_array,
    "CSR matrix": sparse.csr_matrix,
    "booleans": lambda X: pd.DataFrame(X > X.mean(axis=0), columns=["a", "b"]),
}


@pytest.mark.parametrize("container", ROWS)
def test_rows_come_back_in_their_container(noisy_blobs, container):
    X, y, _ = noisy_blobs
    X = ROWS[container](X)
    detector, sampler = MislabelFilter(**QUICK), MislabelSampler(**QUICK)
    for found in [
        detector.fit_transform(X, y),
        detector.transform(X),
        sampler.fit_resample(X, y)[0],
        sampler.set_params(action="relabel").fit_resample(X, y)[0],
    ]:
        assert type(found) is type(X)
        dtypes = "dtypes" if hasattr(X, "dtypes") else "dtype"
        assert np.all(getattr(found, dtypes) == getattr(X, dtypes))


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([1, None] * 10, dtype="Int64"),
        pd.Series([True, None] * 10, dtype="boolean"),
        pd.Series(["a", None] * 10, dtype="string"),
        pd.Series(["a", None] * 10, dtype="category"),
        pd.Series(["a", None] * 10, dtype=object),
        np.array(["a", None] * 10, dtype=object),
        pl.Series([1, None] * 10),
        pl.Series(["a", None] * 10),
        [1.0, np.nan] * 10,
    ],
    ids=lambda y: str(getattr(y, "dtype", "list")),
)
@pytest.mark.parametrize(
    "model",
    [
        MislabelFilter(),
        MislabelSampler(InfluenceRanker()),
        InfluenceRanker(),
        RepresenterRanker(),
        FilteredClassifier(LogisticRegression()),
        LeaveOneOutSearch(LogisticRegression(), {"C": [1.0]}),
    ],
)
def test_rows_without_a_label_are_named(model, y):
    X = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.raises(ValueError, match="y contains NaN"):
        model.fit(X, y)


def test_columns_of_labels_of_refits(noisy_blobs):
    X, y, _ = noisy_blobs
    ranker = InfluenceRanker(LogisticRegression()).fit(X, y)
    found = loo_correlation(
        ranker, X, y, X[:3], pd.DataFrame({"label": y[:3]}), n_rows=4
    )
    assert found.shape == (3,)
