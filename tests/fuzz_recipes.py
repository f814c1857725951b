"""How `tests/fuzz.py` makes and asks each public class and function.

`RECIPES` has one recipe for every public name. A recipe draws parts and arguments and
makes its calls by ``case.call``; whatever these objects offer in public beyond `fit` is
found by looking, and an argument without a pool fails the run.
"""

import inspect
import io
import tempfile

import numpy as np
from fuzz_inputs import NONSENSE, Rows, is_covered, parameters
from sklearn.base import clone, is_outlier_detector
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import check_array

from sklinfluence import curvature, filtering, gradient, metrics
from sklinfluence._estimators import takeable
from sklinfluence._sklearn_compat import _safe_indexing
from sklinfluence.base import BaseRanker
from sklinfluence.heads import linear_head

# --- parts ----------------------------------------------------------------------------

CLASSIFIERS = {
    "None": lambda: None,
    "logistic": lambda: LogisticRegression(),
    "logistic, weak": lambda: LogisticRegression(C=1e4, max_iter=1000),
    "logistic, no penalty": lambda: LogisticRegression(C=np.inf, max_iter=200),
    "logistic, no intercept": lambda: LogisticRegression(fit_intercept=False),
    "logistic, balanced": lambda: LogisticRegression(class_weight="balanced"),
    "liblinear": lambda: LogisticRegression(solver="liblinear"),
    "l1": lambda: LogisticRegression(C=0.5, l1_ratio=1.0, solver="saga"),
    "ridge classifier": lambda: RidgeClassifier(),
    "SGD log loss": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "MLP": lambda: MLPClassifier(hidden_layer_sizes=(3,), max_iter=20, random_state=0),
    "scaled": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "sparse scaled": lambda: make_pipeline(
        StandardScaler(with_mean=False), LogisticRegression()
    ),
    "one-hot": lambda: make_pipeline(
        OneHotEncoder(handle_unknown="ignore", max_categories=4), LogisticRegression()
    ),
    "logistic CV": lambda: LogisticRegressionCV(Cs=2, cv=2),
}
REGRESSORS = {
    "None": lambda: None,
    "ridge": lambda: Ridge(),
    "ridge of 0": lambda: Ridge(alpha=0.0),
    "ridge, no intercept": lambda: Ridge(fit_intercept=False),
    "least squares": lambda: LinearRegression(),
    "ridge CV": lambda: RidgeCV(),
    "lasso": lambda: Lasso(alpha=0.1),
    "elastic net": lambda: ElasticNet(alpha=0.1),
    "SGD": lambda: SGDRegressor(random_state=0),
    "MLP": lambda: MLPRegressor(hidden_layer_sizes=(3,), max_iter=20, random_state=0),
    "scaled": lambda: make_pipeline(StandardScaler(), Ridge()),
}
ODD_ESTIMATORS = {
    "C=-1": lambda: LogisticRegression(C=-1.0),
    "alpha=-1": lambda: Ridge(alpha=-1.0),
    "C=1e-300": lambda: LogisticRegression(C=1e-300),
    "C=1e300": lambda: LogisticRegression(C=1e300),
    "alpha=1e300": lambda: Ridge(alpha=1e300),
    "a scaler": lambda: StandardScaler(),
    "forest": lambda: RandomForestClassifier(3, random_state=0),
    "support vectors": lambda: SVC(),
    "naive Bayes": lambda: GaussianNB(),
    "a class": lambda: LogisticRegression,
    "a string": lambda: "logistic",
    "fitted elsewhere": lambda: FrozenEstimator(
        LogisticRegression().fit(np.eye(4, 3), [0, 1, 0, 1])
    ),
    "frozen unfitted": lambda: FrozenEstimator(LogisticRegression()),
    "an empty pipeline": lambda: make_pipeline("passthrough"),
    "max_iter=1": lambda: LogisticRegression(max_iter=1),
    "a ranker": lambda: gradient.InfluenceRanker(),
}
FORESTS = {
    True: {
        "forest": lambda: RandomForestClassifier(5, random_state=0),
        "small bags": lambda: RandomForestClassifier(
            5, max_samples=0.4, class_weight="balanced_subsample", random_state=0
        ),
        "extra trees": lambda: ExtraTreesClassifier(3, max_depth=2, random_state=0),
        "piped": lambda: make_pipeline(
            StandardScaler(), RandomForestClassifier(3, random_state=0)
        ),
        "a tree": lambda: DecisionTreeClassifier(),
    },
    False: {
        "forest": lambda: RandomForestRegressor(5, random_state=0),
        "extra trees": lambda: ExtraTreesRegressor(3, max_depth=2, random_state=0),
        "medians": lambda: RandomForestRegressor(2, criterion="absolute_error"),
    },
}
# What FilteredClassifier and FilteredRegressor may train.
TRAINED = {
    True: {
        **CLASSIFIERS,
        "tree": lambda: DecisionTreeClassifier(random_state=0),
        "neighbours": lambda: KNeighborsClassifier(3),
        "naive Bayes": lambda: GaussianNB(),
    },
    False: {
        **REGRESSORS,
        "tree": lambda: DecisionTreeRegressor(random_state=0),
        "neighbours": lambda: KNeighborsRegressor(3),
        "boosting": lambda: GradientBoostingRegressor(n_estimators=3, random_state=0),
    },
}
# What may stand in a ranker's place of a filter: each kind of evidence.
JUDGES = {
    True: {
        **TRAINED[True],
        "forest": lambda: RandomForestClassifier(30, random_state=0),
        "margins": lambda: SVC(),
    },
    False: {
        **TRAINED[False],
        "forest": lambda: RandomForestRegressor(30, random_state=0),
    },
}


# Small ones: what is refused of larger ones is refused of them.
BOOSTED = {
    True: {
        "hist": lambda: HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=3),
        "hist, l2": lambda: HistGradientBoostingClassifier(
            max_iter=3, min_samples_leaf=1, l2_regularization=1.0, learning_rate=1.0
        ),
        "hist, balanced": lambda: HistGradientBoostingClassifier(
            max_iter=3, class_weight="balanced"
        ),
        "hist, stopped": lambda: HistGradientBoostingClassifier(
            max_iter=3, early_stopping=True, random_state=0
        ),
        "gradient": lambda: GradientBoostingClassifier(n_estimators=3, random_state=0),
        "gradient, zero": lambda: GradientBoostingClassifier(
            n_estimators=3, init="zero", random_state=0
        ),
        "scaled": lambda: make_pipeline(
            StandardScaler(), GradientBoostingClassifier(n_estimators=3, random_state=0)
        ),
    },
    False: {
        "hist": lambda: HistGradientBoostingRegressor(max_iter=4, min_samples_leaf=3),
        "hist, poisson": lambda: HistGradientBoostingRegressor(
            loss="poisson", max_iter=3, min_samples_leaf=3
        ),
        "hist, gamma": lambda: HistGradientBoostingRegressor(
            loss="gamma", max_iter=3, min_samples_leaf=3
        ),
        "gradient": lambda: GradientBoostingRegressor(n_estimators=3, random_state=0),
        "gradient, huber": lambda: GradientBoostingRegressor(
            n_estimators=3, loss="huber", random_state=0
        ),
        "gradient, subsample": lambda: GradientBoostingRegressor(
            n_estimators=3, subsample=0.5, random_state=0
        ),
    },
}
TREES = {is_class: FORESTS[is_class] | BOOSTED[is_class] for is_class in (True, False)}


def estimator(case, is_class, pool=None):
    """A model for the task; now and then one that does not fit it."""
    draw = case.draw
    pool = pool or (CLASSIFIERS if is_class else REGRESSORS)
    if draw.odd("parameters") and draw.chance(0.5):
        pool = {**ODD_ESTIMATORS, **(REGRESSORS if is_class else CLASSIFIERS)}
    made = draw.named("estimator", pool)()
    if hasattr(made, "fit"):
        case.models.append(made)
    elif made is None:  # what is fitted then, as scikit-learn has it
        case.models.append(LogisticRegression() if is_class else Ridge())
    return made


def ranker(case, is_class, small=False):
    """A ranker for the task, or None."""
    draw = case.draw
    made = estimator(case, is_class)
    kinds = [gradient.InfluenceRanker, gradient.RepresenterRanker]
    kind = draw.one(kinds if not small else kinds[:1])
    draw.note(kind.__name__)
    return kind(made, **options(case, kind, skip=("estimator",)))


def in_the_rankers_place(case, is_class):
    """A ranker, any estimator, or none; now and then what is no such thing."""
    draw = case.draw
    if draw.chance(0.4):
        return None
    if draw.odd("parameters") and draw.chance(0.3):
        return draw.one([Constant(), "precomputed", 3, object()])
    if draw.chance(0.5):
        return ranker(case, is_class)
    return estimator(case, is_class, JUDGES[is_class])


def detector(case, is_class):
    """What a door filters with."""
    draw = case.draw
    if draw.chance(0.4):
        return None
    kind = draw.one([filtering.MislabelFilter, filtering.MislabelSampler])
    draw.note(kind.__name__)
    inner = in_the_rankers_place(case, is_class) if draw.chance(0.6) else None
    return kind(inner, **options(case, kind, skip=("ranker",)))


class Constant(BaseRanker):
    """A ranker of someone else's, with the least that the contract asks for."""

    def fit(self, X, y, sample_weight=None):
        self._begin(n_rows(X))
        return self

    def _influence_block(self, X, y):
        return np.tile(self.self_influence_, (n_rows(X), 1))

    def _self_influence(self):
        return np.arange(self.n_train_, dtype=float)

    def score_samples(self, X, y=None):
        return np.ones(n_rows(X))


def n_rows(X):
    X = check_array(X, accept_sparse=True, dtype=None, ensure_all_finite=False)
    return X.shape[0]


# --- arguments and parameters by name -------------------------------------------------


# With a depth: 5000 products with a net, its default's most, take a minute.
SOLVERS = [curvature.Cholesky(), curvature.LiSSA(depth=20), object()]


SCORES = [
    "auto",
    "loo_loss",
    "loo_margin",
    "loss",
    "margin",
    "self_influence",
    "cook",
    "gradient_norm",
    "agra",
    "studentized",
]
PARAMETERS = {
    "solver": SOLVERS,
    "score": SCORES,
    "label_score": SCORES,
    "cv": [None, 2, 3, StratifiedKFold(2), KFold(3), GroupKFold(2), 1, "folds", 50],
    "vary": [("init",), ("order",), ["init", "order"], {"init"}, (), ["nothing"]],
    "memory": [None],
    "pool": [
        ("linear",),
        ["kernel", "forest"],
        ("forest",),
        (),
        ("nothing",),
        "forest",
    ],
    "layers": ["all", "last", ["0"], [], "none such", ("2",)],
    "layer": [None, "0", "2", "none such"],
    "surrogate": [None, LogisticRegression(C=0.1), Ridge(2.0), LinearRegression()],
    "checkpoints": [None, "no/such/folder", 3],
    "preconditioner": [None, "auto"],
    "scoring": [
        "neg_log_loss",
        "accuracy",
        "neg_mean_squared_error",
        "r2",
        "balanced_accuracy",
        "roc_auc",
        "neg_mean_absolute_error",
        ["accuracy", "neg_log_loss"],
        "none such",
    ],
    "refit": ["accuracy", False],
    "metric": ["euclidean", "manhattan", "cosine", "none such"],
    "metric_params": [None, {}, {"none": 1}],
    "semivalue": ["shapley", "banzhaf", (4, 1), (1.0, 1.0), (0, 1), ("a", 2)],
    "probabilities": [(0.5,), (0.2, 0.8), (), (0.0, 1.0), [0.3]],
    "max_evaluations": [1, 5, 12],
    "journal": [None],
    "shares": [(0.5,), (0.3, 0.7), (0.0,), ("half",)],
    "threshold": [-2.0, 0.0, 3.0],
    "n_jobs": [None, 1],
    "classes": [None, None, None, ["a", "b"], [0, 1, 2], "all", 3],
}


def constraints_of(public):
    """What scikit-learn's own validation knows of the parameters, if it does."""
    for name in ("_parameter_constraints", "_skl_parameter_constraints"):
        if hasattr(public, name):
            return getattr(public, name)
    return {}


def parameter_names(public, skip=()):
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    found = inspect.signature(public).parameters.values()
    return [p.name for p in found if p.name not in skip and p.kind not in kinds]


def options(case, public, skip=()):
    """Constructor's options of a class, drawn."""
    names = parameter_names(public, skip)
    rules = constraints_of(public)
    for name in names:
        if not is_covered(rules.get(name, []), PARAMETERS.get(name, ())):
            raise LookupError(f"{public.__name__}: no values for {name}; add a pool")
    chosen = parameters(case.draw, rules, PARAMETERS, names)
    chosen = {name: case.cheap(name, value) for name, value in chosen.items()}
    case.draw.note(f"{public.__name__}: {chosen}")
    return chosen


def _indices(draw, n):
    sound = [0, n - 1, [0], [0, 1], np.arange(3), slice(0, 2), np.arange(n) < 2]
    odd = [n, -1, -n - 1, 0.5, [], "0", None, [0, 0], [n + 5], np.ones(n + 1, bool)]
    return draw.one(sound + (odd if draw.odd("queries") else []))


def _groups(draw, n):
    sound = [[[0, 1], [2]], np.arange(n) % 4, np.arange(n) < 2, [[0]], [range(3)]]
    odd = [[], [[]], [[n]], "groups", np.arange(n - 1), [[0, 0]], None, np.arange(n)]
    odd += [[[-1]], [[0.5]], [list(range(n))], np.full(n, np.nan), 3, [["a"]]]
    return draw.one(sound + (odd if draw.odd("queries") else []))


# What is lawful, and what is so for some only or for none.
ARGUMENTS = {
    "n": ([1, 3, 5, np.int64(2)], [0, -1, 1000, 2.5, "all"]),
    "order": (["first", "second", "newton", "exact"], ["third"]),
    "dampings": ([[0.1], [1e-3, 1.0], np.logspace(-3, 2, 4)], [[], [-1.0], 0.1, ["a"]]),
    "score": (["loss", "self_influence", "gradient_norm"], SCORES),
    "candidates": ([None, 5, 6], [0, 1, 1000, "few"]),
    "indices": ([True, False], []),
    "input_features": ([None], [["a"], "name"]),
    "dfbetas": ([True, False], []),
}


def argument(case, name, rows, asked):
    """What a public method is called with, by the parameter's name."""
    draw = case.draw
    X, y = asked
    if name in ("X", "y", "X_test", "y_test"):
        return X if name.startswith("X") else y
    if name == "index":
        return _indices(draw, rows.n)
    if name == "groups":
        return _groups(draw, rows.n)
    if name == "sample_weight":
        return draw.one([None, np.ones(rows.m)])
    if name not in ARGUMENTS:
        raise LookupError(f"no values for the argument {name}; add a pool")
    lawful, unlawful = ARGUMENTS[name]
    # A flag is asked whether it is true, as scikit-learn's are.
    odd = draw.odd("queries") and not isinstance(lawful[0], bool)
    return draw.one(lawful + unlawful + NONSENSE if odd else lawful)


# --- what an object offers ------------------------------------------------------------

NOT_ASKED = {
    "get_metadata_routing",
    "get_params",
    "set_params",
    "set_output",
    "set_callbacks",
    "fit",
    "fit_transform",
    "fit_resample",
    "fit_predict",
}


def offered(fitted):
    """(attributes with a trailing underscore, methods) in public, sorted."""
    names = {*dir(type(fitted)), *getattr(fitted, "__dict__", ())}
    names = sorted(name for name in names if not name.startswith("_"))
    methods = [
        name
        for name in names
        if name not in NOT_ASKED
        and not name.endswith(("_request", "_"))
        and callable(getattr(type(fitted), name, None))
    ]
    return [name for name in names if name.endswith("_")], methods


def ask(case, fitted, rows, n_methods=4):
    """Read every fitted attribute and call some methods."""
    attributes, methods = offered(fitted)
    case.call("dir", dir, fitted)
    for name in attributes:
        if case.call(f"hasattr {name}", _has, fitted, name) is True:
            case.call(name, getattr, fitted, name)
    chosen = case.draw.rng.permutation(methods)[:n_methods]
    for name in chosen:
        _ask_method(case, fitted, str(name), rows)


def _has(fitted, name):
    """Whether an attribute is there; what it raises otherwise, it raises when read."""
    try:
        return hasattr(fitted, name)
    except ValueError:
        return True


def _ask_method(case, fitted, name, rows):
    if not hasattr(fitted, name):
        return
    method = getattr(fitted, name)
    known = inspect.signature(method).parameters
    needed = [p for p in known if known[p].default is inspect.Parameter.empty]
    asked = rows.queries(y_needed="y" in needed or name == "score")
    case.asked.append(asked[0])
    arguments = {}
    for parameter in parameter_names(method):
        if parameter in needed or parameter in ("X", "y") or case.draw.chance(0.6):
            arguments[parameter] = argument(case, parameter, rows, asked)
    case.call(name, method, **arguments)


def fit(case, unfitted, rows, ways=("fit",)):
    """Fit on the rows; what came, or case.FAILED."""
    X, y, weights = rows.training()
    case.rows = rows
    way = case.draw.one(ways)
    if "groups" in inspect.signature(unfitted.fit).parameters and case.draw.chance(0.2):
        weights["groups"] = np.arange(rows.n) % 3
        case.draw.note("groups")
    result = case.call(way, getattr(unfitted, way), X, y, **weights)
    return case.FAILED if result is case.FAILED else unfitted


def fit_and_ask(case, unfitted, rows, ways=("fit",)):
    fitted = fit(case, unfitted, rows, ways)
    if fitted is not case.FAILED:
        ask(case, fitted, rows)


# --- recipes --------------------------------------------------------------------------


def head_ranker(case, public):
    rows = Rows(case.draw)
    made = estimator(case, rows.is_class)
    chosen = options(case, public, skip=("estimator",))
    fit_and_ask(
        case, public(made, **chosen), rows, ways=("fit", "fit", "fit_transform")
    )


def of_trees(pools):
    """A ranker, or transformer, of the ensembles in a pool."""

    def recipe(case, public):
        rows = Rows(case.draw)
        made = estimator(case, rows.is_class, pools[rows.is_class])
        chosen = options(case, public, skip=("estimator",))
        fit_and_ask(
            case, public(made, **chosen), rows, ways=("fit", "fit", "fit_transform")
        )

    return recipe


def solver(case, public):
    """A solver within the ranker that it is made for."""
    rows = Rows(case.draw)
    made = estimator(case, rows.is_class)
    chosen = public(**options(case, public))
    method = case.draw.one(["influence", "newton"])
    damping = case.draw.one([0.0, 0.1])
    unfitted = gradient.InfluenceRanker(
        made, solver=chosen, method=method, damping=damping
    )
    case.draw.note(f"{method}, damping={damping}")
    fit_and_ask(case, unfitted, rows)


def expected(case, public):
    rows = Rows(case.draw)
    chosen = options(case, public, skip=("ranker", "n_estimators"))
    inner = ranker(case, rows.is_class, small=True)
    if not case.draw.chance(0.3):
        kind = MLPClassifier if rows.is_class else MLPRegressor
        case.models.append(kind(hidden_layer_sizes=(3,), max_iter=10, random_state=0))
        inner = gradient.InfluenceRanker(case.models[-1], refit_head=False, damping=0.1)
        case.draw.note("of an MLP")
    fit_and_ask(case, public(inner, n_estimators=2, **chosen), rows)


def a_filter(case, public):
    rows = Rows(case.draw)
    inner = in_the_rankers_place(case, rows.is_class)
    unfitted = public(inner, **options(case, public, skip=("ranker",)))
    ways = ["fit", "fit"]
    ways += [way for way in ("fit_transform", "fit_resample") if hasattr(public, way)]
    case.passes_rows_on = True
    fit_and_ask(case, unfitted, rows, ways)


def door(is_class):
    def recipe(case, public):
        # Now and then a door for the other kind of target.
        other = case.draw.odd("y") and case.draw.chance(0.2)
        rows = Rows(case.draw, is_class=is_class != other)
        made = estimator(case, is_class, TRAINED[is_class])
        found = detector(case, is_class)
        fit_and_ask(case, public(made, found), rows)

    return recipe


GRIDS = {
    "C": {"C": [0.1, 1.0, 10.0]},
    "alpha": {"alpha": [0.1, 1.0]},
    "step C": {"logisticregression__C": [0.1, 10.0]},
    "step alpha": {"ridge__alpha": [0.1, 10.0]},
    "lists of C": [{"C": [1.0]}, {"C": [2.0], "fit_intercept": [False]}],
    "unlawful C": {"C": [1.0, -1.0]},
    "extreme C": {"C": [1e-300, 1e-12, 1e12, 1e300]},
    "none": {},
    "empty": {"C": []},
    "unknown": {"nothing": [1]},
    "no list": {"C": 1.0},
    "twice": {"C": [1.0, 1.0]},
}


def search(case, public):
    rows = Rows(case.draw)
    made = estimator(case, rows.is_class)
    fits = ["C", "lists of C"] if rows.is_class else ["alpha"]
    if hasattr(made, "steps"):
        fits = ["step C"] if rows.is_class else ["step alpha"]
    grids = list(GRIDS) if case.draw.odd("parameters") else fits
    grid = case.draw.one(grids)
    case.draw.note(f"grid: {grid}")
    chosen = options(case, public, skip=("estimator", "param_grid"))
    if not case.draw.odd("parameters"):
        chosen.pop("refit", None)
        chosen["scoring"] = case.draw.one(
            ["neg_log_loss", "accuracy"]
            if rows.is_class
            else ["neg_mean_squared_error"]
        )
    fit_and_ask(case, public(made, GRIDS[grid], **chosen), rows)


def contract(case, public):
    rows = Rows(case.draw)
    fit_and_ask(case, Constant(), rows)


def _fitted_ranker(case, rows):
    """A sound ranker on the rows, or case.FAILED where these are none for it."""
    unfitted = gradient.InfluenceRanker(_plain(case, rows))
    if case.draw.chance(0.2):
        case.draw.note("not fitted")
        return unfitted
    return fit(case, unfitted, rows)


def _plain(case, rows):
    case.models.append(LogisticRegression() if rows.is_class else Ridge())
    return case.models[-1]


def diverse(case, public):
    rows = Rows(case.draw)
    fitted = _fitted_ranker(case, rows)
    if fitted is case.FAILED:
        return
    n = argument(case, "n", rows, (None, None))
    pools = {
        "kind": ["sum_redundancy", "facility_location", "mmd"],
        "gamma": [0.0, 1.0, 10.0, 1e30],
        "importance": [
            None,
            np.ones(rows.n),
            np.arange(rows.n),
            np.full(rows.n, 1e300),
        ],
        "X": [None, rows.X, rows.X, rows.queries()[0]],
        "bandwidth": [None, 1.0, 1e-9, 1e9],
    }
    names = parameter_names(public, skip=("ranker", "n"))
    chosen = parameters(case.draw, {}, pools, names)
    case.draw.note(f"n={n}, {sorted(chosen)}")
    case.call("select_diverse", public, fitted, n, **chosen)


def fidelity(case, public):
    rows = Rows(case.draw, sizes=(12, 18))
    fitted = _fitted_ranker(case, rows)
    if fitted is case.FAILED:
        return
    chosen = options(
        case, public, skip=("ranker", "X", "y", "X_test", "y_test", "n_jobs")
    )
    X, y, _ = rows.training()
    asked = rows.queries()
    case.asked.append(asked[0])
    trained = () if public is metrics.pbrf else (X, y)
    case.call(public.__name__, public, fitted, *trained, *asked, **chosen)


def on_metric(case, public):
    rows = Rows(case.draw)
    fitted = _fitted_ranker(case, rows)
    if fitted is case.FAILED:
        return
    chosen = options(case, public, skip=("ranker", "X", "y", "groups", "metric"))
    X, y = rows.queries()
    names = ["neg_log_loss", "neg_brier_score", "neg_calibration_error", "roc_auc"]
    names += ["neg_mean_squared_error", "r2", "worst_group", "neg_group_gap"]
    odd = ["accuracy", None, 3, lambda y, raw: raw.sum(), lambda y, raw: "much"]
    chosen["metric"] = case.draw.one(odd if case.draw.odd("parameters") else names)
    if "group" in str(chosen["metric"]) or case.draw.chance(0.1):
        chosen["groups"] = np.arange(rows.n) % case.draw.one([1, 2, 3])
        if hasattr(y, "__len__"):
            chosen["groups"] = chosen["groups"][: len(y)]
    case.asked.append(X)
    case.call(public.__name__, public, fitted, X=X, y=y, **chosen)


def scorer(case, public):
    rows = Rows(case.draw, is_class=case.draw.chance(0.9) or None)
    made = case.call("make", public, **options(case, public))
    if made is case.FAILED:
        return
    kind = case.draw.one([gradient.InfluenceRanker, filtering.MislabelFilter])
    found = fit(case, kind(), rows)
    if found is not case.FAILED:
        asked = rows.queries() if case.draw.chance(0.4) else (rows.X, rows.y)
        case.call("score", made, found, *asked)


def _vector(draw, n):
    """A vector of scores, truths or influences, sound or not."""
    rng = draw.rng
    sound = [rng.normal(size=n), rng.random(n) < 0.4, rng.integers(0, 2, n)]
    odd = [
        np.zeros(n),
        np.ones(n, bool),
        np.full(n, np.nan),
        np.r_[np.nan, np.ones(n)][:n],
        np.r_[np.inf, -np.inf, np.ones(n)][:n],
        rng.normal(size=n) * 1e300,
        rng.normal(size=n) * 1e-300,
        rng.normal(size=(n, 2)),
        rng.normal(size=(n, 1)),
        rng.normal(size=n + 1),
        rng.normal(size=0),
        np.full(n, "word"),
        rng.normal(size=n).tolist(),
        rng.normal(size=n).astype(object),
        rng.normal(size=n).astype(np.float16),
        rng.integers(-3, 3, n),
        None,
        3.0,
        "text",
        rng.normal(size=n) + 1j,
    ]
    return draw.one(sound + (odd if draw.odd("values") or draw.odd("y") else []))


def of_vectors(shapes):
    """A function of vectors and matrices whose parameters are named in ``shapes``."""

    def recipe(case, public):
        draw, n = case.draw, int(case.draw.rng.integers(3, 12))
        if draw.odd("size"):
            n = draw.one([0, 1, 2])
        given = {}
        for name, kind in shapes.items():
            given[name] = kind(draw, n)
        names = parameter_names(public, skip=tuple(shapes))
        given.update(options(case, public, skip=tuple(shapes)) if names else {})
        draw.note(", ".join(f"{name}={_brief(value)}" for name, value in given.items()))
        case.call(public.__name__, public, **given)

    return recipe


def _brief(value):
    text = repr(value).replace("\n", " ")
    return text if len(text) < 60 else text[:57] + "..."


def _truth(draw, n):
    sound = draw.rng.random(n) < 0.5
    return _vector(draw, n) if draw.odd("y") else sound


def _matrix(draw, n):
    rng = draw.rng
    sound = rng.normal(size=(4, n))
    odd = [sound * np.nan, sound * 1e300, sound[:, :1], sound[:0], sound * 0, sound[0]]
    odd += [sound.tolist(), sound.astype(object), sound.astype(str), sound[None]]
    odd += [np.round(sound), np.where(sound > 1, np.inf, sound), sound[:, :-1], None]
    return draw.one(odd) if draw.odd("values") else sound


def _labels(draw, n):
    return draw.one([np.arange(n) % 2, np.array(["a", "b"] * n)[:n], np.zeros(n)])


TRIGGERS = [lambda X: X, lambda X: X * 0, lambda X: None, lambda X: 7]


def corruption(case, public):
    """A function of datasets: labels or targets, and rows where it takes them."""
    is_class = case.draw.chance(0.9 if public.__name__ != "corrupt_targets" else 0.1)
    rows = Rows(case.draw, is_class=is_class)
    draw, n = case.draw, rows.n
    names = parameter_names(public)
    given = {"y": rows.y}
    if "X" in names and ("trigger" in names or draw.chance(0.4)):
        given["X"] = rows.X
    if "trigger" in names:
        given["trigger"] = draw.one(TRIGGERS)
        labels = np.asarray(rows.y, dtype=object).ravel()
        given["target"] = draw.one([labels[0] if labels.size else 0, 1, "unseen", None])
        given["rate"] = draw.one([0.1, 0.3])
    elif public.__name__ == "corrupt_targets" or draw.chance(0.8):
        given["rate"] = draw.one([0.1, 0.3])
    if "transition" in names and draw.chance(0.2):
        given["transition"] = draw.one(
            [
                np.eye(2),
                np.full((2, 2), 0.5),
                np.full((3, 3), 1 / 3),
                np.ones(2),
                "text",
            ]
        )
    rest = [name for name in names if name not in ("X", "y", "trigger", "transition")]
    given.update(parameters(draw, constraints_of(public), {"target": [0]}, rest))
    draw.note(f"{n} rows, {sorted(given)}")
    if "rate" in given:
        draw.note(f"rate={given['rate']!r}, kind={given.get('kind')!r}")
    case.passes_rows_on = True
    case.call(public.__name__, public, **given)


def display(case, public):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    draw = case.draw
    if draw.chance(0.5):
        n = 8
        truth, scores = _truth(draw, n), _vector(draw, n)
        draw.note(f"from_predictions({_brief(truth)}, {_brief(scores)})")
        made = case.call("from_predictions", public.from_predictions, truth, scores)
    else:
        rows = Rows(draw)
        fitted = fit(case, _any_detector(case, rows), rows)
        if fitted is case.FAILED:
            return
        truth = _truth(draw, rows.n)
        made = case.call("from_estimator", public.from_estimator, fitted, truth)
    if made is not case.FAILED:
        case.call("plot", made.plot, name=draw.one([None, "name"]))
    plt.close("all")


def picture(case, public):
    """A display of what a ranker, or a filter, found."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows, name = Rows(case.draw), public.__name__
    unfitted = gradient.InfluenceRanker(_plain(case, rows))
    if name == "NoiseDisplay":
        unfitted = filtering.MislabelFilter()
    fitted = fit(case, unfitted, rows)
    if fitted is case.FAILED:
        return
    X, y, _ = rows.training()
    asked, _ = rows.queries()
    if getattr(asked, "shape", [0])[0] > 0 and not case.draw.odd("X"):
        asked = _safe_indexing(takeable(asked), [0])
    given = {
        "DiagnosticsDisplay": {},
        "InfluenceDisplay": {"X": X},
        "NoiseDisplay": {"y": y},
        "ProponentsDisplay": {"X": X, "y": y, "X_query": asked, "n": 1},
        "RemovalCurveDisplay": {"X": X, "y": y, "X_test": X, "y_test": y},
    }[name]
    if name == "RemovalCurveDisplay":
        given |= {"removed": case.draw.one([[0.0], [0.0, 0.3], [1.0]]), "n_random": 0}
    case.call("from_estimator", public.from_estimator, fitted, **given)
    plt.close("all")


def _any_detector(case, rows):
    if case.draw.chance(0.5):
        return filtering.MislabelFilter()
    return gradient.InfluenceRanker(_plain(case, rows))


def review(case, public):
    """A review of labels, most of its lines about them."""
    rows = Rows(case.draw)
    draw, n = case.draw, rows.n
    labels = np.asarray(rows.y, dtype=object).ravel()
    lines = [draw.one(["row,given_label,verdict,new_label", "row;given_label;verdict"])]
    for row in range(0, min(n, labels.size), 3):
        given, new = (
            draw.one([labels[row], "unseen", ""]),
            draw.one([labels[0], "", "="]),
        )
        verdict = draw.one(["wrong", "right", "unsure", "", "perhaps"])
        lines.append(f"{row},{given if draw.odd('values') else labels[row]},")
        lines[-1] += f"{verdict if draw.odd('values') else 'wrong'},{new}"
    draw.note(f"{n} rows, {lines[:3]}")
    case.passes_rows_on = True
    file = io.StringIO("\n".join(lines))
    wrong = draw.one(["relabel", "drop", "nothing", "keep"])
    case.call("apply_review", public, file, rows.y, wrong=wrong)


def label_report(case, public):
    """A report on what a filter found, and its page."""
    rows = Rows(case.draw)
    fitted = fit(case, _any_detector(case, rows), rows)
    if fitted is case.FAILED:
        return
    draw, (X, y, _) = case.draw, rows.training()
    n = rows.n
    shown = draw.one(
        [
            {},
            {"texts": ["text"] * n},
            {"images": np.zeros((n, 3, 3))},
            {"columns": np.ones((n, 2)), "hide": ["x0"]},
            {"columns": np.ones((n, 2)), "feature_names": ["one"]},
            {"texts": ["text"], "images": []},
        ]
    )
    draw.note(f"shows {sorted(shown)}")
    made = case.call("from_filter", public.from_filter, fitted, X, y, **shown)
    if made is not case.FAILED:
        case.call("_repr_html_", made._repr_html_)


def row_diagnostics(case, public):
    rows = Rows(case.draw)
    made = estimator(case, rows.is_class)
    fitted = made
    if case.draw.chance(0.7):
        fitted = fit(case, gradient.InfluenceRanker(made), rows)
    else:
        case.rows = rows
        X, y, _ = rows.training()
        try:
            fitted = clone(made).fit(X, y)
        except Exception:  # The model's own business: an unfitted one is asked about.
            case.draw.note("not fitted")
    if fitted is case.FAILED:
        return
    X, y, weights = rows.training()
    given = {} if case.draw.chance(0.5) else {"X": X, "y": y, **weights}
    case.draw.note(f"given {sorted(given)}")
    dfbetas = case.draw.one([True, False])
    case.call("diagnostics", public, fitted, **given, dfbetas=dfbetas)


def head_of(case, public):
    """`linear_head`, and the `LinearHead` that it returns."""
    rows = Rows(case.draw)
    made = estimator(case, rows.is_class)
    X, y, weights = rows.training()
    case.rows = rows
    if not case.draw.chance(0.15):
        try:
            made = clone(made).fit(X, y)
        except Exception:  # The model's own business: an unfitted one is asked about.
            case.draw.note("not fitted")
    head = case.call("linear_head", linear_head, made, y, *weights.values())
    if head is case.FAILED:
        return
    queries, targets = rows.queries()
    case.asked.append(queries)
    case.call("embed", head.embed, queries)
    case.call("encode", head.encode, targets)


def choice(case, public):
    draw = case.draw
    sizes = [1, 2, 30, 1000, 10**5, 10**9, 0, -1, 2.5, None, "many", np.int64(7)]
    sizes = sizes if draw.odd("parameters") else sizes[:6]
    given = {name: draw.one(sizes) for name in ("n_rows", "n_outputs", "n_columns")}
    pools = {"n_rhs": [None, 1, 100], "memory": [1, 10**6, 2**32]}
    names = parameter_names(public, skip=tuple(given))
    flags = {name: [True, False] for name in names if name not in pools}
    given.update(parameters(draw, {}, {**pools, **flags}, names))
    draw.note(str(given))
    case.call("choose_solver", public, **given)


# --- nets -----------------------------------------------------------------------------


def net(case, rows, **changes):
    """A tiny skorch net for the rows, in float32 as users have them."""
    import torch
    from skorch import NeuralNetClassifier, NeuralNetRegressor

    torch.manual_seed(0)
    draw = case.draw
    n_outputs = 1
    if rows.is_class:
        n_outputs = max(2, len(set(np.ravel(rows.codes).tolist())))
        n_outputs = min(n_outputs, 5)
    width = rows.p + (1 if draw.odd("parameters") and draw.chance(0.2) else 0)
    module = torch.nn.Sequential(
        torch.nn.Linear(max(width, 1), 3),
        torch.nn.Tanh(),
        torch.nn.Linear(3, n_outputs),
    )
    settings = {
        "max_epochs": draw.one([1, 2, 3]),
        "batch_size": draw.one([-1, 8, 7]),
        "lr": draw.one([0.1, 0.01]),
    }
    if draw.odd("parameters"):
        odd = {
            "lr": [0.0, 1e30, -0.1],
            "max_epochs": [0, -1],
            "batch_size": [0, 1, 10**6],
            "optimizer": [torch.optim.Adam, torch.optim.LBFGS, "SGD"],
            "criterion": [
                torch.nn.L1Loss,
                torch.nn.NLLLoss,
                torch.nn.BCEWithLogitsLoss,
            ],
        }
        name = draw.one(odd)
        settings[name] = draw.one(odd[name])
    if rows.is_class:
        settings.setdefault("criterion", torch.nn.CrossEntropyLoss)
    draw.note(f"net: {settings}")
    kind = NeuralNetClassifier if rows.is_class else NeuralNetRegressor
    made = kind(module, train_split=None, verbose=0, **settings, **changes)
    case.models.append(made)
    return made


class NetRows(Rows):
    """Rows as nets take them: float32, targets in a column, labels from 0."""

    def __init__(self, draw, **given):
        super().__init__(draw, sizes=(12, 20), floats=np.float32, **given)
        if not self.is_class and not draw.odd("y form"):
            self._names = lambda y: y.astype(np.float32)[:, None]
        elif self.is_class and not draw.odd("y form"):
            self._names = lambda codes: np.asarray(codes, dtype=np.int64)
        self.y = self._named(self.codes[: self.n])

    def _weights(self):
        # skorch's own nets take none.
        return super()._weights() if self.draw.odd("weights") else None


def deep_ranker(case, public):
    rows = NetRows(case.draw)
    first = parameter_names(public)[0]
    chosen = options(case, public, skip=(first,))
    made = net(case, rows)
    if case.draw.odd("parameters") and case.draw.chance(0.2):
        made = estimator(case, rows.is_class, ODD_ESTIMATORS)
    fit_and_ask(case, public(made, **chosen), rows)


class DenseInverse(curvature.Solver):
    """A solver of a user's own."""

    def init(self, operator):
        return np.linalg.pinv(operator.matvec(np.eye(operator.shape[0])))

    def solve(self, state, B):
        return state @ B, {"residual": np.zeros(np.shape(B)[1])}


def own_solver(case, public):
    solver(case, DenseInverse)


def of_neighbors(case, public):
    fit_and_ask(case, public(**options(case, public)), Rows(case.draw))


def valuer(case, public):
    rows = Rows(case.draw)
    made = case.draw.one([GaussianNB(), DecisionTreeClassifier(max_depth=2)])
    if not rows.is_class:
        made = case.draw.one([Ridge(), DecisionTreeRegressor(max_depth=2)])
    case.models.append(made)
    chosen = options(case, public, skip=("estimator",))
    if "max_evaluations" in parameter_names(public):
        chosen.setdefault("max_evaluations", 12)
    fit_and_ask(case, public(made, **chosen), rows)


def out_of_bag(case, public):
    rows = Rows(case.draw)
    forest = RandomForestClassifier if rows.is_class else RandomForestRegressor
    made = case.draw.one([forest(5, random_state=0), GaussianNB(), forest(3)])
    case.models.append(made)
    chosen = options(case, public, skip=("estimator",))
    fit_and_ask(case, public(made, **chosen), rows)


def consistency(case, public):
    rows = Rows(case.draw)
    made = GaussianNB() if rows.is_class else Ridge()
    case.models.append(made)
    chosen = options(case, public, skip=("estimator", "X", "y"))
    case.call("consistency_score", public, made, rows.X, rows.y, **chosen)


def interaction(case, public):
    rows = Rows(case.draw)
    made = GaussianNB() if rows.is_class else Ridge()
    case.models.append(made)
    of_rows = ("sample_weight", "groups", "X_val", "y_val", "sample_weight_val")
    chosen = options(case, public, skip=("estimator", "X", "y", *of_rows))
    chosen.setdefault("max_evaluations", 12)
    groups = np.arange(rows.n) % 4
    args = made, rows.X, rows.y
    case.call("shapley_interaction", public, *args, groups=groups, **chosen)


def recorder(case, public):
    """A net that keeps its run, and the ranker that reads it."""
    from sklinfluence.deep import TracInRanker

    rows = NetRows(case.draw)
    with tempfile.TemporaryDirectory() as folder:
        path = case.draw.one([None, folder])
        every = case.draw.one([1, 2, "step"])
        if case.draw.odd("parameters"):
            path = case.draw.one([None, folder, 3, "\0"])
            every = case.draw.one([0, -1, "epoch", 1.5, None])
        case.draw.note(
            f"path={'folder' if path == folder else path!r}, every={every!r}"
        )
        callback = case.call("make", public, path, every=every)
        if callback is case.FAILED:
            return
        trained = net(case, rows, callbacks=[callback])
        X, y, _ = rows.training()
        case.rows = rows
        if case.call("fit", trained.fit, X, y) is case.FAILED:
            return
        checkpoints = path if path == folder else callback
        unfitted = TracInRanker(net(case, rows), checkpoints=checkpoints)
        fit_and_ask(case, unfitted, rows)


def anomaly(case, public):
    from sklinfluence.deep import TracInRanker

    rows = NetRows(case.draw)
    inner = TracInRanker(net(case, rows), random_state=0)
    chosen = options(case, public, skip=("ranker",))
    unfitted = public(inner, **chosen)
    assert is_outlier_detector(unfitted)
    X, y, _ = rows.training()
    case.rows = rows
    if case.call("fit", unfitted.fit, X, y) is not case.FAILED:
        ask(case, unfitted, rows)


RECIPES = {
    "BaseRanker": contract,
    "BaseValuer": contract,
    "Solver": own_solver,
    "SolverState": own_solver,
    "KNNShapleyRanker": of_neighbors,
    "KNNLeaveOneOutRanker": of_neighbors,
    "ShapleyRanker": valuer,
    "BanzhafRanker": valuer,
    "AMERanker": valuer,
    "DownsamplingRanker": valuer,
    "LeaveOneOutRanker": valuer,
    "DataOOBRanker": out_of_bag,
    "ForestRanker": of_trees(FORESTS),
    "LeafEmbedding": of_trees(TREES),
    "TrexRanker": of_trees(TREES),
    "consistency_score": consistency,
    "shapley_interaction": interaction,
    "InfluenceRanker": head_ranker,
    "RepresenterRanker": head_ranker,
    "ExpectedRanker": expected,
    "LeafInfluenceRanker": of_trees(BOOSTED),
    "LeafRefitRanker": of_trees(BOOSTED),
    "BoostInRanker": of_trees(BOOSTED),
    "select_diverse": diverse,
    "MislabelFilter": a_filter,
    "MislabelSampler": a_filter,
    "FilteredClassifier": door(True),
    "FilteredRegressor": door(False),
    "LeaveOneOutSearch": search,
    "LinearHead": head_of,
    "linear_head": head_of,
    "EKFAC": solver,
    "Arnoldi": solver,
    "Cholesky": solver,
    "ConjugateGradient": solver,
    "LiSSA": solver,
    "Nystrom": solver,
    "Sketch": solver,
    "choose_solver": choice,
    "detection_curve": of_vectors({"is_mislabelled": _truth, "scores": _vector}),
    "flip_detection_scorer": scorer,
    "lds": fidelity,
    "loo_correlation": fidelity,
    "metric_influence": on_metric,
    "RawChange": contract,
    "pbrf": fidelity,
    "poisoning_ratio": of_vectors(
        {"influence": _matrix, "is_poisoned": _truth, "y": _labels}
    ),
    "stability": of_vectors({"influence_a": _matrix, "influence_b": _matrix}),
    "add_backdoor": corruption,
    "apply_review": review,
    "corrupt_targets": corruption,
    "flip_labels": corruption,
    "DetectionCurveDisplay": display,
    "DiagnosticsDisplay": picture,
    "InfluenceDisplay": picture,
    "NoiseDisplay": picture,
    "ProponentsDisplay": picture,
    "RemovalCurveDisplay": picture,
    "LabelReport": label_report,
    "diagnostics": row_diagnostics,
    "CheckpointRecorder": recorder,
    "DeepInfluenceRanker": deep_ranker,
    "HydraRanker": deep_ranker,
    "SGDInfluenceRanker": deep_ranker,
    "SkorchEmbedding": deep_ranker,
    "TracInAnomalyDetector": anomaly,
    "TracInRanker": deep_ranker,
}
# How often each comes, where not once in a round: what has most to go wrong.
SHARES = {
    "InfluenceRanker": 6,
    "MislabelFilter": 5,
    "MislabelSampler": 3,
    "FilteredClassifier": 3,
    "RepresenterRanker": 3,
    "LeaveOneOutSearch": 3,
    "FilteredRegressor": 2,
    "ExpectedRanker": 2,
    "diagnostics": 2,
}
