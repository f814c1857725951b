"""What rows are worth: how fast, how surely, and what is left when they leave.

    python benchmarks/valuation.py
    python benchmarks/valuation.py --only ridge coverage
    python benchmarks/valuation.py --pydvl /path/to/python   # where pyDVL 0.10 lies
    python benchmarks/valuation.py --quick

``neighbors``: exact kNN Shapley of 50 000 rows to 1000 queries, and its peak memory;
next to pyDVL on 5000 rows and 200 queries, where both do the same work.
``million``: 10^6 rows, 1000 queries, tol 1e-3.
``ridge``: permutation Shapley in closed form against refits, 500 rows of 20 columns,
1000 validation rows, R2.
``permutation``: Shapley of a logistic regression, a journal kept, per 1000 utilities;
next to pyDVL, by turns, the median of seven.
``coverage``: share of values within two standard errors of the truth after the stopping
rule, and their errors' size beside the true one, 12 rows.
``reuse``: variance of Banzhaf values by maximum sample reuse, in that of plain sampling
at equal evaluations.
``sketch``: influence sketching against the exact solver by the number of directions,
2000 rows of 400 columns: leverages, self-influence, influence on queries.
``tasks``: OpenDataVal's: average precision for flipped labels; test accuracy when the
rows of lowest value leave (higher is better), those of highest value leave (lower is
better), and when rows of lowest value come first (lower is better), as means along the
curve.

Times are CPU seconds. pyDVL wants numpy 1.26: an environment of its own, whose Python
``--pydvl`` or the variable PYDVL_PYTHON names; without one its lines are skipped.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import _data
import numpy as np
from scipy.stats import spearmanr
from sklearn import datasets
from sklearn.datasets import (
    load_diabetes,
    load_iris,
    make_classification,
    make_regression,
)
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence._progress import untracked
from sklinfluence.curvature import Sketch
from sklinfluence.datasets import flip_labels
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.neighbors import KNNLeaveOneOutRanker, KNNShapleyRanker
from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DataOOBRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
    _banzhaf,
    _shapley,
)
from sklinfluence.retraining._enumerate import enumerated
from sklinfluence.retraining._journal import Journal
from sklinfluence.retraining._retraining_valuer import SplitRun
from sklinfluence.retraining._reuse import with_minus_without

warnings.simplefilter("ignore")
SETS = ("adult", "bank_marketing", "letter", "spambase", "usps")
BUNDLED = ("breast_cancer", "digits")


def cpu(work):
    """What comes of it, and the CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def peak():
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pydvl(python, arrays, *options):
    """The last line that pyDVL's part prints, as numbers, and its values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "work.npz"
        np.savez(path, **arrays)
        script = Path(__file__).with_name("_pydvl.py")
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        said = subprocess.run(
            [python, script, path, *map(str, options)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        values = Path(f"{path}.npy")
        values = np.load(values) if values.exists() else None
    return [float(word) for word in said.stdout.splitlines()[-1].split()], values


# --- neighbours ---


def neighbors(args):
    n_rows, n_queries = (2000, 50) if args.quick else (50_000, 1000)
    _, seconds = cpu(lambda: _of_neighbors(_classes(n_rows, n_queries)))
    said = f"{seconds:6.1f} s, peak {peak():.0f} MB"
    print(f"kNN Shapley, {n_rows} x {n_queries}: {said}", flush=True)
    if args.pydvl is None:
        print("pyDVL: skipped, no Python was named that has it")
        return
    arrays = _classes(*((500, 20) if args.quick else (5000, 200)))
    ranker, seconds = cpu(lambda: _of_neighbors(arrays))
    (theirs,), values = pydvl(args.pydvl, arrays, "neighbors")
    same = np.abs(values - ranker.values_).max()
    n_rows, n_queries = len(arrays["X"]), len(arrays["X_val"])
    print(
        f"kNN Shapley, {n_rows} x {n_queries}: {seconds:.2f} s, pyDVL {theirs:.2f} s: "
        f"{theirs / seconds:.1f} x, values differ by {same:.0e}",
        flush=True,
    )


def million(args):
    n_rows, n_queries = (20_000, 50) if args.quick else (1_000_000, 1000)
    arrays = _classes(n_rows, n_queries, dtype=np.float32)
    ranker = KNNShapleyRanker(utility="hard", tol=1e-3)
    _, seconds = cpu(lambda: _fitted(ranker, arrays))
    said = f"{seconds:.1f} s, peak {peak():.0f} MB"
    print(f"kNN Shapley, {n_rows} x {n_queries}, tol 1e-3: {said}", flush=True)


def _of_neighbors(arrays):
    return _fitted(KNNShapleyRanker(utility="hard"), arrays)


def _fitted(ranker, arrays):
    return ranker.fit(
        arrays["X"], arrays["y"], X_val=arrays["X_val"], y_val=arrays["y_val"]
    )


def _classes(n_rows, n_queries, dtype=np.float64):
    X, y = make_classification(n_rows + n_queries, 20, n_informative=8, random_state=0)
    X = X.astype(dtype)
    return {
        "X": X[:n_rows],
        "y": y[:n_rows],
        "X_val": X[n_rows:],
        "y_val": y[n_rows:],
    }


# --- retraining ---


class Refitted(Ridge):
    """Of another type than the one that has a closed form."""


def ridge(args):
    n, n_val = (60, 100) if args.quick else (500, 1000)
    X, y = make_regression(n + n_val, 20, noise=20.0, random_state=0)
    arrays = {"X": X[:n], "y": y[:n], "X_val": X[n:], "y_val": y[n:]}
    pair = 2 * (n - 1)

    def timed(model, n_pairs):
        ranker = ShapleyRanker(model, max_evaluations=n_pairs * pair, random_state=0)
        ranker, seconds = cpu(lambda: _fitted(ranker, arrays))
        return ranker, seconds / ranker.n_evaluations_

    _, closed = timed(Ridge(), 16)
    alone, _ = timed(Ridge(), 1)
    refitted, by_fits = timed(Refitted(), 1)
    away = np.abs(alone.values_ - refitted.values_).max()
    print(
        f"ridge, {n} x 20, {n_val} validation rows: {1e6 * closed:.1f} us a utility, "
        f"refits {1e6 * by_fits:.0f} us: {by_fits / closed:.0f} x; values differ by "
        f"{away:.0e} (closed_form_={alone.closed_form_!r})",
        flush=True,
    )


def permutation(args):
    n, n_updates, n_turns = (30, 2, 1) if args.quick else (100, 10, 7)
    arrays = _classes(n, 500)
    for scoring in ("accuracy", "neg_log_loss"):
        ours, theirs = [], []
        for _ in range(n_turns):
            ours.append(_thousand(arrays, scoring, n, n_updates))
            if args.pydvl is not None:
                options = ("permutation", scoring, n_updates)
                (seconds, count), _ = pydvl(args.pydvl, arrays, *options)
                theirs.append(1000 * seconds / count)
        said = f"{np.median(ours):.2f} s"
        if theirs:
            ratios = np.array(theirs) / ours
            said += f", pyDVL {np.median(theirs):.2f} s: {np.median(ratios):.2f} x as "
            said += f"fast ({ratios.min():.2f} to {ratios.max():.2f})"
        print(f"logistic, 1000 utilities, {scoring}: {said}", flush=True)


def _thousand(arrays, scoring, n, n_updates):
    """CPU seconds per 1000 utilities, a journal kept."""
    with tempfile.TemporaryDirectory() as folder:
        ranker = ShapleyRanker(
            LogisticRegression(max_iter=1000),
            scoring=scoring,
            max_evaluations=n_updates * n,
            journal=str(Path(folder) / "journal.jsonl"),
            random_state=0,
        )
        ranker, seconds = cpu(lambda: _fitted(ranker, arrays))
    return 1000 * seconds / ranker.n_evaluations_


# --- how surely ---


class Table:
    """A utility that is looked up: of each set, by the bits of its players."""

    closed_form = "table"

    def __init__(self, scores, n_players):
        self.scores, self.n_players = scores, n_players

    def __call__(self, chosen):
        chosen = np.asarray(chosen)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return float(self.scores[np.sum(1 << chosen.astype(int))]), None

    def along_orders(self, orders):
        return self.scores[np.cumsum(1 << orders, axis=1)], None


def coverage(args):
    n, n_seeds = (7, 3) if args.quick else (12, 200)
    # Twelve rows have few sets: walks and draws are looked at, not their enumeration.
    _shapley.reaches_all_sets = _banzhaf.reaches_all_sets = lambda *counts: False
    rankers = {
        "permutation": ShapleyRanker(max_evaluations=10**6),
        "reuse": BanzhafRanker(max_evaluations=10**6),
        "downsampling": DownsamplingRanker(share=0.5, max_evaluations=10**6),
    }
    for name, table in _tables(n).items():
        for kind, ranker in rankers.items():
            expected = _truth(kind, table, n)
            for tol in (0.2, 0.05):
                found = [
                    _played(ranker.set_params(tol=tol), table, n, seed)
                    for seed in range(n_seeds)
                ]
                away = np.array([part.values for part in found]) - expected
                errors = np.array([part.stderr for part in found])
                inside = np.mean(np.abs(away) <= 2 * errors)
                ratio = np.sqrt(np.mean(errors**2) / np.mean(away**2))
                print(
                    f"{name:12s} {kind:12s} tol {tol:4}: {inside:.1%} covered, "
                    f"errors {ratio:.2f} of the true ones",
                    flush=True,
                )


def _played(ranker, table, n, seed):
    run = SplitRun(Table(table, n), 0, Journal(seed), untracked, None)
    return ranker._value(run)


def _members(n):
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def _truth(kind, table, n):
    """By enumeration: Shapley, Banzhaf, or the mean difference at one size."""
    if kind != "downsampling":
        return enumerated(table, "shapley" if kind == "permutation" else "banzhaf")
    held = _members(n)
    at = held.sum(axis=1) == round(0.5 * n)
    return [table[at & row].mean() - table[at & ~row].mean() for row in held.T]


def _tables(n):
    """Scores of every set of a few rows: a nearest neighbour; a ridge, an outlier."""
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    few, many = order[:n], order[60:]
    D, t = load_diabetes(return_X_y=True)
    D, t = 20 * D[:, :4], t / 80
    far = t[:n].copy()
    far[3] += 6.0
    return {
        "kNN accuracy": _table(
            KNeighborsClassifier(1), DummyClassifier(), X[few], y[few], X[many], y[many]
        ),
        "ridge R2": _table(Ridge(), DummyRegressor(), D[:n], far, D[60:160], t[60:160]),
    }


def _table(model, of_none, X, y, X_val, y_val):
    scores = [of_none.fit(X, y).score(X_val, y_val)]
    scores += [
        model.fit(X[held], y[held]).score(X_val, y_val) for held in _members(len(y))[1:]
    ]
    return np.array(scores)


def reuse(args):
    n, n_sets, n_seeds = (6, 64, 50) if args.quick else (10, 400, 2000)
    held = _members(n)
    games = {
        **_tables(n),
        "nearly everyone": 1.0 * (held.sum(axis=1) >= n - 1),
        "additive": held @ np.linspace(-1.0, 1.0, n),
    }
    for name, table in games.items():
        values = []
        for seed in range(n_seeds):
            drawn = np.random.default_rng(seed).integers(2**n, size=n_sets)
            values.append(with_minus_without(held[drawn], table[drawn])[0])
        reused, plain = np.var(values, axis=0).sum(), 0.0
        for player in range(n):
            without = np.flatnonzero(~held[:, player])
            gains = table[without | (1 << player)] - table[without]
            plain += np.var(gains) * 2 * n / n_sets
        share = f"{reused / plain:.2f} of" if plain > 1e-20 else "more than"
        print(f"{name}: reuse has {share} plain sampling's variance", flush=True)


# --- sketches ---


def sketch(args):
    n, p = (200, 60) if args.quick else (2000, 400)
    X, y = make_classification(n + 50, p, n_informative=20, random_state=0)
    X = X * np.random.default_rng(0).pareto(2.0, p)  # a few columns vary most
    exact = InfluenceRanker(damping=0.01).fit(X[:n], y[:n])
    asked = X[n:], y[n:]
    truth = exact.influence(*asked)
    columns = ("leverage", "its order", "own influence", "on queries")
    print(f"{'directions':>10s}" + "".join(f"{name:>15s}" for name in columns))
    for size in (p // 16, p // 8, p // 4, p // 2, p):
        solver = Sketch(n_components=size)
        ranker = InfluenceRanker(damping=0.01, solver=solver).fit(X[:n], y[:n])
        pairs = [
            (ranker.leverage_, exact.leverage_),
            (ranker.self_influence_, exact.self_influence_),
        ]
        numbers = [
            np.mean(pairs[0][0] / pairs[0][1]),
            *(spearmanr(*pair).statistic for pair in pairs),
            np.corrcoef(ranker.influence(*asked).ravel(), truth.ravel())[0, 1],
        ]
        line = "".join(f"{number:15.3f}" for number in numbers)
        print(f"{size:10d}{line}", flush=True)


# --- tasks ---


def tasks(args):
    names = ["breast_cancer", *SETS] if args.quick else SETS
    names = _data.present(names, BUNDLED)
    n, n_val, n_test = (40, 40, 60) if args.quick else (100, 100, 500)
    print(
        f"{'':14s} {'':14s}{'flips':>9s}{'low out':>9s}{'high out':>9s}{'low in':>9s}"
    )
    for name in names[:1] if args.quick else names:
        rows = _rows(name, n + n_val + n_test)
        parts = np.split(np.arange(n + n_val + n_test), [n, n + n_val])
        (X, y), (X_val, y_val), (X_test, y_test) = (
            (rows[0][part], rows[1][part]) for part in parts
        )
        noisy, flipped = flip_labels(y, 0.2, random_state=0)
        for kind, ranker in _methods(args.quick).items():
            values = _values(ranker, X, noisy, X_val, y_val)
            numbers = [
                average_precision_score(flipped, -values),
                *_curves(values, X, noisy, X_test, y_test),
            ]
            line = "".join(f"{number:9.3f}" for number in numbers)
            print(f"{name:14s} {kind:14s}{line}", flush=True)


def _rows(name, n):
    if name in BUNDLED:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    else:
        found = _data.load(name)
        X, y = found["X"], found["y"]
    most = np.unique(y, return_counts=True)
    kept = most[0][np.argsort(-most[1])[:4]]
    at = np.flatnonzero(np.isin(y, kept))
    at = np.random.default_rng(0).permutation(at)[:n]
    return StandardScaler().fit_transform(X[at].astype(float)), y[at]


def _model():
    return make_pipeline(LogisticRegression(C=0.1, max_iter=200))


def _methods(quick):
    most = {"max_evaluations": 40 if quick else 600, "random_state": 0}
    walks = {**most, "max_evaluations": 1 if quick else 800}
    return {
        "random": None,
        "leave one out": LeaveOneOutRanker(_model(), scoring="neg_log_loss"),
        "Shapley": ShapleyRanker(_model(), **walks),
        "Banzhaf": BanzhafRanker(_model(), **most),
        "AME": AMERanker(_model(), **most),
        "Data-OOB": DataOOBRanker(random_state=0),
        "kNN Shapley": KNNShapleyRanker(),
        "kNN one out": KNNLeaveOneOutRanker(),
    }


def _values(ranker, X, y, X_val, y_val):
    if ranker is None:
        return np.random.default_rng(0).random(len(y))
    if isinstance(ranker, DataOOBRanker):
        return ranker.fit(X, y).values_
    return ranker.fit(X, y, X_val=X_val, y_val=y_val).values_


def _curves(values, X, y, X_test, y_test):
    """Mean test accuracies: without the lowest, without the highest, of the lowest."""
    order, n = np.argsort(values, kind="stable"), len(y)
    counts = np.linspace(0, n / 2, 11).astype(int)

    def mean(kept):
        return np.mean([_accuracy(X[k], y[k], X_test, y_test) for k in kept])

    without_low = mean([order[count:] for count in counts])
    without_high = mean([order[: n - count] for count in counts])
    of_low = mean([order[:count] for count in counts[1:]])
    return without_low, without_high, of_low


def _accuracy(X, y, X_test, y_test):
    if len(np.unique(y)) == 1:
        return np.mean(y_test == y[0])
    return _model().fit(X, y).score(X_test, y_test)


PARTS = {
    part.__name__: part
    for part in (
        neighbors,
        million,
        ridge,
        permutation,
        coverage,
        reuse,
        sketch,
        tasks,
    )
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="small, bundled sets")
    parser.add_argument("--pydvl", default=os.environ.get("PYDVL_PYTHON"))
    args = parser.parse_args()
    for name in args.only:
        PARTS[name](args)


if __name__ == "__main__":
    sys.exit(main())
