"""Influence on metrics next to refits without each row.

    python benchmarks/metric_influence.py
    python benchmarks/metric_influence.py --quick

Of linear heads on breast cancer, wine and diabetes (rows standardised; 250 training
rows, 120 of wine): for each metric Spearman's correlation with what the metric loses
when the row is left out, and the slope of that on the influence, to first order and
with the metric measured anew.
"""

import argparse

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import metric_influence

OF_CLASSES = (
    "neg_log_loss",
    "neg_brier_score",
    "roc_auc",
    "neg_calibration_error",
    "worst_group",
    "neg_group_gap",
)
OF_VALUES = ("neg_mean_squared_error", "r2", "worst_group", "neg_group_gap")
SETS = {
    "breast_cancer": (load_breast_cancer, 250, OF_CLASSES),
    "wine": (load_wine, 120, tuple(m for m in OF_CLASSES if m != "roc_auc")),
    "diabetes": (load_diabetes, 250, OF_VALUES),
}


def measured(metric, model, X, y, groups):
    """The metric of a refitted model, by numpy alone."""
    if metric in OF_VALUES and not hasattr(model, "classes_"):
        away = (model.predict(X) - y) ** 2
        if metric == "neg_mean_squared_error":
            return -away.mean()
        if metric == "r2":
            return 1 - away.sum() / np.sum((y - y.mean()) ** 2)
        return by_group(metric, -0.5 * away, groups)
    proba = model.predict_proba(X)
    codes = np.searchsorted(model.classes_, y)
    given = proba[np.arange(len(y)), codes]
    if metric == "neg_log_loss":
        return np.log(given).mean()
    if metric == "neg_brier_score":
        if proba.shape[1] == 2:
            return -np.mean((proba[:, 1] - codes) ** 2)
        return -np.mean(np.sum((proba - np.eye(proba.shape[1])[codes]) ** 2, axis=1))
    if metric == "roc_auc":
        raw = model.decision_function(X)
        apart = raw[codes == 1][:, None] - raw[codes == 0]
        return np.mean(1 / (1 + np.exp(-apart)))
    if metric == "neg_calibration_error":
        return -calibration_error(proba, codes)
    return by_group(metric, np.log(given), groups)


def calibration_error(proba, codes):
    column = np.ones(len(proba), int) if proba.shape[1] == 2 else proba.argmax(axis=1)
    chance = proba[np.arange(len(proba)), column]
    is_true = codes == column
    bins = np.minimum((chance * 10).astype(int), 9)
    gaps = [np.abs(np.sum((chance - is_true)[bins == b])) for b in range(10)]
    return np.sum(gaps) / len(proba)


def by_group(metric, scores, groups):
    means = [scores[groups == group].mean() for group in np.unique(groups)]
    return min(means) if metric == "worst_group" else min(means) - max(means)


def compare(name, quick):
    load, n_train, metrics = SETS[name]
    X, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y, n_train = X[order], y[order], 60 if quick else n_train
    scaler = StandardScaler().fit(X[:n_train])
    X, y, asked, given = (
        scaler.transform(X[:n_train]),
        y[:n_train],
        scaler.transform(X[n_train:]),
        y[n_train:],
    )
    groups = (asked[:, 0] > np.median(asked[:, 0])).astype(int)
    model = LogisticRegression(tol=1e-10, max_iter=10_000)
    if name == "diabetes":
        model = Ridge(1.0)
    ranker = InfluenceRanker(model).fit(X, y)
    whole = clone(model).fit(X, y)
    without = [
        clone(model).fit(np.delete(X, i, 0), np.delete(y, i)) for i in range(n_train)
    ]
    for metric in metrics:
        parts = asked, given, groups
        now = measured(metric, whole, *parts)
        truth = np.array([now - measured(metric, model, *parts) for model in without])
        own = {"groups": groups} if "group" in metric else {}
        shown = []
        for order in ("first", "newton"):
            found = metric_influence(ranker, metric, asked, given, order=order, **own)
            slope = found @ truth / (found @ found)
            shown.append(f"{spearmanr(found, truth).statistic:9.3f}{slope:8.2f}")
        print(f"{name:14s} {metric:24s}" + "   ".join(shown), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="60 training rows")
    args = parser.parse_args()
    print(f"{'':39s}{'first: Spearman, slope':>17s}   {'newton':>15s}")
    for name in SETS:
        compare(name, args.quick)


if __name__ == "__main__":
    main()
