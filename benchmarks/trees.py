"""Boosted ensembles: what rankers take, what they find, what retraining would say.

    python benchmarks/trees.py
    python benchmarks/trees.py --only detection truth
    python benchmarks/trees.py --quick

``speed``: 30 000 rows of 20 columns, 200 trees of 31 leaves; CPU seconds, in fits of
that HistGradientBoostingClassifier. "read" is `fit` around the fitted model.

``detection``: average precision for planted flips of labels, the mean of two seeds,
next to cleanlab's self-confidence by five-fold cross-validation of the same model, for
a penalised model of small trees ("8 leaves") and the default one ("31 leaves"). Time is
CPU seconds of everything, the fit included, in fits of the model.

``truth``: correlation with retraining without each of 250 rows, structures and all, of
50 stages of 8 leaves, penalised and not.

``forests``: the same of forests of 40 trees, five rows a leaf, grown anew without each
of 150 rows, bags and seeds kept.

Set OMP_NUM_THREADS=1: the fits that times are measured in use all cores otherwise.
"""

import argparse
import copy
import itertools
import time
from functools import partial

import _data
import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    make_classification,
)
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict

from sklinfluence.datasets import flip_labels
from sklinfluence.trees import (
    BoostInRanker,
    ForestRanker,
    LeafInfluenceRanker,
    LeafRefitRanker,
)

BUNDLED = {"breast_cancer": load_breast_cancer, "iris": load_iris}
TRUTH_BUNDLED = {**BUNDLED, "diabetes": load_diabetes}


def cpu(work):
    """What comes of it, and the CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


# --- speed ---


def speed(quick):
    n_rows, n_queries, n_trees = (1000, 300, 20) if quick else (30_000, 10_000, 200)
    X, y = make_classification(
        n_rows + n_queries, 20, n_informative=8, flip_y=0.1, random_state=0
    )
    asked, given, X, y = X[n_rows:], y[n_rows:], X[:n_rows], y[:n_rows]
    model = HistGradientBoostingClassifier(max_iter=n_trees, early_stopping=False)
    _, unit = cpu(lambda: model.fit(X, y))
    print(f"{n_rows} rows, {n_trees} trees: one fit is {unit:.2f} CPU seconds")
    frozen = FrozenEstimator(model)
    rankers = {
        "derivative": LeafInfluenceRanker(frozen),
        "removal": LeafInfluenceRanker(frozen, method="removal"),
        "single_point": LeafInfluenceRanker(frozen, method="single_point"),
        "BoostIn": BoostInRanker(frozen),
    }
    head = ("read", "self", "own leaf", f"mean of {n_queries}", "one query")
    print(f"{'in fits of the model':22s}" + "".join(f"{h:>15s}" for h in head))
    for name, ranker in rankers.items():
        print(f"{name:22s}" + _times(ranker, X, y, asked, given, unit))


def _times(ranker, X, y, asked, given, unit):
    works = [
        lambda: ranker.fit(X, y),
        lambda: ranker.self_influence_,
        lambda: ranker.label_scores("staged_loo_loss"),
        lambda: ranker.mean_influence(asked, given),
        lambda: ranker.influence(asked[:1], given[:1]),
    ]
    if getattr(ranker, "method", "single_point") != "single_point":
        works[1] = None  # a pass for each row
    shown = [f"{'-' if w is None else f'{cpu(w)[1] / unit:.2f}':>15s}" for w in works]
    return "".join(shown)


# --- detection ---


def detection(quick):
    names = ["iris"] if quick else ["adult", "spambase", "letter"]
    seeds, n_rows = ([0], 150) if quick else ([0, 1], 2000)
    rates = (0.1, 0.2)
    columns = ("cleanlab", "staged", "loo_loss", "boostin", "loss")
    for leaves in (8, 31):
        print(f"\n{leaves} leaves: average precision; fits of the model in time")
        print(f"{'':16s}" + "".join(f"{c:>10s}" for c in columns))
        cells = []
        for name in _data.present(names, BUNDLED):
            for rate in rates:
                runs = [_flips(name, rate, s, leaves, n_rows, quick) for s in seeds]
                cells.append(np.mean(runs, axis=0))
                _print_row(f"{name} {rate:.0%}", cells[-1][0])
        if cells:
            precision, times = np.mean(cells, axis=0)
            _print_row("mean", precision)
            _print_row("fits", times)


def _print_row(name, values):
    print(f"{name:16s}" + "".join(f"{value:10.3f}" for value in values), flush=True)


def _flips(name, rate, seed, leaves, n_rows, quick):
    X, y = _sampled(name, n_rows, seed)
    given, flipped = flip_labels(y, rate, random_state=seed)
    model = _model(name, leaves, quick)
    _, unit = cpu(lambda: clone(model).fit(X, given))
    proba, seconds = cpu(
        lambda: cross_val_predict(model, X, given, cv=5, method="predict_proba")
    )
    codes = np.unique(given, return_inverse=True)[1]
    ranker, read = cpu(lambda: BoostInRanker(model).fit(X, given))
    found = [(_self_confidence(codes, proba), seconds)]
    for score in ("staged_loo_loss", "loo_loss", "boostin", "loss"):
        scores, seconds = cpu(partial(ranker.label_scores, score))
        found.append((scores, read + seconds))
    precision = [average_precision_score(flipped, scores) for scores, _ in found]
    return precision, [seconds / unit for _, seconds in found]


def _self_confidence(codes, proba):
    """cleanlab's ranking, by cleanlab itself where it is installed."""
    try:
        from cleanlab.rank import get_label_quality_scores
    except ModuleNotFoundError:
        return 1.0 - proba[np.arange(len(codes)), codes]
    return 1.0 - get_label_quality_scores(codes, proba, method="self_confidence")


def _model(name, leaves, quick):
    max_iter = 10 if quick else 40 if name == "letter" else 100
    made = HistGradientBoostingClassifier(max_iter=max_iter, random_state=0)
    if leaves == 8:
        made.set_params(max_leaf_nodes=8, l2_regularization=1.0)
    return made


def _sampled(name, n_rows, seed):
    loader = TRUTH_BUNDLED.get(name)
    if loader:
        X, y = loader(return_X_y=True)
    else:
        data = _data.load(name)
        X, y = np.asarray(data["X"], dtype=float), data["y"]
    rows = np.random.default_rng(seed).permutation(len(y))[:n_rows]
    return X[rows], y[rows]


# --- truth ---


def truth(quick):
    names = ["iris"] if quick else ["spambase", "letter", "concrete"]
    if not quick and len(_data.present(names)) < len(names):
        names = [*names, "breast_cancer", "diabetes"]
    n_rows = 60 if quick else 250
    rankers = {
        "LeafRefit": LeafRefitRanker,
        "with its start": lambda m: LeafRefitRanker(m, refit_baseline=True),
        "removal": lambda m: LeafInfluenceRanker(m, method="removal"),
        "derivative": LeafInfluenceRanker,
        "single_point": lambda m: LeafInfluenceRanker(m, method="single_point"),
        "BoostIn": BoostInRanker,
    }
    head = ("Pearson, all", "Spearman", "self Spearman", "self slope")
    names = _data.present(names, TRUTH_BUNDLED)
    for name, l2 in itertools.product(names, (1.0, 0.0)):
        print(f"\n{name}, {n_rows} rows, l2_regularization={l2}: with retraining")
        print(f"{'':14s}" + "".join(f"{h:>15s}" for h in head))
        rows = _few_classes(name, *_sampled(name, 10**6, 0), n_rows + 60)
        asked = [part[n_rows:] for part in rows]
        X, y = (part[:n_rows] for part in rows)
        real = name in ("concrete", "diabetes")
        kind = HistGradientBoostingRegressor if real else HistGradientBoostingClassifier
        model = kind(
            max_iter=10 if quick else 50,
            max_leaf_nodes=8,
            l2_regularization=l2,
            early_stopping=False,
        ).fit(X, y)
        rises, own = _retrained(model, X, y, *asked)
        for label, make in rankers.items():
            ranker = make(FrozenEstimator(model)).fit(X, y)
            numbers = _agreement(ranker, asked, rises, own)
            line = "".join(f"{number:15.3f}" for number in numbers)
            print(f"{label:14s}{line}", flush=True)


def _agreement(ranker, asked, rises, own):
    influence, said = ranker.influence(*asked), ranker.self_influence_
    of_queries = [_spearman(*pair) for pair in zip(influence, rises, strict=True)]
    return [
        np.corrcoef(influence.ravel(), rises.ravel())[0, 1],
        np.mean(of_queries),
        _spearman(said, own),
        said @ own / (own @ own),
    ]


def _spearman(a, b):
    return spearmanr(a, b).statistic if np.ptp(a) and np.ptp(b) else 0.0


def _few_classes(name, X, y, n_rows):
    if name == "letter":
        keep = np.isin(y, np.unique(y)[:3])
        X, y = X[keep], y[keep]
    return X[:n_rows], y[:n_rows]


def _losses(model, X, y):
    if hasattr(model, "classes_"):
        codes = np.searchsorted(model.classes_, y)
        proba = model.predict_proba(X)[np.arange(len(y)), codes]
        # As rankers do: no leaf of a forest may speak for a label.
        return -np.log(np.maximum(proba, np.finfo(float).eps))
    return 0.5 * (model.predict(X) - y) ** 2


def _retrained(model, X, y, asked, given):
    """Rises of queries' losses without each row, and of each row's own."""
    before, own = _losses(model, asked, given), _losses(model, X, y)
    rises, own_rise = np.empty((len(given), len(y))), np.empty(len(y))
    for i in range(len(y)):
        kept = np.arange(len(y)) != i
        without = clone(model).fit(X[kept], y[kept])
        rises[:, i] = _losses(without, asked, given) - before
        own_rise[i] = _losses(without, X[[i]], y[[i]])[0] - own[i]
    return rises, own_rise


# --- forests ---


def forests(quick):
    loaders = {"breast_cancer": load_breast_cancer, "digits": load_digits}
    loaders["diabetes"] = load_diabetes
    n_rows = 40 if quick else 150
    print(f"\nforests, {n_rows} rows: with trees grown anew, bags and seeds kept")
    head = ("Pearson, all", "Spearman", "self Spearman", "self slope")
    print(f"{'':14s}" + "".join(f"{h:>15s}" for h in head))
    for name, loader in loaders.items():
        X, y = loader(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(y))
        rows, queries = order[:n_rows], order[n_rows : n_rows + 50]
        X, y, asked = X[rows], y[rows], (X[queries], y[queries])
        kind = RandomForestRegressor if name == "diabetes" else RandomForestClassifier
        model = kind(40, min_samples_leaf=5, random_state=0).fit(X, y)
        rises, own = _regrown(model, X, y, *asked)
        ranker = ForestRanker(FrozenEstimator(model)).fit(X, y)
        numbers = _agreement(ranker, asked, rises, own)
        print(f"{name:14s}" + "".join(f"{number:15.3f}" for number in numbers))


def _regrown(forest, X, y, asked, given):
    """Rises of losses when every tree is grown anew without each row, its bag kept."""
    n = len(y)
    bags = [np.bincount(rows, minlength=n) for rows in forest.estimators_samples_]
    is_classifier = hasattr(forest, "classes_")
    targets = np.searchsorted(forest.classes_, y) if is_classifier else y

    def without(row):
        kept = np.arange(n) != row
        grown = copy.copy(forest)
        grown.estimators_ = [
            clone(tree).fit(X, targets, sample_weight=bag * kept) if bag[row] else tree
            for tree, bag in zip(forest.estimators_, bags, strict=True)
        ]
        return grown

    before, own = _losses(forest, asked, given), _losses(forest, X, y)
    rises, own_rise = np.empty((len(given), n)), np.empty(n)
    for i in range(n):
        grown = without(i)
        rises[:, i] = _losses(grown, asked, given) - before
        own_rise[i] = _losses(grown, X[[i]], y[[i]])[0] - own[i]
    return rises, own_rise


PARTS = {"speed": speed, "detection": detection, "truth": truth, "forests": forests}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="small, bundled sets")
    args = parser.parse_args()
    for name in args.only:
        PARTS[name](args.quick)


if __name__ == "__main__":
    main()
