"""
==================================================
What training does to the search for wrong labels
==================================================

Self-influence under a network's last layer finds wrong labels: under which network?
Picard et al. (2022, "Leveraging influence functions for dataset exploration and
cleaning", figures 5 and 6) compare architectures, a penalty on the head, and longer
training on CIFAR-10. The architecture matters, an l1 and l2 penalty helps, and training
for long ruins the search, they find. The same comparison on scikit-learn's digits,
small enough to be run here.
"""

# %%
# Digits, one label in twenty wrong
# ---------------------------------
import warnings

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import nn

from sklinfluence.datasets import flip_labels
from sklinfluence.gradient import InfluenceRanker

N_ROWS = 600
SEEDS = range(2)
EPOCHS = [3, 20, 100]

X, y = load_digits(return_X_y=True)


def draw(seed):
    rows = np.random.default_rng(seed).permutation(len(X))[:N_ROWS]
    noisy, wrong = flip_labels(y[rows], 0.05, random_state=seed)
    return (X[rows] / 16).astype(np.float32), noisy, wrong


# %%
# Three bodies, three penalties of the head
# -----------------------------------------
bodies = {
    "linear": lambda: nn.Identity(),
    "MLP": lambda: nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()
    ),
    "CNN": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
    ),
}
# Strengths of l1 and of l2 beside the mean loss.
penalties = {"none": (0.0, 1e-6), "l2": (0.0, 1e-2), "l1 and l2": (2e-3, 2e-3)}


def train(body, penalty, rows, labels, seed):
    """Adam; yields the embedding and the head after the epochs that are asked for."""
    torch.manual_seed(seed)
    body = bodies[body]()
    head = nn.Linear(64 if isinstance(body, nn.Identity) else 32, 10)
    inputs, targets = torch.as_tensor(rows), torch.as_tensor(labels)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2, fused=True)
    l1, l2 = penalties[penalty]
    for epoch in range(1, EPOCHS[-1] + 1):
        for batch in torch.randperm(len(rows)).split(100):
            raw, weight = head(body(inputs[batch])), head.weight
            loss = nn.functional.cross_entropy(raw, targets[batch])
            loss = loss + l1 * weight.abs().sum() + l2 / 2 * weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch in EPOCHS:
            with torch.no_grad():
                yield body(inputs).numpy(), head


# %%
# The head as scikit-learn has it
# -------------------------------
# The last layer, as it stands, is a logistic regression on what it receives; its C and
# l1_ratio state the penalty of the sum of losses. It is read without being refitted,
# with a little damping, as it may have no penalty to speak of.
warnings.filterwarnings("ignore", message="The head that the estimator fitted")


def self_influence(embedding, head, penalty, labels):
    l1, l2 = penalties[penalty]
    logistic = LogisticRegression(
        C=1 / (len(labels) * (l1 + l2)), l1_ratio=l1 / (l1 + l2), solver="saga"
    )
    logistic.coef_ = head.weight.detach().numpy().astype(float)
    logistic.intercept_ = head.bias.detach().numpy().astype(float)
    logistic.classes_ = np.arange(10)
    logistic.n_features_in_ = embedding.shape[1]
    ranker = InfluenceRanker(FrozenEstimator(logistic), refit_head=False, damping=1e-4)
    return ranker.fit(embedding.astype(float), labels).self_influence_


# %%
# How well the wrong labels are found
# -----------------------------------
configurations = [("linear", "none"), ("MLP", "none")]
configurations += [("CNN", penalty) for penalty in penalties]
configurations += [("MLP", "l2"), ("MLP", "l1 and l2")]
curves = {}
for body, penalty in configurations:
    for seed in SEEDS:
        rows, labels, wrong = draw(seed)
        states = train(body, penalty, rows, labels, seed)
        for epochs, (embedding, head) in zip(EPOCHS, states, strict=True):
            scores = self_influence(embedding, head, penalty, labels)
            curves.setdefault((body, penalty, epochs), []).append((wrong, scores))

print("body    penalty     epochs  ROC AUC (lowest, highest)  average precision")
for (body, penalty, epochs), found in curves.items():
    auc = [roc_auc_score(*pair) for pair in found]
    precision = np.mean([average_precision_score(*pair) for pair in found])
    print(
        f"{body:7s} {penalty:10s} {epochs:7d}  {np.mean(auc):7.3f} "
        f"({min(auc):.3f}, {max(auc):.3f}) {precision:18.3f}"
    )

# %%
# Pictures
# --------
# Every curve is one seed; the grey line is chance. Only the left part is shown, where
# somebody would still be looking at rows.
_, middle, last = EPOCHS
STYLES = ["-", "--", ":"]


def roc(ax, title, entries):
    for k, (name, key) in enumerate(entries.items()):
        for number, (wrong, scores) in enumerate(curves[key]):
            false, true, _ = roc_curve(wrong, scores)
            label = None if number else name
            ax.plot(false, true, STYLES[k], color=f"C{k}", label=label)
    ax.axline((0, 0), (1, 1), color="0.7", lw=1)
    ax.set(xlim=(-0.005, 0.3), ylim=(0, 1.02))
    ax.set(xlabel="share of right labels seen", ylabel="share of wrong ones found")
    ax.set_title(title, fontsize=13)
    ax.legend(loc="lower right", fontsize=11)


fig, axes = plt.subplots(2, 2, figsize=(7.6, 7), layout="constrained")
roc(axes[0, 0], f"no penalty, epoch {middle}", {b: (b, "none", middle) for b in bodies})
roc(axes[0, 1], f"CNN, epoch {last}", {p: ("CNN", p, last) for p in penalties})
roc(axes[1, 0], "CNN, no penalty", {f"epoch {e}": ("CNN", "none", e) for e in EPOCHS})
for k, penalty in enumerate(penalties):
    for body, marker in {"MLP": "s", "CNN": "o"}.items():
        mean = [
            np.mean([average_precision_score(*f) for f in curves[body, penalty, e]])
            for e in EPOCHS
        ]
        axes[1, 1].plot(
            EPOCHS,
            mean,
            STYLES[k],
            marker=marker,
            color=f"C{k}",
            label=f"{body}, {penalty}",
        )
axes[1, 1].set(xscale="log", ylim=(0, 1.02), xlabel="epochs", xticks=EPOCHS)
axes[1, 1].set(xticklabels=EPOCHS, ylabel="average precision")
axes[1, 1].minorticks_off()
axes[1, 1].legend(loc="lower right", fontsize=10)
for ax in axes.flat:
    ax.xaxis.label.set_size(12)
    ax.yaxis.label.set_size(12)

# %%
# How long the network was trained matters most, in either direction: too short, and it
# knows no digit yet; too long, and it has learnt wrong labels by heart. The linear
# model, which cannot, goes on improving. Architectures differ less than that once they
# have learnt, and what a penalty of the head does is not the same for both networks.
plt.show()
