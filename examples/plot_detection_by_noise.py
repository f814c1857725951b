"""
=====================================
Which label errors are hard to find?
=====================================

A detector that finds errors planted by a coin says little about errors that people
make. This example plants the same number of wrong labels in three ways and lets one
filter look for them.
"""

# %%
# Three ways to be wrong
# ----------------------
# :func:`~sklinfluence.datasets.flip_labels` flips a tenth of the labels of
# scikit-learn's digits: any row to any digit, every digit to the one that follows, or
# preferably those rows that already look like another digit.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sklinfluence.datasets import flip_labels

X, y = load_digits(return_X_y=True)
planted = {
    "uniform": flip_labels(y, 0.1, kind="uniform", random_state=0),
    "class": flip_labels(y, 0.1, kind="class", random_state=0),
    "instance": flip_labels(y, 0.1, kind="instance", X=X, random_state=0),
}

# %%
# One filter
# ----------
# The filter sees the labels as given and nothing of the truth. Its ``scores_`` order
# the rows, the likeliest errors first.
from sklinfluence.filtering import MislabelFilter

fitted = {
    kind: MislabelFilter(random_state=0).fit(X, y_noisy)
    for kind, (y_noisy, _) in planted.items()
}

# %%
# What it finds
# -------------
# Errors by a coin stand out among rows that look nothing like their label. Errors by
# class have a pattern that the default learns, so that they are found as well. Errors
# by likeness hide: such a row looks like what it is called, and no model can tell. The
# figure for uniform flips alone would have promised too much.
from sklinfluence.inspection import DetectionCurveDisplay

_, ax = plt.subplots()
for kind, (_, is_flipped) in planted.items():
    is_first = kind == "uniform"
    DetectionCurveDisplay.from_estimator(
        fitted[kind],
        is_flipped,
        name=kind,
        ax=ax,
        plot_chance_level=is_first,
        plot_ideal=is_first,
    )
ax.set_title("One detector, three kinds of noise")
plt.show()
