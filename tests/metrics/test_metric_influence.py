"""metric_influence against scikit-learn's metrics, and refits without each row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import brier_score_loss, log_loss, mean_squared_error, r2_score
from sklearn.preprocessing import StandardScaler

from sklinfluence.base import RawChange
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import metric_influence
from sklinfluence.metrics._measures import r2

N = 10
RNG = np.random.default_rng(0)
GROUPS = np.array(["a", "b"])[RNG.integers(2, size=N)]


class Entries(BaseEstimator):
    """As if each training row held up one raw prediction by a little."""

    def __init__(self, raw, link, classes=None, size=0.3):
        self.raw, self.link, self.size = raw, link, size
        self.fitted_ = True
        if classes is not None:
            self.classes_ = classes

    def fit(self):
        return self

    def raw_change(self, X):
        return RawChange(self.raw, self.link, lambda g: -g.ravel(), self._without)

    def _without(self):
        half = self.raw.size // 2
        for block in (slice(0, half), slice(half, self.raw.size)):
            shift = np.zeros((self.raw.size, *self.raw.shape))
            shift.reshape(self.raw.size, -1)[
                np.diag_indices(self.raw.size)
            ] = -self.size
            yield block, shift[block].transpose(1, 0, 2)


def calibration(y, said):
    column = np.ones(N, int) if said.shape[1] == 2 else said.argmax(axis=1)
    total = 0.0
    for low in np.arange(10) / 10:
        chance = said[np.arange(N), column]
        inside = (chance >= low) & (chance < low + 0.1)
        total += abs(np.sum(chance[inside] - (y == column)[inside]))
    return total / N


def of_groups(scores):
    means = [scores[GROUPS == group].mean() for group in "ab"]
    return {"worst_group": min(means), "neg_group_gap": min(means) - max(means)}


def truth_of_classes(metric, y, said, raw):
    labels = np.arange(said.shape[1])
    given = np.log(said[np.arange(N), y])
    if metric == "roc_auc":
        margin = raw[:, 0] if raw.shape[1] == 1 else raw[:, 1] - raw[:, 0]
        pairs = [(i, j) for i in range(N) for j in range(N) if y[i] > y[j]]
        return np.mean([expit((margin[i] - margin[j]) / 0.7) for i, j in pairs])
    return {
        "neg_log_loss": lambda: -log_loss(y, said, labels=labels),
        "neg_brier_score": lambda: (
            -brier_score_loss(
                y, said[:, 1] if len(labels) == 2 else said, labels=labels
            )
        ),
        "neg_calibration_error": lambda: -calibration(y, said),
        **{name: lambda name=name: of_groups(given)[name] for name in of_groups(given)},
    }[metric]()


def truth_of_values(metric, y, said, raw):
    return {
        "neg_mean_squared_error": -mean_squared_error(y, said),
        "r2": r2_score(y, said),
        **of_groups(-0.5 * (y - said[:, 0]) ** 2),
    }[metric]


def by_sum(raw):
    return expit(raw) / expit(raw).sum(axis=1, keepdims=True)


SAID = {
    "sigmoid": (1, lambda raw: np.hstack([1 - expit(raw), expit(raw)])),
    "softmax": (3, lambda raw: softmax(raw, axis=1)),
    "one_vs_rest": (3, by_sum),
    "identity of classes": (2, lambda raw: raw),
    "identity": (1, lambda raw: raw),
    "exp": (1, np.exp),
}
CLASS_METRICS = (
    "neg_log_loss",
    "neg_brier_score",
    "roc_auc",
    "neg_calibration_error",
    "worst_group",
    "neg_group_gap",
)
CASES = [
    (link, metric)
    for link, (n_outputs, _) in SAID.items()
    for metric in (
        CLASS_METRICS
        if link not in ("identity", "exp")
        else ("neg_mean_squared_error", "r2", "worst_group", "neg_group_gap")
    )
    if metric != "roc_auc" or n_outputs < 3
]


@pytest.mark.parametrize("link, metric", CASES)
def test_metrics_are_scikit_learns(link, metric):
    n_outputs, predicts = SAID[link]
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(N, n_outputs))
    if link == "identity of classes":
        raw = softmax(raw, axis=1)
    is_class = link not in ("identity", "exp")
    n_classes = max(2, n_outputs)
    y = np.arange(N) % n_classes if is_class else rng.normal(size=N)
    names = np.array(["u", "v", "w"])[:n_classes] if is_class else None
    size = 0.01 if link == "identity of classes" else 0.3
    ranker = Entries(raw, link.partition(" ")[0], names, size)
    truth = truth_of_classes if is_class else truth_of_values
    options = {"groups": GROUPS} if "group" in metric else {}
    if metric == "roc_auc":
        options["temperature"] = 0.7
    given = names[y] if is_class else y

    def measured(moved):
        said = predicts(moved)
        # scikit-learn's take rows that sum to 1; ours says what it says of any.
        if link == "identity of classes" and metric in ("neg_log_loss", "roc_auc"):
            return None
        return truth(metric, y, said, moved)

    anew = metric_influence(ranker, metric, raw, given, order="newton", **options)
    first = metric_influence(ranker, metric, raw, given, **options)
    for entry, at in enumerate(np.ndindex(raw.shape)):
        moved = [raw.copy() for _ in range(3)]
        for it, step in zip(moved, (-size, 1e-6, -1e-6), strict=True):
            it[at] += step
        if link == "identity of classes":
            values = [measured_by_hand(metric, y, it, options) for it in (raw, *moved)]
        else:
            values = [measured(it) for it in (raw, *moved)]
        assert anew[entry] == pytest.approx(values[0] - values[1], abs=1e-12)
        # Central differences of 1e-6 keep some nine digits.
        slope = (values[2] - values[3]) / 2e-6
        assert first[entry] == pytest.approx(slope, abs=1e-8)


def test_r2_of_several_targets_is_their_mean():
    rng = np.random.default_rng(0)
    said, targets = rng.normal(size=(2, 9, 3))
    value, slope = r2(said, targets)
    assert value == pytest.approx(r2_score(targets, said), rel=1e-12)
    for at in np.ndindex(said.shape):
        up, down = said.copy(), said.copy()
        up[at] += 1e-6
        down[at] -= 1e-6
        rise = (r2_score(targets, up) - r2_score(targets, down)) / 2e-6
        # Central differences of 1e-6 keep some nine digits.
        assert slope[at] == pytest.approx(rise, abs=1e-8)


def measured_by_hand(metric, y, said, options):
    """Of rows that need not sum to 1, which scikit-learn warns of."""
    if metric == "neg_log_loss":
        return np.mean(np.log(said[np.arange(N), y]))
    if metric == "neg_brier_score":
        return -0.5 * np.mean(np.sum((said - np.eye(2)[y]) ** 2, axis=1))
    return truth_of_classes(metric, y, said, said)


# --- refits ---


def standardised(load, n_train, seed=0):
    X, y = load(return_X_y=True)
    rows = np.random.default_rng(seed).permutation(len(y))[: n_train + 60]
    X, y = StandardScaler().fit_transform(X[rows]), y[rows]
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


TIGHT = LogisticRegression(tol=1e-10, max_iter=10_000)


@pytest.mark.parametrize(
    "load, model, metric",
    [
        (load_breast_cancer, TIGHT, "neg_brier_score"),
        (load_breast_cancer, TIGHT, "roc_auc"),
        (load_breast_cancer, TIGHT, "neg_log_loss"),
        (load_iris, TIGHT, "neg_brier_score"),
        (load_diabetes, Ridge(), "neg_mean_squared_error"),
    ],
)
def test_measured_anew_is_near_a_refit_without_the_row(load, model, metric):
    X, y, asked, given = standardised(load, 80)
    ranker = InfluenceRanker(model).fit(X, y)

    def measured(model):
        if metric == "neg_mean_squared_error":
            return -mean_squared_error(given, model.predict(asked))
        proba = model.predict_proba(asked)
        if metric == "neg_log_loss":
            return -log_loss(given, proba)
        if metric == "roc_auc":
            raw = model.decision_function(asked)
            return expit(raw[given == 1][:, None] - raw[given == 0]).mean()
        return -brier_score_loss(given, proba[:, 1] if len(proba.T) == 2 else proba)

    now, truth = measured(clone(model).fit(X, y)), []
    for row in range(len(y)):
        less = clone(model).fit(np.delete(X, row, 0), np.delete(y, row))
        truth.append(now - measured(less))
    found = metric_influence(ranker, metric, asked, given, order="newton")
    assert spearmanr(found, truth).statistic >= 0.95
    assert 0.8 <= found @ np.array(truth) / (found @ found) <= 1.2
    if metric == "neg_mean_squared_error":
        # One Newton step of least squares is the refit.
        assert_allclose(found, truth, rtol=0, atol=1e-9 * np.abs(truth).max())


# --- callables ---


def test_a_callable_is_taken_as_written():
    X, y, asked, given = standardised(load_breast_cancer, 60)
    ranker = InfluenceRanker(TIGHT).fit(X, y)
    for order in ("first", "newton"):
        named = metric_influence(ranker, "neg_log_loss", asked, given, order=order)
        ours = metric_influence(
            ranker,
            lambda y, raw: np.mean(np.logaddexp(0, raw) - y * raw),
            asked,
            given,
            order=order,
        )
        # Of a loss the sign is the other one; central differences keep nine digits.
        assert_allclose(ours, -named, rtol=0, atol=1e-8 * np.abs(named).max())


def test_a_callable_in_torch():
    torch = pytest.importorskip("torch")
    X, y, asked, given = standardised(load_iris, 60)
    ranker = InfluenceRanker(TIGHT).fit(X, y)

    def spread(y, raw):
        return (raw[:, 0] * raw[:, 1] - raw[:, 2] ** 2).mean()

    ours = metric_influence(ranker, spread, asked, given, derivative="torch")
    near = metric_influence(ranker, spread, asked, given)
    assert_allclose(ours, near, rtol=0, atol=1e-8 * np.abs(near).max())
    with pytest.raises(TypeError, match="derivative='torch' needs a metric of torch"):
        metric_influence(ranker, lambda y, raw: 1.0, asked, given, derivative="torch")
    assert torch.is_grad_enabled()


# --- refusals, and rows that cannot leave ---


def test_rows_that_cannot_leave_are_nan():
    X = np.array([[0.0], [0.0], [0.0], [1.0]])
    with pytest.warns(UserWarning, match="leverage 1"):
        ranker = InfluenceRanker(Ridge(0.0)).fit(X, [0.0, 1.0, 2.0, 5.0])
    found = metric_influence(ranker, "r2", X, [0.0, 1.0, 2.0, 5.0], order="newton")
    assert np.isnan(found[3]) and np.isfinite(found[:3]).all()


@pytest.mark.parametrize(
    "metric, options, match",
    [
        ("accuracy", {}, "'metric' parameter"),
        ("r2", {}, "of real targets, and the ranker was fitted on classes"),
        ("roc_auc", {}, "of two classes, and the ranker knows 3"),
        ("worst_group", {}, "needs groups="),
        ("neg_log_loss", {"groups": np.zeros(30)}, "groups= has no part"),
        ("neg_log_loss", {"order": "second"}, "'order' parameter"),
        ("worst_group", {"groups": np.zeros(7)}, "inconsistent numbers of samples"),
    ],
)
def test_what_cannot_be_measured_is_named(metric, options, match):
    X, y = load_iris(return_X_y=True)
    ranker = InfluenceRanker(TIGHT).fit(X[::2], y[::2])
    with pytest.raises(ValueError, match=match):
        metric_influence(ranker, metric, X[::5], y[::5], **options)


def test_rankers_and_heads_that_cannot_say_are_named():
    X, y = load_breast_cancer(return_X_y=True)
    X, y = StandardScaler().fit_transform(X[:100]), y[:100]
    with pytest.raises(ValueError, match="implementing 'raw_change'"):
        metric_influence(object(), "roc_auc", X, y)
    for options in ({"method": "grad_dot"}, {"normalize": "theta"}):
        ranker = InfluenceRanker(LogisticRegression(), **options).fit(X, y)
        with pytest.raises(ValueError, match="method='influence' or method='newton'"):
            metric_influence(ranker, "roc_auc", X, y)
    codes = InfluenceRanker(RidgeClassifier()).fit(X, y)
    with pytest.raises(ValueError, match="and the estimator has none"):
        metric_influence(codes, "neg_log_loss", X, y)
    assert np.isfinite(metric_influence(codes, "roc_auc", X, y)).all()
    with pytest.raises(ValueError, match="y holds one"):
        metric_influence(codes, "roc_auc", X[y == 1], y[y == 1])
    with pytest.raises(
        ValueError, match="of classes, and the ranker was fitted on rea"
    ):
        metric_influence(
            InfluenceRanker(Ridge()).fit(X, X[:, 0]), "roc_auc", X, X[:, 0]
        )
