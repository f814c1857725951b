"""
==================================================
Removing a group is not removing its rows, summed
==================================================

Rows that are alike stand in for one another: without one of them little changes,
without all of them much does. The sum of single influences misses that. This example
compares four ways to estimate what removing a group does, on random groups and on
groups that belong together.
"""

# %%
# Groups
# ------
# Random groups of up to a twentieth of the rows, and three kinds of coherent ones: rows
# of one class, rows of highest loss, and nearest neighbours of some row.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import scale

from sklinfluence.gradient import InfluenceRanker

X, y = load_breast_cancer(return_X_y=True)
X = scale(X)
train, test = slice(0, None, 2), slice(1, None, 2)
ranker = InfluenceRanker(LogisticRegression(C=1.0)).fit(X[train], y[train])
n_train = len(y[train])
rng = np.random.default_rng(0)
sizes = np.linspace(1, n_train // 20, 25).astype(int)

neighbours = NearestNeighbors().fit(X[train])
one_class = np.flatnonzero(y[train] == 1)
hardest = np.argsort(-ranker.label_scores("loss"))
groups = {
    "random": [rng.choice(n_train, size, replace=False) for size in sizes],
    "one class": [rng.choice(one_class, size, replace=False) for size in sizes],
    "highest loss": [hardest[:size] for size in np.unique(sizes)],
    "neighbours": [
        neighbours.kneighbors(X[train][[rng.integers(n_train)]], size)[1][0]
        for size in sizes
    ],
}

# %%
# Four estimates
# --------------
# "exact" is the refit itself, by damped Newton steps from the fit; the mean rise in the
# test loss is compared. A slope below one underestimates the effect of a group.
orders = ("first", "second", "newton")
fig, axes = plt.subplots(
    1, 3, figsize=(10, 3.6), sharex=True, sharey=True, layout="constrained"
)
for (kind, members), marker in zip(groups.items(), "osv^", strict=True):
    effect = {
        order: ranker.group_influence(members, X[test], y[test], order=order).mean(0)
        for order in (*orders, "exact")
    }
    for ax, order in zip(axes, orders, strict=True):
        slope = np.polyfit(effect["exact"], effect[order], 1)[0]
        r = np.corrcoef(effect["exact"], effect[order])[0, 1]
        print(f"{kind:>12}, {order:>6}: slope {slope:5.2f}, r {r:.3f}")
        ax.plot(effect["exact"], effect[order], marker, ms=4, alpha=0.7, label=kind)
for ax, order in zip(axes, orders, strict=True):
    ax.axline((0, 0), slope=1, color="0.6", lw=1, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set(title=f'order="{order}"', xlabel="refit: rise in mean test loss")
axes[0].set_ylabel("estimate")
axes[0].legend(loc="upper left")

# %%
# The fewest rows that hold a prediction up
# -----------------------------------------
# The same machinery finds a small set of training rows whose removal turns a prediction
# round, and checks it by a refit.
unsure = np.argsort(np.abs(ranker.decision_function(X[test])))[:5]
for query, rows in zip(unsure, ranker.most_damaging(X[test][unsure]), strict=True):
    proba = ranker.predict_proba(X[test][[query]]).max()
    found = "more than 20" if rows is None else len(rows)
    print(f"predicted with probability {proba:.2f}: {found} row(s) hold it up")

plt.show()
