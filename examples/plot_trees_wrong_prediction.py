"""
====================================================
The rows that made a boosted model wrong about one
====================================================

Boosted trees on a table of numbers, categories and holes. The model is sure of a
prediction, and wrong. Which rows taught it so, what do they have in common with the row
it is wrong about, and what does it say without them?
"""

# %%
# Repairs, and whether they were covered
# --------------------------------------
# Made data: repairs of appliances, covered by the guarantee or refused. What is younger
# than its brand's guarantee is covered, unless it was dropped. One workshop enters
# "refused" for most of its young washers.
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n_rows = 1500
repairs = pd.DataFrame(
    {
        "kind": rng.choice(["fridge", "oven", "washer"], n_rows),
        "brand": rng.choice(["Ada", "Bo", "Cy", "Di"], n_rows),
        "workshop": rng.choice(["hill", "lake", "mill", "park", "port"], n_rows),
        "age": rng.gamma(4.0, 0.8, n_rows).round(2),
        "cost": rng.lognormal(4.5, 0.6, n_rows).round(),
        "dropped": rng.choice(["no", "yes"], n_rows, p=[0.85, 0.15]),
    }
)
guarantee = repairs["brand"].map({"Ada": 2.0, "Bo": 3.0, "Cy": 5.0, "Di": 3.0})
is_covered = (repairs["age"] < guarantee) & (repairs["dropped"] == "no")
truth = np.where(is_covered, "covered", "refused")
is_odd = (repairs["workshop"] == "mill") & (repairs["kind"] == "washer") & is_covered
is_odd &= rng.random(n_rows) < 0.7
given = np.where(is_odd, "refused", truth)
repairs.loc[rng.random(n_rows) < 0.1, "cost"] = np.nan
words = ["kind", "brand", "workshop", "dropped"]
repairs[words] = repairs[words].astype("category")
X, y, X_test, y_test = repairs[:1200], given[:1200], repairs[1200:], truth[1200:]

# %%
# A boosted model, and a prediction that is wrong
# -----------------------------------------------
# The ensemble takes the frame as it is. ``method="removal"`` follows each training row
# out of its leaves; the structures of the trees stay.
from sklearn.ensemble import HistGradientBoostingClassifier

from sklinfluence.trees import LeafInfluenceRanker

model = HistGradientBoostingClassifier(
    categorical_features="from_dtype", max_iter=60, max_leaf_nodes=12, random_state=0
)
ranker = LeafInfluenceRanker(model, method="removal").fit(X, y)
chance = ranker.predict_proba(X_test)[range(len(X_test)), (y_test == "refused") * 1]
missed = X_test.index[[np.argmin(chance)]]
label = y_test[[np.argmin(chance)]]
print(f"repair {missed[0]} was {label[0]}; the model gave that {chance.min():.1%}")

# %%
# The rows that made it so
# ------------------------
# Opponents are the rows without which the loss of this prediction would fall most. Side
# by side with it: all are washers of the same workshop that were entered as refused.
influence, rows = ranker.opponents(X_test.loc[missed], label, n=6)
table = pd.concat(
    [
        X_test.loc[missed].assign(label=label, influence=np.nan),
        X.iloc[rows[0]].assign(label=y[rows[0]], influence=influence[0]),
    ],
    keys=["asked about", "opponent"],
)
table.round(3)

# %%
print(f"{is_odd.iloc[rows[0]].sum()} of these {rows.size} labels are wrong")
print(f"{is_odd[:1200].mean():.1%} of all training labels are")

# %%
# What does the model say without them?
# -------------------------------------
# Influence with fixed structures promises nothing about trees that are grown anew. So
# they are grown anew here, without more and more of the rows: of the strongest
# opponents, and of as many rows of the same label taken by chance.
import matplotlib.pyplot as plt
from sklearn.base import clone

order = ranker.influence(X_test.loc[missed], label)[0].argsort()
by_chance = rng.permutation(np.flatnonzero(y == "refused"))
counts = [0, 5, 10, 20, 30, 40]


def without(rows):
    kept = np.setdiff1d(np.arange(len(X)), rows)
    grown = clone(model).fit(X.iloc[kept], y[kept])
    return grown.predict_proba(X_test.loc[missed])[
        0, list(grown.classes_).index(*label)
    ]


fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
curves = {
    "strongest opponents": (order, "C3o-"),
    "by chance, same label": (by_chance, "C0s--"),
}
for name, (taken, style) in curves.items():
    ax.plot(counts, [without(taken[:n]) for n in counts], style, label=name)
ax.axhline(0.5, color="0.6", lw=0.8)
ax.set(xlabel="rows left out", ylabel="chance of the right label", ylim=(0, 1.05))
ax.legend(loc="center right")
plt.show()

# %%
# The same rows without a question
# --------------------------------
# Nobody has to find a wrong prediction first. A filter over the same ensemble looks at
# all labels; what it takes is what each row's own leaves say without the row.
from sklinfluence.filtering import MislabelFilter

small = clone(model).set_params(max_leaf_nodes=8, l2_regularization=1.0)
cleaned = MislabelFilter(LeafInfluenceRanker(small), contamination=0.03).fit(X, y)
suspects = ~cleaned.get_support()
print(f"{is_odd[:1200][suspects].sum()} of {suspects.sum()} suspects are wrong,")
print(f"of {is_odd[:1200].sum()} wrong labels in all")
