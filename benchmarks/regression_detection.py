"""Gross errors in real targets: are they found, and what is the fit worth without them?

    python benchmarks/regression_detection.py
    python benchmarks/regression_detection.py --sets concrete --fdr 0.1

A share of the training targets is moved by three to six standard deviations. Printed,
as means over the seeds: the false-discovery proportion of the rows that the default
filter flags (FDP; nothing flagged counts 0; rows that were outliers before, beyond six
studentised residuals of ridge regression on the targets as published, are not counted)
with its standard error, the power (share of the moved rows that are flagged), and R2 on
clean test targets of ridge regression fitted to all rows, of FilteredRegressor around
it, of HuberRegressor, and of ridge on the clean training targets; "tails" is the excess
kurtosis of its residuals (0: normal).
"normal errors" draws targets that are linear with normal errors, on the columns of
diabetes.
"""

import argparse
import warnings

import _data
import numpy as np
from scipy.stats import kurtosis
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor, Ridge
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import corrupt_targets
from sklinfluence.filtering import FilteredRegressor, MislabelFilter
from sklinfluence.gradient import InfluenceRanker

BUNDLED = ["normal errors", "diabetes"]
FILES = [
    "energy_heating",
    "airquality_co",
    "concrete",
    "wine_quality",
    "abalone",
    "california_housing",
]
# Studentised residuals from which a target is an outlier as published.
OUTLYING = 6.0
COLUMNS = ["FDP", "s.e.", "power", "ridge", "filtered", "huber", "clean", "tails"]


def main():
    args = parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", ".*have copies")
    print(f"{args.rate:.0%} gross errors, fdr={args.fdr}, {args.seeds} seeds")
    print(f"{'':20s}{'rows':>6s}" + "".join(f"{name:>10s}" for name in COLUMNS))
    for name in args.sets:
        drawn = [load_set(name, args.rows, seed) for seed in range(args.seeds)]
        runs = [evaluate(*drawn[seed], seed, args) for seed in range(args.seeds)]
        runs, n_rows = np.array(runs), len(drawn[0][1])
        means = runs.mean(axis=0)
        error = runs[:, 0].std(ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else 0.0
        cells = [means[0], error, *means[1:]]
        print(
            f"{name:20s}{n_rows:6d}" + "".join(f"{cell:10.3f}" for cell in cells),
            flush=True,
        )


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=[*BUNDLED, *FILES])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1500, help="sub-sample to so many")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--fdr", type=float, default=0.05)
    args = parser.parse_args()
    args.sets = _data.present(args.sets, BUNDLED)
    return args


def load_set(name, n_rows, seed):
    """Standardised columns and targets, at most so many rows, the same for each seed.

    Only the normal errors, which are made here, differ from seed to seed.
    """
    if name in BUNDLED:
        X, y = load_diabetes(return_X_y=True)
    else:
        found = _data.load(name)
        X, y = found["X"].astype(float), np.asarray(found["y"], dtype=float)
    index = np.random.RandomState(0).permutation(len(y))[:n_rows]
    X, y = StandardScaler().fit_transform(X[index]), y[index]
    if name == "normal errors":
        fitted = Ridge().fit(X, y).predict(X)
        spread = np.std(y - fitted)
        y = fitted + np.random.RandomState(seed).normal(scale=spread, size=len(y))
    return X, y


def evaluate(X, y, seed, args):
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
    given, is_wrong = corrupt_targets(y_train, args.rate, random_state=seed)
    before = InfluenceRanker(Ridge()).fit(X_train, y_train).label_scores("studentized")
    counted = is_wrong | (before <= OUTLYING)
    detector = MislabelFilter(fdr=args.fdr, random_state=seed)
    filtered = FilteredRegressor(Ridge(), detector).fit(X_train, given)
    flagged = ~filtered.filter_.get_support() & counted
    clean = Ridge().fit(X_train, y_train)
    huber = HuberRegressor(max_iter=1000).fit(X_train, given)
    return [
        np.sum(flagged & ~is_wrong) / max(flagged.sum(), 1),
        np.sum(flagged & is_wrong) / is_wrong.sum(),
        Ridge().fit(X_train, given).score(X_test, y_test),
        filtered.score(X_test, y_test),
        huber.score(X_test, y_test),
        clean.score(X_test, y_test),
        kurtosis(y_train - clean.predict(X_train)),
    ]


if __name__ == "__main__":
    main()
