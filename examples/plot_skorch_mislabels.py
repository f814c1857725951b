"""
=================================
Wrong labels, seen by a small CNN
=================================

A linear model on pixels takes an oddly written digit for a wrong label. Does a network
that has learnt the shapes know better? This example flips labels of scikit-learn's
digits, trains a small convolutional network on them, and lets the same scores look at
pixels and at what the network's last layer receives.
"""

# %%
# Digits with one label in ten wrong
# ----------------------------------
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from sklinfluence.datasets import flip_labels

digits = load_digits()
images = (digits.images[:, None] / 16).astype(np.float32)
pixels = images.reshape(len(images), -1)
labels, wrong = flip_labels(digits.target, 0.1, random_state=0)


# %%
# A small network, through skorch
# -------------------------------
# Weight decay is the penalty of the last layer's objective; ``train_split=None`` trains
# on every row. Dropout keeps the network from learning the wrong labels by heart.
class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 32),
            nn.ReLU(),
            nn.Dropout(0.3),
        )
        self.classifier = nn.Linear(32, 10)

    def forward(self, X):
        return self.classifier(self.features(X))


from skorch import NeuralNetClassifier

torch.manual_seed(0)
net = NeuralNetClassifier(
    SmallCNN,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    optimizer__weight_decay=1e-3,
    lr=3e-3,
    max_epochs=10,
    batch_size=64,
    train_split=None,
    verbose=0,
).fit(images, labels)

# %%
# The same ranker, on pixels and on the network
# ---------------------------------------------
# A fitted net is passed frozen: it is used as it is and not changed. Its head is
# refitted to its optimum over the embeddings, which tells by how much it was short of
# it; that is the warning filtered here.
import warnings

from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from sklinfluence.gradient import InfluenceRanker

warnings.filterwarnings("ignore", message="The head that the estimator fitted")
on_pixels = InfluenceRanker(LogisticRegression(C=0.1)).fit(pixels, labels)
on_network = InfluenceRanker(FrozenEstimator(net)).fit(images, labels)

found = {}
for name, ranker in {"pixels": on_pixels, "network": on_network}.items():
    for score in ("self_influence", "loo_loss"):
        scores = ranker.label_scores(score)
        found[name, score] = np.cumsum(wrong[np.argsort(-scores)])
        precision = average_precision_score(wrong, scores)
        print(f"{name:8s} {score:15s} average precision {precision:.3f}")

# %%
# How many rows must be looked at
# -------------------------------
# All four begin with rows that are wrong indeed. What tells them apart is how long the
# last wrong labels stay hidden.
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for (name, score), count in found.items():
    axes.step(
        np.arange(1, len(count) + 1),
        wrong.sum() - count,
        where="post",
        color="C0" if name == "network" else "C1",
        linestyle="-" if score == "loo_loss" else ":",
        label=f"{name}, {score}",
    )
axes.axvline(wrong.sum(), color="0.7", lw=1, zorder=0)
axes.annotate(" as many rows as errors", (wrong.sum(), 50), color="0.4")
axes.set(
    xlim=(120, 360),
    ylim=(0.8, 70),
    yscale="log",
    yticks=[1, 2, 5, 10, 20, 50],
    yticklabels=[1, 2, 5, 10, 20, 50],
    xlabel="rows inspected, the most suspicious first",
    ylabel="wrong labels still hidden",
)
axes.minorticks_off()
axes.legend()

# %%
# The worst of all, as the network has it
# ---------------------------------------
worst = np.argsort(-on_network.label_scores("loo_loss"))[:10]
predicted = on_network.loo_proba_[worst].argmax(axis=1)
figure, many = plt.subplots(2, 5, figsize=(8, 3.6), layout="constrained")
for axes, row, other in zip(many.flat, worst, predicted, strict=True):
    axes.imshow(digits.images[row], cmap="gray_r")
    axes.set_title(f"given {labels[row]}, rather {other}", fontsize=10)
    axes.set_axis_off()
plt.show()
