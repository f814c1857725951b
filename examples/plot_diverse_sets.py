"""
==================================
Influential, and unlike each other
==================================

The rows that a prediction leans on most are often variations of one theme. DIVINE
trades some of their influence for diversity, so that few rows show more of what the
model leans on.
"""

# %%
# Which eights make an eight?
# ---------------------------
# A logistic regression on scikit-learn's digits, and the mean influence of its training
# rows on the eights among the test digits. The kernel that says which rows are alike
# has a length scale of a few pixels.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import select_diverse

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, y_train = X[:1000], y[:1000]
eights = X[1000:][y[1000:] == 8]
ranker = InfluenceRanker(normalize="theta").fit(X_train, y_train)
importance = ranker.mean_influence(eights, np.full(len(eights), 8))
most = np.sort(importance)[-10:].sum()

# %%
# Ten rows, three measures of diversity
# -------------------------------------
# ``gamma`` weighs diversity against influence, and each measure has a scale of its own:
# here it is raised as long as the set keeps 80 % of the influence that the ten most
# influential rows have together.
settings = {"importance": importance, "bandwidth": 1.0}
chosen = {"top 10": select_diverse(ranker, 10, gamma=0, **settings)}
for kind in ("sum_redundancy", "facility_location", "mmd"):
    for gamma in most * np.geomspace(1e-4, 10, 11):
        rows = select_diverse(ranker, 10, kind=kind, gamma=gamma, **settings)
        if importance[rows].sum() < 0.8 * most:
            break
        chosen[kind] = rows
for name, rows in chosen.items():
    apart = pairwise_distances(X_train[rows])[np.triu_indices(10, 1)]
    print(
        f"{name:>18}: {importance[rows].sum() / most:4.0%} of the influence, "
        f"mean distance {apart.mean():.2f}, nearest pair {apart.min():.2f}"
    )

# %%
# What was chosen
# ---------------
fig, axes = plt.subplots(len(chosen), 10, figsize=(8, 3.6))
for row, (name, rows) in zip(axes, chosen.items(), strict=True):
    for ax, index in zip(row, rows, strict=True):
        ax.imshow(X_train[index].reshape(8, 8), cmap="gray_r")
        ax.set_axis_off()
    row[0].set_title(name, fontsize=9, loc="left")
fig.tight_layout()

# %%
# Where the rows lie
# ------------------
# The eights of the training set in grey, in the plane of their first two principal
# components, and the ten rows chosen by each measure: eights in blue, others in red.
own = X_train[y_train == 8]
plane = PCA(2).fit(own)
fig, axes = plt.subplots(1, 4, figsize=(11, 3), sharex=True, sharey=True)
for ax, (name, rows) in zip(axes, chosen.items(), strict=True):
    ax.scatter(*plane.transform(own).T, c="0.8", s=8)
    colours = np.where(y_train[rows] == 8, "C0", "C3")
    ax.scatter(*plane.transform(X_train[rows]).T, c=colours)
    ax.set(title=name, xticks=[], yticks=[])
fig.tight_layout()

plt.show()
