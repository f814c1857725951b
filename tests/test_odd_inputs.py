"""Kinds of input that the generated ones of `make fuzz` first brought down.

Each is tested over all that has the same entrance, with the value that is right or the
error that names what came.
"""

import inspect
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from sklinfluence import filtering, neighbors, retraining
from sklinfluence.curvature import LiSSA, choose_solver
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import diagnostics, select_diverse
from sklinfluence.metrics import loo_correlation, stability
from sklinfluence.neighbors import KNNShapleyRanker
from sklinfluence.retraining import (
    BanzhafRanker,
    DownsamplingRanker,
    ExpectedRanker,
    consistency_score,
)
from sklinfluence.trees import (
    BoostInRanker,
    ForestRanker,
    LeafEmbedding,
    LeafInfluenceRanker,
    LeafRefitRanker,
    TrexRanker,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
QUERIES = RNG.normal(size=(5, 3))
LABELS = (X[:, 0] + RNG.normal(size=30) > 0).astype(int)
VALUES = X[:, 0] + RNG.normal(size=30)


def of_trees(boosted, forest):
    return {
        "LeafInfluenceRanker": LeafInfluenceRanker(boosted),
        "LeafRefitRanker": LeafRefitRanker(boosted),
        "BoostInRanker": BoostInRanker(boosted),
        "LeafEmbedding": LeafEmbedding(boosted),
        "TrexRanker": TrexRanker(boosted),
        "ForestRanker": ForestRanker(forest),
    }


OF_CLASSES = {
    "InfluenceRanker": InfluenceRanker(LogisticRegression()),
    "RepresenterRanker": RepresenterRanker(LogisticRegression()),
    "ExpectedRanker": ExpectedRanker(InfluenceRanker(LogisticRegression()), 2),
    "MislabelFilter": MislabelFilter(),
    "MislabelSampler": MislabelSampler(),
    "FilteredClassifier": FilteredClassifier(LogisticRegression()),
    **of_trees(HistGradientBoostingClassifier(max_iter=3), RandomForestClassifier(5)),
}
OF_VALUES = {
    "InfluenceRanker": InfluenceRanker(Ridge()),
    "RepresenterRanker": RepresenterRanker(Ridge()),
    "MislabelFilter": MislabelFilter(),
    "FilteredRegressor": FilteredRegressor(Ridge()),
    **of_trees(HistGradientBoostingRegressor(max_iter=3), RandomForestRegressor(5)),
}
EVERY = [(name, it, LABELS) for name, it in OF_CLASSES.items()]
EVERY += [(f"{name} of values", it, VALUES) for name, it in OF_VALUES.items()]
every = pytest.mark.parametrize(
    "unfitted, y", [case[1:] for case in EVERY], ids=[case[0] for case in EVERY]
)


@every
@pytest.mark.parametrize("weights", [None, np.ones(30, np.float32)])
def test_single_precision_warns_of_nothing(unfitted, y, weights):
    """Bounds beyond float32 are compared in double precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fitted = unfitted.fit(X.astype(np.float32), y, sample_weight=weights)
        if hasattr(fitted, "influence"):
            fitted.influence(QUERIES.astype(np.float32))


@pytest.mark.parametrize("method", ["influence", "newton"])
def test_influence_beyond_single_precision_is_what_double_gives(method):
    ranker = InfluenceRanker(Ridge(), method=method).fit(X.astype(np.float32), VALUES)
    far = (QUERIES * 1e25).astype(np.float32)
    y = np.full(5, -1e25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = ranker.influence(far, y)
        scores = ranker.score_samples(far, y)
    truth = InfluenceRanker(Ridge(), method=method).fit(
        X.astype(np.float32).astype(float), VALUES
    )
    exact = truth.influence(far.astype(float), y)
    assert np.abs(exact).max() > np.finfo(np.float32).max
    # The fit of float32 rows is float32's, of some seven digits.
    assert_allclose(ours, exact, rtol=1e-3, atol=1e-3 * np.abs(exact).max())
    assert np.isfinite(scores).all()


@every
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([[0] * (i % 3) for i in range(30)], id="unlike lengths"),
        pytest.param(sparse.csr_matrix(VALUES[:, None]), id="sparse"),
    ],
)
def test_targets_that_are_no_array_are_named(unfitted, y, wrong):
    with pytest.raises((ValueError, TypeError), match=r"\by\b|[Ss]parse") as caught:
        unfitted.fit(X, wrong)
    for of_numpy in ("truth value", "inhomogeneous", "unsized"):
        assert of_numpy not in str(caught.value)


@every
def test_lists_without_rows_are_named(unfitted, y):
    with pytest.raises(ValueError, match=r"0 sample|no rows|2D array"):
        unfitted.fit([], [])


@every
def test_no_rows_at_all_are_named(unfitted, y):
    with pytest.raises(ValueError, match=r"X is None|2D array"):
        unfitted.fit(None, y)


FOLDED = [
    public
    for topic in (filtering, neighbors, retraining)
    for public in map(vars(topic).get, topic.__all__)
    if hasattr(public, "fit") and "cv" in inspect.signature(public).parameters
]


@pytest.mark.parametrize("cls", FOLDED)
def test_folds_that_are_no_pairs_are_named(cls):
    others = {"ranker": InfluenceRanker(), "estimator": LogisticRegression()}
    given = {k: v for k, v in others.items() if k in inspect.signature(cls).parameters}
    unfitted = cls(**given, cv=np.array([1.0, 2.0]))
    fit = getattr(unfitted, "fit_resample", None) or unfitted.fit
    with pytest.raises(ValueError, match=r"cv=array.*pairs of index arrays"):
        fit(X, LABELS)


@pytest.mark.parametrize("form", ["dia", "coo", "bsr"])
def test_sparse_forms_without_rows_to_take_are_read(form):
    ranker = InfluenceRanker(LogisticRegression())
    ranker.fit(sparse.csr_matrix(X).asformat(form), LABELS)
    asked = sparse.csr_matrix(QUERIES).asformat(form)
    dense = InfluenceRanker(LogisticRegression()).fit(sparse.csr_matrix(X), LABELS)
    for ask in (
        lambda ranker, Q: ranker.influence(Q),
        lambda ranker, Q: ranker.influence(Q, candidates=4).toarray(),
        lambda ranker, Q: ranker.group_influence([[0, 1], [2]], Q),
        lambda ranker, Q: ranker.certify(0, Q, LABELS[:5])[0],
    ):
        assert_allclose(ask(ranker, asked), ask(dense, sparse.csr_matrix(QUERIES)))
    correlation = loo_correlation(
        ranker, sparse.csr_matrix(X).asformat(form), LABELS, QUERIES, LABELS[:5]
    )
    assert np.isfinite(correlation).all()


def test_dir_computes_nothing(monkeypatch):
    """scikit-learn's asks hasattr of each name; some of ours refuse or take long."""
    ranker = InfluenceRanker(LogisticRegression(), damping=0.1).fit(X, LABELS)
    asked = []
    monkeypatch.setattr(
        InfluenceRanker, "self_influence_", property(lambda self: asked.append(1))
    )
    names = dir(ranker)
    assert {"self_influence_", "loo_error_bound_", "loo_proba_"} <= set(names)
    assert not asked
    assert "predict_proba" not in dir(InfluenceRanker(Ridge()).fit(X, VALUES))


@every
def test_labels_of_several_types_are_named(unfitted, y):
    mixed = np.array(["text", *LABELS[1:]], dtype=object)
    with pytest.raises((ValueError, TypeError)) as caught:
        unfitted.fit(X, mixed)
    assert "not supported between" not in str(caught.value)


# --- arguments ------------------------------------------------------------------------

WRONG = ["few", np.array([1.0, 2.0]), {}, 1 + 2j, b"3", int]
ARGUMENTS = {
    "candidates": lambda r, v: r.proponents(QUERIES, n=2, candidates=v),
    "n": lambda r, v: r.proponents(QUERIES, n=v),
    "order": lambda r, v: r.group_influence([[0]], order=v),
    "score": lambda r, v: r.label_scores(v),
    "index": lambda r, v: r.parameter_influence(v),
    "gamma": lambda r, v: select_diverse(r, 2, gamma=v),
    "kind": lambda r, v: select_diverse(r, 2, kind=v),
    "bandwidth": lambda r, v: select_diverse(r, 2, bandwidth=v),
    "importance": lambda r, v: select_diverse(r, 2, importance=v),
    "n_rows": lambda r, v: choose_solver(v, 1, 1),
    "n_columns": lambda r, v: choose_solver(1, 1, v),
    "n_rhs": lambda r, v: choose_solver(1, 1, 1, n_rhs=v),
    "memory": lambda r, v: choose_solver(1, 1, 1, memory=v),
}


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_another_type_are_named(name, value):
    ranker = InfluenceRanker(LogisticRegression()).fit(X, LABELS)
    with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
        ARGUMENTS[name](ranker, value)


def test_weights_for_a_pipeline_that_ends_in_nothing():
    with pytest.raises(ValueError, match="sample_weight was given, but 'passthrough'"):
        InfluenceRanker(make_pipeline("passthrough")).fit(X, LABELS, np.ones(30))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("duplicates", [None, 0.0])
def test_distances_that_overflow_name_what_was_too_large(duplicates):
    neighbors = MislabelFilter(KNeighborsRegressor(), duplicates=duplicates)
    with pytest.raises(ValueError, match=r"X holds a value of magnitude \d\.\de\+160"):
        neighbors.fit(X * 1e160, VALUES)


def test_squared_errors_that_overflow_name_what_was_too_large():
    far = VALUES * 1e160
    for call in (
        lambda: consistency_score(Ridge(), X, far),
        lambda: BanzhafRanker(Ridge(), max_evaluations=4).fit(X, far),
        lambda: BanzhafRanker(Ridge()).fit(X, VALUES, X_val=X, y_val=far),
        lambda: DownsamplingRanker(Ridge()).fit(X, VALUES).influence(X, far),
        lambda: KNNShapleyRanker().fit(X, far),
        lambda: MislabelFilter().fit(X, far),
    ):
        with pytest.raises(ValueError, match=r"y\w* holds a value of magni.*e\+160"):
            call()


def test_distances_beyond_single_precision_are_doubles():
    """float32 rows at 1e25 are ordered as float64 ones are."""
    near = KNNShapleyRanker().fit(X.astype(np.float32), VALUES)
    far = KNNShapleyRanker().fit((X * 1e25).astype(np.float32), VALUES)
    assert_allclose(far.values_, near.values_, rtol=1e-5, atol=1e-5)


def test_the_baseline_of_one_class_stays_as_it_is():
    """A clipped constant does not move with weights: no 0 / 0."""
    model = HistGradientBoostingClassifier(max_iter=2)
    ranker = LeafInfluenceRanker(model, refit_baseline=True)
    one_class = np.where(np.arange(30) < 29, 0, 1)
    weights = np.where(one_class == 1, 0.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        ranker.fit(X, one_class, weights)
        assert np.isfinite(ranker.self_influence_).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_fit_that_overflows_names_what_was_too_large():
    far = X * 1e160
    with pytest.raises(ValueError, match=r"X holds a value of magnitude \d\.\de\+160"):
        MislabelFilter(InfluenceRanker(Ridge())).fit(far, VALUES * 1e30)


def test_the_filters_own_models_scale_whatever_comes():
    near = MislabelFilter(random_state=0).fit(X, VALUES).scores_
    far = MislabelFilter(random_state=0).fit(X * 1e160, VALUES * 1e30).scores_
    # The penalties' grid and the trees' thresholds see scaled columns and ranks.
    assert_allclose(far, near, rtol=1e-3)


# --- numbers --------------------------------------------------------------------------


def test_refine_where_no_row_has_an_optimum():
    """Two rows of two classes: without either there is one class, and no optimum."""
    model = SGDClassifier(loss="log_loss", random_state=0)
    with pytest.warns(match="refine found no optimum without row"):
        ranker = InfluenceRanker(model, refine=1e-3).fit(X[:2], [0, 1])
    assert ranker.influence(X[:2], [0, 1]).shape == (2, 2)


def test_a_hessian_times_no_columns():
    class Asking(LiSSA):
        def init(self, operator):
            assert operator.matvec(np.zeros((operator.shape[0], 0))).shape[1] == 0
            return super().init(operator)

    InfluenceRanker(Ridge(), solver=Asking()).fit(X, VALUES)
    # Its right-hand sides are all zero: none of them is iterated on.
    ranker = InfluenceRanker(Ridge(), solver=LiSSA()).fit(X, np.full(30, 2.0))
    assert_allclose(ranker.influence(QUERIES, np.full(5, 2.0)), 0.0, atol=1e-12)


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_stability_has_no_unit(unit):
    a, b = RNG.normal(size=(2, 4, 20))
    truth = stability(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = stability(a * unit, b)
    assert ours == pytest.approx(truth, rel=1e-12)


def test_correlation_with_an_infinite_loss_is_nan():
    """Far out, a refit gives the other class no chance at all."""
    ranker = InfluenceRanker(LogisticRegression()).fit(X, LABELS)
    far = np.vstack([QUERIES[:2], [[1e9, 0, 0]]])
    with warnings.catch_warnings():
        # A logarithm of 0, in the refit's own predictions, is scikit-learn's to name.
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings("ignore", message="divide by zero encountered in log")
        found = loo_correlation(ranker, X, LABELS, far, [0, 1, 0])
    assert np.isfinite(found[:2]).all() and np.isnan(found[2])


def test_studentized_residuals_of_separable_classes_are_numbers():
    """Their square is a covariance's form, which rounding alone takes below zero."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(22, 5))
    y = np.digitize(rows[:, 0], [-0.6, 0.0, 0.6])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="invalid value encountered in sqrt")
        ranker = InfluenceRanker(LogisticRegression(C=np.inf)).fit(rows, y)
        frame = diagnostics(ranker, dfbetas=False)
    assert (frame["internally_studentized"].dropna() >= 0).all()
