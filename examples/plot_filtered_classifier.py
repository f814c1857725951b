"""
==================================================
Training without the rows that look mislabelled
==================================================

:class:`~sklinfluence.filtering.FilteredClassifier` drops rows inside ``fit``, sample
weights and all, and works as the last step of any scikit-learn Pipeline. Here it wraps
a decision tree, which learns wrong labels by heart.
"""

# %%
# Accuracy against the share of wrong labels
# ------------------------------------------
# With three labels in ten wrong the filter warns that it drops a lot: it cannot know
# that they are. What it drops is looked at below.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.tree import DecisionTreeClassifier

from sklinfluence.datasets import flip_labels
from sklinfluence.filtering import FilteredClassifier, MislabelFilter, MislabelSampler
from sklinfluence.gradient import InfluenceRanker

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

tree = DecisionTreeClassifier(random_state=0)
models = {
    "tree": tree,
    "tree without flagged rows": FilteredClassifier(tree),
    "tree with flagged rows relabelled": FilteredClassifier(
        tree, filter=MislabelSampler(action="relabel")
    ),
}
rates = [0.0, 0.1, 0.2, 0.3]
fig, ax = plt.subplots(layout="constrained")
for (name, model), marker in zip(models.items(), "osv", strict=True):
    pipe = make_pipeline(MinMaxScaler(), model)
    accuracy = [
        pipe.fit(X, flip_labels(y, rate, random_state=0)[0]).score(X_test, y_test)
        for rate in rates
    ]
    ax.plot(rates, accuracy, marker=marker, label=name)
ax.set(xlabel="share of wrong training labels", ylabel="accuracy on clean test rows")
ax.legend()

# %%
# Tuned as one model
# ------------------
# The filter's parameters are reached by scikit-learn's nested names, beside those of
# the estimator. Every candidate drops rows of its own training folds only.

y_noisy, flipped = flip_labels(y, 0.2, random_state=0)
mislabel_filter = MislabelFilter(InfluenceRanker(LogisticRegression()))
pipe = make_pipeline(MinMaxScaler(), FilteredClassifier(tree, filter=mislabel_filter))
grid = {
    "filteredclassifier__filter__ranker__estimator__C": [0.1, 0.5],
    "filteredclassifier__estimator__min_samples_leaf": [1, 3],
}
search = GridSearchCV(pipe, grid, cv=3).fit(X, y_noisy)
print(search.best_params_)
print(f"accuracy on clean test rows: {search.score(X_test, y_test):.2f}")

# %%
# What was dropped stays to be looked at.

dropped = ~search.best_estimator_[-1].filter_.get_support()
print(f"dropped {dropped.sum()} rows, {flipped[dropped].sum()} of them flipped")
plt.show()
