"""Raw predictions of linear heads without rows, against refits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier

from sklinfluence.base import RawChange
from sklinfluence.gradient import InfluenceRanker

RNG = np.random.default_rng(0)
X, QUERIES = RNG.normal(size=(60, 4)), RNG.normal(size=(7, 4))
SIGNAL = X[:, 0] + X[:, 1] ** 2 + 0.5 * RNG.normal(size=60)
THREE, TWO = np.digitize(SIGNAL, [0.0, 1.5]), (SIGNAL > 0.5).astype(int)
WEIGHTS = RNG.uniform(0.5, 2.0, size=60)
TIGHT = LogisticRegression(solver="newton-cholesky", tol=1e-12)
HEADS = {
    "softmax": (TIGHT, THREE, "softmax"),
    "two classes": (TIGHT, TWO, "sigmoid"),
    "values": (Ridge(), SIGNAL, "identity"),
    "targets": (Ridge(), np.c_[SIGNAL, X[:, 2]], "identity"),
}


def raw_of(model, rows):
    said = getattr(model, "decision_function", model.predict)(rows)
    return said.reshape(len(rows), -1)


@pytest.fixture(params=HEADS)
def head(request):
    return HEADS[request.param]


def test_each_row_without_which_it_is_refitted(head):
    model, y, link = head
    # To the optimum where one step is not: refits agree to their tolerance.
    refine = None if isinstance(model, Ridge) else 1e-12
    ranker = InfluenceRanker(model, refine=refine).fit(X, y, WEIGHTS)
    change = ranker.raw_change(QUERIES)
    assert isinstance(change, RawChange)
    whole = raw_of(ranker.estimator_, QUERIES)
    assert change.link == link
    assert_allclose(change.raw, whole, rtol=0, atol=1e-8)
    with config_context(working_memory=1e-3):
        blocks = list(change.without())
    assert len(blocks) > 1
    moved = np.hstack([shift for _, shift in blocks])
    for row in range(0, 60, 7):
        kept = np.arange(60) != row
        less = clone(model).fit(X[kept], y[kept], sample_weight=WEIGHTS[kept])
        truth = raw_of(less, QUERIES) - whole
        assert_allclose(moved[:, row], truth, rtol=0, atol=1e-7)


def test_along_a_gradient_is_the_difference_of_weights(head):
    model, y, _ = head
    ranker = InfluenceRanker(model).fit(X, y, WEIGHTS)
    # It does not sum to 0 over outputs.
    change = ranker.raw_change(QUERIES)
    gradient = np.random.default_rng(1).normal(size=change.raw.shape) + 0.5
    along = change.along(gradient)
    for row in range(0, 60, 11):
        ends = []
        for step in (1e-3, -1e-3):
            weights = WEIGHTS.copy()
            weights[row] *= 1 + step
            fitted = clone(model).fit(X, y, sample_weight=weights)
            ends.append(np.sum(gradient * raw_of(fitted, QUERIES)))
        # Of weights it gains: a row that leaves takes the other sign.
        truth = -(ends[0] - ends[1]) / 2e-3
        assert along[row] == pytest.approx(truth, rel=1e-5, abs=1e-7)


def test_sigmoids_over_their_sum():
    model = SGDClassifier(loss="log_loss", alpha=0.01, tol=1e-8, max_iter=5000)
    ranker = InfluenceRanker(model.set_params(random_state=0)).fit(X, THREE)
    assert ranker.raw_change(QUERIES).link == "one_vs_rest"
