"""Heads of Pipelines, frozen estimators and fitted searches."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from sklinfluence.heads import linear_head

DOCUMENTS = ["red green", "green blue blue", "blue red", "red red", "green", "blue"] * 4
DOCUMENT_LABELS = ["r", "b", "b", "r", "r", "b"] * 4


class Stateless(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing and so never looks fitted."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return 2 * X


def assert_reads_as(model, X, y, decide):
    """The head's raw predictions are the model's own, before and after pickling."""
    head = linear_head(model, y)
    head = pickle.loads(pickle.dumps(head))
    raw = head.embed(X) @ head.coef.T + head.intercept
    expected = decide(X)
    raw = raw[:, 0] if expected.ndim == 1 else raw
    # The same product of the same float64 numbers, up to the order of summation.
    np.testing.assert_allclose(raw, expected, rtol=1e-12, atol=1e-12)
    return head


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [StandardScaler(), PolynomialFeatures(2)],
        ["passthrough", StandardScaler(), None],
        [Stateless()],
        [FunctionTransformer(np.tanh), Stateless()],
        [make_pipeline(StandardScaler(), PolynomialFeatures(2))],
        [],
    ],
)
@pytest.mark.filterwarnings("error")
def test_steps_are_the_embedding(steps, make_data, stationarity):
    X, y, _ = make_data("classes", 3)
    final = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    named = [(f"step{i}", step) for i, step in enumerate([*steps, final])]
    model = Pipeline(named).fit(X, y)
    head = assert_reads_as(model, X, y, model.decision_function)
    # Newton's method ends at rounding, larger for correlated polynomials.
    assert stationarity(head, X) < 1e-8


def test_text(stationarity):
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(tol=1e-10))
    model.fit(DOCUMENTS, DOCUMENT_LABELS)
    head = assert_reads_as(model, DOCUMENTS, DOCUMENT_LABELS, model.decision_function)
    embedding = head.embed(DOCUMENTS[:2])
    assert sparse.issparse(embedding) and embedding.format == "csr"
    assert stationarity(head, DOCUMENTS) < 1e-6  # lbfgs


@pytest.mark.parametrize(
    "output, sparse_output", [("default", True), ("default", False), ("pandas", False)]
)
def test_columns_of_a_frame(output, sparse_output, stationarity):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pandas.DataFrame(
        {"size": rng.normal(size=60), "town": rng.choice(["x", "y", "z"], size=60)}
    )
    y = X["size"] + (X["town"] == "x") + rng.normal(size=60)
    columns = make_column_transformer(
        (StandardScaler(), ["size"]),
        (OneHotEncoder(sparse_output=sparse_output), ["town"]),
        sparse_threshold=1.0,
    ).set_output(transform=output)
    model = make_pipeline(columns, Ridge(alpha=2.0, tol=1e-12)).fit(X, y)
    head = assert_reads_as(model, X, y, model.predict)
    embedding = head.embed(X)
    if sparse_output:
        assert sparse.issparse(embedding) and embedding.format == "csr"
    else:
        assert type(embedding) is np.ndarray
    assert stationarity(head, X) < 1e-9
    with pytest.raises(ValueError, match=r"columns are missing: \{'town'\}"):
        head.embed(X[["size"]])


@pytest.mark.parametrize("layout", ["csc", "coo", "lil"])
def test_sparse_of_any_format_becomes_csr(layout, make_data):
    X, y, _ = make_data("values", 1)
    to_sparse = FunctionTransformer(
        sparse.csr_array, check_inverse=False, accept_sparse=True
    )
    change = FunctionTransformer(
        _as_format, kw_args={"layout": layout}, accept_sparse=True
    )
    model = make_pipeline(to_sparse, change, Ridge(solver="sparse_cg", tol=1e-12))
    model.fit(X, y)
    head = assert_reads_as(model, X, y, model.predict)
    assert head.embed(X).format == "csr"


def _as_format(X, layout):
    return X.asformat(layout)


def test_weights_are_those_of_the_last_step(make_data):
    X, y, weight = make_data("classes", 3, weighted=True)
    final = LogisticRegression(class_weight="balanced")
    model = make_pipeline(StandardScaler(), final)
    model.fit(X, y, logisticregression__sample_weight=weight)
    head = linear_head(model, y, weight)
    np.testing.assert_array_equal(
        head.weights, linear_head(model[-1], y, weight).weights
    )
    # Balanced: every class carries the same total weight.
    totals = [head.weights[y == label].sum() for label in head.classes]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-12)


def test_frozen(make_data):
    X, y, _ = make_data("classes", 3)
    inner = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    for model in (
        FrozenEstimator(inner),
        FrozenEstimator(FrozenEstimator(inner)),
        make_pipeline("passthrough", FrozenEstimator(inner)),
        make_pipeline(FrozenEstimator(inner[:-1]), FrozenEstimator(inner[-1])),
    ):
        assert_reads_as(model, X, y, inner.decision_function)


@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}),
        RandomizedSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, n_iter=2),
        GridSearchCV(
            make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0, 2.0]}
        ),
    ],
)
def test_search_gives_its_best_estimator(search, make_data):
    X, y, _ = make_data("values", 1)
    with pytest.raises(NotFittedError):
        linear_head(search, y)
    search.fit(X, y)
    head = assert_reads_as(search, X, y, search.predict)
    assert head.penalty[0, 0] == next(iter(search.best_params_.values()))


def test_search_without_refit(make_data):
    X, y, _ = make_data("values", 1)
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, refit=False).fit(X, y)
    with pytest.raises(ValueError, match="refit=False has no fitted best_estimator_"):
        linear_head(search, y)


def test_pipeline_without_a_head(make_data):
    X, y, _ = make_data("classes", 2)
    with pytest.raises(TypeError, match="last step of the Pipeline, 'passthrough', is"):
        linear_head(make_pipeline(StandardScaler(), "passthrough").fit(X), y)
    with pytest.raises(TypeError, match="No linear head is known for StandardScaler"):
        linear_head(make_pipeline(StandardScaler()).fit(X), y)
    with pytest.raises(NotFittedError):
        linear_head(make_pipeline(StandardScaler(), Ridge()), y)


def test_resampling_steps_are_refused(make_data):
    imblearn_pipeline = pytest.importorskip("imblearn.pipeline")
    from imblearn.under_sampling import RandomUnderSampler

    X, y, _ = make_data("classes", 2)
    model = imblearn_pipeline.make_pipeline(RandomUnderSampler(), LogisticRegression())
    model.fit(X, y)
    message = "Step 'randomundersampler' .*RandomUnderSampler, resamples its rows"
    with pytest.raises(ValueError, match=message):
        linear_head(model, y)


def test_last_step_validates_what_it_is_given(make_data):
    X, y, _ = make_data("values", 1)
    spoil = FunctionTransformer(_spoil)
    model = make_pipeline(spoil, Ridge()).fit(X, y)
    with pytest.raises(ValueError, match=r"contains NaN[\s\S]*Ridge"):
        linear_head(model, y).embed(X - 1e6)


def _spoil(X):
    return np.where(X < -1e5, np.nan, X)
