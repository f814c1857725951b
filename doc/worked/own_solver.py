"""A solver: scipy's MINRES, which needs nothing of the Hessian but products.

``init`` keeps the operator, ``solve`` asks it for a product a step, column by column.
The class says of itself what a ranker wants to know: that it is exact to a tolerance,
when to warn, and what helps then.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, minres
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklinfluence.curvature import Solver, SolverState
from sklinfluence.gradient import InfluenceRanker


class KeepsOperator(SolverState):
    def __init__(self, operator):
        self.operator = operator


class Minres(Solver):
    exact = True
    remedy = "Raise max_iter of Minres, or penalise the estimator more."

    # Parameters as scikit-learn has them: a grid search reaches solver__max_iter.
    def __init__(self, tol=1e-10, max_iter=1000):
        self.tol = tol
        self.max_iter = max_iter

    def init(self, operator):
        return KeepsOperator(operator)

    def solve(self, state, B):
        H = state.operator
        product = LinearOperator(H.shape, matvec=lambda v: H.matvec(v[:, None])[:, 0])
        columns = [
            # MINRES stops by a norm of its own: ask for more than is promised.
            minres(product, b, rtol=0.01 * self.tol, maxiter=self.max_iter)[0]
            for b in B.T
        ]
        X = np.column_stack(columns)
        left = np.linalg.norm(H.matvec(X) - B, axis=0)
        return X, {"residual": left / np.maximum(np.linalg.norm(B, axis=0), 1e-300)}


X, y = load_breast_cancer(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression())
ranker = InfluenceRanker(model, solver=Minres()).fit(X[:200], y[:200])

# The truth: the Hessian factored. MINRES leaves at most 1e-10 of every right-hand side,
# times a condition number of some 1e4.
truth = InfluenceRanker(model, solver="cholesky").fit(X[:200], y[:200])
np.testing.assert_allclose(ranker.self_influence_, truth.self_influence_, rtol=1e-5)
assert ranker.solver_info_["residual"].max() < 1e-10
