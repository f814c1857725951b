"""
======================================
Five displays, on data that is at hand
======================================

Displays are made and used as scikit-learn's are: ``from_estimator`` asks what was
fitted, ``from_predictions`` takes numbers of one's own, and ``plot`` draws again.
:ref:`displays` says what each is for.
"""

# %%
# Rows in the plane
# -----------------
# Two columns of wine, three growers. Filled circles are proponents of the row that is
# asked about, open squares its opponents; areas say how strong.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import (
    DiagnosticsDisplay,
    InfluenceDisplay,
    NoiseDisplay,
    ProponentsDisplay,
    RemovalCurveDisplay,
)
from sklinfluence.retraining import LeaveOneOutRanker

X, y = load_wine(return_X_y=True, as_frame=True)
where = ["alcohol", "flavanoids"]
logistic = make_pipeline(StandardScaler(), LogisticRegression())
ranker = InfluenceRanker(logistic, method="newton").fit(X[where], y)
# The row that the model is least sure of.
asked = [int(np.argmin(ranker.predict_proba(X[where]).max(axis=1)))]
plane = InfluenceDisplay.from_estimator(
    ranker, X[where], X[where].iloc[asked], y.iloc[asked], columns=where
)
title = f"Wine {asked[0]}, of grower {y[asked[0]]}: who speaks for it, who against"
plane.ax_.set_title(title, fontsize="medium")
strongest = np.argsort(-np.abs(plane.influence))[:10]
print(f"labels of the ten strongest: {np.bincount(y[strongest], minlength=3)}")

# %%
# The rows themselves
# -------------------
# Table rows show what the model reads; images are made of the columns by
# ``image_shape``, or given as ``shown``. The numbers beside labels are influences.
columns = ["alcohol", "malic_acid", "flavanoids", "hue", "proline"]
table_ranker = InfluenceRanker(logistic, method="newton").fit(X[columns], y)
rows = ProponentsDisplay.from_estimator(
    table_ranker, X[columns], y, X[columns].iloc[asked], y.iloc[asked]
)

# %%
digits = load_digits()
D, D_new, t, t_new = train_test_split(digits.data / 16, digits.target, random_state=0)
digit_ranker = InfluenceRanker(LogisticRegression(C=1.0)).fit(D, t)
# A digit that is read wrongly: the opponents of its true label explain why.
wrong = np.flatnonzero(digit_ranker.predict(D_new) != t_new)[:1]
images = ProponentsDisplay.from_estimator(
    digit_ranker, D, t, D_new[wrong], t_new[wrong], kind="image", image_shape=(8, 8)
)
read_as = digit_ranker.predict(D_new[wrong])[0]
print(f"a {t_new[wrong][0]} that is read as {read_as}")

# %%
# Leverage and residual
# ---------------------
# Dashed and solid lines are of equal Cook's distance; rows with the largest bear their
# names.
S, target = load_diabetes(return_X_y=True, as_frame=True)
DiagnosticsDisplay.from_estimator(Ridge(alpha=0.01).fit(S, target), S, target)

# %%
# Which label is given for which class
# ------------------------------------
# A third of the threes are called eights. What the filter suggests stands for the
# truth; beside it, the truth.
is_three = t == 3
given, rng = t.copy(), np.random.default_rng(0)
given[rng.choice(np.flatnonzero(is_three), is_three.sum() // 3, replace=False)] = 8
label_filter = MislabelFilter(InfluenceRanker(LogisticRegression(C=0.1))).fit(D, given)
fig, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained", sharey=True)
style = {"values_format": ".1f", "text_kw": {"fontsize": "small"}}
found = NoiseDisplay.from_estimator(label_filter, given, ax=axes[0], **style)
truth = NoiseDisplay.from_predictions(t, given, ax=axes[1], **style)
axes[0].set_title("Suggested by the filter")
axes[1].set(title="In truth", ylabel="")
print(
    f"threes that are called eights: {found.transition[3, 8]:.2f}, "
    f"in truth {truth.transition[3, 8]:.2f}"
)

# %%
# The score without rows
# ----------------------
# A fifth of the labels are flipped. Without the rows of lowest value the model gets
# better; without those of highest value it gets worse.
B, b = load_breast_cancer(return_X_y=True)
B = StandardScaler().fit_transform(B)
B, B_test, b, b_test = train_test_split(B, b, train_size=300, random_state=0)
B, B_val, b, b_val = train_test_split(B, b, train_size=200, random_state=0)
b, _ = flip_labels(b, 0.2, random_state=0)
valuer = LeaveOneOutRanker(LogisticRegression(C=0.1), scoring="neg_log_loss")
valuer.fit(B, b, X_val=B_val, y_val=b_val)
shown = {"scoring": "neg_log_loss", "random_state": 0}
lowest = RemovalCurveDisplay.from_estimator(
    valuer, B, b, B_test, b_test, name="lowest value first", **shown
)
highest = RemovalCurveDisplay.from_estimator(
    valuer, B, b, B_test, b_test, order="highest", n_random=0, ax=lowest.ax_,
    name="highest value first", curve_kwargs={"marker": "s"}, **shown
)  # fmt: skip
lowest.ax_.set(title="Breast cancer", ylabel="Minus log loss on held-out rows")
print(
    f"all rows {lowest.scores[0]:.2f}, without the worst fifth {lowest.scores[3]:.2f}"
)
plt.show()
