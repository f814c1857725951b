"""
======================================================
What each method costs, and how near it comes to truth
======================================================

Table 1 of the survey by Hammoudeh and Lowd ("Training data influence analysis and
estimation") compares seven families of methods by what their time and memory grow with.
This example measures them: one small problem, a convex one, so that every row can be
left out and the model be trained again to its optimum for comparison.
"""

# %%
# One problem, stated twice
# -------------------------
# A logistic regression; and the same objective as a network, trained by SGD, for the
# methods that read a training path. A hundred rows, a hundred queries.
import pickle
import time
import tracemalloc
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from skorch import NeuralNetBinaryClassifier

from sklinfluence.deep import HydraRanker, TracInRanker
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker
from sklinfluence.neighbors import KNNShapleyRanker
from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DownsamplingRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)

N_FITS = 400
N_EPOCHS = 40
HEADS = InfluenceRanker, RepresenterRanker, KNNShapleyRanker

X, y = load_breast_cancer(return_X_y=True)
X, queries, y, labels = train_test_split(
    scale(X), y, train_size=100, stratify=y, random_state=0
)
queries, labels = queries[:100], labels[:100]
logistic = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8)
net = NeuralNetBinaryClassifier(
    torch.nn.Linear,
    module__in_features=30,
    module__out_features=1,
    criterion=torch.nn.BCEWithLogitsLoss,
    lr=0.3,
    optimizer__weight_decay=1 / len(X),
    optimizer__param_groups=[("bias", {"weight_decay": 0.0})],
    batch_size=20,
    max_epochs=N_EPOCHS,
    train_split=None,
    verbose=0,
)

# %%
# Fourteen rankers
# ----------------
# Those that train again on random subsets are given the same number of fits.
sampled = {
    "scoring": "neg_log_loss",
    "max_evaluations": N_FITS,
    "random_state": 0,
}
rankers = {
    "leave-one-out": LeaveOneOutRanker(logistic, scoring="neg_log_loss"),
    "downsampling": DownsamplingRanker(logistic, **sampled),
    "Shapley": ShapleyRanker(logistic, **sampled),
    "Banzhaf": BanzhafRanker(logistic, **sampled),
    "AME": AMERanker(logistic, **sampled),
    "kNN-Shapley": KNNShapleyRanker(5),
    "influence function": InfluenceRanker(logistic),
    "influence, Newton": InfluenceRanker(logistic, method="newton"),
    "influence, LiSSA": InfluenceRanker(logistic, solver="lissa", random_state=0),
    "representer points": RepresenterRanker(logistic),
    "Grad-Dot": InfluenceRanker(logistic, method="grad_dot"),
    "TracInCP": TracInRanker(net, every=4, random_state=0),
    "HyDRA, fast": HydraRanker(net, dtype="float64", random_state=0),
    "HyDRA": HydraRanker(net, hessian=True, dtype="float64", random_state=0),
}

# %%
# Measuring
# ---------
# Seconds of processor time: to fit and answer for one query, and to answer for a
# hundred more. What is kept for later queries is what pickling it takes. The peak is of
# memory that NumPy asks for while fitting and answering. What torch holds is not seen,
# so it stays out for networks, and so it does for what trains again, a model at a time.
# Values are of the mean loss of all queries and cannot be asked of a single one:
# another set of queries costs what the first did.
warnings.filterwarnings("ignore", message="The head that the estimator fitted")


def fit(ranker):
    """Methods that value rows are given the queries to value them by."""
    if "cv" in ranker.get_params():
        return ranker.fit(X, y, X_val=queries, y_val=labels)
    return ranker.fit(X, y)


def measure(ranker):
    start = time.process_time()
    fit(ranker)
    single = hasattr(ranker, "influence")
    if single:
        ranker.influence(queries[:1], labels[:1])
    full = time.process_time() - start
    start = time.process_time()
    matrix = ranker.influence(queries, labels) if single else None
    more = time.process_time() - start if single else full
    mean = matrix.mean(axis=0) if single else ranker.values_
    return full, more, len(pickle.dumps(ranker)), matrix, mean


def peak(ranker):
    tracemalloc.start()
    fit(ranker)
    if hasattr(ranker, "influence"):
        ranker.influence(queries, labels)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


def correlations(matrix, truth):
    return [np.corrcoef(*rows)[0, 1] for rows in zip(matrix, truth, strict=True)]


measure(InfluenceRanker(logistic))  # what is imported is not measured
table = {name: measure(ranker) for name, ranker in rankers.items()}
_, _, _, truth, mean_truth = table["leave-one-out"]
print(f"{'':19s} fit, s  100 more, s  peak, kB  kept, kB  a query  all queries")
fidelity = {}
for name, (full, more, kept, matrix, mean) in table.items():
    alone = np.nan if matrix is None else np.mean(correlations(matrix, truth))
    together = np.corrcoef(mean, mean_truth)[0, 1]
    fidelity[name] = alone, together
    is_seen = isinstance(rankers[name], HEADS)
    highest = f"{peak(rankers[name]) / 1e3:.0f}" if is_seen else "-"
    single = "-" if matrix is None else f"{alone:.2f}"
    print(
        f"{name:19s} {full:6.3f} {more:12.4f} {highest:>9s} {kept / 1e3:9.0f} "
        f"{single:>8s} {together:12.2f}"
    )

# %%
# Time against truth
# ------------------
# Up and left is better. Fidelity is the correlation with leave-one-out, over rows, of
# influence on the mean loss.
fig, ax = plt.subplots(figsize=(7, 6), layout="constrained")
for number, (name, (full, _, _, matrix, _)) in enumerate(table.items(), start=1):
    kind = ("s", "C0") if matrix is None else ("o", "C1")
    point = full, fidelity[name][1]
    ax.plot(*point, marker=kind[0], color=kind[1], ms=9, alpha=0.7)
    # On either side by turns: neighbours in the list are neighbours in the plane.
    side = -1 if number % 2 else 1
    ax.annotate(
        number,
        point,
        xytext=(13 * side, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=12,
    )
    ax.plot([], [], " ", label=f"{number} {name}")
ax.set_xlabel("seconds to fit and answer the first query", fontsize=14)
ax.set_ylabel("correlation with leave-one-out", fontsize=14)
ax.set(xscale="log", ylim=(-0.25, 1.08))
ax.tick_params(labelsize=12)
fig.legend(
    loc="outside lower center", ncols=2, fontsize=13, handlelength=0, frameon=False
)
plt.show()
