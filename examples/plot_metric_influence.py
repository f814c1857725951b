"""
===================================================
Which rows widen the gap, which lower the ROC curve
===================================================

A loss is seldom what one is asked about. :func:`~sklinfluence.metrics.metric_influence`
says for each training row what a metric of the model loses without it: here how the
worst of two groups fares, the gap between them, and the area under the ROC curve. Each
is held against fits without the row.
"""

# %%
# Two groups
# ----------
# Scikit-learn's diabetes data say which of two sexes a patient is of, coded by two
# numbers. A ridge regression is measured in each on held-out patients: "worst_group" is
# minus half the squared error of the group where that is larger, "neg_group_gap" the
# same less the other group's.
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.metrics import metric_influence

N_TRAIN = 200
TEMPERATURE = 0.3

data = load_diabetes()
groups = (data.data[:, 1] > 0).astype(int)
split = train_test_split(
    data.data, data.target / 100, groups, train_size=N_TRAIN, random_state=1
)
X, X_test, y, y_test, group, group_test = split
model = Ridge(alpha=0.1)
ranker = InfluenceRanker(model).fit(X, y)


def of_groups(model):
    """The worst group's score and the gap, by numpy."""
    scores = -0.5 * (model.predict(X_test) - y_test) ** 2
    means = [scores[group_test == g].mean() for g in (0, 1)]
    return {"worst_group": min(means), "neg_group_gap": min(means) - max(means)}


def without_each_row(model, X, y, measure):
    """What each metric loses without each row: fits, one a row."""
    now = measure(clone(model).fit(X, y))
    fits = [
        measure(clone(model).fit(np.delete(X, i, 0), np.delete(y, i)))
        for i in range(len(y))
    ]
    return {name: now[name] - [fit[name] for fit in fits] for name in now}


# %%
# Influence beside fits without the row
# -------------------------------------
# ``order="first"`` differentiates the metric, ``order="newton"`` measures it anew at
# the predictions without the row. The slope is that of what the metric loses on the
# influence: 1 where they are the same.
found, truth = {}, {}


def compare(name, ranker, X_test, y_test, lost, **given):
    for order in ("first", "newton"):
        influence = metric_influence(ranker, name, X_test, y_test, order=order, **given)
        slope = influence @ lost / (influence @ influence)
        rank = spearmanr(influence, lost).statistic
        print(f"{name:14s} {order:7s} Spearman {rank:.3f}  slope {slope:.2f}")
    found[name], truth[name] = influence, lost


lost = without_each_row(model, X, y, of_groups)
for name in lost:
    compare(name, ranker, X_test, y_test, lost[name], groups=group_test)
print({name: round(float(value), 3) for name, value in of_groups(ranker).items()})

# %%
# The area under the ROC curve
# ----------------------------
# "roc_auc" has a sigmoid of each pair's difference of margins in place of a step, and
# so a derivative; ``temperature`` says how steep. One label in ten of the training set
# is flipped. Half of the other rows are asked about, the rest judges later.
cancer = load_breast_cancer()
scaled = StandardScaler().fit_transform(cancer.data)
logistic = LogisticRegression(tol=1e-8)


def parts(seed):
    """Rows to train on, ask about and judge by; targets of each; which are flipped."""
    B, rest, b, c = train_test_split(
        scaled, cancer.target, train_size=N_TRAIN, random_state=seed
    )
    asked, judge, *others = train_test_split(rest, c, train_size=0.5, random_state=seed)
    b, is_flipped = flip_labels(b, 0.1, random_state=seed)
    return (B, asked, judge), (b, *others), is_flipped


def smooth_area(model):
    raw = model.decision_function(asked)
    apart = raw[c == 1][:, None] - raw[c == 0]
    return {"roc_auc": np.mean(1 / (1 + np.exp(-apart / TEMPERATURE)))}


(B, asked, _), (b, c, _), is_flipped = parts(seed=0)
lost = without_each_row(logistic, B, b, smooth_area)
roc_ranker = InfluenceRanker(logistic).fit(B, b)
compare("roc_auc", roc_ranker, asked, c, lost["roc_auc"], temperature=TEMPERATURE)

# %%
# What it is good for
# -------------------
# Without the ten rows that lower it most the area grows: the usual one, on rows that
# were not asked about. One split says little; these are ten.
areas, n_flipped = [], []
for seed in range(10):
    (B, asked, judge), (b, c, d), flipped = parts(seed)
    ranker = InfluenceRanker(logistic).fit(B, b)
    influence = metric_influence(
        ranker, "roc_auc", asked, c, order="newton", temperature=TEMPERATURE
    )
    lowest = np.argsort(influence)[:10]
    fewer = clone(logistic).fit(np.delete(B, lowest, 0), np.delete(b, lowest))
    areas.append(
        [roc_auc_score(d, m.decision_function(judge)) for m in (ranker, fewer)]
    )
    n_flipped.append(flipped[lowest].sum())
before, after = np.mean(areas, axis=0)
n_better = sum(after > before for before, after in areas)
print(f"ROC area {before:.4f}, without ten rows {after:.4f}; {n_better} of 10 grow")
print(f"of the ten rows {np.mean(n_flipped):.1f} are flipped, of {N_TRAIN} 20")

# %%
# Picture
# -------
# Each row's influence on the metric against what the metric loses without it.
fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for ax, name in zip(axes, found, strict=True):
    ax.axline((0, 0), slope=1, color="0.6", lw=1)
    if name == "roc_auc":
        kinds = {"right label": ~is_flipped, "flipped": is_flipped}
    else:
        kinds = {"group 0": group == 0, "group 1": group == 1}
    for (kind, chosen), marker in zip(kinds.items(), "os", strict=True):
        face = "none" if marker == "s" else None
        ax.plot(
            found[name][chosen], truth[name][chosen], marker, ms=4, mfc=face, label=kind
        )
    ax.set(title=name, xlabel="influence, newton")
    ax.legend(fontsize="small")
    ax.locator_params(nbins=5)
    ax.locator_params(axis="x", nbins=4)
axes[0].set_ylabel("metric lost by a fit without the row")
plt.show()
