"""Rows that stand several times: are the same wrong labels found?

    python benchmarks/copies.py
    python benchmarks/copies.py --sets iris --seeds 10

A fifth of the labels of the distinct rows is flipped; then every row is copied twice or
four times, rows are drawn with replacement, or those of rare classes are repeated until
all are as many. A copy has its row's label. Printed, as means over seeds of the default
filter: the share of flipped rows found (recall) and of honest ones flagged, counted
over distinct rows, with copies and, in brackets, with each of the same rows once.
"""

import argparse
import warnings

import _data
import numpy as np
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfVectorizer

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter

BUNDLED = ["iris", "digits"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=[*BUNDLED, "sms_spam"])
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    heads = ("recall", "(once)", "honest", "(once)")
    print(f"{'':26s}" + "".join(f"{head:>10s}" for head in heads))
    for name in _data.present(args.sets, BUNDLED):
        X, y = load_set(name)
        for kind, copy in KINDS.items():
            cells = [one_case(X, y, copy, seed, args) for seed in range(args.seeds)]
            means = np.mean(cells, axis=0)
            row = "".join(f"{mean:10.3f}" for mean in means)
            print(f"{name + ', ' + kind:26s}{row}", flush=True)


def load_set(name):
    if name in BUNDLED:
        return getattr(datasets, f"load_{name}")(return_X_y=True)
    found = _data.load(name)
    if "texts" in found:
        vectorizer = TfidfVectorizer(min_df=3, sublinear_tf=True)
        return vectorizer.fit_transform(found["texts"]), found["y"]
    return found["X"], found["y"]


# --- which rows stand how often: functions of (labels, generator) to row numbers ------


def copied(times):
    return lambda y, rng: np.tile(np.arange(len(y)), times)


def bootstrapped(y, rng):
    return rng.integers(len(y), size=len(y))


def balanced(y, rng):
    counts = np.bincount(y)
    more = [
        rng.choice(np.flatnonzero(y == label), counts.max() - count)
        for label, count in enumerate(counts)
        if count
    ]
    return np.concatenate([np.arange(len(y)), *more])


KINDS = {
    "twice": copied(2),
    "four times": copied(4),
    "bootstrapped": bootstrapped,
    "oversampled": balanced,
}


def one_case(X, y, copy, seed, args):
    """(recall, that of the rows once, honest rows flagged, that of the rows once)."""
    rng = np.random.default_rng(seed)
    X, y = distinct_rows(X, y, rng, args.rows)
    given, is_wrong = flip_labels(y, 0.2, random_state=seed)
    rows = copy(given, rng)
    once, first = np.unique(rows, return_index=True)
    flags = flagged(X, given, rows, seed)[first]
    flags_once = flagged(X, given, once, seed)
    wrong = is_wrong[once]
    return (
        flags[wrong].mean(), flags_once[wrong].mean(),
        flags[~wrong].mean(), flags_once[~wrong].mean(),
    )  # fmt: skip


def distinct_rows(X, y, rng, n_rows):
    dense = X.toarray() if hasattr(X, "toarray") else X
    first = np.sort(np.unique(dense, axis=0, return_index=True)[1])
    kept = rng.permutation(first)[:n_rows]
    return X[kept], y[kept]


def flagged(X, given, rows, seed):
    return ~MislabelFilter(random_state=seed).fit(X[rows], given[rows]).get_support()


if __name__ == "__main__":
    main()
