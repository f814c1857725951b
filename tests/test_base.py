"""BaseRanker: what a ranker of one's own gets for three methods."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import linear_kernel, rbf_kernel
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from sklinfluence._top_n import strongest_columns
from sklinfluence.base import BaseRanker, BaseValuer


class KernelRanker(BaseRanker):
    """Influence by similarity, signed by whether labels agree."""

    def __init__(self, n_influences=None):
        self.n_influences = n_influences

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y)
        self.X_, self.y_ = X, y
        self.n_asked_ = 0
        self.estimator_ = LogisticRegression().fit(X, y)
        self._begin(len(X), self.estimator_)
        return self

    def _influence_block(self, X, y):
        sign = np.where(np.asarray(y)[:, None] == self.y_, 1.0, -1.0)
        return sign * rbf_kernel(np.asarray(X), self.X_)

    def _self_influence(self):
        self.n_asked_ += 1  # as expensive as a refit without every row
        return np.linspace(0, 1, len(self.X_)) ** 2

    def score_samples(self, X, y=None):
        return np.diag(linear_kernel(X)).copy()


X = np.random.default_rng(0).normal(size=(25, 3))
Y = (X[:, 0] > 0).astype(int)
QUERIES = np.random.default_rng(1).normal(size=(11, 3))
ASKED = np.arange(11) % 2


@pytest.fixture
def ranker():
    return KernelRanker().fit(X, Y)


@pytest.fixture(params=[1024, 1e-3], ids=["one-block", "many-blocks"])
def working_memory(request):
    with config_context(working_memory=request.param):
        yield


def matrix(y=None):
    y = LogisticRegression().fit(X, Y).predict(QUERIES) if y is None else y
    return np.where(y[:, None] == Y, 1.0, -1.0) * rbf_kernel(QUERIES, X)


@pytest.mark.usefixtures("working_memory")
def test_matrix_mean_and_transform(ranker):
    assert_allclose(ranker.influence(QUERIES, ASKED), matrix(ASKED))
    assert_allclose(ranker.influence(QUERIES), matrix())
    assert_allclose(ranker.transform(QUERIES), matrix())
    assert_allclose(ranker.mean_influence(QUERIES, ASKED), matrix(ASKED).mean(axis=0))
    assert ranker.get_feature_names_out()[1] == "kernelranker1"


@pytest.mark.usefixtures("working_memory")
@pytest.mark.parametrize("k", [1, 4, 25, 99])
def test_sparse_transform_keeps_the_largest(k):
    kept = KernelRanker(n_influences=k).fit(X, Y).transform(QUERIES)
    assert sparse.issparse(kept)
    full = matrix()
    small = np.sort(np.abs(full), axis=1)[:, ::-1][:, min(k, 25) - 1]
    truth = np.where(np.abs(full) >= small[:, None], full, 0.0)
    assert_allclose(kept.toarray(), truth)
    assert kept.has_sorted_indices


@pytest.mark.usefixtures("working_memory")
def test_proponents_and_opponents(ranker):
    influence, index = ranker.proponents(QUERIES, ASKED)
    assert influence.shape == index.shape == (11, 5)
    full = matrix(ASKED)
    assert_allclose(influence, -np.sort(-full, axis=1)[:, :5])
    assert_allclose(np.take_along_axis(full, index, axis=1), influence)
    influence, index = ranker.opponents(QUERIES, ASKED, n=3)
    assert_allclose(influence, np.sort(full, axis=1)[:, :3])
    assert_allclose(np.take_along_axis(full, index, axis=1), influence)


def test_lists_and_frames_are_queries_too(ranker):
    assert_allclose(ranker.influence(QUERIES.tolist(), ASKED.tolist()), matrix(ASKED))
    pd = pytest.importorskip("pandas")
    frame, labels = pd.DataFrame(QUERIES), pd.Series(ASKED, index=np.arange(11)[::-1])
    with config_context(working_memory=1e-3):
        assert_allclose(ranker.influence(frame, labels), matrix(ASKED))


@pytest.mark.parametrize("by", ["largest", "smallest", "magnitude"])
def test_equal_influences_are_in_the_order_of_their_rows(by):
    values = np.array([[1.0, 2.0, np.nan, 2.0, 2.0, 0.0, 2.0, -2.0, -2.0, -2.0]])
    keys = {"largest": -values, "smallest": values, "magnitude": -np.abs(values)}
    # Python's sort is stable, and puts the inf in a NaN's place last.
    key = np.nan_to_num(keys[by][0], nan=np.inf).tolist()
    order = sorted(range(10), key=key.__getitem__)
    for n in range(1, 11):
        found, index = strongest_columns(values, n, by)
        assert index[0].tolist() == order[:n]
        assert_array_equal(found[0], values[0, order[:n]])


def test_ranking_breaks_ties_by_order_and_puts_nan_first(ranker):
    assert np.array_equal(ranker.ranking_, np.arange(25, 0, -1))
    ranker._self_influence = lambda: np.array([1.0, 3.0, np.nan, 3.0])
    ranker._begin(4)
    assert np.array_equal(ranker.ranking_, [4, 2, 1, 3])


def test_label_scores_know_self_influence_alone(ranker):
    assert_allclose(ranker.label_scores("self_influence"), ranker.self_influence_)
    ours = ranker.label_scores("self_influence", QUERIES, ASKED)
    assert_allclose(ours, (QUERIES**2).sum(axis=1))
    with pytest.raises(ValueError, match=r"'loo_loss' is not one.*'self_influence'"):
        ranker.label_scores("loo_loss")


def test_what_needs_no_self_influence_asks_for_none(ranker):
    ranker.proponents(QUERIES, n=3)
    ranker.opponents(QUERIES, ASKED)
    ranker.mean_influence(QUERIES)
    ranker.transform(QUERIES)
    ranker.get_feature_names_out()
    assert ranker.n_asked_ == 0
    assert ranker.self_influence_ is ranker.self_influence_
    assert ranker.ranking_[-1] == 1
    assert ranker.n_asked_ == 1
    assert ranker.fit(X[:9], Y[:9]).self_influence_.shape == (9,)


@pytest.mark.parametrize(
    "method", ["influence", "mean_influence", "proponents", "opponents"]
)
def test_unseen_labels_are_named(ranker, method):
    with pytest.raises(ValueError, match=r"not fitted on: \[7\].*It knows \[0, 1\]"):
        getattr(ranker, method)(QUERIES, np.where(ASKED == 1, 7, 0))
    with pytest.raises(ValueError, match="y has 10 rows, X has 11"):
        getattr(ranker, method)(QUERIES, ASKED[1:])


class Similarity(BaseRanker):
    """The shortest ranker: no model, no weights."""

    def fit(self, X, y):
        self.X_, _ = validate_data(self, X, y)
        self._begin(len(self.X_))
        return self

    def _influence_block(self, X, y):
        return rbf_kernel(validate_data(self, X, reset=False), self.X_)


class Rareness(BaseValuer):
    """The shortest valuer: rows of rare labels are worth more."""

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        labels, code, count = np.unique(y, return_inverse=True, return_counts=True)
        self._begin(len(y), classes=labels)
        self.values_ = 1.0 / count[code]
        return self


@parametrize_with_checks([Similarity(), Rareness()])
def test_rankers_of_ones_own_are_scikit_learn_estimators(estimator, check):
    check(estimator)


def test_what_a_method_does_not_define_is_not_there():
    ranker = Similarity().fit(X, Y)
    for name in ("self_influence_", "ranking_", "score_samples", "predict", "spread"):
        assert not hasattr(ranker, name)
    assert ranker.influence(QUERIES).shape == (11, 25)


def test_values_are_ranked_from_the_lowest():
    valuer = Rareness().fit(X[:5], [0, 1, 1, 1, 0])
    assert np.array_equal(valuer.ranking_, [4, 1, 2, 3, 5])
    assert valuer.label_score_names_ == ("value",)
    assert_allclose(valuer.label_scores("value"), -valuer.values_)
    with pytest.raises(ValueError, match="training rows alone"):
        valuer.label_scores("value", X, Y)
    valuer.values_ = np.array([1.0, np.nan, 0.0])
    assert np.array_equal(valuer.ranking_, [2, 3, 1])


def test_wrapped_predictions(ranker):
    assert np.array_equal(ranker.predict(QUERIES), ranker.estimator_.predict(QUERIES))
    assert ranker.score(X, Y) == ranker.estimator_.score(X, Y)
    for name in ("predict_proba", "decision_function"):
        expected = getattr(ranker.estimator_, name)(QUERIES)
        assert_allclose(getattr(ranker, name)(QUERIES), expected)
    del ranker.estimator_
    assert not hasattr(ranker, "predict")


def test_nan_is_neither_strong_nor_kept(ranker, monkeypatch):
    plain = ranker._influence_block

    def with_nan(X, y):
        values = plain(X, y)
        values[:, 4] = np.nan
        return values

    monkeypatch.setattr(ranker, "_influence_block", with_nan)
    assert 4 not in ranker.proponents(QUERIES, ASKED, n=24)[1]
    assert 4 not in ranker.opponents(QUERIES, ASKED, n=24)[1]
    ranker.n_influences = 24
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 4 not in ranker.transform(QUERIES).indices


def test_the_contract_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        BaseRanker()
