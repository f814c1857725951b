"""scikit-learn's own checks, on every public estimator and on many settings of it."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklinfluence
from sklinfluence.base import BaseRanker
from sklinfluence.curvature import ConjugateGradient
from sklinfluence.gradient import InfluenceRanker

# A row of weight 0 keeps its column and a repeated row has two: the outputs of the two
# fits that these checks compare differ in shape, whatever the numbers.
COLUMN_A_ROW = "transform gives one column per training row"
# A classifier, as its default is; real targets get a Ridge.
TARGETS = "estimator=None takes real targets too"
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": COLUMN_A_ROW,
    "check_sample_weight_equivalence_on_sparse_data": COLUMN_A_ROW,
}


def public_estimators():
    """Every public class with a fit, so that a new one cannot be forgotten."""
    found = {}
    for module in pkgutil.iter_modules(sklinfluence.__path__):
        if module.name.startswith("_"):
            continue
        try:
            topic = importlib.import_module(f"sklinfluence.{module.name}")
        except ModuleNotFoundError as error:  # a topic about an extra not installed
            if (error.name or "").startswith("sklinfluence"):
                raise
            continue
        for name in getattr(topic, "__all__", ()):
            public = getattr(topic, name)
            # Solvers have parameters and no fit: they are parts of estimators.
            if inspect.isclass(public) and issubclass(public, BaseEstimator):
                if hasattr(public, "fit") and not inspect.isabstract(public):
                    found[name] = public
    return found


def checked_elsewhere(name):
    """Whether a test file of its own runs the suite on it, with settings that fit."""
    here = Path(__file__)
    texts = [
        file.read_text() for file in here.parent.rglob("test_*.py") if file != here
    ]
    suites = [
        text for text in texts if re.search("parametrize_with_checks|check_estim", text)
    ]
    return any(re.search(rf"\b{name}\(", text) for text in suites)


REQUIRED = {"estimator": LogisticRegression(), "ranker": InfluenceRanker()}


def required(cls):
    """Names of the parameters that have no default."""
    parameters = inspect.signature(cls).parameters.items()
    return [name for name, p in parameters if p.default is inspect.Parameter.empty]


RANKERS = [
    InfluenceRanker(method="newton"),
    InfluenceRanker(method="newton", refine=1e-3),
    InfluenceRanker(method="grad_dot"),
    InfluenceRanker(normalize="theta"),
    InfluenceRanker(normalize="loss"),
    InfluenceRanker(normalize="gradient"),
    InfluenceRanker(method="newton", normalize="cosine"),
    InfluenceRanker(solver="cholesky", damping=0.01),
    InfluenceRanker(solver="cg"),
    InfluenceRanker(solver=ConjugateGradient(tol=1e-10)),
    InfluenceRanker(n_influences=3),
    InfluenceRanker(refit_head=False),
    InfluenceRanker(Ridge()),
    InfluenceRanker(LogisticRegression(C=10.0, max_iter=500), method="newton"),
    InfluenceRanker(make_pipeline(StandardScaler(), LogisticRegression())),
]
DEFAULTS = [
    cls(**{parameter: REQUIRED[parameter] for parameter in required(cls)})
    for name, cls in public_estimators().items()
    if name == "InfluenceRanker"
    or not (
        checked_elsewhere(name)
        or cls.__module__.startswith("sklinfluence.deep")  # these need a network
        or set(required(cls)) - set(REQUIRED)
    )
]


def expected_failures(estimator):
    if not isinstance(estimator, BaseRanker):
        return {}
    # Of a ranker of rankers, the one that it holds says.
    held = getattr(estimator, "ranker", estimator)
    if held.estimator is None:
        return EXPECTED | {"check_classifiers_regression_target": TARGETS}
    return EXPECTED


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [*DEFAULTS, *RANKERS], expected_failed_checks=expected_failures, xfail_strict=True
)
def test_scikit_learn_compatible(estimator, check):
    check(estimator)


# What scikit-learn runs on its own estimators beside check_estimator.
OWN_CHECKS = {
    "check_param_validation": True,
    "check_dataframe_column_names_consistency": True,
    "check_inplace_ensure_writeable": True,
    # These are about transform.
    "check_set_output_transform": False,
    "check_set_output_transform_pandas": False,
    "check_set_output_transform_polars": False,
    "check_global_output_transform_pandas": False,
    "check_global_set_output_transform_polars": False,
    "check_transformer_get_feature_names_out": False,
    "check_transformer_get_feature_names_out_pandas": False,
    "check_get_feature_names_out_error": False,
}
NEEDS = {"pandas": "pandas", "dataframe": "pandas", "polars": "polars"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("check", OWN_CHECKS)
@pytest.mark.parametrize("estimator", [*DEFAULTS, *RANKERS[:2]], ids=str)
def test_checks_that_scikit_learn_runs_on_itself(estimator, check):
    for_all = OWN_CHECKS[check]
    if not for_all and not hasattr(estimator, "transform"):
        pytest.skip("has no transform")
    for word, library in NEEDS.items():
        if word in check:
            pytest.importorskip(library)
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("name", public_estimators())
def test_no_public_estimator_is_forgotten(name):
    checked = {type(estimator).__name__ for estimator in DEFAULTS}
    assert name in checked or checked_elsewhere(name)
