"""
=================================================
Leverage, residuals and Cook's distance of a fit
=================================================

The plots that statistics packages draw of a linear model, for scikit-learn's own:
penalised, weighted, logistic too. :func:`~sklinfluence.inspection.diagnostics` makes
the table, one line a training row.
"""

# %%
# The table
# ---------
# A ridge regression of scikit-learn's diabetes data. One value of the target has lost
# its first digit: 341 became 41.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from sklinfluence.gradient import InfluenceRanker
from sklinfluence.inspection import diagnostics

X, y = load_diabetes(return_X_y=True, as_frame=True)
X, y = X[:150], y[:150].copy()
wrong = X.index[np.argmax(X["bmi"])]
y[wrong] -= 300
model = Ridge(alpha=0.01)
ranker = InfluenceRanker(model, method="newton").fit(X, y)
table = diagnostics(ranker)
measures = ["leverage", "externally_studentized", "cooks_distance", "dffits"]
table.nlargest(5, "cooks_distance")[measures].round(2)

# %%
# Far out, and off the line
# -------------------------
# Leverage says how far a row's columns lie from those of the others, the studentised
# residual how far its target lies from the prediction of the fit without it. Cook's
# distance is large where both are; the area of a point shows it. The largest three bear
# their row's number.


def studentized_plot(ax, table, labelled=3):
    measures = table[["leverage", "externally_studentized", "cooks_distance"]]
    leverage, residual, distance = measures.to_numpy().T
    ax.scatter(
        leverage, residual, 10 + 900 * distance / distance.max(), "C0", alpha=0.4
    )
    for row in table["cooks_distance"].nlargest(labelled).index:
        at = table.loc[row, ["leverage", "externally_studentized"]]
        ax.annotate(str(row), at, ha="center", va="center")
    for level in (-2, 2):
        ax.axhline(level, color="0.6", lw=0.8, ls="--")
    twice = 2 * table["leverage"].mean()
    ax.axvline(twice, color="0.6", lw=0.8, ls=":")
    ax.set(xlabel="leverage (dotted: twice the mean)")


fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
studentized_plot(left, table)
left.set(ylabel="studentised residual", title="with the wrong target")
y[wrong] += 300
mended = diagnostics(InfluenceRanker(model).fit(X, y))
studentized_plot(right, mended)
right.set_title("with the right one")

# %%
# Which coefficient does a row move?
# ----------------------------------
# DFBETAS are the changes of the coefficients without the row, in standard errors. For
# least squares they are no estimate: a refit says the same, to rounding.
y[wrong] -= 300
dfbetas = table.filter(like="dfbetas_").drop(columns="dfbetas_intercept")
dfbetas.columns = dfbetas.columns.str.removeprefix("dfbetas_")
kept = X.index != wrong
refit = clone(model).fit(X[kept], y[kept]).coef_
change = ranker.parameter_influence(int(wrong))[0, :-1]
gap = np.abs(ranker.estimator_.coef_ - change - refit).max()
print(f"largest gap to a refit: {gap / np.abs(refit).max():.0e} of a coefficient")

fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.plot(dfbetas.T.to_numpy(), color="0.8", lw=0.8)
ax.plot(dfbetas.loc[wrong].to_numpy(), "C3o-", label=f"row {wrong}")
ax.axhline(0, color="0.3", lw=0.8)
ax.set(xticks=range(dfbetas.shape[1]), xticklabels=dfbetas.columns, ylabel="DFBETAS")
ax.legend()
plt.show()
