"""G-Shapley: walks of one model, trained on a row at a time."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import MultinomialNB

from sklinfluence.retraining import ShapleyRanker
from sklinfluence.retraining._units import generator
from tests.retraining.games import DIABETES, IRIS

N = 12
IRIS_VAL = {"X_val": IRIS[0][60:], "y_val": IRIS[1][60:]}


def by_hand(model, X, y, val, n_pairs, weights=None):
    """Means over permutations and their reverses, each walked by partial_fit."""
    is_class = hasattr(model, "predict_proba") or isinstance(model, SGDClassifier)
    dummy = DummyClassifier(strategy="prior") if is_class else DummyRegressor()
    start = dummy.fit(X, y, weights).score(val["X_val"], val["y_val"])
    gains = []
    for k in range(n_pairs):
        order = generator(0, k).permutation(len(y))
        for walk in (order, order[::-1]):
            walker = type(model)(**model.get_params())
            gain, before = np.empty(len(y)), start
            for row in walk:
                keywords = {} if weights is None else {"sample_weight": weights[[row]]}
                if is_class:
                    keywords["classes"] = np.unique(y)
                walker.partial_fit(X[[row]], y[[row]], **keywords)
                after = walker.score(val["X_val"], val["y_val"])
                gain[row], before = after - before, after
            gains.append(gain)
    return np.mean(gains, axis=0)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2.0, N)])
def test_walks_of_labels_by_hand(weights):
    X, y = IRIS[0][:N], IRIS[1][:N]
    model = SGDClassifier(loss="log_loss", random_state=0)
    ranker = ShapleyRanker(
        model, method="gradient", max_evaluations=2 * N * 3, random_state=0
    ).fit(X, y, weights, **IRIS_VAL)
    truth = by_hand(model, X, y, IRIS_VAL, 3, weights)
    # The same steps in the same order: sums of a few scores near 1.
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-12)
    assert ranker.n_evaluations_ == 2 * N * 3 + 2


def test_walks_of_real_targets_by_hand():
    X, y = DIABETES[0][:N], DIABETES[1][:N]
    val = {"X_val": DIABETES[0][60:], "y_val": DIABETES[1][60:]}
    model = SGDRegressor(random_state=0)
    ranker = ShapleyRanker(
        model, method="gradient", max_evaluations=2 * N, random_state=0
    ).fit(X, y, **val)
    truth = by_hand(model, X, y, val, 1)
    # R2 of a line after a few steps is near -4.
    assert_allclose(ranker.values_, truth, rtol=0, atol=1e-11)


def test_where_steps_are_fits_both_methods_agree():
    # Counts of a multinomial model add up: its walk is a refit on every prefix.
    X, y = IRIS[0][:N], IRIS[1][:N]
    options = {"random_state": 0}
    refits = ShapleyRanker(MultinomialNB(), max_evaluations=2 * (N - 1) * 4, **options)
    steps = ShapleyRanker(
        MultinomialNB(), method="gradient", max_evaluations=2 * N * 4, **options
    )
    with np.errstate(divide="ignore"):  # log of a class that was not met yet
        found = [r.fit(X, y, **IRIS_VAL).values_ for r in (refits, steps)]
    assert_allclose(*found, rtol=0, atol=1e-12)


def test_a_broken_run_goes_on(tmp_path):
    X, y = IRIS[0][:N], IRIS[1][:N]
    path = tmp_path / "journal"
    model = SGDClassifier(random_state=0)

    def fit():
        return ShapleyRanker(
            model,
            method="gradient",
            max_evaluations=2 * N * 2,
            random_state=0,
            journal=str(path),
        ).fit(X, y, **IRIS_VAL)

    whole = fit().values_
    lines = path.read_text().splitlines(keepends=True)
    # In the middle of a walk: its steps are walked again, and scored once.
    path.write_text("".join(lines[: N + N // 2]))
    assert_array_equal(fit().values_, whole)
    assert sorted(path.read_text().splitlines(keepends=True)) == sorted(lines)


def test_a_step_that_fails_leaves_the_rest_of_its_walk_out():
    class Fails(SGDClassifier):
        def partial_fit(self, X, y, classes=None, sample_weight=None):
            if X[0, 0] == 99.0:
                raise RuntimeError("this row")
            return super().partial_fit(X, y, classes, sample_weight)

    X, y = IRIS[0][:N].copy(), IRIS[1][:N]
    X[3, 0] = 99.0
    ranker = ShapleyRanker(
        Fails(), method="gradient", max_evaluations=2 * N * 4, random_state=0
    )
    with pytest.warns(UserWarning, match="this row"):
        ranker.fit(X, y, **IRIS_VAL)
    assert np.isnan(ranker.values_[3])
    assert not np.isnan(np.delete(ranker.values_, 3)).any()


@pytest.mark.parametrize(
    ("ranker", "named"),
    [
        (ShapleyRanker(LogisticRegression(), method="gradient"), "no partial_fit"),
        (ShapleyRanker(method="gradient"), "LogisticRegression"),
        (
            ShapleyRanker(SGDClassifier(), method="gradient", truncation=0.1),
            "truncation",
        ),
        (ShapleyRanker(method="step"), "method"),
    ],
)
def test_what_cannot_walk_is_refused_by_name(ranker, named):
    X, y = IRIS[0][:N], IRIS[1][:N]
    with pytest.raises(ValueError, match=named):
        ranker.fit(X, y, **IRIS_VAL)
