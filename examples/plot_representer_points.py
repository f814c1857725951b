"""
============================================
Representer points: a prediction taken apart
============================================

With an l2 penalty, the weights of a linear classifier are a weighted sum of its
training rows. So is every decision: each training row adds its representer value times
its inner product with the query.
"""

# %%
# The sum
# -------
# Terms of all training rows add up to the decision function less the intercept, for
# every class.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sklinfluence.gradient import InfluenceRanker, RepresenterRanker

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=1000, stratify=y, random_state=0
)
model = LogisticRegression(C=0.1, solver="newton-cholesky", tol=1e-10)
ranker = RepresenterRanker(model).fit(X_train, y_train)
terms = ranker.contributions(X_test[:50])
decision = ranker.decision_function(X_test[:50]) - ranker.estimator_.intercept_
print(f"largest gap: {np.abs(terms.sum(axis=1) - decision).max():.1e}")

# %%
# Excitatory and inhibitory rows
# ------------------------------
# For a digit that the model gets wrong: the rows that raise the decision for the class
# predicted most, and those that lower it most.
wrong = np.flatnonzero(ranker.predict(X_test) != y_test)[0]
predicted = ranker.predict(X_test[[wrong]])
_, raising = ranker.proponents(X_test[[wrong]], predicted, n=4)
_, lowering = ranker.opponents(X_test[[wrong]], predicted, n=4)

fig, axes = plt.subplots(2, 5, figsize=(7.5, 3.6), layout="constrained")
axes[0, 0].imshow(X_test[wrong].reshape(8, 8), cmap="gray_r")
axes[0, 0].set_title(f"{y_test[wrong]} taken for {predicted[0]}")
for row, index, name in ((0, raising, "raises"), (1, lowering, "lowers")):
    for ax, train in zip(axes[row, 1:], index[0], strict=True):
        ax.imshow(X_train[train].reshape(8, 8), cmap="gray_r")
        ax.set_title(f"a {y_train[train]} {name}")
for ax in axes.ravel():
    ax.set_axis_off()

# %%
# Terms of a sum are not effects of removal
# -----------------------------------------
# A row's term counts it as it stands, influence asks what the others would make of its
# absence. And representer values are residuals: queries of one class share most of
# their strongest rows, which the local Jacobian expansion (``method="lje"``) loosens.
influence = InfluenceRanker(model, method="newton").fit(X_train, y_train)
expansion = RepresenterRanker(model, method="lje").fit(X_train, y_train)
for name, other in (
    ("influence", influence),
    ("l2 representers", ranker),
    ("lje representers", expansion),
):
    _, index = other.proponents(X_test, n=5)
    print(f"{name:>16}: {len(np.unique(index))} different rows for all test digits")

fig, ax = plt.subplots(figsize=(4.5, 3.6))
query = X_test[[wrong]]
ax.plot(
    ranker.influence(query, predicted)[0],
    influence.influence(query, predicted)[0],
    "o",
    ms=3,
    alpha=0.5,
)
ax.set(xlabel="term in the decision", ylabel="rise in loss without the row")
fig.tight_layout()

plt.show()
