"""
=======================================================
The loss without the rows that IF and RelatIF point to
=======================================================

Plain influence names the rows without which a query's loss rises most, relative
influence those that matter to it in particular; what they look like is another example
(:ref:`sphx_glr_auto_examples_plot_relatif.py`). A thesis that compares the two
(Balkytė, 2022, table 1) takes the most influential row of each of 1 000 test digits
out, trains again, and finds a slightly higher loss without the rows of plain influence
than without those of RelatIF. Here the same is done for each row alone, for all at
once, and for as many rows of each.
"""

# %%
# A logistic regression, three ways to name rows
# ----------------------------------------------
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sklinfluence.gradient import InfluenceRanker

N_TRAIN = 500
N_TEST = 200
SEEDS = range(3)
KINDS = {"IF": None, "theta-RelatIF": "theta", "l-RelatIF": "loss"}

X, y = load_digits(return_X_y=True)
X = X / 16


# Every fit starts from the last, which is near.
model = LogisticRegression(C=1.0, max_iter=1000, tol=1e-5, warm_start=True)


def losses(rows, queries):
    """Loss of each query by the model that is trained on these rows."""
    raw = model.fit(X[rows], y[rows]).predict_log_proba(X[queries])
    return -raw[np.arange(len(queries)), y[queries]]


# %%
# Take out, train again
# ---------------------
# "its own row": every query's loss without the one row that is named for it, a refit
# for each row that is named. "all rows": the loss of all queries without any of the
# rows named. RelatIF names more rows in all, so "as many" takes the same number from
# each, those that are named for most queries. Random rows are the yardstick. "named in"
# is processor time, the ranker's fit and the search for proponents.
measured = {name: [] for name in [*KINDS, "random"]}
for seed in SEEDS:
    train, test = train_test_split(
        np.arange(len(X)), train_size=N_TRAIN, test_size=N_TEST, random_state=seed
    )
    base = losses(train, test)
    refitted, named, seconds = {}, {}, {"random": 0.0}
    for name, normalize in KINDS.items():
        start = time.process_time()
        ranker = InfluenceRanker(LogisticRegression(C=1.0), normalize=normalize)
        ranker.fit(X[train], y[train])
        named[name] = ranker.proponents(X[test], y[test], n=1)[1][:, 0]
        seconds[name] = time.process_time() - start
    named["random"] = np.random.default_rng(seed).integers(0, N_TRAIN, N_TEST)
    fewest = min(len(np.unique(rows)) for rows in named.values())
    for name, rows in named.items():
        unique, counts = np.unique(rows, return_counts=True)
        for row in unique:
            if row not in refitted:
                refitted[row] = losses(np.delete(train, row), test)
        own = np.mean([refitted[r][q] - base[q] for q, r in enumerate(rows)])
        everything = losses(np.delete(train, unique), test).mean()
        first = unique[np.argsort(-counts, kind="stable")[:fewest]]
        as_many = losses(np.delete(train, first), test).mean()
        found = [len(unique), own, everything, as_many, base.mean(), seconds[name]]
        measured[name].append(found)

table = {name: np.array(rows) for name, rows in measured.items()}
print(f"loss of all {N_TRAIN} rows: {table['IF'][:, 4].mean():.4f} nats")
print("without               rows  its own row   all rows   as many  named in")
for name, rows in table.items():
    n, own, everything, as_many, base, took = rows.mean(axis=0)
    print(
        f"{name:18s} {n:7.0f} {own:12.4f} {everything - base:+10.4f} "
        f"{as_many - base:+9.4f} {took:7.2f} s"
    )
for column, what in enumerate(["its own row", "all rows", "as many"], start=1):
    more = np.sum(table["IF"][:, column] > table["theta-RelatIF"][:, column])
    print(f"IF above theta-RelatIF, {what}: {more} of {len(SEEDS)} splits")

# %%
# Picture
# -------
# One point is one split.
fig, axes = plt.subplots(1, 3, figsize=(8.4, 4.2), sharey=True, layout="constrained")
for column, ax in enumerate(axes, start=1):
    for place, rows in enumerate(table.values()):
        rise = rows[:, column] - (rows[:, 4] if column > 1 else 0)
        ax.plot(rise, np.full(len(rise), place), "o", color="C0", alpha=0.5)
        ax.plot(rise.mean(), place, "k|", ms=22, mew=2)
    ax.axvline(0, color="0.7", lw=1)
    ax.set_title(
        ["each without its own", "without all rows", "as many rows"][column - 1]
    )
    ax.title.set_size(14)
    ax.set_xlabel("rise of the loss, nats", fontsize=14)
    ax.margins(y=0.12)
    ax.locator_params(axis="x", nbins=4)
axes[0].set_yticks(range(len(table)), list(table), fontsize=14)
axes[0].invert_yaxis()

# %%
# For its own query a row named by plain influence matters more: that is what influence
# estimates. RelatIF's answers differ more from query to query, so that without all of
# them more rows are gone, and the loss of all rises more; of as many rows, influence's
# are again a little dearer.
plt.show()
