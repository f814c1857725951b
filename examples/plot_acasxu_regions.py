"""
==================================================
Collision avoidance: where a surrogate needs rows
==================================================

ACAS Xu tells a drone whether to turn away from an intruder. Small networks stand in for
its large table of decisions. Picard et al. (2022, "Leveraging influence functions for
dataset exploration and cleaning", figure 3) train one, and show experts the regions
around the rows with the largest influence. They find them at boundaries between
decisions, where rows are few, and where aircraft are fast. This example does the same
with 2 000 rows, and counts.

The rows (``acasxu_2000.npz`` beside this script) are made, not measured: inputs drawn
uniformly, the previous decision "clear of conflict" and no time left until vertical
separation is lost, labelled by the network ``ACASXU_run2a_1_1_batch_2000.nnet`` (Kyle
Julian, 2016, CC BY 4.0) that Katz et al. ("Reluplex", CAV 2017) published.
"""

# %%
# A surrogate
# -----------
# Distance and direction of the intruder, its heading, both speeds; five decisions. Four
# rows in five are trained on. Six hidden layers as in the paper, narrower for few rows.
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.gradient import InfluenceRanker

SEEDS = range(3)

here = Path(__file__).parent if "__file__" in globals() else Path()
with np.load(here / "acasxu_2000.npz") as file:
    X, y = file["X"].astype(float), file["target_names"][file["y"]]
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=0.8, stratify=y, random_state=0
)
warnings.filterwarnings("ignore", category=ConvergenceWarning)
warnings.filterwarnings("ignore", message="The head that the estimator fitted")


def surrogate(seed):
    network = MLPClassifier((32,) * 6, alpha=0.1, max_iter=200, random_state=seed)
    ranker = InfluenceRanker(make_pipeline(StandardScaler(), network))
    return ranker.fit(X_train, y_train)


rankers = [surrogate(seed) for seed in SEEDS]
scores = [ranker.score(X_test, y_test) for ranker in rankers]
print(f"accuracy {min(scores):.3f} to {max(scores):.3f}", end=", ")
print(f"always COC: {np.mean(y_test == 'COC'):.3f}")

# %%
# What the most influential rows have in common
# ---------------------------------------------
# The top twentieth by self-influence beside all rows: how many of the five nearest rows
# have another label; whether the network itself decides otherwise within a twentieth of
# each input's range; the distance to the nearest row (in standard deviations); and the
# faster of the two aircraft.
scaled = StandardScaler().fit_transform(X_train)
distances, index = NearestNeighbors(n_neighbors=5).fit(scaled).kneighbors()
mixed = np.mean(y_train[index] != y_train[:, None], axis=1)
fastest = X_train[:, 3:].max(axis=1)
rng = np.random.default_rng(0)
steps = rng.uniform(-0.05, 0.05, size=(30, 1, 5)) * np.ptp(X_train, axis=0)


def near_boundary(ranker):
    decided = ranker.predict(X_train)
    moved = [ranker.predict(X_train + step) != decided for step in steps]
    return np.any(moved, axis=0)


rows = {
    "other labels nearby": lambda _: mixed,
    "the decision changes nearby": near_boundary,
    "distance to the nearest row": lambda _: distances[:, 0],
    "the faster speed, ft/s": lambda _: fastest,
    "turns, not COC": lambda _: y_train != "COC",
}
tops = [np.argsort(-r.self_influence_)[: len(X_train) // 20] for r in rankers]
print(f"{'':28s} all rows  top twentieth (each surrogate)")
measured = {}
for name, measure in rows.items():
    values = [measure(ranker) for ranker in rankers]
    measured[name] = [
        (v.mean(), v[t].mean()) for v, t in zip(values, tops, strict=True)
    ]
    everywhere = np.mean(measured[name], axis=0)[0]
    each = "  ".join(f"{top:.2f}" for _, top in measured[name])
    print(f"{name:28s} {everywhere:8.2f}  {each}")
share = [np.sort(r.self_influence_)[::-1] for r in rankers]
held = [s[: len(s) // 20].sum() / s.sum() for s in share]
print(f"share of all self-influence that the top twentieth has: {np.mean(held):.2f}")

# %%
# Cuts through influential regions
# --------------------------------
# The three most influential rows that are not near one another. Around each, the
# intruder's distance and direction change; heading and speeds stay those of the row.
# The ground is what the surrogate decides there; the marks are the 80 training rows
# nearest to the cut, their true decisions as colours, their self-influence as area. The
# cross is the row itself.
ranker = rankers[0]
labels = np.array(["COC", "WL", "WR", "L", "R"])
colors = ["0.7", "C0", "C1", "C9", "C3"]
weight = ranker.self_influence_
chosen = []
for row in np.argsort(-weight):
    apart = np.linalg.norm(scaled[chosen] - scaled[row], axis=1)
    if np.all(apart > 2.0):
        chosen.append(row)
    if len(chosen) == 3:
        break

rho, theta = np.linspace(0, 60760, 90), np.linspace(-np.pi, np.pi, 90)
fig, axes = plt.subplots(3, 1, figsize=(6, 10.5), sharex=True, layout="constrained")
for ax, row in zip(axes, chosen, strict=True):
    cut = np.tile(X_train[row], (90, 90, 1))
    cut[..., 0], cut[..., 1] = rho[:, None], theta[None, :]
    decided = ranker.predict(cut.reshape(-1, 5)).reshape(90, 90)
    ax.pcolormesh(
        theta,
        rho / 1000,
        np.argmax(decided[..., None] == labels, axis=-1),
        cmap=ListedColormap(colors),
        vmin=0,
        vmax=4,
        alpha=0.35,
        rasterized=True,
    )
    away = np.linalg.norm(scaled[:, 2:] - scaled[row, 2:], axis=1)
    shown = np.argsort(away)[:80]
    for label, color in zip(labels, colors, strict=True):
        these = shown[y_train[shown] == label]
        ax.scatter(
            X_train[these, 1],
            X_train[these, 0] / 1000,
            s=8 + 300 * weight[these] / weight.max(),
            color=color,
            edgecolor="k",
            lw=0.4,
            label=label,
        )
    ax.plot(X_train[row, 1], X_train[row, 0] / 1000, "kx", ms=10, mew=2)
    own, other = X_train[row, 3:]
    ax.set(xlim=(-np.pi, np.pi), ylim=(0, 60.76))
    ax.set_title(f"{y_train[row]}, at {own:.0f} and {other:.0f} ft/s", fontsize=14)
    ax.set_ylabel("distance, 1000 ft", fontsize=13)
axes[-1].set_xlabel("direction of the intruder, rad", fontsize=13)
handles, names = axes[0].get_legend_handles_labels()
legend = fig.legend(handles, names, loc="outside lower center", ncols=5, fontsize=13)
for handle in legend.legend_handles:
    handle.set_sizes([50])

# %%
# Influence sits where one decision meets another, as in the paper, and nearly all of it
# in few rows. That such regions are sampled more thinly or flown faster does not show
# here: these rows are spread evenly, where the paper's table is a grid.
plt.show()
