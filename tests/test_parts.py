"""Estimators that hold others: what is held is validated, wherever it is."""

import importlib
import importlib.util
import inspect
import pkgutil

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils._param_validation import HasMethods, InvalidParameterError

import sklinfluence
from sklinfluence.curvature import ConjugateGradient, Nystrom
from sklinfluence.filtering import (
    FilteredClassifier,
    FilteredRegressor,
    MislabelFilter,
    MislabelSampler,
)
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.model_selection import LeaveOneOutSearch
from sklinfluence.retraining import ExpectedRanker

rng = np.random.default_rng(0)
X = rng.standard_normal((30, 3))
y = (X[:, 0] + 0.3 * rng.standard_normal(30) > 0).astype(int)


def public_classes():
    """Every public class with parameters: estimators and solvers."""
    found = {}
    for module in pkgutil.iter_modules(sklinfluence.__path__):
        if module.name.startswith("_"):
            continue
        if module.name == "deep" and importlib.util.find_spec("torch") is None:
            continue
        topic = importlib.import_module(f"sklinfluence.{module.name}")
        for name in getattr(topic, "__all__", ()):
            public = getattr(topic, name)
            if inspect.isclass(public) and issubclass(public, BaseEstimator):
                found[name] = public
    return {name: cls for name, cls in found.items() if not inspect.isabstract(cls)}


def parts(cls):
    """Names of the parameters that take an object, what joblib caches apart."""
    constraints = getattr(cls, "_parameter_constraints", {})
    for name, kinds in constraints.items():
        if any(isinstance(kind, HasMethods) for kind in kinds) and name != "memory":
            yield name


HELD = [
    (cls, name)
    for cls in public_classes().values()
    for name in parts(cls)
    # A network says itself what it thinks of its parameters.
    if not (cls.__module__.startswith("sklinfluence.deep") and name != "solver")
]
WRONG = {
    "estimator": LogisticRegression(C=-1.0),
    "surrogate": LogisticRegression(C=-1.0),
    "ranker": InfluenceRanker(method="newtn"),
    "filter": MislabelFilter(n_rounds=0),
    "solver": Nystrom(rank=-1),
    "preconditioner": Nystrom(rank=-1),
}
GOOD = {
    "estimator": LogisticRegression(),
    "ranker": InfluenceRanker(),
    "param_grid": {"tol": [1e-3]},
}


def holder(cls, name):
    parameters = inspect.signature(cls).parameters.items()
    required = [key for key, p in parameters if p.default is inspect.Parameter.empty]
    given = {key: GOOD[key] for key in required} | {name: WRONG[name]}
    if cls.__module__.startswith("sklinfluence.deep"):
        pytest.importorskip("skorch")
        from skorch import NeuralNetClassifier
        from torch import nn

        given["estimator"] = NeuralNetClassifier(
            nn.Linear,
            module__in_features=3,
            module__out_features=2,
            criterion=nn.CrossEntropyLoss,
            train_split=None,
            verbose=0,
        )
    return cls(**given)


def message(part):
    return f"parameter of {type(part).__name__} must be"


@pytest.mark.parametrize(("cls", "name"), HELD)
@pytest.mark.parametrize("around", ["alone", "in a filter", "in a Pipeline"])
def test_what_is_held_is_validated(cls, name, around):
    held = holder(cls, name)
    if not hasattr(held, "fit"):
        held = InfluenceRanker(solver=held)
    if around == "in a filter":
        if not hasattr(held, "label_scores"):
            pytest.skip("no ranker")
        held = FilteredClassifier(LogisticRegression(), MislabelFilter(held))
    if around == "in a Pipeline":
        held = make_pipeline(StandardScaler(), held)
    with pytest.raises(InvalidParameterError, match=message(WRONG[name])):
        held.fit(X.astype(np.float32), y)


@pytest.mark.parametrize(
    "model",
    [
        # Never asked for: nothing is solved for, or it comes after much else.
        InfluenceRanker(method="grad_dot", solver=Nystrom(rank=-1)),
        RepresenterRanker(solver=ConjugateGradient(tol=-1.0)),
        ExpectedRanker(InfluenceRanker(solver=ConjugateGradient(max_iter=0))),
        InfluenceRanker(
            solver=ConjugateGradient(preconditioner=ConjugateGradient(max_iter=0))
        ),
        MislabelSampler(
            InfluenceRanker(
                solver=ConjugateGradient(preconditioner=Nystrom(tail="none"))
            )
        ),
    ],
)
def test_parts_of_parts_are_validated(model):
    with pytest.raises(InvalidParameterError):
        model.fit(X, y)


def test_before_any_work():
    class Busy(MislabelFilter):
        def fit(self, X, y, sample_weight=None, groups=None):
            raise AssertionError("was fitted")

    model = FilteredClassifier(DecisionTreeClassifier(max_depth=-3), Busy())
    with pytest.raises(InvalidParameterError, match="max_depth"):
        model.fit(X, y)


def test_candidates_that_share_a_fit_are_validated():
    target = X @ [1.0, 2.0, 3.0] + rng.standard_normal(30)
    with pytest.raises(InvalidParameterError, match="'alpha' parameter of Ridge"):
        LeaveOneOutSearch(Ridge(), {"alpha": [1.0, -1.0]}).fit(X, target)


def test_what_a_search_sets_is_not_asked_beforehand():
    # The parameter that is wrong is the one that the search replaces.
    model = LogisticRegression(C=-1.0)
    LeaveOneOutSearch(model, {"C": [1.0]}).fit(X, y)
    search = GridSearchCV(model, {"C": [1.0]}, cv=3)
    FilteredClassifier(search).fit(X, y)


@pytest.mark.parametrize(
    ("model", "name", "written_out"),
    [
        (FilteredClassifier(LogisticRegression()), "filter__fdr", "MislabelFilter"),
        (FilteredRegressor(LogisticRegression()), "filter__fdr", "Mislabel.*Ridge"),
        (MislabelFilter(), "ranker__damping", "InfluenceRanker"),
        (MislabelSampler(), "ranker__damping", "InfluenceRanker"),
        (InfluenceRanker(), "estimator__C", "LogisticRegression"),
        (InfluenceRanker(), "solver__tol", "ConjugateGradient"),
        (RepresenterRanker(solver="cg"), "solver__tol", "ConjugateGradient"),
        (ConjugateGradient(), "preconditioner__rank", "Nystrom"),
    ],
)
def test_a_part_that_is_not_there_says_what_to_write_out(model, name, written_out):
    part = name.partition("__")[0]
    with pytest.raises(ValueError, match=rf"{name}.*Write out.*{part}={written_out}"):
        model.set_params(**{name: 1})
    if hasattr(model, "fit"):
        with pytest.raises(ValueError, match="Write out"):
            GridSearchCV(model, {name: [1]}, scoring=lambda *_: 0.0).fit(X, y)


def test_a_part_and_its_parameter_can_be_set_at_once():
    model = FilteredClassifier(LogisticRegression())
    model.set_params(filter=MislabelFilter(), filter__fdr=0.2)
    assert model.filter.get_params()["fdr"] == 0.2


@pytest.mark.parametrize("name", public_classes())
def test_unknown_arguments_are_refused_in_the_name_of_the_class(name):
    cls = public_classes()[name]
    with pytest.raises(TypeError, match=rf"^{name}\b"):
        cls(no_such_parameter=1)
