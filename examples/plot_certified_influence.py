"""
============================
Influence with a certificate
============================

An influence is an estimate of what a refit would show. For logistic regression it can
be more: an interval in which the refit's value is proved to lie, at the cost of one
factorisation a row.
"""

# %%
# Intervals
# ---------
# ``certify`` takes one Newton step without each row and bounds, from the gradient and
# the curvature there, how far the optimum can be. Here, for the hardest training rows:
# the rise in their own loss when they are left out, certified, and refitted.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sklinfluence.gradient import InfluenceRanker

X, y = load_breast_cancer(return_X_y=True)
X = scale(X)
model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12)
ranker = InfluenceRanker(model, method="newton").fit(X, y)
hardest = np.argsort(-ranker.label_scores("loss"))[:30]


def loss(fitted, rows):
    return -fitted.predict_log_proba(X[rows])[np.arange(len(rows)), y[rows]]


before = loss(ranker.estimator_, np.arange(len(y)))
refits = []
for row in hardest:
    kept = np.delete(np.arange(len(y)), row)
    refits.append(loss(model.fit(X[kept], y[kept]), np.arange(len(y))) - before)
refits = np.array(refits).T
lower, upper = ranker.certify(hardest, X, y)
held = (lower - 1e-9 <= refits) & (refits <= upper + 1e-9)
print(f"{held.mean():.0%} of {held.size} refitted values lie in their interval")
first = InfluenceRanker(model).fit(X, y).influence(X, y)[:, hardest]
outside = ((first < lower) | (first > upper)).mean()
print(f"{outside:.0%} of first-order influences are proved wrong by it")

# %%
at = np.arange(len(hardest))
own = hardest, at
finite = np.isfinite(upper[own])
fig, ax = plt.subplots(figsize=(8, 3.6))
ax.vlines(
    at[finite],
    lower[own][finite],
    upper[own][finite],
    lw=5,
    alpha=0.4,
    label="certified",
)
ax.plot(at, refits[own], "k_", ms=9, label="refit")
ax.plot(at, first[own], "x", color="C1", ms=5, label="first order")
for place in at[~finite]:
    ax.axvspan(place - 0.5, place + 0.5, color="0.93", zorder=0)
ax.set(
    xlabel="hardest training rows (grey: no certificate)",
    ylabel="rise in own loss without the row",
    yscale="log",
)
ax.legend(loc="upper center", ncols=3)
fig.tight_layout()

# %%
# A cheap bound for all rows
# --------------------------
# ``loo_error_bound_`` needs no further factorisation: it bounds what the one Newton
# step behind ``loo_decision_function_`` leaves undone. ``refine=tol`` takes further
# steps for the rows above the tolerance only.
bound = ranker.loo_error_bound_
effect = np.abs(ranker.loo_decision_function_ - ranker.decision_function(X))
print(f"bound known for {np.isfinite(bound).mean():.1%} of the rows")
for tol in (1e-1, 1e-3):
    print(f"refine={tol:g} would visit {np.mean(bound > tol):.1%} of the rows")

fig, ax = plt.subplots(figsize=(4.8, 3.6))
known = np.isfinite(bound) & (bound > 0) & (effect > 0)
ax.loglog(effect[known], bound[known], "o", ms=3, alpha=0.5)
limits = np.array([effect[known].min(), effect[known].max()])
ax.loglog(limits, limits, color="0.6", lw=1)
ax.set(xlabel="change of the logit without the row", ylabel="bound on its error")
fig.tight_layout()

plt.show()
