"""
==============================================
Where a network leans on single training rows
==============================================

Points in the plane, two classes, a boundary that is known: which rows does a small
network lean on? Picard et al. (2022, "Leveraging influence functions for dataset
exploration and cleaning", figure 1) look at such pictures and find three kinds of rows.
They lie near the boundary, where few rows were sampled, or where labels are noisy. Here
the three are counted.
"""

# %%
# Four problems
# -------------
# A straight boundary; one that turns into a sine; the same with five rows in six
# missing on its right; and the straight one again, with labels thrown by a coin in a
# band around a part of it.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neural_network import MLPClassifier

from sklinfluence.gradient import InfluenceRanker

N_ROWS = 500
SEEDS = range(4)
START = 0.3  # of the unusual stretch


def line(x):
    return np.zeros_like(x)


def line_to_sine(x):
    return np.where(x > 0, 0.5 * np.sin(2 * np.pi * x), 0.0)


def draw(boundary, seed, *, thinned=False, noisy=False):
    """Rows, labels, height above the boundary, and rows of the unusual stretch."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(N_ROWS, 2))
    if thinned:
        X = X[(X[:, 0] < START) | (rng.random(N_ROWS) < 1 / 6)]
    height = X[:, 1] - boundary(X[:, 0])
    unusual = X[:, 0] > START
    y = (height > 0).astype(int)
    if noisy:
        unusual &= np.abs(height) < 0.4
        y = np.where(unusual, rng.integers(0, 2, len(y)), y)
    return X, y, height, unusual


problems = {
    "line": {"boundary": line},
    "line to sine": {"boundary": line_to_sine},
    "under-sampled": {"boundary": line_to_sine, "thinned": True},
    "noisy band": {"boundary": line, "noisy": True},
}

# %%
# Self-influence under the last layer
# -----------------------------------
# Two hidden layers of sigmoids, as in the paper. What a row weighs is its influence on
# its own label, "Cook's distance" there, in the last layer's objective. The head is
# taken to its optimum before; the warning that it was short of it is filtered.
warnings.filterwarnings("ignore", message="The head that the estimator fitted")


def self_influence(X, y, seed):
    network = MLPClassifier(
        (16, 16),
        activation="logistic",
        solver="lbfgs",
        alpha=0.01,
        max_iter=3000,
        random_state=seed,
    )
    return InfluenceRanker(network).fit(X, y).self_influence_


# %%
# Pictures
# --------
# Colour and shape are the label, the area is self-influence, the line is the true
# boundary and the shaded part is where rows are few or labels are noisy.
grid = np.linspace(-1, 1, 200)
fig, axes = plt.subplots(2, 2, figsize=(7, 7), layout="constrained")
for ax, (name, problem) in zip(axes.flat, problems.items(), strict=True):
    X, y, _, _ = draw(**problem, seed=0)
    weight = self_influence(X, y, seed=0)
    for label, marker in enumerate("os"):
        rows = y == label
        size = 4 + 150 * weight[rows] / weight.max()
        ax.scatter(*X[rows].T, s=size, marker=marker, alpha=0.6, lw=0, label=str(label))
    boundary = problem["boundary"](grid)
    ax.plot(grid, boundary, "k--", lw=1)
    if name == "under-sampled":
        ax.axvspan(START, 1, color="0.9", zorder=0)
    if name == "noisy band":
        ax.fill_between([START, 1], -0.4, 0.4, color="0.9", zorder=0)
    ax.set_title(name, fontsize=14)
    ax.set(xticks=[], yticks=[], xlim=(-1.03, 1.03), ylim=(-1.03, 1.03))

# %%
# Counted, over seeds
# -------------------
# How many rows lie within 0.15 of the boundary, of all rows and of the twentieth with
# the largest self-influence. Then the mean self-influence of the unusual stretch (its
# rows near the boundary; all rows of the noisy band) over that of the other rows near
# the boundary, the rows of all seeds together.
table = {}
print(f"{'':14s} near the boundary: all rows  top twentieth   stretch / elsewhere")
for name, problem in problems.items():
    shares, parts = [], {"stretch": [], "elsewhere": []}
    for seed in SEEDS:
        X, y, height, unusual = draw(**problem, seed=seed)
        weight = self_influence(X, y, seed)
        weight /= weight.mean()
        near = np.abs(height) < 0.15
        top = np.argsort(-weight)[: len(weight) // 20]
        shares.append([near.mean(), near[top].mean()])
        stretch = unusual if problem.get("noisy") else near & unusual
        parts["stretch"].append(weight[stretch])
        parts["elsewhere"].append(weight[near & ~unusual])
    everywhere, among_top = np.mean(shares, axis=0)
    stretch, elsewhere = (np.concatenate(part).mean() for part in parts.values())
    table[name] = everywhere, among_top, stretch / elsewhere
    print(
        f"{name:14s} {everywhere:27.2f} {among_top:14.2f} {stretch / elsewhere:21.2f}"
    )

plt.show()
