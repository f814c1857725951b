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
# :func:`~sklinfluence.datasets.flip_labels` flips a fifth of the labels of
# scikit-learn's digits: any row to any digit, every digit to the one that follows, or
# preferably those rows that already look like another digit.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklinfluence.datasets import flip_labels

X, y = load_digits(return_X_y=True)
planted = {
    "uniform": flip_labels(y, 0.2, kind="uniform", random_state=0),
    "class": flip_labels(y, 0.2, kind="class", random_state=0),
    "instance": flip_labels(y, 0.2, kind="instance", X=X, random_state=0),
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
# by likeness hide: such a row looks like what it is called, and no model can tell. On
# the right, what is still missing after as many rows as there are errors. The figure
# for uniform flips alone would have promised too much.
from sklinfluence.inspection import DetectionCurveDisplay

# Curves that nearly coincide are told apart by their width.
styles = {
    "uniform": {"linewidth": 6, "alpha": 0.4},
    "class": {"linewidth": 3},
    "instance": {"linewidth": 1.5},
}
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for number, (kind, (_, is_flipped)) in enumerate(planted.items()):
    scores = fitted[kind].scores_
    is_last = number == len(planted) - 1
    DetectionCurveDisplay.from_predictions(
        is_flipped,
        scores,
        name=kind,
        ax=left,
        plot_chance_level=is_last,
        plot_ideal=is_last,
        curve_kwargs={"color": f"C{number}", **styles[kind]},
    )
    first = np.argsort(-scores)[: is_flipped.sum()]
    missing = 1 - is_flipped[first].mean()
    print(f"{kind}: {missing:.1%} missing")
    right.barh(kind, missing, color=f"C{number}")
left.set_title("One detector, three kinds of noise")
right.set(
    title="Missing after as many rows as errors",
    xlabel="share of the mislabelled rows",
)
right.invert_yaxis()
plt.show()
