"""Numbers of extreme size: right ones, or an error that names what came.

A seeded draw of estimators, solvers, methods, weights, scales and degenerate tables.
Nothing may end in another exception than a named error, leak one of numpy's warnings or
give NaN or inf without a warning that says why.
"""

import traceback
import warnings

import numpy as np
import pytest
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)

from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.inspection import diagnostics
from sklinfluence.model_selection import LeaveOneOutSearch

CLASSIFIERS = [
    LogisticRegression(),
    LogisticRegression(C=np.inf),
    LogisticRegression(C=1e-10),
    LogisticRegression(l1_ratio=1.0, solver="liblinear"),
    LogisticRegression(class_weight="balanced"),
    LogisticRegression(fit_intercept=False),
    RidgeClassifier(),
    RidgeClassifier(alpha=0.0),
    SGDClassifier("log_loss", max_iter=20, random_state=0),
]
REGRESSORS = [
    Ridge(),
    Ridge(alpha=0.0),
    Ridge(alpha=1e-10),
    Ridge(fit_intercept=False),
    RidgeCV(),
    LinearRegression(),
    Lasso(),
    ElasticNet(alpha=0.01),
    SGDRegressor(max_iter=20, random_state=0),
]
SOLVERS = ["auto", "cholesky", "cg", "lissa", "arnoldi", "ekfac", "nystrom"]


def table(rng):
    n, d = rng.choice([3, 5, 12, 20, 40]), rng.choice([1, 2, 3, 8, 30])
    X = rng.standard_normal((n, d))
    return [
        lambda: X,
        lambda: np.column_stack([np.full(n, 3.0), X]),
        lambda: 0 * X,
        lambda: X[np.arange(n) // 2],
        lambda: np.column_stack([X, X[:, 0]]),
        lambda: X * 10.0 ** rng.integers(-12, 12),
        lambda: X * 10.0 ** rng.integers(-9, 9, d),
        lambda: (
            X
            * np.where(np.arange(n) == 0, 10.0 ** rng.choice([8, 30, 100]), 1.0)[
                :, None
            ]
        ),
        lambda: X * 10.0 ** rng.choice([-300.0, -160.0, 150.0, 200.0]),
    ][rng.integers(9)]()


def weights(rng, n):
    return [
        lambda: None,
        lambda: rng.random(n),
        lambda: rng.random(n) * 10.0 ** rng.integers(-8, 8, n),
        lambda: 1e200 * rng.random(n),
        lambda: 1e-300 * rng.random(n),
        lambda: rng.integers(0, 3, n).astype(float),
        lambda: np.zeros(n),
        lambda: np.eye(n)[0],
        lambda: rng.random(n) * 10.0 ** rng.integers(-300, 300, n).astype(float),
    ][rng.integers(9)]()


def draw(seed):
    """(ranker, X, y, sample_weight)"""
    rng = np.random.default_rng(seed)
    X = table(rng)
    if rng.random() < 0.5:
        y = rng.integers(0, rng.choice([2, 3]), len(X))
        y = np.arange(len(X)) % len(X) if rng.random() < 0.1 else y
        estimator = CLASSIFIERS[rng.integers(len(CLASSIFIERS))]
    else:
        y = rng.standard_normal(len(X)) * 10.0 ** rng.choice(
            [0, 0, 0, -12, 12, -200, 150]
        )
        y = np.ones(len(X)) if rng.random() < 0.1 else y
        estimator = REGRESSORS[rng.integers(len(REGRESSORS))]
    sample_weight = weights(rng, len(X))
    refit = bool(rng.random() < 0.7)
    if rng.random() < 0.2:
        method = ["l2", "lje", "l1"][rng.integers(3)]
        ranker = RepresenterRanker(estimator, method=method, refit_head=refit)
        return ranker, X, y, sample_weight
    ranker = InfluenceRanker(
        estimator,
        method=["influence", "newton", "grad_dot"][rng.integers(3)],
        normalize=[None, None, "theta", "loss", "gradient", "cosine"][rng.integers(6)],
        solver=SOLVERS[rng.integers(len(SOLVERS))],
        damping=float(rng.choice([0, 0, 0, 1e-3, 1.0, 1e-200, 1e100])),
        refine=[None, None, None, 1e-6, 1.0][rng.integers(5)],
        refit_head=refit,
    )
    return ranker, X, y, sample_weight


def questions(ranker, X, y):
    """Name and call of what a fitted ranker is asked."""
    asked = X[:3], y[:3]
    yield "self_influence_", lambda: ranker.self_influence_
    yield "influence", lambda: ranker.influence(*asked)
    yield "score_samples", lambda: ranker.score_samples(*asked)
    if isinstance(ranker, RepresenterRanker):
        yield "contributions", lambda: ranker.contributions(X[:3])
        return
    for score in ranker.label_score_names_:
        yield score, lambda score=score: ranker.label_scores(score)
        yield f"new {score}", lambda score=score: ranker.label_scores(score, *asked)
    yield "loo_score_", lambda: ranker.loo_score_
    yield "parameter_influence", lambda: ranker.parameter_influence([0, -1])
    groups = [[0, 1], [len(X) - 1]]
    for order in ("first", "newton", "exact"):
        yield order, lambda order=order: ranker.group_influence(groups, *asked, order)
    yield "damping_path", lambda: ranker.damping_path([0.1, 1.0], *asked)
    # Unbounded is inf and says so.
    yield "certify", lambda: np.nan_to_num(ranker.certify([0], *asked), posinf=0.0)
    yield "loo_error_bound_", lambda: np.isnan(ranker.loo_error_bound_)
    yield "diagnostics", lambda: diagnostics(ranker)


def is_named(error):
    """Raised by the package or by scikit-learn's validation, not within numpy."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return isinstance(error, ValueError | TypeError | AttributeError) and (
        "sklinfluence" in last
        or last.endswith(("validation.py", "_param_validation.py"))
    )


def is_the_estimators(error):
    """Raised in the fit of the user's own estimator."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.endswith("_estimators/_fit.py") for frame in frames)


def leaks(caught):
    """numpy's warnings from the package's own lines."""
    return [
        f"{w.filename}:{w.lineno}: {w.message}"
        for w in caught
        if issubclass(w.category, RuntimeWarning) and "sklinfluence" in w.filename
    ]


def answer(call):
    """(what came, warnings); a named error is no answer, and no fault."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            out = call()
        except Exception as error:
            if not (is_named(error) or is_the_estimators(error)):
                raise
            out = None
    return out, caught


@pytest.mark.parametrize("start", range(0, 140, 20))
def test_extremes_are_right_or_named(start):
    for seed in range(start, start + 20):
        ranker, X, y, sample_weight = draw(seed)
        fitted, told = answer(lambda: ranker.fit(X, y, sample_weight))  # noqa: B023
        assert not leaks(told), (seed, leaks(told))
        if fitted is None:
            continue
        told = [w for w in told if not issubclass(w.category, RuntimeWarning)]
        for name, call in questions(ranker, X, y):
            out, more = answer(call)
            assert not leaks(more), (seed, name, leaks(more))
            # What is computed once is warned about once, whoever asks first.
            told += [w for w in more if not issubclass(w.category, RuntimeWarning)]
            known = out is None or np.all(np.isfinite(np.asarray(out, dtype=float)))
            assert known or told, (seed, name)


SCALED = {
    "column": (lambda X, y, w: (X * 1e80, y, w), "the embedding holds a value"),
    "target": (lambda X, y, w: (X, y * 1e80, w), "y holds a value of magnitude"),
    "weight": (lambda X, y, w: (X, y, w * 1e120), "largest of sample_weight"),
    "no weight": (lambda X, y, w: (X, y, w * 0), r"[Ss]ample.weight"),
    "vanishing": (lambda X, y, w: (X, y, w * 1e-120), "largest of sample_weight"),
    "tiny": (lambda X, y, w: (X, y * 1e-150, w), "in the targets is .*below"),
    "tiny columns": (lambda X, y, w: (X * 1e-150, y, w), "in the columns is .*below"),
    "all of it": (lambda X, y, w: (X * 1e40, y * 1e40, w * 1e40), "weight times"),
}


@pytest.mark.parametrize("what", SCALED)
@pytest.mark.parametrize(
    "ranker",
    [
        InfluenceRanker(Ridge()),
        InfluenceRanker(Ridge(), method="newton", solver="cg"),
        RepresenterRanker(Ridge()),
        LeaveOneOutSearch(Ridge(), {"alpha": [1.0, 2.0]}),
    ],
    ids=lambda ranker: type(ranker).__name__,
)
def test_what_is_out_of_range_is_named(ranker, what):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 3)), rng.normal(size=30), rng.uniform(1, 2, 30)
    change, message = SCALED[what]
    X, y, sample_weight = change(*rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own fit overflows
        with pytest.raises(ValueError, match=message):
            ranker.fit(X, y, sample_weight=sample_weight)


@pytest.mark.parametrize("size", [1e200, 1e-300, 0.0])
def test_so_are_the_weights_of_filters(size):
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(20, 3)), size * rng.random(20)
    with pytest.raises(ValueError, match=r"[Ss]ample.weight"):
        MislabelFilter(random_state=0).fit(X, np.arange(20) % 2, weight)


def test_queries_out_of_range_are_named():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    for ranker in (InfluenceRanker(Ridge()), RepresenterRanker(Ridge())):
        ranker.fit(X, y)
        with pytest.raises(ValueError, match="the embedding holds a value"):
            ranker.influence(X * 1e80, y)
        with pytest.raises(ValueError, match="y holds a value"):
            ranker.influence(X, y * 1e80)


@pytest.mark.parametrize("exponent", [-40, -12, 12, 40])
@pytest.mark.parametrize("model", [Ridge(), LogisticRegression(tol=1e-10)])
def test_within_range_units_scale_influence_and_nothing_else(model, exponent):
    """Weights and penalty times c leave the model and every influence as they are."""
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(30, 3)), rng.normal(size=30), rng.uniform(1, 2, 30)
    c = 10.0**exponent
    scaled = Ridge(alpha=c) if isinstance(model, Ridge) else LogisticRegression(C=1 / c)
    y = y if isinstance(model, Ridge) else (y > 0).astype(int)
    one = InfluenceRanker(model, method="newton").fit(X, y, sample_weight=w)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own solver may stop early
        other = InfluenceRanker(scaled, method="newton").fit(X, y, sample_weight=c * w)
    influence = one.influence(X[:5], y[:5])
    scale = np.max(np.abs(influence))
    np.testing.assert_allclose(
        other.influence(X[:5], y[:5]), influence, rtol=0, atol=1e-8 * scale
    )
