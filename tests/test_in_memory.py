"""Nothing public loads a dask collection in silence: each argument is given one."""

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import sklinfluence
from sklinfluence._in_memory import is_dask
from sklinfluence.base import BaseRanker
from sklinfluence.filtering import FilteredClassifier, MislabelSampler
from sklinfluence.gradient import RepresenterRanker
from sklinfluence.metrics import detection_curve
from sklinfluence.model_selection import LeaveOneOutSearch
from sklinfluence.neighbors import KNNShapleyRanker

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

# scikit-learn's parameters, routing and output: no rows.
OF_PARAMETERS = ("get_params", "set_", "get_metadata_routing", "get_feature_names_out")
ANY_NUMBER = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL


def loaded():
    raise AssertionError("a dask array was loaded")


def on_a_cluster():
    """A dask array that fails the test where it is computed."""
    return da.from_delayed(dask.delayed(loaded)(), (4, 2), dtype=float)


def public_modules():
    for module in pkgutil.iter_modules(sklinfluence.__path__):
        if not module.name.startswith("_"):
            try:
                yield importlib.import_module(f"sklinfluence.{module.name}")
            except ModuleNotFoundError:  # a topic about an extra that is not installed
                continue


def public_callables():
    """(class or None, function) of all that takes arguments.

    Methods are those that a class offers, whoever wrote them. Constructors of
    estimators store what they are given, and are no part of it.
    """
    for module in public_modules():
        for public in map(vars(module).get, module.__all__):
            if not inspect.isclass(public):
                yield None, public
            elif not issubclass(public, Exception):
                for name in dir(public):
                    if not name.startswith(("_", *OF_PARAMETERS)):
                        yield public, inspect.getattr_static(public, name)


def arguments():
    """A case for each argument of each public callable."""
    cases = []
    for cls, member in public_callables():
        function = getattr(member, "fn", getattr(member, "__func__", member))
        if not inspect.isfunction(function):
            continue
        given = list(inspect.signature(function).parameters.values())
        for p in given[1:] if cls else given:
            if function.__name__ not in getattr(cls, "_takes_dask", ()):
                if p.kind not in ANY_NUMBER:
                    where = f"{cls.__name__}." if cls else ""
                    case = f"{where}{function.__name__}({p.name})"
                    cases.append(pytest.param(cls, function, p.name, id=case))
    return cases


@pytest.mark.parametrize(("cls", "function", "argument"), arguments())
def test_every_argument_of_every_public_name_refuses_dask(cls, function, argument):
    # Refused before anything is asked of the object, which need not be a whole one.
    itself = () if cls is None else (object.__new__(_concrete(cls)),)
    given = dict.fromkeys(_needed(function)) | {argument: on_a_cluster()}
    said = rf"^{argument} of \S+ is a dask array, and \S+ reads rows in memory"
    with pytest.raises(TypeError, match=said):
        function(*itself, **given)


def _needed(function):
    given = inspect.signature(function).parameters.values()
    is_needed = inspect.Parameter.empty
    return [
        p.name
        for p in given
        if p.default is is_needed and p.kind not in ANY_NUMBER and p.name != "self"
    ]


def _concrete(cls):
    """The class, or one of its kind that has all methods."""
    if not inspect.isabstract(cls):
        return cls
    return type(cls.__name__, (cls,), dict.fromkeys(cls.__abstractmethods__, _blank))


def _blank(self, X, y=None):
    return self


def test_the_message_says_what_would_do():
    X, y = on_a_cluster(), np.array([0, 1, 0, 1])
    with pytest.raises(TypeError, match=r"^X of KNNShapleyRanker.fit is a dask array,"):
        KNNShapleyRanker().fit(X, y)
    with pytest.raises(TypeError, match="InfluenceRanker and MislabelFilter take dask"):
        RepresenterRanker(LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match=r"pass y\.compute\(\)\.$"):
        FilteredClassifier(LogisticRegression()).fit(np.eye(4), X)
    with pytest.raises(TypeError, match=r"^scores of detection_curve is a dask array"):
        detection_curve(y, X)


def test_what_scikit_learn_wrote_is_asked_too():
    search = LeaveOneOutSearch(LogisticRegression(), {"C": [1.0]})
    search.fit(np.eye(6), [0, 1, 0, 1, 0, 1])
    for method in ("predict", "predict_proba", "score"):
        with pytest.raises(TypeError, match=f"X of LeaveOneOutSearch.{method} is a"):
            getattr(search, method)(on_a_cluster())


@pytest.mark.parametrize("hide", [lambda X: [X], lambda X: (X, X), lambda X: {"a": X}])
def test_what_holds_a_dask_array_is_named(hide):
    with pytest.raises(TypeError, match=r"X of MislabelSampler.fit is a dask array"):
        MislabelSampler().fit(hide(on_a_cluster()), np.array([0, 1, 0, 1]))


def test_frames_and_columns_of_dask():
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"a": [1.0, 2.0]}), npartitions=1)
    with pytest.raises(
        TypeError, match=r"X of KNNShapleyRanker.fit is a dask DataFrame"
    ):
        KNNShapleyRanker().fit(frame, [0, 1])
    with pytest.raises(TypeError, match=r"y of KNNShapleyRanker.fit is a dask Series"):
        KNNShapleyRanker().fit(np.eye(2), frame["a"])


class Labelled:
    """What holds an array of any kind, as labelled arrays do."""

    def __init__(self, graph):
        self.graph = graph

    def __dask_graph__(self):
        return self.graph


def test_what_wraps_a_dask_array_is_told_by_its_graph():
    assert is_dask(Labelled({})) and not is_dask(Labelled(None))
    assert is_dask(da.ones(3)) and is_dask(dask.delayed(3))
    assert not is_dask(np.ones(3)) and not is_dask(type(da.ones(3)))


class Similarity(BaseRanker):
    """A ranker of someone else's, that reads one of its arguments on the cluster."""

    _takes_dask = frozenset({"fit"})

    def fit(self, X, y, sample_weight=None):
        self._begin(len(X))
        return self

    def _influence_block(self, X, y):
        return np.ones((len(X), self.n_train_))


def test_a_method_that_takes_dask_says_so_and_the_others_refuse():
    ranker = Similarity().fit(on_a_cluster(), None)
    with pytest.raises(TypeError, match=r"X of Similarity.influence is a dask array"):
        ranker.influence(on_a_cluster())


def test_what_is_guarded_pickles_and_keeps_its_signature():
    ranker = pickle.loads(pickle.dumps(KNNShapleyRanker()))
    known = inspect.signature(ranker.fit).parameters
    assert list(known)[:2] == ["X", "y"]
    assert KNNShapleyRanker.fit.__doc__


def test_nothing_of_dask_is_imported():
    code = "import sys, sklinfluence as s, numpy as np\n"
    code += "s.MislabelFilter().fit(np.random.rand(40, 2), [0, 1] * 20)\n"
    code += "print([m for m in sys.modules if m.startswith(('dask', 'distributed'))])"
    run = [sys.executable, "-W", "ignore", "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
