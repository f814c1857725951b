"""
=================================================
One fit a candidate: searching C by leave-one-out
=================================================

A grid search by five folds fits every candidate five times. The factor of a linear
head's Hessian knows what each training row would be told by the model that never saw
it. :class:`~sklinfluence.model_selection.LeaveOneOutSearch` therefore fits each
candidate once, and starts each from its neighbour.
"""

# %%
# Two searches over the same grid
# -------------------------------

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.model_selection import LeaveOneOutSearch

X, y = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
grid = {"logisticregression__C": np.logspace(-4, 3, 22)}

searches = {
    "leave-one-out": LeaveOneOutSearch(model, grid),
    "five folds": GridSearchCV(model, grid, scoring="neg_log_loss", cv=5),
}
for name, search in searches.items():
    start = time.perf_counter()
    search.fit(X, y)
    seconds = time.perf_counter() - start
    C = search.best_params_["logisticregression__C"]
    print(f"{name}: C = {C:.2g}, loss {-search.best_score_:.3f}, {seconds:.1f} s")

# %%
# What they see
# -------------
# Folds train on four fifths of the rows and each split is another draw. Leave-one-out
# trains on all rows but one and draws nothing: run it again and it says the same.

fig, ax = plt.subplots(layout="constrained")
for (name, search), dashes in zip(searches.items(), ("-", "--"), strict=True):
    results = search.cv_results_
    (line,) = ax.semilogx(
        grid["logisticregression__C"], -results["mean_test_score"], dashes, label=name
    )
    ax.plot(
        search.best_params_["logisticregression__C"],
        -search.best_score_,
        "o",
        color=line.get_color(),
    )
ax.set(xlabel="C", ylabel="Log loss of unseen rows", ylim=(0.05, 0.3))
ax.legend()

# %%
# Penalty and scaling at once
# ---------------------------
# The grid may hold what GridSearchCV's may: other steps, other estimators. Only
# candidates that differ in C alone share what comes before the head.

search = LeaveOneOutSearch(
    model,
    {"standardscaler": [StandardScaler(), "passthrough"], **grid},
    scoring=["neg_log_loss", "accuracy"],
    refit="neg_log_loss",
)
search.set_params(estimator__logisticregression__solver="newton-cholesky")
search.fit(X, y)
print(search.best_params_)
print(f"accuracy {search.cv_results_['mean_test_accuracy'][search.best_index_]:.3f}")
plt.show()
