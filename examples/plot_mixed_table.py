"""
========================================================
A table as it comes: numbers, names, dates, texts, holes
========================================================

The filter reads a data frame as it is, judges the labels by models of its own or by the
boosting model that is to be trained, and says how sure it is. The same goes for real
targets.
"""

# %%
# Second-hand bicycles
# --------------------
# Made data. A bicycle sells within a week or not, by its price against what it is
# worth, which its make, age and the words of the advertisement tell. Some prices are
# missing. A tenth of the labels is wrong.
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n_rows = 600
makes = {"Adler": 600.0, "Brix": 500.0, "Corvo": 400.0, "Dorn": 300.0}
states = {"like new": 1.3, "well kept": 1.1, "used daily": 0.9, "needs repair": 0.7}
make = rng.choice(list(makes), n_rows)
state = rng.choice(list(states), n_rows)
age = rng.integers(0, 10, n_rows)
worth = np.array([makes[m] * states[s] for m, s in zip(make, state, strict=True)])
worth *= 0.95**age
price = (worth * rng.lognormal(0.0, 0.5, n_rows)).round()
bicycles = pd.DataFrame(
    {
        "make": pd.Categorical(make),
        "bought": pd.Timestamp("2024-06-01") - pd.to_timedelta(365 * age, "D"),
        "text": [f"{s}, {rng.choice(['city', 'touring'])} bicycle" for s in state],
        "lights": rng.random(n_rows) < 0.7,
        "price": np.where(rng.random(n_rows) < 0.05, np.nan, price),
    },
    index=[f"bicycle {number}" for number in range(1, n_rows + 1)],
)
is_cheap = price < worth * rng.lognormal(0.0, 0.1, n_rows)
truth = np.where(is_cheap, "sold", "left")
is_wrong = rng.random(n_rows) < 0.1
given = np.where(is_wrong, np.where(is_cheap, "left", "sold"), truth)
bicycles.head()

# %%
# Which labels are wrong?
# -----------------------
# The frame goes in as it is; categories, dates and texts are encoded by skrub.
from sklinfluence.filtering import MislabelFilter

mislabel_filter = MislabelFilter(random_state=0).fit(bicycles, given)
print(mislabel_filter.summary())
mislabel_filter.report().head()

# %%
# By the model that is to be trained
# ----------------------------------
# Any classifier can judge. A boosting model has no leave-one-out answers: each row is
# predicted by clones that were fitted without its fold. Here text and dates are left to
# a Pipeline, which is cross-fitted whole.
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from skrub import TableVectorizer

boosting = make_pipeline(
    TableVectorizer(), HistGradientBoostingClassifier(max_iter=30, random_state=0)
)
by_boosting = MislabelFilter(boosting, random_state=0).fit(bicycles, given)
print(by_boosting.evidence_)

# %%
# What an inspection finds
# ------------------------
# The wrong labels are known here, so that the orders can be compared, with that of a
# boosting model which has seen the labels it judges.
import matplotlib.pyplot as plt

from sklinfluence.inspection import DetectionCurveDisplay

fitted = boosting.fit(bicycles, given)
seen = fitted.predict_proba(bicycles)[np.arange(n_rows), (given == "sold").astype(int)]
fig, ax = plt.subplots(figsize=(5, 4), layout="constrained")
orders = {
    "default": mislabel_filter.scores_,
    "boosting, cross-fitted": by_boosting.scores_,
    "boosting on rows it has seen": -seen,
}
for name, scores in orders.items():
    is_last = name == list(orders)[-1]
    DetectionCurveDisplay.from_predictions(
        is_wrong,
        scores,
        name=name,
        ax=ax,
        plot_chance_level=is_last,
        plot_ideal=is_last,
    )
plt.show()

# %%
# Prices in the wrong unit
# ------------------------
# Now the logarithms of the prices are the targets. Three of a hundred are written in
# cents. The law of honest residuals is fitted, tails included, and what lies outside
# it is flagged.
known = bicycles["price"].notna().to_numpy()
columns = bicycles.loc[known].drop(columns="price")
log_price = np.log(bicycles.loc[known, "price"].to_numpy())
in_cents = rng.random(known.sum()) < 0.03
log_price[in_cents] += np.log(100)
prices = MislabelFilter(random_state=0).fit(columns, log_price)
flagged = ~prices.get_support()
print(prices.summary())
print(f"{in_cents[flagged].sum()} of {in_cents.sum()} prices in cents are flagged")
