"""How well wrong labels are found: this package against cleanlab.

    python benchmarks/detection.py --quick
    python benchmarks/detection.py --sets digits letter music_genre --seeds 0 1 2
    python benchmarks/detection.py --boosting --sets adult bank_marketing --rows 600
    python benchmarks/detection.py --checked
    python benchmarks/detection.py --calibration

Labels of sets taken to be clean are flipped (uniformly, by class, by ambiguity), and
every method ranks all rows; sets with errors that people verified are ranked as they
are. Printed: average precision (AP), area under the ROC curve, the share of wrong rows
among the top k (k = their number), the F1 of the rows flagged, and time as a ratio to
"LogisticRegressionCV over seven C, then five folds" measured in the same process (CPU).
--ablate adds the default with other parameters.

cleanlab's scores are its own functions on out-of-fold probabilities of logistic
regression at C=1, at the C that LogisticRegressionCV finds, and of the pool that this
package uses (that logistic regression and the RBF vote), fitted fold by fold.

--boosting compares instead what a HistGradientBoostingClassifier gives: cleanlab's two
scores on its probabilities out of five folds, MislabelFilter("precomputed") on the same
probabilities, MislabelFilter(HistGradientBoostingClassifier()), which refits it under
the noise model, the default filter, its linear head and kernel without its forest, and
its forest alone. The last columns are CPU seconds.

--checked judges the probabilities that come with the *_pyx sets, by cleanlab's scores
and MislabelFilter("precomputed"), inside the rows that people checked (those that
cleanlab flagged once: outside them nobody knows) or, where all were, among all.

--calibration prints instead what the filter expects of its flags, the share of right
labels among them, beside what it is (FDP), and the share of wrong labels that it finds
(power): by threshold="auto" and by threshold="fdr" at several levels.
"""

import argparse
import time
import warnings

import _data
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.filtering._noise._log_pool import fit_pool, pool_log_proba
from sklinfluence.filtering._noise._probability_right import probability_right
from sklinfluence.filtering._thresholds import flag_expected
from sklinfluence.filtering._votes._rbf_ridge import RBFRidge

FILES = [
    "adult",
    "bank_marketing",
    "spambase",
    "letter",
    "satimage",
    "covertype10k",
    "acasxu_coc",
    "mnist_train5k",
    "usps",
    "comnist_ab",
    "banking77_minilm",
    "sms_spam",
]
BUNDLED = ["digits", "breast_cancer", "wine", "iris"]
SYNTHETIC = [
    "linear3",
    "linear_wide",
    "clusters",
    "imbalanced",
    "moons",
    "circles",
    "quantiles",
    "blobs",
]
REAL_ERRORS = [
    "music_genre_crowd",
    "news20_test_pyx",
    "cifar10_test_pyx",
    "cifar10n_train_pyx",
    "mnist_test",
]
# All but the four widest, whose logistic regressions take minutes each.
QUICK = [
    name
    for name in BUNDLED + SYNTHETIC + FILES + REAL_ERRORS
    if name not in ("mnist_train5k", "comnist_ab", "banking77_minilm", "mnist_test")
]
TABULAR = ["adult", "bank_marketing", "spambase", "satimage", "covertype10k", "letter"]
BOOSTING = [
    "cl self", "cl norm", "precomp.", "boosting", "default", "no forest", "forest",
    "t folds", "t boosting", "t default",
]  # fmt: skip
PYX = ["news20_test_pyx", "cifar10_test_pyx", "cifar10n_train_pyx"]
SCORES = ("self_confidence", "normalized_margin")
C_GRID = np.logspace(-4, 2, 7)
LEVELS = (0.05, 0.1, 0.2)
OURS = "sklinfluence"
# Next to the default, under --ablate.
ABLATED = {
    "noise=uniform": {"noise": "uniform"},
    "noise=None": {"noise": None},
    "no forest": {"pool": ("linear", "kernel")},
}


def main():
    args = parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if args.calibration:
        print_calibration(args)
        return
    if args.checked:
        print_checked()
        return
    if args.boosting:
        print_boosting(args)
        return
    results = []
    for name in args.sets:
        for seed in args.seeds:
            for noise, X, given, is_wrong in cases(name, seed, args):
                cell = evaluate(X, given, is_wrong, seed, args.ablate)
                results += [
                    {"set": name, "noise": noise, **row} for row in cell.values()
                ]
        print_set(results, name)
    print_tables(results)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1000 rows, no wide sets")
    parser.add_argument("--sets", nargs="+", help="names; all by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=None)
    parser.add_argument("--rows", type=int, default=None, help="sub-sample to so many")
    parser.add_argument("--kinds", nargs="+", default=["uniform", "class", "instance"])
    parser.add_argument("--rates", nargs="+", type=float, default=None)
    parser.add_argument(
        "--ablate", action="store_true", help="noise=uniform, None, no forest"
    )
    parser.add_argument("--boosting", action="store_true", help="any model's evidence")
    parser.add_argument("--checked", action="store_true", help="precomputed, pyx sets")
    parser.add_argument("--calibration", action="store_true", help="of the flags")
    args = parser.parse_args()
    wanted = QUICK if args.quick else BUNDLED + SYNTHETIC + FILES + REAL_ERRORS
    wanted = TABULAR if args.boosting else wanted
    args.sets = _data.present(args.sets or wanted, BUNDLED + SYNTHETIC)
    args.seeds = args.seeds or ([0] if args.quick else [0, 1, 2])
    args.rows = args.rows or (1000 if args.quick else 2000)
    args.rates = args.rates or ([0.1, 0.2] if args.quick else [0.05, 0.1, 0.2])
    return args


# --- data -----------------------------------------------------------------------------


def load_set(name, seed):
    """X, y and, where people verified them, the wrong rows."""
    if name in BUNDLED:
        return *getattr(datasets, f"load_{name}")(return_X_y=True), None
    if name in SYNTHETIC:
        return *make_synthetic(name, seed), None
    if name == "sms_spam":
        found = _data.load("sms_spam")
        X = TfidfVectorizer(min_df=3, sublinear_tf=True).fit_transform(found["texts"])
        return X, found["y"], None
    found = _data.load(name)
    X = found["X"]
    if X is None:
        X = np.log(np.maximum(found["P"], 1e-6))
    is_wrong = found.get("is_error")
    if is_wrong is None and name in REAL_ERRORS:
        is_wrong = found["y"] != found["y_clean"]
    return X, found["y"], is_wrong


def make_synthetic(name, seed):
    """Seeded generators: where a line suffices and where it does not."""
    n, seed = 4000, 1000 + seed
    makers = {
        "linear3": lambda: datasets.make_classification(
            n, 20, n_informative=10, n_classes=3, n_clusters_per_class=1,
            class_sep=1.5, flip_y=0, random_state=seed,
        ),
        "linear_wide": lambda: datasets.make_classification(
            n, 100, n_informative=15, n_classes=5, n_clusters_per_class=1,
            class_sep=1.5, flip_y=0, random_state=seed,
        ),
        "clusters": lambda: datasets.make_classification(
            n, 10, n_informative=8, n_redundant=0, n_classes=4,
            n_clusters_per_class=2, class_sep=2.0, flip_y=0, random_state=seed,
        ),
        "imbalanced": lambda: datasets.make_classification(
            n, 15, n_informative=8, n_classes=4, n_clusters_per_class=1,
            weights=[0.6, 0.25, 0.1, 0.05], class_sep=1.5, flip_y=0,
            random_state=seed,
        ),
        "moons": lambda: datasets.make_moons(n, noise=0.2, random_state=seed),
        "circles": lambda: datasets.make_circles(
            n, noise=0.1, factor=0.5, random_state=seed
        ),
        "quantiles": lambda: datasets.make_gaussian_quantiles(
            n_samples=n, n_features=5, n_classes=3, random_state=seed
        ),
        "blobs": lambda: datasets.make_blobs(
            n, 5, centers=12, cluster_std=2.0, random_state=seed
        ),
    }  # fmt: skip
    X, y = makers[name]()
    return X, y % 6 if name == "blobs" else y


def cases(name, seed, args):
    """Each (noise name, X, given codes, is_wrong) of one set."""
    X, y, is_wrong = load_set(name, seed)
    rng = np.random.RandomState(seed)
    index = rng.permutation(X.shape[0])[: args.rows]
    # Every class needs a row in each of the five folds.
    kept = np.flatnonzero(np.bincount(y[index], minlength=y.max() + 1) >= 8)
    index = index[np.isin(y[index], kept)]
    X, y = X[index], np.searchsorted(kept, y[index])
    if is_wrong is not None:
        yield "real", X, y, is_wrong[index]
        return
    dense = X.toarray() if hasattr(X, "toarray") else X
    for kind in args.kinds:
        for rate in args.rates:
            given, flipped = flip(dense, y, kind, rate, rng)
            yield f"{kind} {rate:.0%}", X, given, flipped


def flip(X, y, kind, rate, rng):
    """Flips; "class" sends each class to the next, a binary class 0 mostly."""
    if kind == "instance":
        return flip_labels(y, rate, kind=kind, X=X, random_state=rng)
    if kind == "class" and y.max() == 1:
        transition = [[1 - 1.6 * rate, 1.6 * rate], [0.4 * rate, 1 - 0.4 * rate]]
        return flip_labels(y, kind=kind, transition=transition, random_state=rng)
    return flip_labels(y, rate, kind=kind, random_state=rng)


# --- methods --------------------------------------------------------------------------


def evaluate(X, given, is_wrong, seed, ablate):
    """Measures of every method on one case, by method."""
    folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(X, given))
    timed, proba = {}, {}
    start = time.process_time()
    proba["cleanlab C=1"] = out_of_fold(logistic(X, 1.0), X, given, folds)
    timed["cleanlab C=1"] = time.process_time() - start
    start = time.process_time()
    C = tuned_C(X, given)
    proba["cleanlab tuned C"] = out_of_fold(logistic(X, C), X, given, folds)
    timed["cleanlab tuned C"] = time.process_time() - start
    start = time.process_time()
    pooled = out_of_fold_pool(X, given, folds, proba["cleanlab tuned C"], seed)
    proba["cleanlab pool"] = pooled
    pool_time = time.process_time() - start
    timed["cleanlab pool"] = timed["cleanlab tuned C"] + pool_time
    rows = {}
    for name, P in proba.items():
        flagged = find_label_issues(given, P, n_jobs=1)
        for score in ("self_confidence", "normalized_margin"):
            scores = -get_label_quality_scores(given, P, method=score)
            rows[name, score] = measure(scores, flagged, is_wrong)
            rows[name, score] |= {"method": f"{name}, {score}", "time": timed[name]}
    variants = {f"{OURS}, {name}": options for name, options in ABLATED.items()}
    for name, options in {OURS: {}, **(variants if ablate else {})}.items():
        start = time.process_time()
        detector = MislabelFilter(**options, random_state=seed).fit(X, given)
        elapsed = time.process_time() - start
        row = measure(detector.scores_, ~detector.get_support(), is_wrong)
        rows[name] = row | {"method": name, "time": elapsed}
    for row in rows.values():
        row["ratio"] = row["time"] / timed["cleanlab tuned C"]
    return rows


def logistic(X, C):
    scaler = StandardScaler(with_mean=not hasattr(X, "toarray"))
    return make_pipeline(scaler, LogisticRegression(C=C))


def out_of_fold(model, X, given, folds):
    return cross_val_predict(model, X, given, cv=folds, method="predict_proba")


def tuned_C(X, given):
    scaler = StandardScaler(with_mean=not hasattr(X, "toarray"))
    search = LogisticRegressionCV(
        Cs=C_GRID, cv=5, scoring="neg_log_loss", l1_ratios=(0,),
        use_legacy_attributes=False,
    )  # fmt: skip
    search.fit(scaler.fit_transform(X), given)
    return float(np.ravel(search.C_)[0])


def out_of_fold_pool(X, given, folds, linear, seed):
    """The package's pool of models, with cleanlab's out-of-fold discipline."""
    targets, weight = np.eye(given.max() + 1)[given], np.ones(len(given))
    vote = np.empty_like(linear)
    scaler = StandardScaler(with_mean=False)
    Z = scaler.fit_transform(X)
    Z = Z.toarray() if hasattr(Z, "toarray") else Z
    for train, test in folds:
        rbf = RBFRidge(random_state=np.random.RandomState(seed))
        rbf.fit(Z[train], targets[train], weight[train])
        vote[test] = rbf.refit(targets[train])[1].predict_log_proba(Z[test])
    estimates = [np.log(np.maximum(linear, 1e-12)), vote]
    return np.exp(pool_log_proba(estimates, fit_pool(estimates, targets, weight)))


def measure(scores, flagged, is_wrong):
    top = np.argsort(-scores, kind="stable")[: is_wrong.sum()]
    return {
        "AP": average_precision_score(is_wrong, scores),
        "AUROC": roc_auc_score(is_wrong, scores),
        "recall@k": is_wrong[top].mean(),
        "F1": f1_score(is_wrong, flagged),
    }


# --- any model ------------------------------------------------------------------------


def print_boosting(args):
    """Average precision by set and noise of what one boosting model gives, and time."""
    warnings.simplefilter("ignore")
    print(f"{'':26s}" + "".join(f"{head:>12s}" for head in BOOSTING))
    by_noise = {}
    for name in args.sets:
        of_set = {}
        for seed in args.seeds:
            for noise, X, given, is_wrong in cases(name, seed, args):
                row = boosting(X, given, is_wrong, seed)
                of_set.setdefault(noise, []).append(row)
        for noise, rows in of_set.items():
            by_noise.setdefault(noise, {})[name] = rows
            print_means(f"{name}, {noise}", [mean_of(rows)])
    for noise, sets in by_noise.items():
        print_means(f"mean, {noise}", [mean_of(rows) for rows in sets.values()])


def boosting(X, given, is_wrong, seed):
    """One case: average precision of every method, and CPU seconds of two."""
    X = X.toarray() if hasattr(X, "toarray") else X
    model = HistGradientBoostingClassifier(random_state=seed)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(X, given))
    start = time.process_time()
    P = out_of_fold(model, X, given, folds)
    folds_time = time.process_time() - start
    row = {
        f"cl {score[:4]}": average_precision_score(
            is_wrong, -get_label_quality_scores(given, P, method=score)
        )
        for score in SCORES
    }
    precomputed = MislabelFilter("precomputed").fit(P, given)
    row["precomp."] = average_precision_score(is_wrong, precomputed.scores_)
    start = time.process_time()
    row["boosting"] = ap_of(
        MislabelFilter(model, random_state=seed), X, given, is_wrong
    )
    refits_time = time.process_time() - start
    start = time.process_time()
    row["default"] = ap_of(MislabelFilter(random_state=seed), X, given, is_wrong)
    default_time = time.process_time() - start
    for name, pool in (("no forest", ("linear", "kernel")), ("forest", ("forest",))):
        detector = MislabelFilter(pool=pool, random_state=seed)
        row[name] = ap_of(detector, X, given, is_wrong)
    row |= {"t folds": folds_time, "t boosting": refits_time, "t default": default_time}
    return row


def ap_of(detector, X, given, is_wrong):
    return average_precision_score(is_wrong, detector.fit(X, given).scores_)


def mean_of(rows):
    return {key: np.mean([row[key] for row in rows]) for key in rows[0]}


def print_means(name, rows):
    cells = mean_of(rows).values()
    print(f"{name:26s}" + "".join(f"{cell:12.3f}" for cell in cells), flush=True)


def print_checked():
    """Probabilities of others' networks, judged where people looked."""
    warnings.simplefilter("ignore")
    names = [*(f"cleanlab {score}" for score in SCORES), "precomputed"]
    print(f"{'':20s}{'rows':>6s}{'wrong':>6s}" + "".join(f"{n:>28s}" for n in names))
    for name in _data.present(PYX):
        found = _data.load(name)
        given, P = found["y"], found["P"].astype(np.float64)
        P /= P.sum(axis=1, keepdims=True)
        looked = found.get("checked", np.ones(len(given), dtype=bool))
        is_wrong = found["is_error"][looked]
        scores = [-get_label_quality_scores(given, P, method=score) for score in SCORES]
        scores.append(MislabelFilter("precomputed").fit(P, given).scores_)
        cells = [
            f"{average_precision_score(is_wrong, score[looked]):.3f} AP, "
            f"{roc_auc_score(is_wrong, score[looked]):.3f} AUROC"
            for score in scores
        ]
        counts = f"{looked.sum():6d}{is_wrong.sum():6d}"
        print(f"{name:20s}{counts}" + "".join(f"{cell:>28s}" for cell in cells))


# --- calibration ----------------------------------------------------------------------


def print_calibration(args):
    """Expected and true share of right labels among the flagged, and power, by set."""
    warnings.simplefilter("ignore")
    heads = ["auto: said", "FDP", "power"]
    heads += [f"{level}: {what}" for level in LEVELS for what in ("FDP", "power")]
    print(f"{'':32s}" + "".join(f"{head:>12s}" for head in heads))
    by_noise = {}
    for name in args.sets:
        of_set = {}
        for seed in args.seeds:
            for noise, X, given, is_wrong in cases(name, seed, args):
                row = calibration(X, given, is_wrong, seed)
                of_set.setdefault(noise, []).append(row)
                by_noise.setdefault(noise, []).append(row)
        for noise, rows in of_set.items():
            print_row(f"{name}, {noise}", rows)
    for noise, rows in by_noise.items():
        print_row(f"all, {noise}", rows)


def calibration(X, given, is_wrong, seed):
    """One case: what is said of the flags of "auto", and what all flags are."""
    detector = MislabelFilter(random_state=seed).fit(X, given)
    weight, flags = np.ones(len(given)), ~detector.get_support()
    right = probability_right(detector.ranker_.loo_proba_, given, weight)
    row = [right[flags].mean() if flags.any() else np.nan, *shares(flags, is_wrong)]
    for level in LEVELS:
        row += shares(flag_expected(right, level), is_wrong)
    return row


def shares(flags, is_wrong):
    false = np.mean(~is_wrong[flags]) if flags.any() else 0.0
    return [false, np.mean(flags[is_wrong])]


def print_row(name, rows):
    cells = np.nanmean(rows, axis=0)
    print(f"{name:32s}" + "".join(f"{cell:12.3f}" for cell in cells), flush=True)


# --- tables ---------------------------------------------------------------------------

BASES = ("cleanlab C=1", "cleanlab tuned C", "cleanlab pool")


def select(results, method, **wanted):
    return [
        row
        for row in results
        if row["method"] == method
        and all(str(row[key]).startswith(value) for key, value in wanted.items())
    ]


def mean_over_sets(results, method, column, **wanted):
    """The mean over sets of each set's mean."""
    rows = select(results, method, **wanted)
    names = dict.fromkeys(row["set"] for row in rows)
    means = [
        np.mean([row[column] for row in rows if row["set"] == name]) for name in names
    ]
    return np.mean(means) if means else np.nan


def methods_of(results):
    return list(dict.fromkeys(row["method"] for row in results))


def print_set(results, name):
    parts = [
        f"{method.removeprefix('cleanlab ')} "
        f"{mean_over_sets(results, method, 'AP', set=name):.3f}"
        for method in methods_of(results)
        if not method.endswith("normalized_margin")
    ]
    ratio = mean_over_sets(results, OURS, "ratio", set=name)
    parts.append(f"time ratio {ratio:.2f}")
    print(f"AP {name:20s}", " | ".join(parts), flush=True)


def print_tables(results):
    kinds = dict.fromkeys(row["noise"] for row in results)
    families = list(dict.fromkeys(kind.split()[0] for kind in kinds))
    columns = ("AP", "AUROC", "recall@k", "F1", "ratio")
    print("\nMeans over sets; ratio: time over that of tuned C, total: of summed times")
    print(f"{'':42s}" + "".join(f"{c:>10s}" for c in (*columns, "total")))
    tuned = select(results, "cleanlab tuned C, self_confidence")
    base = sum(row["time"] for row in tuned)
    for method in methods_of(results):
        values = [mean_over_sets(results, method, column) for column in columns]
        values.append(sum(row["time"] for row in select(results, method)) / base)
        print(f"{method:42s}" + "".join(f"{v:10.3f}" for v in values))
    print("\nF1 of the flags by noise")
    print(f"{'':42s}" + "".join(f"{kind:>14s}" for kind in kinds))
    for method in methods_of(results):
        if not method.endswith("normalized_margin"):
            values = [mean_over_sets(results, method, "F1", noise=k) for k in kinds]
            print(f"{method:42s}" + "".join(f"{v:14.3f}" for v in values))
    print("\nAP by noise")
    wanted = families + list(kinds)
    print(f"{'':42s}" + "".join(f"{kind:>14s}" for kind in wanted))
    for method in methods_of(results):
        values = [mean_over_sets(results, method, "AP", noise=w) for w in wanted]
        print(f"{method:42s}" + "".join(f"{v:14.3f}" for v in values))
    print_wins(results)


def print_wins(results):
    names = list(dict.fromkeys(row["set"] for row in results))
    print("\nAgainst the better of cleanlab's two scores, chosen per set afterwards")
    for base in BASES:
        gains = []
        for name in names:
            ours = mean_over_sets(results, OURS, "AP", set=name)
            theirs = max(
                mean_over_sets(results, f"{base}, {score}", "AP", set=name)
                for score in ("self_confidence", "normalized_margin")
            )
            gains.append(ours - theirs)
        worst = int(np.argmin(gains))
        print(
            f"{base:18s} mean gain {np.mean(gains):+.3f}, at least level on "
            f"{np.mean(np.array(gains) >= 0):.0%} of {len(names)} sets, worst "
            f"{gains[worst]:+.3f} ({names[worst]})"
        )


if __name__ == "__main__":
    main()
