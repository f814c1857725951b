"""A row of weight 0 is not there; one of weight 2 is two: in every public number.

Every public name of a ranker of a head is asked, or excused below with a reason: one
that is added later fails the first test until it is either.
"""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge

from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import diagnostics
from sklinfluence.model_selection import LeaveOneOutSearch

TIGHT = {"tol": 1e-12, "max_iter": 10_000}
N, GONE = 50, np.array([0, 7, 8, 31, 49])
KEPT = np.setdiff1d(np.arange(N), GONE)
# Both sides are polished to 1e-11 of a raw prediction; third derivatives and inverses
# of well-conditioned Hessians stretch that by some orders of magnitude.
RTOL = 1e-6


def data(n_classes):
    X, y = make_classification(
        N,
        4,
        n_informative=3,
        n_redundant=0,
        n_classes=n_classes or 2,
        flip_y=0.2,
        n_clusters_per_class=1,
        random_state=1,
    )
    if not n_classes:
        y = X @ [1.0, -2.0, 0.5, 0.0] + np.random.default_rng(0).normal(size=N)
    # What counts a row of weight 0 counts one that lies far out.
    X[GONE] *= 100.0
    return X, y


# (n_classes or 0, estimator)
MODELS = {
    "binary": (2, LogisticRegression(**TIGHT)),
    "softmax": (3, LogisticRegression(C=0.5, **TIGHT)),
    "balanced": (2, LogisticRegression(class_weight="balanced", **TIGHT)),
    "ridge": (0, Ridge(2.0)),
    "unpenalised": (0, LinearRegression()),
    "lasso": (0, Lasso(0.1, **TIGHT)),
}
RANKERS = {
    "influence": (InfluenceRanker, {}),
    "newton": (InfluenceRanker, {"method": "newton"}),
    "damped": (InfluenceRanker, {"damping": 0.1}),
    "refined": (InfluenceRanker, {"method": "newton", "refine": 1e-4}),
    "grad_dot": (InfluenceRanker, {"method": "grad_dot"}),
    "theta": (InfluenceRanker, {"normalize": "theta", "method": "newton"}),
    "loss": (InfluenceRanker, {"normalize": "loss"}),
    "gradient": (InfluenceRanker, {"normalize": "gradient"}),
    "cosine": (InfluenceRanker, {"normalize": "cosine"}),
    "as it is": (InfluenceRanker, {"refit_head": False}),
    "cg": (InfluenceRanker, {"solver": "cg"}),
    "l2": (RepresenterRanker, {"method": "l2"}),
    "lje": (RepresenterRanker, {"method": "lje"}),
    "l1": (RepresenterRanker, {"method": "l1"}),
}
NEED_CURVATURE = ("grad_dot",)


def is_defined(model, ranker):
    """Whether the ranker takes the model."""
    if ranker == "l1":
        return model == "lasso"
    return ranker != "l2" or model not in ("lasso", "unpenalised")


CASES = [(m, r) for m in MODELS for r in RANKERS if is_defined(m, r)]


# name: (what it gives, axis of the training rows or None). (ranker, X, y) to numbers.
def _of_rows(name):
    return lambda ranker, X, y: getattr(ranker, name)


def _known_scores(ranker):
    return ranker.label_score_names_


def _raw_change(ranker, X, y):
    change = ranker.raw_change(X)
    return change.along(
        np.ones_like(change.raw) * np.arange(1, change.raw.shape[1] + 1)
    )


NUMBERS = {
    "self_influence_": (_of_rows("self_influence_"), 0),
    "influence": (lambda ranker, X, y: ranker.influence(X, y), 1),
    "transform": (lambda ranker, X, y: ranker.transform(X), 1),
    "raw_change": (_raw_change, 0),
    "mean_influence": (lambda ranker, X, y: ranker.mean_influence(X, y), 0),
    "score_samples": (lambda ranker, X, y: ranker.score_samples(X, y), None),
    "label_scores": (
        lambda ranker, X, y: np.column_stack(
            [ranker.label_scores(score) for score in _known_scores(ranker)]
        ),
        0,
    ),
    "label_scores of new rows": (
        lambda ranker, X, y: np.column_stack(
            [ranker.label_scores(score, X, y) for score in _known_scores(ranker)]
        ),
        None,
    ),
    "contributions": (lambda ranker, X, y: ranker.contributions(X), 1),
    "alpha_": (_of_rows("alpha_"), 0),
    "decomposition_gap_": (_of_rows("decomposition_gap_"), None),
    "stationarity_gap_": (_of_rows("stationarity_gap_"), None),
    "leverage_": (_of_rows("leverage_"), 0),
    "loo_decision_function_": (_of_rows("loo_decision_function_"), 0),
    "loo_prediction_": (_of_rows("loo_prediction_"), 0),
    "loo_proba_": (_of_rows("loo_proba_"), 0),
    "loo_score_": (_of_rows("loo_score_"), None),
    "loo_error_bound_": (_of_rows("loo_error_bound_"), 0),
    "active_set_changes_": (_of_rows("active_set_changes_"), 0),
    "parameter_influence": (
        lambda ranker, X, y: ranker.parameter_influence(np.arange(ranker._n_train)),
        0,
    ),
    "damping_path": (
        lambda ranker, X, y: ranker.damping_path([0.01, 1.0], X, y),
        2,
    ),
    "damping_path of self-influence": (
        lambda ranker, X, y: ranker.damping_path([0.01], score="self_influence"),
        1,
    ),
    "damping_path of loo_score": (
        lambda ranker, X, y: ranker.damping_path([0.01, 1.0], score="loo_score"),
        None,
    ),
    "solver_info_": (
        lambda ranker, X, y: [
            ranker.solver_info_[name]
            for name in (
                "damping_in_force",
                "smallest_eigenvalue",
                "largest_eigenvalue",
            )
        ],
        None,
    ),
    "diagnostics": (lambda ranker, X, y: diagnostics(ranker).to_numpy(), 0),
}
# Asked by a test of their own, below.
ASKED_BELOW = {
    "ranking_",
    "proponents",
    "opponents",
    "certify",
    "group_influence",
    "most_damaging",
}
# No numbers of training rows, or those of a scikit-learn estimator.
EXCUSED = {
    "classes_",
    "estimator_",
    "head_",
    "n_features_in_",
    "n_train_",
    "label_score_names_",
    "reading_",
    "decision_function",
    "set_callbacks",
}
SIDE_BY_SIDE = (
    "label_scores",
    "label_scores of new rows",
    "diagnostics",
    "solver_info_",
)
UNDEFINED = (AttributeError, TypeError, ValueError)


def fit(model, ranker, rows, weights, X, y):
    kind, parameters = RANKERS[ranker]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # l1 heads name rows that change their set
        return kind(MODELS[model][1], **parameters).fit(
            X[rows], y[rows], sample_weight=weights[rows]
        )


@pytest.fixture(scope="module")
def fitted():
    """(ranker with rows of weight 0, ranker without these rows, queries)."""
    made = {}

    def make(model, ranker):
        if (model, ranker) not in made:
            X, y = data(MODELS[model][0])
            weights = np.random.default_rng(2).uniform(0.5, 2.0, N)
            weights[GONE] = 0.0
            asked = np.random.default_rng(3).normal(size=(6, X.shape[1])), y[KEPT[:6]]
            both = [
                fit(model, ranker, rows, weights, X, y) for rows in (np.arange(N), KEPT)
            ]
            made[model, ranker] = (*both, asked)
        return made[model, ranker]

    return make


@pytest.mark.parametrize("ranker", ["influence", "l2"])
def test_every_public_name_is_asked_or_excused(fitted, ranker):
    one = fitted("binary", ranker)[0]
    common = {*dir(BaseEstimator()), *dir(ClassifierMixin()), *dir(TransformerMixin())}
    names = {name for name in dir(one) if not name.startswith("_")}
    names -= common | set(one.get_params()) | ASKED_BELOW | EXCUSED
    names -= {name for name in names if name.startswith(("set_", "fit", "predict"))}
    names -= {"get_feature_names_out"}
    assert names - set(NUMBERS) == set()


def ask(number, ranker, asked):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(NUMBERS[number][0](ranker, *asked), dtype=float)


@pytest.mark.parametrize(("model", "ranker"), CASES)
@pytest.mark.parametrize("number", NUMBERS)
def test_weight_zero_is_absence(fitted, model, ranker, number):
    whole, without, asked = fitted(model, ranker)
    try:
        expected = ask(number, without, asked)
    except UNDEFINED:
        with pytest.raises(UNDEFINED):  # what is not defined is not defined
            ask(number, whole, asked)
        pytest.skip("not defined")
    ours, axis = ask(number, whole, asked), NUMBERS[number][1]
    if axis is not None:
        ours = np.take(ours, KEPT, axis=axis)
    known = np.where(np.isfinite(expected), np.abs(expected), 0.0)
    # Measures of several units stand side by side: of each its own scale.
    axis = 0 if number in SIDE_BY_SIDE else None
    scale = np.max(np.atleast_2d(known), axis=axis, initial=0.0)
    if number.endswith("gap_"):
        # What the estimator's own fit left: of raw predictions, which are near 1.
        scale = np.maximum(scale, 1.0)
    with np.errstate(invalid="ignore"):  # inf is inf
        error = np.where(ours == expected, 0.0, ours - expected)
    error = np.where(np.isnan(ours) & np.isnan(expected), 0.0, error)
    assert np.all(np.abs(error) <= RTOL * np.maximum(scale, 1e-12))


@pytest.mark.parametrize(("model", "ranker"), CASES)
def test_who_leads_is_the_same_without_rows_of_weight_zero(fitted, model, ranker):
    whole, without, asked = fitted(model, ranker)
    order = np.argsort(whole.ranking_[KEPT], kind="stable")
    own = without.self_influence_
    # Ranks by numbers that agree to rounding: in that order they fall but for it.
    assert np.all(np.diff(own[order]) <= RTOL * np.max(np.abs(own)))
    for name, limit in (("proponents", np.maximum), ("opponents", np.minimum)):
        values = getattr(whole, name)(*asked, n=3)[0]
        # Rows of weight 0 are there to be named, with an influence of 0.
        expected = limit(getattr(without, name)(*asked, n=3)[0], 0.0)
        np.testing.assert_allclose(
            values, expected, rtol=RTOL, atol=RTOL * np.max(np.abs(expected))
        )


@pytest.mark.parametrize("model", ["binary", "softmax", "ridge"])
def test_certificates_groups_and_candidates_do_not_see_them(fitted, model):
    whole, without, asked = fitted(model, "newton")
    same = {"rtol": RTOL, "atol": 1e-9}
    for bound, expected in zip(
        whole.certify(KEPT[[3, 20]], *asked),
        without.certify([3, 20], *asked),
        strict=True,
    ):
        np.testing.assert_allclose(bound, expected, **same)
    for order in ("first", "second", "newton", "exact"):
        group = whole.group_influence([[*KEPT[:4], *GONE]], *asked, order=order)
        expected = without.group_influence([[0, 1, 2, 3]], *asked, order=order)
        np.testing.assert_allclose(group, expected, **same)
    near = whole.influence(*asked, candidates=5).toarray()
    expected = without.influence(*asked, candidates=5).toarray()
    np.testing.assert_allclose(near[:, KEPT], expected, **same)
    assert not near[:, GONE].any()
    with pytest.raises(ValueError, match=f"rows with a weight, {len(KEPT)}"):
        whole.influence(*asked, candidates=N)
    if model != "ridge":
        pairs = zip(
            whole.most_damaging(asked[0], n=9),
            without.most_damaging(asked[0], n=9),
            strict=True,
        )
        for rows, fewer in pairs:
            assert (rows is None) == (fewer is None)
            assert rows is None or np.array_equal(rows, KEPT[fewer])


@pytest.mark.parametrize("method", ["influence", "newton"])
@pytest.mark.parametrize("model", ["binary", "softmax", "ridge", "lasso"])
def test_weight_two_is_two_rows_that_leave_together(model, method):
    X, y = data(MODELS[model][0])
    X, y = X[KEPT], y[KEPT]
    asked = X[:6], y[:6]
    twice = np.arange(len(X)) % 3 == 0
    estimator = MODELS[model][1]
    one = InfluenceRanker(estimator, method=method)
    one.fit(X, y, sample_weight=1.0 + twice)
    order = np.r_[np.arange(len(X)), np.flatnonzero(twice)]
    two = InfluenceRanker(estimator, method=method).fit(X[order], y[order])
    copies = [np.flatnonzero(order == i) for i in range(len(X))]
    by = "newton" if method == "newton" else "first"
    together = two.group_influence(copies, *asked, order=by)
    scale = np.max(np.abs(together))
    np.testing.assert_allclose(one.influence(*asked), together, atol=RTOL * scale)
    leverage = [two.leverage_[rows].sum() for rows in copies]
    np.testing.assert_allclose(one.leverage_, leverage, rtol=RTOL)


@pytest.mark.parametrize("model", ["binary", "softmax", "ridge"])
def test_weighted_leave_one_out_score_is_the_searchs(model):
    X, y = data(MODELS[model][0])
    weights = np.random.default_rng(5).uniform(0.0, 3.0, N)
    weights[GONE] = 0.0
    estimator = MODELS[model][1]
    ranker = InfluenceRanker(estimator).fit(X, y, sample_weight=weights)
    name = "alpha" if model == "ridge" else "C"
    grid = {name: [getattr(estimator, name)]}
    search = LeaveOneOutSearch(estimator, grid).fit(X, y, sample_weight=weights)
    assert ranker.loo_score_ == pytest.approx(search.best_score_, rel=1e-9)
    (path,) = ranker.damping_path([0.0], score="loo_score")
    # From eigenvectors, whose small eigenvalues have lost some digits.
    assert path == pytest.approx(search.best_score_, rel=1e-7)


@pytest.mark.parametrize("model", ["binary", "ridge"])
def test_leave_one_out_score_is_the_weighted_mean_of_refits(model):
    X, y = data(MODELS[model][0])
    X, y = X[KEPT], y[KEPT]
    weights = np.random.default_rng(5).integers(0, 4, len(X)).astype(float)
    estimator = MODELS[model][1]
    ranker = InfluenceRanker(estimator, refine=1e-9).fit(X, y, sample_weight=weights)
    losses = np.zeros(len(X))
    for row in np.flatnonzero(weights):
        kept = weights.copy()
        kept[row] = 0.0
        other = estimator.fit(X, y, sample_weight=kept)
        if model == "ridge":
            losses[row] = (other.predict(X[[row]])[0] - y[row]) ** 2
        else:
            losses[row] = -np.log(other.predict_proba(X[[row]])[0, y[row]])
    expected = -np.average(losses, weights=weights)
    assert ranker.loo_score_ == pytest.approx(expected, rel=1e-6)
