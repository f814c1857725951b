"""
=================================================
A flipped point takes over while a network trains
=================================================

One label in the plane is wrong. Picard et al. (2022, "Leveraging influence functions
for dataset exploration and cleaning", figure 4) watch influence while a network trains:
first the rows at the boundary have it, then those around the wrong one, and in the end
the wrong one alone. When does that happen here, and does it happen at all?
"""

# %%
# A square cut in two, one label flipped
# --------------------------------------
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier

from sklinfluence.gradient import InfluenceRanker

N_ROWS = 200
SEEDS = range(3)
EPOCHS = [1, 5, 20, 100, 500, 1500]


def draw(seed):
    """Uniform rows, the sign of the first column; a row inside is given the other."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(N_ROWS, 2))
    y = (X[:, 0] > 0).astype(int)
    flipped = np.argmin(np.linalg.norm(X - [0.55, 0.0], axis=1))
    y[flipped] = 1 - y[flipped]
    return X, y, flipped


# %%
# Training, stopped and read now and then
# ---------------------------------------
# One hidden layer. Training goes on where it stood; each time the last layer is read as
# it is, ``refit_head=False``, with a little damping as it has hardly any penalty.
warnings.filterwarnings("ignore", category=ConvergenceWarning)


def over_training(X, y, seed):
    """Self-influence of every row, and the network's decision, after so many epochs."""
    network = MLPClassifier(
        (50,),
        alpha=1e-5,
        batch_size=50,
        learning_rate_init=0.01,
        n_iter_no_change=10_000,
        warm_start=True,
        random_state=seed,
    )
    done = 0
    for epochs in EPOCHS:
        network.set_params(max_iter=epochs - done).fit(X, y)
        done = epochs
        ranker = InfluenceRanker(
            FrozenEstimator(network), refit_head=False, damping=1e-5
        )
        yield ranker.fit(X, y).self_influence_, network


# %%
# Pictures
# --------
# Colour and shape are the label, the cross is the flipped row, the area is
# self-influence, and the line is where the network decides.
fig, axes = plt.subplots(2, 3, figsize=(8, 5.8), layout="constrained")
X, y, flipped = draw(0)
side = np.linspace(-1, 1, 80)
mesh = np.stack(np.meshgrid(side, side), axis=-1)
states = over_training(X, y, 0)
for ax, epochs, (weight, network) in zip(axes.flat, EPOCHS, states, strict=True):
    for label, marker in enumerate("os"):
        rows = y == label
        size = 6 + 250 * weight[rows] / weight.max()
        ax.scatter(*X[rows].T, s=size, marker=marker, alpha=0.6, lw=0)
    ax.scatter(*X[flipped], marker="x", color="k", s=60, zorder=3)
    decision = network.predict_proba(mesh.reshape(-1, 2))[:, 1].reshape(80, 80)
    ax.contour(side, side, decision, levels=[0.5], colors="k", linestyles="--")
    ax.set_title(f"epoch {epochs}", fontsize=14)
    ax.set(xticks=[], yticks=[], xlim=(-1.03, 1.03), ylim=(-1.03, 1.03))

# %%
# Who has the influence
# ---------------------
# Shares of the sum of self-influence: the flipped row, its ten nearest neighbours, the
# rows within 0.1 of the boundary. Medians over seeds, and the place of the flipped row,
# 1 for the most influential, in each of them.
shares = np.empty((len(SEEDS), len(EPOCHS), 4))
places = np.empty((len(SEEDS), len(EPOCHS)), dtype=int)
for k, seed in enumerate(SEEDS):
    X, y, flipped = draw(seed)
    neighbours = np.argsort(np.linalg.norm(X - X[flipped], axis=1))[1:11]
    boundary = np.abs(X[:, 0]) < 0.1
    for t, (weight, network) in enumerate(over_training(X, y, seed)):
        weight /= weight.sum()
        kinds = [weight[flipped], weight[neighbours].sum(), weight[boundary].sum()]
        shares[k, t] = [*kinds, network.predict(X[[flipped]])[0] == y[flipped]]
        places[k, t] = 1 + np.sum(weight > weight[flipped])

names = ["flipped row", "its ten neighbours", "near the boundary"]
print(f"{'epochs':>6s}  {'  '.join(names)}  learnt by heart  places of the flipped row")
for t, epochs in enumerate(EPOCHS):
    median = np.median(shares[:, t, :3], axis=0)
    print(
        f"{epochs:6d}  {median[0]:11.2f}  {median[1]:18.2f}  {median[2]:17.2f}  "
        f"{shares[:, t, 3].sum():6.0f} of {len(SEEDS)}     {places[:, t]}"
    )

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for kind, style in enumerate(["o-", "s--", "^:"]):
    ax.plot(EPOCHS, np.median(shares[:, :, kind], axis=0), style, label=names[kind])
ax.set(xscale="log", ylim=(0, 1), xlabel="epochs", ylabel="share of self-influence")
ax.legend(fontsize=11)

# %%
# The boundary has the influence first, as in the paper. But the flipped row need not
# wait for the network to bend around it: it leads as soon as the other rows are told
# apart, when its own loss is large. Its neighbours come last, at its expense, once the
# network learns it by heart and must tell it from them.
plt.show()
