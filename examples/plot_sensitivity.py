"""
=====================================================
Other seed, other order, other batches: same answers?
=====================================================

K and Søgaard ("Revisiting methods for finding influential examples", 2022, table 1)
train a network again from another initial state, in another order, or in batches of
another size, one at a time, and compare what methods say of the same rows. Influence
functions and leaving one out come out least stable. The three are told apart here on
two digits; what means over several networks do for stability, retraining proper and
poisoned rows are in the guide (:ref:`expected_influence`).
"""

# %%
# A network that can be trained again in parts
# --------------------------------------------
# One seed draws the initial parameters, ``order_state`` the order of the batches.
# TracIn trains; the others look at the network that it trained.
import warnings
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier

from sklinfluence.deep import DeepInfluenceRanker, HydraRanker, TracInRanker
from sklinfluence.gradient import RepresenterRanker
from sklinfluence.metrics import stability

N_TRAIN = 100
N_TEST = 50
N_EPOCHS = 15
STATES = {
    "initial state": [{}, {"seed": 1}, {"seed": 2}],
    "order": [{}, {"order": 1}, {"order": 2}],
    "batch size": [{}, {"batch_size": 5}, {"batch_size": 20}],
}

X, y = load_digits(n_class=2, return_X_y=True)
X, queries, y, labels = train_test_split(
    (X / 16).astype(np.float32),
    y,
    train_size=N_TRAIN,
    test_size=N_TEST,
    stratify=y,
    random_state=0,
)
warnings.filterwarnings("ignore", message="The head that the estimator fitted")


def influences(seed=0, order=0, batch_size=10):
    """What every method says, of one network."""
    # A module that is made already has its parameters: they are drawn here.
    torch.manual_seed(seed)
    net = NeuralNetClassifier(
        torch.nn.Sequential(
            torch.nn.Linear(64, 12), torch.nn.ReLU(), torch.nn.Linear(12, 2)
        ),
        criterion=torch.nn.CrossEntropyLoss,
        lr=0.1,
        optimizer__weight_decay=0.01,
        iterator_train__shuffle=True,
        batch_size=batch_size,
        max_epochs=N_EPOCHS,
        train_split=None,
        verbose=0,
    )
    states = {"random_state": seed, "order_state": order}
    path = TracInRanker(net, **states).fit(X, y)
    trained = FrozenEstimator(path.estimator_)
    rankers = {
        "left out, unrolled": HydraRanker(net, hessian=True, **states),
        "influence function": DeepInfluenceRanker(
            trained, solver="cholesky", damping=0.01
        ),
        "TracInCP": path,
        "RPS": RepresenterRanker(trained),
        "Grad-Dot": DeepInfluenceRanker(trained, method="grad_dot"),
        "Grad-Cos": DeepInfluenceRanker(trained, method="grad_dot", normalize="cosine"),
    }
    return {
        name: ranker.fit(X, y).influence(queries, labels)
        for name, ranker in rankers.items()
    }


# %%
# Agreement of two networks
# -------------------------
# Spearman's correlation and the overlap of the top tenth, means over queries and over
# pairs of networks that differ in one thing; and the paper's Spearman on MNIST 0/1.
# "left out, unrolled" is the derivative of training in the same batches by a row's
# weight; the paper leaves rows out and trains again.
PAPER = {  # in the order of the methods
    "initial state": [0.037, 0.014, 0.830, 0.906, 0.664, 0.867],
    "order": [0.046, 0.066, 0.954, 0.982, 0.774, 0.956],
    "batch size": [0.116, 0.010, 0.938, 0.980, 0.704, 0.951],
}
base = influences()
table = {}
print(f"{'':14s} {'':20s} Spearman (pairs)  overlap  paper")
for factor, states in STATES.items():
    networks = [influences(**state) if state else base for state in states]
    for name, paper in zip(base, PAPER[factor], strict=True):
        found = [stability(a[name], b[name]) for a, b in combinations(networks, 2)]
        rho = [agreement["spearman"] for agreement in found]
        overlap = np.mean([agreement["overlap"] for agreement in found])
        table[factor, name] = np.mean(rho), paper
        print(
            f"{factor:14s} {name:20s} {np.mean(rho):5.2f} "
            f"({min(rho):.2f} .. {max(rho):.2f}) {overlap:7.2f} {paper:6.2f}"
        )

# %%
# Picture
# -------
# Filled: here. Open: the paper's figure.
fig, axes = plt.subplots(
    1, len(STATES), figsize=(8.4, 3.8), sharey=True, squeeze=False, layout="constrained"
)
for ax, factor in zip(axes[0], STATES, strict=True):
    for place, name in enumerate(base):
        here, paper = table[factor, name]
        ax.plot([here, paper], [place, place], color="0.8", zorder=0)
        ax.plot(here, place, "o", color="C0", ms=9)
        ax.plot(paper, place, "o", color="C0", ms=9, mfc="w")
    ax.set_title(factor, fontsize=15)
    ax.set(xlim=(-0.05, 1.05), xticks=[0, 0.5, 1])
    ax.tick_params(labelsize=13)
fig.supxlabel("Spearman's correlation of two networks", fontsize=14)
axes[0, 0].set_yticks(range(len(base)), list(base), fontsize=14)
axes[0, 0].invert_yaxis()
plt.show()
