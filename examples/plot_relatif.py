"""
===============================================
Relative influence: explanations, not outliers
===============================================

The rows that pull hardest on a model pull on all its predictions. Asked why one digit
was recognised, plain influence therefore tends to answer with the same few odd rows,
whatever the question. Relative influence (RelatIF) asks instead which rows move this
prediction most *for what they change about the model*.
"""

# %%
# One model, two rankings
# -----------------------
# A logistic regression on scikit-learn's digits. ``normalize="theta"`` divides the
# influence of each training row by the length of the parameter change that it causes.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sklinfluence.gradient import InfluenceRanker

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=1200, stratify=y, random_state=0
)
plain = InfluenceRanker(LogisticRegression(C=1.0)).fit(X_train, y_train)
relative = InfluenceRanker(LogisticRegression(C=1.0), normalize="theta")
relative.fit(X_train, y_train)

# %%
# Two test digits, three proponents each
# --------------------------------------
# A three and an eight: the rows without which each would be recognised less well.
asked = [np.flatnonzero(y_test == digit)[0] for digit in (3, 8)]
fig, axes = plt.subplots(2, 7, figsize=(9, 3.2), layout="constrained")
for row, query in zip(axes, asked, strict=True):
    row[0].imshow(X_test[query].reshape(8, 8), cmap="gray_r")
    row[0].set_title(f"test: {y_test[query]}", fontsize=11)
    for first, ranker, name in ((1, plain, "IF"), (4, relative, "RelatIF")):
        _, index = ranker.proponents(X_test[[query]], y_test[[query]], n=3)
        for ax, train in zip(row[first : first + 3], index[0], strict=True):
            ax.imshow(X_train[train].reshape(8, 8), cmap="gray_r")
            ax.set_title(f"{name}: {y_train[train]}", fontsize=11)
for ax in axes.ravel():
    ax.set_axis_off()

# %%
# Over all test digits
# --------------------
# How many different training rows the answers name, how alike they are to the query,
# and how hard they are themselves: the mean self-influence of the rows named, in units
# of the average row's.
for name, ranker in (("IF", plain), ("RelatIF", relative)):
    _, index = ranker.proponents(X_test, y_test, n=3)
    distance = np.linalg.norm(X_test[:, None] - X_train[index], axis=2)
    hard = plain.self_influence_[index].mean() / plain.self_influence_.mean()
    print(
        f"{name:>8}: {len(np.unique(index)):4d} rows named, distance "
        f"{distance.mean():.2f}, self-influence {hard:5.2f} times the average"
    )

plt.show()
