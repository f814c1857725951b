"""
==========================================
A data frame with categories, end to end
==========================================

Tables from real life have names, categories and holes, and labels that are words. None
of it needs to be turned into numbers first: a ranker takes the Pipeline that does so,
and answers in rows of the frame.
"""

# %%
# Parcels, and whether they were late
# -----------------------------------
# Made data: parcels of four depots, by three carriers, some of unknown weight. Whether
# a parcel is late depends on distance, carrier and weight. The northern depot mixes up
# a quarter of its labels.
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n_rows = 800
parcels = pd.DataFrame(
    {
        "depot": rng.choice(["north", "south", "east", "west"], n_rows),
        "carrier": rng.choice(["bike", "rail", "van"], n_rows, p=[0.2, 0.3, 0.5]),
        "distance": rng.gamma(3.0, 60.0, n_rows).round(),
        "weight": rng.lognormal(0.5, 0.8, n_rows).round(1),
    },
    index=[f"parcel {number}" for number in range(1, n_rows + 1)],
)
delay = (
    0.03 * (parcels["distance"] - 180)
    + parcels["carrier"].map({"bike": 2.5, "rail": -2.0, "van": 0.0})
    + 0.4 * parcels["weight"].clip(upper=6)
    + rng.logistic(0.0, 0.5, n_rows)
)
truth = pd.Series(np.where(delay > 1, "late", "on time"), parcels.index)
is_mixed_up = (parcels["depot"] == "north") & (rng.random(n_rows) < 0.25)
given = truth.where(~is_mixed_up, truth.map({"late": "on time", "on time": "late"}))
parcels.loc[rng.random(n_rows) < 0.05, "weight"] = np.nan

# %%
# A Pipeline that takes the frame
# -------------------------------
# Any Pipeline that ends in a linear model will do.
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

columns = make_column_transformer(
    (OneHotEncoder(drop="first"), ["depot", "carrier"]),
    (make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "weight"]),
)
model = make_pipeline(columns, LogisticRegression())

# %%
# Which labels are wrong?
# -----------------------
# The report has the frame's index, so that it joins with the frame.
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker

train, test = parcels.index[:600], parcels.index[600:]
mislabel_filter = MislabelFilter(InfluenceRanker(model))
mislabel_filter.fit(parcels.loc[train], given[train])
report = mislabel_filter.report()
parcels.join(report[["given_label", "predicted_label"]], how="right").head()

# %%
flagged = report.index[report["is_label_issue"]]
print(f"{len(flagged)} rows flagged, {is_mixed_up[flagged].sum()} of them mixed up,")
print(f"{is_mixed_up[train].sum()} rows were mixed up")

# %%
# Whose rows?
# -----------
# What made the model wrong about this parcel? Opponents are rows of the frame, too.
ranker = InfluenceRanker(model, method="newton").fit(parcels.loc[train], given[train])
missed = test[(ranker.predict(parcels.loc[test]) != truth[test])][:1]
influence, rows = ranker.opponents(parcels.loc[missed], truth[missed], n=3)
print(f"{missed[0]} is {truth[missed[0]]}; rows that speak against it:")
parcels.iloc[rows[0]].assign(label=given.iloc[rows[0]], influence=influence[0])

# %%
# A column of categories is also a set of groups. Leaving out all rows of a depot at
# once says which of them the model would be better without.
import matplotlib.pyplot as plt

depots = parcels.loc[train, "depot"]
names = np.unique(depots)
effect = ranker.group_influence(
    [np.flatnonzero(depots == name) for name in names],
    parcels.loc[test],
    truth[test],
).mean(axis=0)
share = pd.Series(train.isin(flagged), depots.to_numpy()).groupby(level=0).mean()

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.barh(names, share[names], color="C1")
left.set(xlabel="share of its rows flagged", ylabel="depot")
right.barh(names, effect, color="C0")
right.axvline(0, color="0.3", lw=0.8)
right.set(xlabel="rise in test loss without the depot", yticklabels=[])
plt.show()
