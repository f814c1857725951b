"""
==============================
Which of my labels are wrong?
==============================

A table of rows, a column of labels, and the suspicion that some are wrong: nothing else
is needed. :class:`~sklinfluence.filtering.MislabelFilter` without any settings asks
three models of its own, a linear one, a curved one and a forest, what each label should
be. None has seen the row it is asked about.
"""

# %%
# Labels with a pattern of errors
# -------------------------------
# Wrong labels are seldom thrown by dice: one kind is taken for another. Here a fifth
# of the digits are called by the digit that follows.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import MislabelFilter
from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import DetectionCurveDisplay

X, y = load_digits(return_X_y=True)
y_noisy, is_flipped = flip_labels(y, 0.2, kind="class", random_state=0)
mislabel_filter = MislabelFilter(random_state=0).fit(X, y_noisy)

# %%
# The table of findings
# ---------------------
# The worst rows come first. ``label_quality`` is the probability that the given label
# is the true one, by models without the row; ``predicted_label`` is theirs.

mislabel_filter.report().head(8)

# %%
# The default also learns *how* labels go wrong, and so knows what a wrong label stands
# for: ``suggested_labels_`` corrects the rows that are in doubt.

flagged = ~mislabel_filter.get_support()
corrected = mislabel_filter.suggested_labels_
print(f"flagged {flagged.sum()} rows, {is_flipped[flagged].sum()} of them flipped;")
print(f"{is_flipped.sum()} labels were flipped")
print(f"right labels: {np.mean(y_noisy == y):.3f} before", end=", ")
print(f"{np.mean(corrected == y):.3f} after")

# %%
# What knowing the pattern is worth
# ---------------------------------
# Inspect rows in the order of ``scores_``: how soon are all wrong ones found? The plain
# leave-one-out loss of one logistic regression, ``label_score="loo_loss"``, is taken
# in by errors that have a pattern: where a fifth of the threes are called four, it
# learns that threes are fours now and then.

_, ax = plt.subplots(layout="constrained")
logistic = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000))
plain = MislabelFilter(
    InfluenceRanker(logistic), label_score="loo_loss", contamination=0.2
).fit(X, y_noisy)
for name, fitted in {"default": mislabel_filter, "loo_loss": plain}.items():
    is_last = fitted is plain
    DetectionCurveDisplay.from_estimator(
        fitted,
        is_flipped,
        name=name,
        ax=ax,
        plot_chance_level=is_last,
        plot_ideal=is_last,
    )
    precision = average_precision_score(is_flipped, fitted.scores_)
    print(f"{name}: average precision {precision:.3f}")

# %%
# And the labels as they came?
# ----------------------------
# Nobody flipped anything here. A few rows of the original set are flagged all the same:
# models that never saw them are sure of another digit. Look before you drop.

original = MislabelFilter(random_state=0).fit(X, y)
report = original.report()
issues = report[report["is_label_issue"]]
print(f"{len(issues)} of {len(y)} original labels are flagged")
fig, axes = plt.subplots(1, 4, figsize=(8, 2.4), layout="constrained")
for ax, row in zip(axes, issues.index, strict=False):
    given, predicted = issues.loc[row, ["given_label", "predicted_label"]]
    ax.imshow(X[row].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"given {given}, predicted {predicted}")
for ax in axes:
    ax.set_axis_off()
plt.show()
