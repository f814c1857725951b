"""
=====================================================
Mislabelled digits, found and kept from the next step
=====================================================

A tenth of the digits get a wrong label. :class:`~sklinfluence.filtering.MislabelFilter`
scores every row by how badly its label agrees with a model that never saw the row. It
is given that model here, as a ranker; and as a step of a Pipeline it puts a kept row of
the same label in the place of every flagged one.
"""

# %%
# A tenth of the labels go wrong
# ------------------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
y_noisy, flipped = flip_labels(y, 0.1, random_state=0)

# %%
# Which rows look wrong?
# ----------------------
# ``report`` lists them, the worst first. The label quality is the probability that the
# row's label is right, by the model without the row; the order is that of ``scores_``,
# which know besides how often one digit is called another.

ranker = InfluenceRanker(make_pipeline(MinMaxScaler(), LogisticRegression(C=0.1)))
mislabel_filter = MislabelFilter(ranker, random_state=0).fit(X, y_noisy)
mislabel_filter.report().head()

# %%
# The eight worst rows, with the given label and the one suggested instead:

worst = mislabel_filter.report().index[:8]
fig, axes = plt.subplots(2, 4, figsize=(7, 4), layout="constrained")
for row, ax in zip(worst, axes.ravel(), strict=True):
    ax.imshow(X[row].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y_noisy[row]} → {mislabel_filter.suggested_labels_[row]}")
    ax.set_axis_off()

# %%
# How many of those flagged were flipped, and how many of those flipped are flagged:

flagged = ~mislabel_filter.get_support()
print(
    f"precision {np.mean(flipped[flagged]):.2f}, recall {flagged[flipped].mean():.2f}"
)

# %%
# In the middle of a Pipeline
# ---------------------------
# ``fit_transform`` differs from ``transform`` here, and must: training rows that look
# wrong are replaced, new rows pass untouched. The label that goes with each row stays
# right, since a flagged row's place is taken by a row of the same given label.

X_filtered = mislabel_filter.fit_transform(X, y_noisy)
changed = np.any(X_filtered != X, axis=1)
print(f"rows replaced in training: {changed.sum()}, flagged: {flagged.sum()}")
print("labels kept:", np.all(y_noisy[mislabel_filter.sample_indices_] == y_noisy))
print("new rows untouched:", np.all(mislabel_filter.transform(X_test) == X_test))
plt.show()
