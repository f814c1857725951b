"""
========================================
What a row is worth: six methods at once
========================================

A value says what having a row does to a score. If it is right, a model without the
rows of lowest value gets better, or at least not worse, and one without those of
highest value gets worse, both sooner than without rows drawn at random.
"""

# %%
# Rows with wrong labels among them
# ---------------------------------
# A hundred rows of scikit-learn's breast cancer set, a fifth of their labels flipped.
# The values are of a logistic regression's accuracy on other rows, which are right.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.neighbors import KNNShapleyRanker
from sklinfluence.retraining import (
    AMERanker,
    BanzhafRanker,
    DataOOBRanker,
    LeaveOneOutRanker,
    ShapleyRanker,
)

X, y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
X, X_test, y, y_test = train_test_split(X, y, train_size=200, random_state=0)
X, X_val, y, y_val = train_test_split(X, y, train_size=100, random_state=0)
y, is_flipped = flip_labels(y, 0.2, random_state=0)
model = LogisticRegression(C=0.1)

# %%
# Six methods
# -----------
# Leaving one row out moves an accuracy seldom, and a log loss always.
fits = {"max_evaluations": 600, "random_state": 0}
rankers = {
    "leave one out": LeaveOneOutRanker(model, scoring="neg_log_loss"),
    "Shapley": ShapleyRanker(model, **fits),
    "Banzhaf": BanzhafRanker(model, **fits),
    "AME": AMERanker(model, **fits),
    "Data-OOB": DataOOBRanker(random_state=0),
    "kNN Shapley": KNNShapleyRanker(),
}
values = {}
for name, ranker in rankers.items():
    # Out of bag no validation rows are needed.
    validation = {} if name == "Data-OOB" else {"X_val": X_val, "y_val": y_val}
    values[name] = ranker.fit(X, y, **validation).values_
    found = is_flipped[np.argsort(values[name])[:20]].mean()
    print(f"{name:14s} flipped among the lowest twenty: {found:.0%}")

# %%
# Without the lowest, without the highest
# ---------------------------------------
shares = np.linspace(0, 0.5, 11)


def accuracies(order):
    """Test accuracy without more and more of the first rows of an order."""
    kept = [order[round(share * len(order)) :] for share in shares]
    return [model.fit(X[rows], y[rows]).score(X_test, y_test) for rows in kept]


rng = np.random.default_rng(0)
drawn = np.mean([accuracies(rng.permutation(100)) for _ in range(5)], axis=0)
fig, axes = plt.subplots(
    2, 3, figsize=(9, 5), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, worth) in zip(axes.flat, values.items(), strict=True):
    order = np.argsort(worth, kind="stable")
    ax.plot(shares, accuracies(order), label="lowest value first")
    ax.plot(shares, accuracies(order[::-1]), "--", label="highest value first")
    ax.plot(shares, drawn, color="0.6", linestyle=":", label="at random")
    ax.set_title(name)
axes[0, 0].legend(loc="lower left", fontsize=8)
fig.supxlabel("share of rows removed")
fig.supylabel("test accuracy")
plt.show()
