"""
=======================================================
Proponents and opponents, by every method that has them
=======================================================

A network reads a digit wrongly. Which training rows spoke for the right answer, and
which against it? Influenciae (Picard et al., 2023, figures 1 and 3) shows the answers
of its methods for images; here eleven methods of this package answer for the same
network and the same digit, and then for every digit that it gets wrong.
"""

# %%
# A small network that makes mistakes
# -----------------------------------
# Trained by plain SGD with weight decay, its parameters recorded every few epochs for
# TracIn.
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier

from sklinfluence.deep import CheckpointRecorder, DeepInfluenceRanker, TracInRanker
from sklinfluence.gradient import InfluenceRanker, RepresenterRanker

N_TRAIN = 600

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    (X / 16).astype(np.float32), y, train_size=N_TRAIN, stratify=y, random_state=0
)
torch.manual_seed(0)
net = NeuralNetClassifier(
    torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    ),
    criterion=torch.nn.CrossEntropyLoss,
    lr=0.1,
    optimizer__weight_decay=1e-3,
    max_epochs=40,
    batch_size=20,
    train_split=None,
    verbose=0,
    callbacks=[CheckpointRecorder(every=5)],
).fit(X_train, y_train)

# %%
# Eleven ways to ask it
# ---------------------
# Most look at the last layer alone, taken to its optimum first (the warning that it was
# short of it is filtered); the last three look at all parameters.
warnings.filterwarnings("ignore", message="The head that the estimator fitted")
trained = FrozenEstimator(net)
methods = {
    "IF": InfluenceRanker(trained),
    "IF, Newton step": InfluenceRanker(trained, method="newton"),
    "IF, Arnoldi": InfluenceRanker(trained, solver="arnoldi", random_state=0),
    "RelatIF": InfluenceRanker(trained, normalize="theta"),
    "Grad-Dot": InfluenceRanker(trained, method="grad_dot"),
    "Grad-Cos": InfluenceRanker(trained, method="grad_dot", normalize="cosine"),
    "RPS-L2": RepresenterRanker(trained),
    "RPS-LJE": RepresenterRanker(trained, method="lje"),
    "TracInCP, all": TracInRanker(trained),
    "IF, all": DeepInfluenceRanker(trained, solver="ekfac", damping=1e-3),
    "Grad-Dot, all": DeepInfluenceRanker(trained, method="grad_dot"),
}
wrong = np.flatnonzero(net.predict(X_test) != y_test)
queries, labels, predicted = X_test[wrong], y_test[wrong], net.predict(X_test[wrong])
influence = {
    name: ranker.fit(X_train, y_train).influence(queries, labels)
    for name, ranker in methods.items()
}
print(f"{len(wrong)} of {len(X_test)} test digits are read wrongly")

# %%
# One digit
# ---------
# The wrong prediction with the highest loss for the true label. Proponents (left) lower
# the loss of its true label, opponents (right) raise it; over each image is its label.
worst = np.argmax(net.predict_proba(queries)[np.arange(len(wrong)), predicted])
fig, axes = plt.subplots(
    len(methods) + 1,
    7,
    figsize=(6.4, 12.5),
    width_ratios=[1, 1, 1, 0.4, 1, 1, 1],
    layout="constrained",
)
for ax in axes.flat:
    ax.set_axis_off()
query = queries[worst].reshape(8, 8)
axes[0, 0].imshow(query, cmap="gray_r")
said = f"is {labels[worst]}, read as {predicted[worst]}"
title = axes[0, 1].text(0, 0.5, said, fontsize=15, va="center")
title.set_in_layout(False)
for row, (name, values) in zip(axes[1:], influence.items(), strict=True):
    order = np.argsort(-values[worst], kind="stable")
    shown = [*row[:3], *row[4:]]
    for ax, train in zip(shown, [*order[:3], *order[:-4:-1]], strict=True):
        ax.imshow(X_train[train].reshape(8, 8), cmap="gray_r")
        ax.set_title(f"{y_train[train]}", fontsize=13, pad=2)
    row[0].text(-1.5, 3.5, name, ha="right", va="center", fontsize=14)
for column, word in {1: "proponents", 5: "opponents"}.items():
    ax = axes[1, column]
    ax.set_title(f"{word}\n{ax.get_title()}", fontsize=13, pad=2)

# %%
# Over all wrong predictions
# --------------------------
# Of each query's three proponents: how many have its true label. Of its three
# opponents: how many have the label that was predicted. How many different rows are
# named at all. And how many of the ten strongest proponents are those of the influence
# function.


def strongest(values, n):
    return np.argsort(-values, axis=1, kind="stable")[:, :n]


def shared(first, second, n=10):
    """Mean share of the n strongest proponents that two methods have in common."""
    pairs = zip(strongest(first, n), strongest(second, n), strict=True)
    return np.mean([len(np.intersect1d(*pair)) / n for pair in pairs])


print(f"{'':16s} true label  predicted label  rows named  shared with IF")
for name, values in influence.items():
    for_it, against = strongest(values, 3), strongest(-values, 3)
    print(
        f"{name:16s} {np.mean(y_train[for_it] == labels[:, None]):10.2f} "
        f"{np.mean(y_train[against] == predicted[:, None]):16.2f} "
        f"{len(np.unique(for_it)):11d} {shared(influence['IF'], values):15.2f}"
    )

# %%
# Asked about the label that was predicted instead, the two sides change places.
turned = strongest(methods["IF"].influence(queries, predicted), 3)
share = np.mean(y_train[turned] == predicted[:, None])
print(f"IF, proponents of the predicted label that have it: {share:.2f}")

# %%
# Who agrees with whom
# --------------------
# Shares of the ten strongest proponents that two methods have in common.
names = list(influence)
agreement = np.array(
    [[shared(influence[a], influence[b]) for b in names] for a in names]
)
figure, ax = plt.subplots(figsize=(7.4, 6.6), layout="constrained")
ax.imshow(agreement, cmap="Greys", vmin=0, vmax=1)
for (i, j), value in np.ndenumerate(agreement):
    color = "w" if value > 0.55 else "k"
    ax.text(j, i, f"{value:.1f}", ha="center", va="center", color=color, fontsize=12)
ax.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=13)
ax.set_yticks(range(len(names)), names, fontsize=13)
plt.show()
